#include "sink/pg_connection.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/backoff.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/panic.h"
#include "sink/pg_target.h"

#include <libpq-fe.h>
#include <uv.h>

enum {
    CONNECT_TIMEOUT_MS = 10000,
    DEADLINE_MARGIN_MS = 5000,
    BACKOFF_BASE_MS = 100,
    BACKOFF_LIMIT_MS = 10000,
    MISCONFIGURED_WAIT_MS = 30000,
    ADDRESSES_MAX = 8,
};

enum pg_state {
    PG_WAITING, /* the timer starts the next try */
    PG_RESOLVING,
    PG_CONNECTING,
    PG_SETTING_UP,
    PG_READY,
    PG_CLOSED, /* closing or closed: only close callbacks follow */
};

/* A handle of its own for each registration: libpq may close the socket and open another with the same
 * number inside PQconnectPoll, so the old handle is closed before and a new one made after. */
struct watcher {
    uv_poll_t poll;
    struct pg_connection *connection; /* NULL once it is being closed */
};

struct pg_connection {
    uv_loop_t *loop;
    struct pg_connection_options options; /* strings are ours */
    struct pg_connection_callbacks callbacks;
    void *owner;
    char *object; /* the log's */
    char *conninfo;
    char *schema;
    char *name;
    enum pg_state state;
    struct pg_targets targets;
    unsigned target; /* which is being tried */
    char addresses[ADDRESSES_MAX][INET6_ADDRSTRLEN];
    unsigned address;
    unsigned address_count;
    PGconn *native;
    unsigned generation; /* of `native`, so that a drain notices that a callback has replaced it */
    struct watcher *watcher;
    int watched;
    uv_timer_t timer;
    uv_getaddrinfo_t resolver;
    bool is_resolving;
    bool is_broken; /* a send failed: the timer is set to fire at once */
    bool timer_is_closed;
    struct backoff backoff;
    struct list requests;
    struct pg_request *begun; /* between begin and end */
    struct pg_request setup;
    struct pg_failure failure; /* of the last try */
    struct log_limit lost_limit;
};

static void try_target(struct pg_connection *connection);
static void lose(struct pg_connection *connection);

static void enter_state(struct pg_connection *connection, enum pg_state next)
{
    static const char *const names[] = {
        [PG_WAITING] = "waiting",       [PG_RESOLVING] = "resolving",
        [PG_CONNECTING] = "connecting", [PG_SETTING_UP] = "setting up",
        [PG_READY] = "ready",           [PG_CLOSED] = "closed",
    };
    log_debug(connection->object, "state", LOG_TEXT("from", names[connection->state]),
              LOG_TEXT("to", names[next]));
    connection->state = next;
}

/* --- failures --- */

static void copy_line(char *to, size_t size, const char *from)
{
    size_t length = 0;
    for (; *from != '\0' && length + 1 < size; from++) {
        bool is_break = *from == '\n' || *from == '\t';
        to[length++] = ' ';
        if (!is_break) {
            to[length - 1] = *from;
        }
    }
    while (length > 0 && to[length - 1] == ' ') {
        length--;
    }
    to[length] = '\0';
}

/* With PQERRORS_VERBOSE the server's message is `SEVERITY:  XXXXX: text`, the only place where libpq
 * tells the SQLSTATE of a refused connection; the severity may be translated, the code is not. */
static void find_sqlstate(const char *message, char sqlstate[6])
{
    sqlstate[0] = '\0';
    for (const char *at = strstr(message, ":  "); at != NULL; at = strstr(at + 3, ":  ")) {
        const char *code = at + 3;
        size_t length = 0;
        while (length < 5 &&
               (isdigit((unsigned char)code[length]) || isupper((unsigned char)code[length]))) {
            length++;
        }
        if (length == 5 && code[5] == ':') {
            memcpy(sqlstate, code, 5);
            sqlstate[5] = '\0';
            return;
        }
    }
}

