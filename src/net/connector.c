#include "net/connector.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/panic.h"
#include "net/dns.h"
#include <uv.h>

enum {
    STAGGER_MS = 250
}; /* RFC 8305 part 5 */

struct attempt {
    uv_connect_t request;
    uv_tcp_t *tcp; /* NULL once closed or handed over */
    struct connector *connector;
    const struct sockaddr *address;
};

struct connector {
    const struct connector_callbacks *callbacks;
    void *owner;
    uv_loop_t *loop;
    char *host;
    uint16_t port;
    uv_timer_t timer;        /* starts the next attempt */
    struct dns_query *query; /* while resolving */
    struct dns_answer answer;
    struct attempt attempts[DNS_ADDRESSES_MAX];
    size_t next;           /* address to try */
    unsigned running;      /* attempts without an outcome */
    unsigned open_handles; /* timer and sockets that are still ours */
    bool is_done;
    struct error error; /* of the last attempt that failed */
};

static void release_handle(struct connector *connector)
{
    if (--connector->open_handles > 0) {
        return;
    }
    free(connector->host);
    free(connector);
}

static void on_timer_closed(uv_handle_t *handle)
{
    release_handle(handle->data);
}

static void on_socket_closed(uv_handle_t *handle)
{
    struct connector *connector = handle->data;
    free(handle);
    release_handle(connector);
}

static void close_attempt(struct attempt *attempt)
{
    if (attempt->tcp != NULL) {
        uv_close((uv_handle_t *)attempt->tcp, on_socket_closed);
    }
    attempt->tcp = NULL;
}

/* Stops everything; what is left frees itself in the close callbacks. */
static void shut(struct connector *connector)
{
    connector->is_done = true;
    if (connector->query != NULL) {
        dns_cancel(connector->query);
    }
    connector->query = NULL;
    for (size_t i = 0; i < connector->next; i++) {
        close_attempt(&connector->attempts[i]);
    }
    uv_close((uv_handle_t *)&connector->timer, on_timer_closed);
}

static void fail(struct connector *connector)
{
    shut(connector);
    connector->callbacks->on_failed(connector->owner, &connector->error);
}

static void win(struct connector *connector, struct attempt *attempt)
{
    uv_tcp_t *tcp = attempt->tcp;
    attempt->tcp = NULL;
    shut(connector);
    connector->open_handles--; /* the timer is still there, so this is never the last */
    connector->callbacks->on_connected(connector->owner, tcp);
}

static void note_refusal(struct attempt *attempt, int status)
{
    char address[DNS_TEXT_SIZE];
    dns_format_address(attempt->address, address);
    error_set(&attempt->connector->error, ERROR_UNREACHABLE, "connect to %s (%s): %s",
              attempt->connector->host, address, uv_strerror(status));
}

static void start_next(struct connector *connector);

static void on_connect(uv_connect_t *request, int status)
{
    struct attempt *attempt = request->data;
    struct connector *connector = attempt->connector;
    connector->running--;
    if (connector->is_done) {
        return;
    }
    if (status == 0) {
        win(connector, attempt);
        return;
    }
    note_refusal(attempt, status);
    close_attempt(attempt);
    start_next(connector);
}

static int start_attempt(struct connector *connector, struct attempt *attempt)
{
    attempt->connector = connector;
    attempt->address = (const struct sockaddr *)&connector->answer.addresses[connector->next++];
    attempt->request.data = attempt;
    attempt->tcp = memory_allocate(sizeof(*attempt->tcp));
    int status = uv_tcp_init(connector->loop, attempt->tcp);
    ASSERT(status == 0); /* without flags it opens nothing yet */
    attempt->tcp->data = connector;
    connector->open_handles++;
    return uv_tcp_connect(&attempt->request, attempt->tcp, attempt->address, on_connect);
}

static void on_stagger(uv_timer_t *timer)
{
    start_next(timer->data);
}

static void start_next(struct connector *connector)
{
    while (connector->next < connector->answer.count) {
        struct attempt *attempt = &connector->attempts[connector->next];
        int status = start_attempt(connector, attempt);
        if (status == 0) {
            connector->running++;
            (void)uv_timer_start(&connector->timer, on_stagger, STAGGER_MS, 0);
            return;
        }
        note_refusal(attempt, status);
        close_attempt(attempt);
    }
    if (connector->running == 0) {
        fail(connector);
    }
}

static void on_resolved(void *owner, const struct dns_answer *answer, const struct error *error)
{
    struct connector *connector = owner;
    connector->query = NULL;
    if (error != NULL) {
        connector->error = *error;
        fail(connector);
        return;
    }
    connector->answer = *answer;
    start_next(connector);
}

static void on_start(uv_timer_t *timer)
{
    struct connector *connector = timer->data;
    connector->query = dns_resolve(connector->loop, connector->host, connector->port, on_resolved,
                                   connector, &connector->error);
    if (connector->query == NULL) {
        fail(connector);
    }
}

struct connector *connector_open(struct uv_loop_s *loop, const char *host, uint16_t port,
                                 const struct connector_callbacks *callbacks, void *owner)
{
    struct connector *connector = memory_allocate(sizeof(*connector));
    connector->callbacks = callbacks;
    connector->owner = owner;
    connector->loop = loop;
    connector->host = memory_copy_string(host);
    connector->port = port;
    connector->open_handles = 1;
    (void)uv_timer_init(loop, &connector->timer);
    connector->timer.data = connector;
    /* From the loop, so that no callback comes before we have returned. */
    (void)uv_timer_start(&connector->timer, on_start, 0, 0);
    return connector;
}

void connector_close(struct connector *connector)
{
    shut(connector);
}
