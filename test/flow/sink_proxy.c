#include "flow/sink_proxy.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "flow/fault_proxy.h"
#include "flow/sink_postgres.h"

enum {
    PATH_SIZE = 100,
    CONNINFO_SIZE = 200,
    SQL_SIZE = 256
};

static char folder[PATH_SIZE / 2];
static char conninfo[CONNINFO_SIZE];

/* ---- messages ---- */

/* How many bytes the first message has; 0: it is not whole yet. The very first one has no type. */
static size_t message_size(const struct buffer *buffer, bool is_typed)
{
    uint32_t length;
    size_t before = is_typed ? 1 : 0;
    if (buffer->size < before + sizeof(length)) {
        return 0;
    }
    memcpy(&length, buffer->data + before, sizeof(length));
    size_t size = before + ntohl(length);
    return size <= buffer->size ? size : 0;
}

static void append_message(struct buffer *out, char type, const char *body, size_t size)
{
    uint32_t length = htonl((uint32_t)(size + sizeof(length)));
    buffer_append_byte(out, type);
    buffer_append(out, (const char *)&length, sizeof(length));
    buffer_append(out, body, size);
}

/* Parse, Bind, Execute of `sql` under no name. */
static void append_statement(struct buffer *out, const char *sql)
{
    static const char bind[8] = {0}; /* no portal, no statement, no formats, values or results */
    static const char execute[5] = {0};
    struct buffer parse = {0};
    buffer_append_byte(&parse, '\0');
    buffer_append(&parse, sql, strlen(sql) + 1);
    buffer_append(&parse, "\0", 2); /* no types */
    append_message(out, 'P', parse.data, parse.size);
    append_message(out, 'B', bind, sizeof(bind));
    append_message(out, 'E', execute, sizeof(execute));
    buffer_deinit(&parse);
}

static void append_fault(struct buffer *out, const struct sink_fault *fault)
{
    char sql[SQL_SIZE];
    if (fault->kind == SINK_FAULT_TERMINATE) {
        append_statement(out, "SELECT pg_terminate_backend(pg_backend_pid())");
    } else if (fault->kind == SINK_FAULT_RAISE) {
        (void)snprintf(sql, sizeof(sql),
                       "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '%s', MESSAGE = '%s'; END $$",
                       fault->sqlstate, fault->message != NULL ? fault->message : "injected");
        append_statement(out, sql);
    }
}

/* ---- the protocol ---- */

/* False: the connection has to end. */
static bool meet_fault(struct fault_connection *connection, const struct sink_fault *fault)
{
    struct buffer before = {0};
    append_fault(&before, fault);
    bool is_sent =
        before.size == 0 || fault_proxy_write(connection->server, before.data, before.size);
    buffer_deinit(&before);
    connection->is_swallowing = connection->is_swallowing || fault->kind == SINK_FAULT_CUT_AFTER;
    return is_sent && fault->kind != SINK_FAULT_CUT_BEFORE;
}

static bool pass_requests(struct fault_connection *connection)
{
    size_t size;
    while ((size = message_size(&connection->requests, connection->is_started)) > 0) {
        bool is_first = !connection->is_started;
        char type = connection->requests.data[0];
        bool is_step = !is_first && (type == 'E' || type == 'S');
        const struct sink_fault *fault = is_step ? fault_proxy_take() : NULL;
        if (fault != NULL && !meet_fault(connection, fault)) {
            return false;
        }
        connection->is_started = true;
        if (!fault_proxy_write(connection->server, connection->requests.data, size)) {
            return false;
        }
        fault_proxy_drop_front(&connection->requests, size);
    }
    return true;
}

/* Whose answers are swallowed loses its connection once the server is done: then it has committed. */
static bool pass_answers(struct fault_connection *connection)
{
    size_t size;
    while ((size = message_size(&connection->answers, true)) > 0) {
        if (connection->is_swallowing && connection->answers.data[0] == 'Z') {
            return false;
        }
        if (!connection->is_swallowing &&
            !fault_proxy_write(connection->client, connection->answers.data, size)) {
            return false;
        }
        fault_proxy_drop_front(&connection->answers, size);
    }
    return true;
}

/* ---- life ---- */

void sink_proxy_start(void)
{
    static const struct fault_protocol protocol = {pass_requests, pass_answers};
    char path[PATH_SIZE];
    (void)snprintf(folder, sizeof(folder), "/tmp/standpipe-proxy-XXXXXX");
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/.s.PGSQL.5432", folder);
    (void)snprintf(conninfo, sizeof(conninfo), "host=%s port=5432 user=standpipe dbname=postgres",
                   folder);
    fault_proxy_start(&protocol, path, sink_postgres_socket());
}

void sink_proxy_stop(void)
{
    fault_proxy_stop();
    assert_int_equal(rmdir(folder), 0);
}

const char *sink_proxy_conninfo(void)
{
    return conninfo;
}