static void set_failure(struct pg_connection *connection, const char *sqlstate, const char *text)
{
    struct pg_failure *failure = &connection->failure;
    *failure = (struct pg_failure){.is_lost = true};
    copy_line(failure->sqlstate, sizeof(failure->sqlstate), sqlstate);
    copy_line(failure->text, sizeof(failure->text), text);
    failure->class = sqlstate_classify(failure->sqlstate, failure->text);
}

static void set_native_failure(struct pg_connection *connection, const char *what)
{
    const char *message = PQerrorMessage(connection->native);
    char sqlstate[6];
    find_sqlstate(message, sqlstate);
    set_failure(connection, sqlstate, *message != '\0' ? message : what);
}

/* --- the socket --- */

static void on_watcher_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void stop_watching(struct pg_connection *connection)
{
    struct watcher *watcher = connection->watcher;
    if (watcher == NULL) {
        return;
    }
    connection->watcher = NULL;
    connection->watched = 0;
    watcher->connection = NULL;
    (void)uv_poll_stop(&watcher->poll); /* cannot fail */
    uv_close((uv_handle_t *)&watcher->poll, on_watcher_closed);
}

static bool watch(struct pg_connection *connection, int events, uv_poll_cb on_event)
{
    if (connection->watcher != NULL && connection->watched == events) {
        return true;
    }
    if (connection->watcher == NULL) {
        struct watcher *watcher = memory_allocate(sizeof(*watcher));
        int result = uv_poll_init(connection->loop, &watcher->poll, PQsocket(connection->native));
        if (result != 0) {
            free(watcher);
            set_failure(connection, "", uv_strerror(result));
            return false;
        }
        watcher->poll.data = watcher;
        watcher->connection = connection;
        connection->watcher = watcher;
    }
    int result = uv_poll_start(&connection->watcher->poll, events, on_event);
    if (result != 0) {
        set_failure(connection, "", uv_strerror(result));
    }
    connection->watched = events;
    return result == 0;
}

static void drop_native(struct pg_connection *connection)
{
    stop_watching(connection);
    if (connection->native != NULL) {
        PQfinish(connection->native);
    }
    connection->native = NULL;
    connection->generation++;
    connection->is_broken = false;
}

/* --- the timer --- */

static void on_timer(uv_timer_t *timer)
{
    struct pg_connection *connection = timer->data;
    switch (connection->state) {
    case PG_WAITING:
        connection->target = 0;
        try_target(connection);
        return;
    case PG_RESOLVING: /* no timer then: the resolver has timeouts of its own */
    case PG_CLOSED:
        return;
    case PG_CONNECTING:
        set_failure(connection, "", "no connection in time");
        lose(connection);
        return;
    case PG_SETTING_UP:
    case PG_READY:
        if (!connection->is_broken) {
            set_failure(connection, "", "no answer in time");
        }
        lose(connection);
        return;
    }
}

static void set_timer(struct pg_connection *connection, uint64_t wait_ms)
{
    int result = uv_timer_start(&connection->timer, on_timer, wait_ms, 0);
    ASSERT(result == 0);
}

static void stop_timer(struct pg_connection *connection)
{
    (void)uv_timer_stop(&connection->timer); /* cannot fail */
}

/* For a failure that is found where no callback may run: told from the timer. */
static void break_soon(struct pg_connection *connection)
{
    if (connection->is_broken) {
        return;
    }
    set_native_failure(connection, "the connection is broken");
    connection->is_broken = true;
    set_timer(connection, 0);
}

static void arm_deadline(struct pg_connection *connection)
{
    if (connection->is_broken) {
        return;
    }
    if (list_is_empty(&connection->requests)) {
        stop_timer(connection);
        return;
    }
    struct pg_request *first = LIST_ENTRY(connection->requests.next, struct pg_request, node);
    uint64_t now_ms = clock_monotonic_ms();
    set_timer(connection, first->deadline_ms > now_ms ? first->deadline_ms - now_ms : 0);
}

/* --- losing and coming back --- */

