#include "relay.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/panic.h"
#include "client.h"

#include <openssl/err.h>

enum {
    TICK_MS = 1, /* so late a frame may be: a part of every latency that is measured */
    BACKLOG = 128,
    HOST_SIZE = 64
};

/* The client's node is its first member; only client.c knows the rest. */
static struct client *client_at(struct list *node)
{
    return (struct client *)(void *)node;
}

static void stop(struct relay *relay)
{
    if (relay->is_stopping) {
        return;
    }
    relay->is_stopping = true;
    uv_close((uv_handle_t *)&relay->server, NULL);
    uv_close((uv_handle_t *)&relay->tick, NULL);
    uv_close((uv_handle_t *)&relay->ping, NULL);
    uv_close((uv_handle_t *)&relay->signals[0], NULL);
    uv_close((uv_handle_t *)&relay->signals[1], NULL);
    LIST_FOREACH_SAFE (node, following, &relay->clients)
        client_close(client_at(node));
}

void relay_forget_client(struct relay *relay, struct list *node)
{
    list_remove(node);
    if (relay->is_done && list_is_empty(&relay->clients)) {
        stop(relay);
    }
}

static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    stop(handle->data);
}

static void on_connection(uv_stream_t *server, int status)
{
    if (status == 0) {
        client_accept(server->data);
    }
}

static void on_tick(uv_timer_t *timer)
{
    struct relay *relay = timer->data;
    release_tick(&relay->release);
    LIST_FOREACH_SAFE (node, following, &relay->clients)
        client_proceed(client_at(node));
}

static void on_ping(uv_timer_t *timer)
{
    struct relay *relay = timer->data;
    LIST_FOREACH_SAFE (node, following, &relay->clients)
        client_ping(client_at(node));
}

static bool set_tls(struct relay *relay, struct error *error)
{
    const struct options *options = relay->options;
    if (options->tls_cert == NULL) {
        return true;
    }
    relay->tls = SSL_CTX_new(TLS_server_method());
    ASSERT(relay->tls != NULL);
    if (SSL_CTX_use_certificate_chain_file(relay->tls, options->tls_cert) == 1 &&
        SSL_CTX_use_PrivateKey_file(relay->tls, options->tls_key, SSL_FILETYPE_PEM) == 1) {
        return true;
    }
    error_set(error, ERROR_USAGE, "%s, %s: expected a certificate and its key: %s",
              options->tls_cert, options->tls_key, ERR_error_string(ERR_get_error(), NULL));
    return false;
}

static bool read_address(const char *listen, struct sockaddr_in *address, struct error *error)
{
    char host[HOST_SIZE];
    const char *colon = strrchr(listen, ':');
    size_t size = colon != NULL ? (size_t)(colon - listen) : sizeof(host);
    if (size < sizeof(host)) {
        memcpy(host, listen, size);
        host[size] = '\0';
        char *end = NULL;
        long port = strtol(colon + 1, &end, 10);
        if (end != colon + 1 && *end == '\0' && port >= 0 && port <= UINT16_MAX &&
            uv_ip4_addr(host, (int)port, address) == 0) {
            return true;
        }
    }
    error_set(error, ERROR_USAGE, "--listen %s: expected an IPv4 address and a port", listen);
    return false;
}

static bool listen_on(struct relay *relay, struct error *error)
{
    struct sockaddr_in address;
    if (!read_address(relay->options->listen, &address, error)) {
        return false;
    }
    int result = uv_tcp_bind(&relay->server, (const struct sockaddr *)&address, 0);
    if (result == 0) {
        result = uv_listen((uv_stream_t *)&relay->server, BACKLOG, on_connection);
    }
    int size = sizeof(address);
    if (result == 0) {
        result = uv_tcp_getsockname(&relay->server, (struct sockaddr *)&address, &size);
    }
    if (result != 0) {
        error_set(error, ERROR_UNREACHABLE, "--listen %s: %s", relay->options->listen,
                  uv_strerror(result));
        return false;
    }
    char host[HOST_SIZE];
    (void)uv_ip4_name(&address, host, sizeof(host));
    (void)printf("listening %s://%s:%u\n", relay->tls != NULL ? "wss" : "ws", host,
                 ntohs(address.sin_port));
    return fflush(stdout) == 0;
}

static void init_handles(struct relay *relay)
{
    ASSERT(uv_loop_init(&relay->loop) == 0 && uv_tcp_init(&relay->loop, &relay->server) == 0);
    ASSERT(uv_timer_init(&relay->loop, &relay->tick) == 0);
    ASSERT(uv_timer_init(&relay->loop, &relay->ping) == 0);
    ASSERT(uv_signal_init(&relay->loop, &relay->signals[0]) == 0);
    ASSERT(uv_signal_init(&relay->loop, &relay->signals[1]) == 0);
    relay->server.data = relay;
    relay->tick.data = relay;
    relay->ping.data = relay;
    relay->signals[0].data = relay;
    relay->signals[1].data = relay;
}

static void start_handles(struct relay *relay)
{
    uint64_t ping_ms = (uint64_t)relay->options->ping_interval_ms;
    ASSERT(uv_signal_start(&relay->signals[0], on_signal, SIGINT) == 0);
    ASSERT(uv_signal_start(&relay->signals[1], on_signal, SIGTERM) == 0);
    if (relay->options->rate > 0) {
        ASSERT(uv_timer_start(&relay->tick, on_tick, TICK_MS, TICK_MS) == 0);
    }
    if (ping_ms > 0) {
        ASSERT(uv_timer_start(&relay->ping, on_ping, ping_ms, ping_ms) == 0);
    }
}

static void print_counters(const struct counters *counters)
{
    const struct {
        const char *name;
        int64_t value;
    } all[] = {
        {"connections", counters->connections},
        {"frames", counters->frames},
        {"bytes", counters->bytes},
        {"duplicates", counters->duplicates},
        {"garbage", counters->garbage},
        {"texts", counters->texts},
        {"pings", counters->pings},
        {"drops", counters->drops},
        {"resets", counters->resets},
        {"stalls", counters->stalls},
        {"half_frames", counters->half_frames},
        {"regressions", counters->regressions},
        {"error_frames", counters->error_frames},
        {"future_cursors", counters->future_cursors},
        {"outdated_cursors", counters->outdated_cursors},
        {"too_slow", counters->too_slow},
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        (void)fprintf(stderr, "%s\"%s\":%lld", i == 0 ? "{" : ",", all[i].name,
                      (long long)all[i].value);
    }
    (void)fprintf(stderr, "}\n");
}

static bool serve(struct relay *relay, struct error *error)
{
    init_handles(relay);
    bool is_listening = set_tls(relay, error) && listen_on(relay, error);
    if (is_listening) {
        start_handles(relay);
    } else {
        stop(relay);
    }
    (void)uv_run(&relay->loop, UV_RUN_DEFAULT);
    ASSERT(uv_loop_close(&relay->loop) == 0);
    if (is_listening) {
        print_counters(&relay->counters);
    }
    return is_listening;
}

bool relay_run(struct store *store, const struct options *options, struct error *error)
{
    struct relay relay = {.options = options, .store = store};
    list_init(&relay.clients);
    (void)signal(SIGPIPE, SIG_IGN);
    bool is_served = release_init(&relay.release, store, options, error) && serve(&relay, error);
    release_deinit(&relay.release);
    SSL_CTX_free(relay.tls);
    return is_served;
}
