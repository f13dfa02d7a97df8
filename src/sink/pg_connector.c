#include "sink/pg_connector.h"

#include "base/log.h"
#include "base/panic.h"

#include <libpq-fe.h>

enum {
    CONNECT_TIMEOUT_MS = 10000 /* of one address */
};

static void enter_state(struct pg_connector *connector, enum pg_connector_state next)
{
    static const char *const names[] = {
        [PG_CONNECTOR_IDLE] = "idle",           [PG_CONNECTOR_TURNING] = "turning",
        [PG_CONNECTOR_RESOLVING] = "resolving", [PG_CONNECTOR_CONNECTING] = "connecting",
        [PG_CONNECTOR_CLOSED] = "closed",
    };
    log_debug("postgres", "connector", LOG_TEXT("name", connector->name),
              LOG_TEXT("from", names[connector->state]), LOG_TEXT("to", names[next]),
              LOG_INT("target", connector->target));
    connector->state = next;
}

static void on_timer(uv_timer_t *timer);

static void set_timer(struct pg_connector *connector, uint64_t wait_ms)
{
    int result = uv_timer_start(&connector->timer, on_timer, wait_ms, 0);
    ASSERT(result == 0);
}

static void drop_attempt(struct pg_connector *connector)
{
    pg_watcher_stop(&connector->watcher);
    (void)uv_timer_stop(&connector->timer); /* cannot fail */
    if (connector->native != NULL) {
        PQfinish(connector->native);
        connector->native = NULL;
    }
}

bool pg_connector_next(struct pg_connector *connector)
{
    drop_attempt(connector);
    if (connector->address + 1 < connector->address_count) {
        connector->address++;
    } else if (connector->target + 1 < connector->targets.count) {
        connector->target++;
        connector->address_count = 0;
    } else {
        enter_state(connector, PG_CONNECTOR_IDLE);
        return false;
    }
    enter_state(connector, PG_CONNECTOR_TURNING);
    set_timer(connector, 0); /* and not here: attempts that fail at once would call one another */
    return true;
}

/* The one exit of an attempt that failed. */
static void fail(struct pg_connector *connector, const struct pg_failure *failure)
{
    log_debug("postgres", "attempt failed", LOG_TEXT("name", connector->name),
              LOG_INT("target", connector->target), LOG_TEXT("sqlstate", failure->sqlstate),
              LOG_TEXT("why", failure->text));
    if (!pg_connector_next(connector)) {
        connector->callbacks.on_failed(connector->owner, failure);
    }
}

static void fail_with(struct pg_connector *connector, const char *why)
{
    struct pg_failure failure;
    pg_failure_set(&failure, why);
    fail(connector, &failure);
}

static void fail_native(struct pg_connector *connector)
{
    struct pg_failure failure;
    pg_failure_of_connection(&failure, connector->native, "no connection");
    fail(connector, &failure);
}

/* --- connecting --- */

static void watch(struct pg_connector *connector, int events)
{
    int result = pg_watcher_start(&connector->watcher, PQsocket(connector->native), events);
    if (result != 0) {
        fail_with(connector, uv_strerror(result));
    }
}

static void hand_over(struct pg_connector *connector)
{
    PGconn *native = connector->native;
    connector->native = NULL;
    drop_attempt(connector);
    enter_state(connector, PG_CONNECTOR_IDLE);
    connector->callbacks.on_connected(connector->owner, native);
}

/* An error of the socket is PQconnectPoll's to see, so `status` says nothing here. */
static void on_event(void *owner, int status, int events)
{
    struct pg_connector *connector = owner;
    (void)status;
    (void)events;
    pg_watcher_stop(&connector->watcher);
    switch (PQconnectPoll(connector->native)) {
    case PGRES_POLLING_OK:
        hand_over(connector);
        return;
    case PGRES_POLLING_READING:
        watch(connector, UV_READABLE);
        return;
    case PGRES_POLLING_WRITING:
    case PGRES_POLLING_ACTIVE: /* unused by libpq */
        watch(connector, UV_WRITABLE);
        return;
    case PGRES_POLLING_FAILED:
        fail_native(connector);
        return;
    }
}

static void connect_to(struct pg_connector *connector, const char *address)
{
    enter_state(connector, PG_CONNECTOR_CONNECTING);
    connector->native = pg_target_start(
        &connector->targets, &connector->targets.list[connector->target], address, connector->name);
    if (connector->native == NULL) {
        PANIC("out of memory");
    }
    if (PQstatus(connector->native) == CONNECTION_BAD) {
        fail_native(connector);
        return;
    }
    /* The only way to the SQLSTATE of a refused connection: libpq gives its text alone. */
    (void)PQsetErrorVerbosity(connector->native, PQERRORS_VERBOSE); /* returns the old one */
    set_timer(connector, CONNECT_TIMEOUT_MS);
    watch(connector, UV_WRITABLE);
}