static void fail_requests(struct pg_connection *connection, const struct pg_failure *failure)
{
    struct list lost;
    list_init(&lost);
    connection->begun = NULL;
    for (struct list *node; (node = list_take_first(&connection->requests)) != NULL;) {
        list_append(&lost, node);
    }
    for (struct list *node; (node = list_take_first(&lost)) != NULL;) {
        struct pg_request *request = LIST_ENTRY(node, struct pg_request, node);
        struct pg_failure mine = request->has_failed ? request->failure : *failure;
        mine.is_lost = true;
        if (request->on_done != NULL) {
            request->on_done(request, &mine);
        }
    }
}

static void log_lost(struct pg_connection *connection, uint64_t wait_ms)
{
    uint64_t suppressed = 0;
    if (!log_limit_pass(&connection->lost_limit, &suppressed)) {
        return;
    }
    log_warning(connection->object, "not connected", LOG_TEXT("why", connection->failure.text),
                LOG_TEXT("sqlstate", connection->failure.sqlstate), LOG_INT("retry_ms", wait_ms),
                LOG_INT("suppressed", suppressed));
}

static bool has_more_targets(const struct pg_connection *connection)
{
    return connection->address + 1 < connection->address_count ||
           connection->target + 1 < connection->targets.count;
}

static void try_next(struct pg_connection *connection);

/* The one exit: `connection->failure` says why. */
static void lose(struct pg_connection *connection)
{
    bool was_connecting = connection->state == PG_RESOLVING || connection->state == PG_CONNECTING ||
                          connection->state == PG_SETTING_UP;
    struct pg_failure failure = connection->failure;
    drop_native(connection);
    stop_timer(connection);
    if (was_connecting && has_more_targets(connection)) {
        fail_requests(connection, &failure);
        try_next(connection);
        return;
    }
    enter_state(connection, PG_WAITING);
    uint64_t wait_ms = failure.class == SQLSTATE_MISCONFIGURED
                           ? connection->options.misconfigured_wait_ms
                           : backoff_next_ms(&connection->backoff);
    log_lost(connection, wait_ms);
    set_timer(connection, wait_ms);
    fail_requests(connection, &failure);
    if (connection->state != PG_CLOSED && connection->callbacks.on_lost != NULL) {
        connection->callbacks.on_lost(connection->owner, &failure);
    }
}

/* --- requests --- */

static void on_ready_event(uv_poll_t *poll, int status, int events);

static void flush(struct pg_connection *connection)
{
    if (connection->is_broken) {
        return;
    }
    int result = PQflush(connection->native);
    if (result < 0 ||
        !watch(connection, result > 0 ? UV_READABLE | UV_WRITABLE : UV_READABLE, on_ready_event)) {
        break_soon(connection);
    }
}

static void take_failure(struct pg_request *request, const PGresult *native)
{
    if (request->has_failed) {
        return; /* the first one is the cause */
    }
    const char *sqlstate = PQresultErrorField(native, PG_DIAG_SQLSTATE);
    const char *text = PQresultErrorField(native, PG_DIAG_MESSAGE_PRIMARY);
    const char *detail = PQresultErrorField(native, PG_DIAG_MESSAGE_DETAIL);
    struct pg_failure *failure = &request->failure;
    *failure = (struct pg_failure){.query = request->answered};
    copy_line(failure->sqlstate, sizeof(failure->sqlstate), sqlstate != NULL ? sqlstate : "");
    struct buffer line = {0};
    buffer_append_string(&line, text != NULL ? text : PQresultErrorMessage(native));
    if (detail != NULL) {
        buffer_append_format(&line, ": %.200s", detail);
    }
    buffer_append_byte(&line, '\0');
    copy_line(failure->text, sizeof(failure->text), line.data);
    buffer_deinit(&line);
    failure->class = sqlstate_classify(failure->sqlstate, failure->text);
    request->has_failed = true;
}

static void give_result(struct pg_request *request, const PGresult *native)
{
    const char *affected =
        PQcmdTuples((PGresult *)(uintptr_t)native); /* takes no const, changes nothing */
    struct pg_result result = {
        .affected = strtoull(affected, NULL, 10),
        .rows = (unsigned)PQntuples(native),
        .native = native,
    };
    if (request->on_result != NULL && !request->has_failed) {
        request->on_result(request, request->answered, &result);
    }
}

