#include "flow/stream_proxy.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flow/fault_proxy.h"
#include "flow/stream_server.h"

enum {
    PATH_SIZE = 200,
    LINE_SIZE = 160
};

const struct stream_fault stream_faults[] = {
    {"out of memory", "OOM command not allowed when used memory > 'maxmemory'.", FAULT_ERROR,
     false},
    {"loading", "LOADING Redis is loading the dataset in memory", FAULT_ERROR, false},
    {"a replica", "READONLY You can't write against a read only replica.", FAULT_ERROR, false},
    {"cannot save",
     "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist on "
     "disk.",
     FAULT_ERROR, false},
    {"disk full", "MISCONF Errors writing to the AOF file: No space left on device", FAULT_ERROR,
     false},
    {"cluster down", "CLUSTERDOWN The cluster is down", FAULT_ERROR, true},
    {"no group", "NOGROUP No such key 'events' or consumer group 'group'", FAULT_ERROR, true},
    {"no script", "NOSCRIPT No matching script. Please use EVAL.", FAULT_ERROR, true},
    {"busy", "BUSY Redis is busy running a script.", FAULT_ERROR, false},
    {"password changed", "NOAUTH Authentication required.", FAULT_ERROR, true},
    {"an error nobody foresaw", "ERR something new", FAULT_ERROR, true},
    {"cut before", NULL, FAULT_CUT_BEFORE, false},
    {"cut after", NULL, FAULT_CUT_AFTER, false},
    {"cut within the answer", NULL, FAULT_CUT_WITHIN, false},
};
const size_t stream_fault_count = sizeof(stream_faults) / sizeof(stream_faults[0]);

static char url[PATH_SIZE];

/* ---- RESP2 ---- */

/* How many bytes the first command or reply in `data` has; 0: it is not whole yet. */
static size_t message_size(const char *data, size_t size)
{
    size_t at = 0;
    for (int64_t due = 1; due > 0; due--) {
        const char *end = at < size ? memchr(data + at, '\n', size - at) : NULL;
        if (end == NULL) {
            return 0;
        }
        char type = data[at];
        int64_t number = strtoll(data + at + 1, NULL, 10); /* stops at the CR at the latest */
        at = (size_t)(end - data) + 1;
        if (type == '$' && number >= 0) {
            at += (size_t)number + 2;
        } else if (type == '*' && number > 0) {
            due += number;
        }
        if (at > size) {
            return 0;
        }
    }
    return at;
}

static bool pass_requests(struct fault_connection *connection)
{
    size_t size;
    while ((size = message_size(connection->requests.data, connection->requests.size)) > 0) {
        const struct stream_fault *fault = fault_proxy_take();
        bool is_refused = fault != NULL && fault->kind == FAULT_ERROR;
        if ((fault != NULL && fault->kind == FAULT_CUT_BEFORE) ||
            connection->owed_count == FAULT_PROXY_OWED_MAX) {
            return false;
        }
        if (!is_refused &&
            !fault_proxy_write(connection->server, connection->requests.data, size)) {
            return false;
        }
        fault_proxy_drop_front(&connection->requests, size);
        connection->owed[connection->owed_count++] = fault;
    }
    return true;
}

static bool send_error(const struct fault_connection *connection, const char *text)
{
    char line[LINE_SIZE];
    int size = snprintf(line, sizeof(line), "-%s\r\n", text);
    return fault_proxy_write(connection->client, line, (size_t)size);
}

/* What Redis said to the first that is owed. */
static bool pass_answer(struct fault_connection *connection, const struct stream_fault *fault,
                        size_t size)
{
    if (fault != NULL) {
        size_t part = fault->kind == FAULT_CUT_WITHIN ? size / 2 : 0;
        (void)fault_proxy_write(connection->client, connection->answers.data, part);
        return false;
    }
    bool is_sent = fault_proxy_write(connection->client, connection->answers.data, size);
    fault_proxy_drop_front(&connection->answers, size);
    return is_sent;
}

static bool pass_answers(struct fault_connection *connection)
{
    while (connection->owed_count > 0) {
        const struct stream_fault *fault = connection->owed[0];
        bool is_refused = fault != NULL && fault->kind == FAULT_ERROR;
        size_t size = message_size(connection->answers.data, connection->answers.size);
        if (!is_refused && size == 0) {
            return true; /* Redis has not answered yet */
        }
        if (!(is_refused ? send_error(connection, fault->text)
                         : pass_answer(connection, fault, size))) {
            return false;
        }
        connection->owed_count--;
        memmove(connection->owed, connection->owed + 1,
                connection->owed_count * sizeof(connection->owed[0]));
    }
    return true;
}

void stream_proxy_start(void)
{
    static const struct fault_protocol protocol = {pass_requests, pass_answers};
    char path[PATH_SIZE];
    (void)snprintf(path, sizeof(path), "%s.proxy", stream_server_socket());
    (void)snprintf(url, sizeof(url), "unix://%s.proxy", stream_server_socket());
    fault_proxy_start(&protocol, path, stream_server_socket());
}

const char *stream_proxy_url(void)
{
    return url;
}