/* --- resolving --- */

static void take_addresses(struct pg_connector *connector, const struct addrinfo *found)
{
    connector->address = 0;
    connector->address_count = 0;
    for (; found != NULL && connector->address_count < PG_ADDRESSES_MAX; found = found->ai_next) {
        char *text = connector->addresses[connector->address_count];
        int result = found->ai_family == AF_INET6
                         ? uv_ip6_name((const void *)found->ai_addr, text, INET6_ADDRSTRLEN)
                         : uv_ip4_name((const void *)found->ai_addr, text, INET6_ADDRSTRLEN);
        if (result == 0) {
            connector->address_count++;
        }
    }
}

static void finish_closing(struct pg_connector *connector)
{
    if (!connector->timer_is_closed || connector->is_resolving) {
        return;
    }
    pg_targets_deinit(&connector->targets);
    connector->callbacks.on_closed(connector->owner);
}

static void resolve(struct pg_connector *connector);

static void on_resolved(uv_getaddrinfo_t *resolver, int status, struct addrinfo *found)
{
    struct pg_connector *connector = resolver->data;
    bool is_wanted = connector->state == PG_CONNECTOR_RESOLVING &&
                     connector->resolving_target == connector->target;
    connector->is_resolving = false;
    if (is_wanted && status == 0) {
        take_addresses(connector, found);
    }
    uv_freeaddrinfo(found);
    if (connector->state == PG_CONNECTOR_CLOSED) {
        finish_closing(connector);
    } else if (is_wanted && connector->address_count > 0) {
        connect_to(connector, connector->addresses[0]);
    } else if (is_wanted) {
        fail_with(connector, status != 0 ? uv_strerror(status) : "the name has no address");
    } else if (connector->state == PG_CONNECTOR_RESOLVING) {
        resolve(connector); /* this was the answer to an attempt that was dropped */
    }
}

static void resolve(struct pg_connector *connector)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    enter_state(connector, PG_CONNECTOR_RESOLVING);
    if (connector->is_resolving) {
        return; /* there is one resolver: its answer goes on */
    }
    int result = uv_getaddrinfo(connector->watcher.loop, &connector->resolver, on_resolved,
                                connector->targets.list[connector->target].host, NULL, &hints);
    connector->is_resolving = result == 0;
    connector->resolving_target = connector->target;
    if (result != 0) {
        fail_with(connector, uv_strerror(result));
    }
}

static void try_target(struct pg_connector *connector)
{
    if (connector->address_count > 0) {
        connect_to(connector, connector->addresses[connector->address]);
        return;
    }
    connector->address = 0;
    if (connector->targets.list[connector->target].needs_address) {
        resolve(connector);
    } else {
        connect_to(connector, NULL);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct pg_connector *connector = timer->data;
    switch (connector->state) {
    case PG_CONNECTOR_TURNING:
        try_target(connector);
        return;
    case PG_CONNECTOR_CONNECTING:
        fail_with(connector, "no connection in time");
        return;
    case PG_CONNECTOR_IDLE:
    case PG_CONNECTOR_RESOLVING: /* the resolver has timeouts of its own */
    case PG_CONNECTOR_CLOSED:
        return;
    }
}

/* --- life --- */

void pg_connector_start(struct pg_connector *connector)
{
    ASSERT(connector->state == PG_CONNECTOR_IDLE);
    connector->target = 0;
    connector->address_count = 0;
    enter_state(connector, PG_CONNECTOR_TURNING);
    set_timer(connector, 0);
}

void pg_connector_stop(struct pg_connector *connector)
{
    drop_attempt(connector);
    if (connector->state != PG_CONNECTOR_IDLE) {
        enter_state(connector, PG_CONNECTOR_IDLE);
    }
}

void pg_connector_init(struct pg_connector *connector, struct uv_loop_s *loop, const char *conninfo,
                       const char *name)
{
    struct error error;
    connector->name = name;
    connector->state = PG_CONNECTOR_IDLE;
    connector->watcher =
        (struct pg_watcher){.loop = loop, .on_event = on_event, .owner = connector};
    connector->resolver.data = connector;
    int result = uv_timer_init(loop, &connector->timer);
    ASSERT(result == 0);
    connector->timer.data = connector;
    if (!pg_targets_init(&connector->targets, conninfo, &error)) {
        PANIC(error.text);
    }
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct pg_connector *connector = handle->data;
    connector->timer_is_closed = true;
    finish_closing(connector);
}

void pg_connector_close(struct pg_connector *connector)
{
    drop_attempt(connector);
    enter_state(connector, PG_CONNECTOR_CLOSED);
    if (connector->is_resolving) {
        (void)uv_cancel((uv_req_t *)&connector->resolver); /* too late is fine: it calls back */
    }
    uv_close((uv_handle_t *)&connector->timer, on_timer_closed);
}