const char *pg_result_text(const struct pg_result *result, unsigned row, unsigned column)
{
    return PQgetvalue(result->native, (int)row, (int)column);
}

static void finish_request(struct pg_connection *connection, struct pg_request *request)
{
    list_remove(&request->node);
    backoff_reset(&connection->backoff);
    arm_deadline(connection);
    if (request->on_done != NULL) {
        request->on_done(request, request->has_failed ? &request->failure : NULL);
    }
}

/* One answer of the server goes to the first request. */
static void take_result(struct pg_connection *connection, PGresult *native)
{
    struct pg_request *request = LIST_ENTRY(connection->requests.next, struct pg_request, node);
    ExecStatusType status = native != NULL ? PQresultStatus(native) : PGRES_EMPTY_QUERY;
    if (native == NULL) {
        request->answered++; /* the end of one query's answers */
    } else if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) {
        give_result(request, native);
    } else if (status == PGRES_PIPELINE_SYNC) {
        PQclear(native);
        finish_request(connection, request);
        return;
    } else if (status != PGRES_PIPELINE_ABORTED) {
        take_failure(request, native);
    }
    PQclear(native);
}

/* More ends than queries: libpq is spinning on a dead connection. */
static bool is_spinning(const struct pg_connection *connection)
{
    const struct pg_request *request =
        LIST_ENTRY(connection->requests.next, struct pg_request, node);
    return request->answered > request->sent + 1;
}

static void drain(struct pg_connection *connection)
{
    unsigned generation = connection->generation;
    while (!list_is_empty(&connection->requests) && !PQisBusy(connection->native)) {
        take_result(connection, PQgetResult(connection->native));
        if (connection->generation != generation) {
            return;
        }
        if (!list_is_empty(&connection->requests) &&
            (is_spinning(connection) || PQstatus(connection->native) == CONNECTION_BAD)) {
            set_native_failure(connection, "the connection ended");
            lose(connection);
            return;
        }
    }
    flush(connection);
}

static void on_ready_event(uv_poll_t *poll, int status, int events)
{
    struct watcher *watcher = poll->data;
    struct pg_connection *connection = watcher->connection;
    if (connection == NULL) {
        return;
    }
    if ((status < 0 || (events & UV_READABLE) != 0) && PQconsumeInput(connection->native) == 0) {
        /* What the server said before it left (57P01) is still to be read. */
        unsigned generation = connection->generation;
        drain(connection);
        if (connection->generation != generation) {
            return;
        }
        set_native_failure(connection, "the connection ended");
        lose(connection);
        return;
    }
    drain(connection);
}

bool pg_connection_is_ready(const struct pg_connection *connection)
{
    return connection->state == PG_READY && !connection->is_broken;
}

void pg_connection_begin(struct pg_connection *connection, struct pg_request *request)
{
    ASSERT(connection->begun == NULL && connection->native != NULL);
    request->sent = 0;
    request->answered = 0;
    request->has_failed = false;
    request->deadline_ms =
        clock_monotonic_ms() + connection->options.statement_timeout_ms + DEADLINE_MARGIN_MS;
    list_append(&connection->requests, &request->node);
    connection->begun = request;
}

void pg_connection_query(struct pg_connection *connection, const struct pg_statement *statement,
                         const struct slice *values)
{
    const char *data[PG_PARAMETERS_MAX];
    int sizes[PG_PARAMETERS_MAX];
    int formats[PG_PARAMETERS_MAX];
    ASSERT(connection->begun != NULL && statement->count <= PG_PARAMETERS_MAX);
    for (unsigned i = 0; i < statement->count; i++) {
        data[i] = values[i].data;
        sizes[i] = (int)values[i].size;
        formats[i] = 1;
    }
    int count = (int)statement->count;
    bool is_prepared = connection->options.prepared && statement->name != NULL;
    int sent = is_prepared ? PQsendQueryPrepared(connection->native, statement->name, count, data,
                                                 sizes, formats, 0)
                           : PQsendQueryParams(connection->native, statement->sql, count,
                                               statement->types, data, sizes, formats, 0);
    connection->begun->sent++;
    if (sent == 0) {
        break_soon(connection);
    }
}

void pg_connection_end(struct pg_connection *connection)
{
    ASSERT(connection->begun != NULL);
    connection->begun = NULL;
    if (PQpipelineSync(connection->native) == 0) {
        break_soon(connection);
    }
    flush(connection);
    arm_deadline(connection);
}

/* --- setting up the session --- */

static const uint32_t setting_types[] = {25, 25};
static const struct pg_statement set_setting = {
    .sql = "SELECT set_config($1, $2, false)", .types = setting_types, .count = 2};
/* DELIVERY: synchronous_commit is set on each session, and what is in force is asked for. */
static const struct pg_statement verify_settings = {
    .sql = "SELECT current_setting('synchronous_commit')"};

static void send_setting(struct pg_connection *connection, const char *name, const char *value)
{
    const struct slice values[] = {slice_from_string(name), slice_from_string(value)};
    pg_connection_query(connection, &set_setting, values);
}

static void send_search_path(struct pg_connection *connection)
{
    struct buffer path = {0};
    buffer_append_byte(&path, '"');
    for (const char *c = connection->schema; *c != '\0'; c++) {
        if (*c == '"') {
            buffer_append_byte(&path, '"');
        }
        buffer_append_byte(&path, *c);
    }
    buffer_append(&path, "\"", 2); /* with its end */
    send_setting(connection, "search_path", path.data);
    buffer_deinit(&path);
}

static void send_settings(struct pg_connection *connection)
{
    char timeout[24];
    (void)snprintf(timeout, sizeof(timeout), "%llu",
                   (unsigned long long)connection->options.statement_timeout_ms);
    send_setting(connection, "synchronous_commit", "on");
    send_setting(connection, "statement_timeout", timeout);
    send_setting(connection, "lock_timeout", timeout);
    send_setting(connection, "idle_in_transaction_session_timeout", timeout);
    send_setting(connection, "default_transaction_isolation", "read committed");
    send_setting(connection, "jit", "off");
    send_search_path(connection);
    pg_connection_query(connection, &verify_settings, NULL);
}

static void send_prepares(struct pg_connection *connection)
{
    for (unsigned i = 0; i < connection->options.statement_count; i++) {
        const struct pg_statement *statement = &connection->options.statements[i];
        connection->begun->sent++;
        if (PQsendPrepare(connection->native, statement->name, statement->sql,
                          (int)statement->count, statement->types) == 0) {
            break_soon(connection);
        }
    }
}

static void on_setup_result(struct pg_request *request, unsigned query,
                            const struct pg_result *result)
{
    enum {
        VERIFY_QUERY = 7
    };
    if (query != VERIFY_QUERY || strcmp(pg_result_text(result, 0, 0), "on") == 0) {
        return;
    }
    request->has_failed = true;
    request->failure = (struct pg_failure){.class = SQLSTATE_MISCONFIGURED, .query = query};
    copy_line(request->failure.text, sizeof(request->failure.text),
              "synchronous_commit cannot be set to on: a commit would not be one");
}

static void on_setup_done(struct pg_request *request, const struct pg_failure *failure)
{
    struct pg_connection *connection = LIST_ENTRY(request, struct pg_connection, setup);
    if (connection->native == NULL) {
        return; /* lost: told already */
    }
    if (failure != NULL) {
        connection->failure = *failure;
        connection->failure.is_lost = true;
        lose(connection);
        return;
    }
    enter_state(connection, PG_READY);
    log_info(connection->object, "connected", LOG_TEXT("host", PQhost(connection->native)),
             LOG_INT("server_version", PQserverVersion(connection->native)));
    if (connection->callbacks.on_ready != NULL) {
        connection->callbacks.on_ready(connection->owner);
    }
}

static void on_notice(void *context, const char *message)
{
    const struct pg_connection *connection = context;
    char line[384];
    copy_line(line, sizeof(line), message);
    log_info(connection->object, "notice", LOG_TEXT("text", line));
}

static void set_up(struct pg_connection *connection)
{
    stop_timer(connection);
    enter_state(connection, PG_SETTING_UP);
    (void)PQsetErrorVerbosity(connection->native, PQERRORS_DEFAULT);       /* returns the old one */
    (void)PQsetNoticeProcessor(connection->native, on_notice, connection); /* likewise */
    if (PQsetnonblocking(connection->native, 1) != 0 ||
        PQenterPipelineMode(connection->native) != 1) {
        set_native_failure(connection, "no pipeline mode");
        lose(connection);
        return;
    }
    connection->setup = (struct pg_request){.on_result = on_setup_result, .on_done = on_setup_done};
    pg_connection_begin(connection, &connection->setup);
    send_settings(connection);
    if (connection->options.prepared) {
        send_prepares(connection);
    }
    pg_connection_end(connection);
}

/* --- connecting --- */

static void connect_step(struct pg_connection *connection);

static void on_connect_event(uv_poll_t *poll, int status, int events)
{
    (void)events;
    (void)status; /* an error is PQconnectPoll's to see: it tries the next address or fails */
    struct watcher *watcher = poll->data;
    if (watcher->connection != NULL) {
        connect_step(watcher->connection);
    }
}

static void connect_step(struct pg_connection *connection)
{
    stop_watching(connection);
    PostgresPollingStatusType step = PQconnectPoll(connection->native);
    if (step == PGRES_POLLING_OK) {
        set_up(connection);
        return;
    }
    if (step == PGRES_POLLING_FAILED) {
        set_native_failure(connection, "no connection");
        lose(connection);
        return;
    }
    int events = step == PGRES_POLLING_READING ? UV_READABLE : UV_WRITABLE;
    if (!watch(connection, events, on_connect_event)) {
        lose(connection);
    }
}

static void start_native(struct pg_connection *connection, const char *address)
{
    enter_state(connection, PG_CONNECTING);
    connection->native =
        pg_target_start(&connection->targets, &connection->targets.list[connection->target],
                        address, connection->name);
    if (connection->native == NULL) {
        PANIC("out of memory");
    }
    if (PQstatus(connection->native) == CONNECTION_BAD) {
        set_native_failure(connection, "no connection");
        lose(connection);
        return;
    }
    (void)PQsetErrorVerbosity(connection->native, PQERRORS_VERBOSE); /* returns the old one */
    set_timer(connection, CONNECT_TIMEOUT_MS);
    if (!watch(connection, UV_WRITABLE, on_connect_event)) {
        lose(connection);
    }
}

static void finish_closing(struct pg_connection *connection)
{
    if (!connection->timer_is_closed || connection->is_resolving) {
        return;
    }
    void (*on_closed)(void *) = connection->callbacks.on_closed;
    void *owner = connection->owner;
    ASSERT(list_is_empty(&connection->requests) && connection->watcher == NULL);
    pg_targets_deinit(&connection->targets);
    free(connection->object);
    free(connection->conninfo);
    free(connection->schema);
    free(connection->name);
    free(connection);
    if (on_closed != NULL) {
        on_closed(owner);
    }
}

static void take_addresses(struct pg_connection *connection, const struct addrinfo *found)
{
    connection->address = 0;
    connection->address_count = 0;
    for (; found != NULL && connection->address_count < ADDRESSES_MAX; found = found->ai_next) {
        char *text = connection->addresses[connection->address_count];
        int result = found->ai_family == AF_INET6
                         ? uv_ip6_name((const void *)found->ai_addr, text, INET6_ADDRSTRLEN)
                         : uv_ip4_name((const void *)found->ai_addr, text, INET6_ADDRSTRLEN);
        if (result == 0) {
            connection->address_count++;
        }
    }
}

static void on_resolved(uv_getaddrinfo_t *resolver, int status, struct addrinfo *found)
{
    struct pg_connection *connection = resolver->data;
    connection->is_resolving = false;
    if (status == 0) {
        take_addresses(connection, found);
    }
    uv_freeaddrinfo(found);
    if (connection->state == PG_CLOSED) {
        finish_closing(connection);
        return;
    }
    if (connection->state != PG_RESOLVING) { /* restarted meanwhile */
        return;
    }
    if (status != 0 || connection->address_count == 0) {
        set_failure(connection, "", status != 0 ? uv_strerror(status) : "the name has no address");
        lose(connection);
        return;
    }
    start_native(connection, connection->addresses[0]);
}

static void try_target(struct pg_connection *connection)
{
    const struct pg_target *target = &connection->targets.list[connection->target];
    connection->address = 0;
    connection->address_count = 0;
    if (!target->needs_address) {
        start_native(connection, NULL);
        return;
    }
    enter_state(connection, PG_RESOLVING);
    if (connection->is_resolving) {
        return; /* its answer serves as well, or fails and comes here again */
    }
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    int result = uv_getaddrinfo(connection->loop, &connection->resolver, on_resolved, target->host,
                                NULL, &hints);
    connection->is_resolving = result == 0;
    if (result != 0) {
        set_failure(connection, "", uv_strerror(result));
        lose(connection);
    }
}

static void try_next(struct pg_connection *connection)
{
    if (connection->address + 1 < connection->address_count) {
        connection->address++;
        start_native(connection, connection->addresses[connection->address]);
        return;
    }
    connection->target++;
    try_target(connection);
}

/* --- life --- */

static char *name_object(const char *name)
{
    struct buffer object = {0};
    buffer_append_format(&object, "postgres[%s]", name);
    buffer_append_byte(&object, '\0');
    return object.data;
}

struct pg_connection *pg_connection_open(struct uv_loop_s *loop,
                                         const struct pg_connection_options *options,
                                         const struct pg_connection_callbacks *callbacks,
                                         void *owner)
{
    struct pg_connection *connection = memory_allocate(sizeof(*connection));
    connection->loop = loop;
    connection->options = *options;
    if (options->misconfigured_wait_ms == 0) {
        connection->options.misconfigured_wait_ms = MISCONFIGURED_WAIT_MS;
    }
    connection->callbacks = *callbacks;
    connection->owner = owner;
    connection->conninfo = memory_copy_string(options->conninfo);
    connection->schema = memory_copy_string(options->schema);
    connection->name = memory_copy_string(options->name);
    connection->object = name_object(options->name);
    connection->backoff =
        (struct backoff){.base_ms = BACKOFF_BASE_MS, .limit_ms = BACKOFF_LIMIT_MS};
    list_init(&connection->requests);
    connection->resolver.data = connection;
    int result = uv_timer_init(loop, &connection->timer);
    ASSERT(result == 0);
    connection->timer.data = connection;
    struct error error;
    if (!pg_targets_init(&connection->targets, options->conninfo, &error)) {
        PANIC(error.text); /* the configuration has checked it */
    }
    set_timer(connection, 0);
    return connection;
}

void pg_connection_restart(struct pg_connection *connection, const char *why)
{
    if (connection->state == PG_CLOSED) {
        return;
    }
    log_info(connection->object, "restarting the session", LOG_TEXT("why", why));
    set_failure(connection, "", why);
    struct pg_failure failure = connection->failure;
    drop_native(connection);
    enter_state(connection, PG_WAITING);
    set_timer(connection, 0);
    fail_requests(connection, &failure);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct pg_connection *connection = handle->data;
    connection->timer_is_closed = true;
    finish_closing(connection);
}

void pg_connection_close(struct pg_connection *connection)
{
    if (connection->state == PG_CLOSED) {
        return;
    }
    enter_state(connection, PG_CLOSED);
    set_failure(connection, "", "closed");
    struct pg_failure failure = connection->failure;
    drop_native(connection);
    if (connection->is_resolving) {
        (void)uv_cancel((uv_req_t *)&connection->resolver); /* too late is fine: it calls back */
    }
    uv_close((uv_handle_t *)&connection->timer, on_timer_closed);
    fail_requests(connection, &failure);
}
