#include "fake/peer/client.h"

#include <stdio.h>
#include <string.h>

#include "base/panic.h"

enum {
    DEADLINE_MS = 60000,
    PATIENCE_MS = 15000,
    MESSAGE_MAX = 1024 * 1024
};

static void on_open(void *owner)
{
    struct client *client = owner;
    client->was_open = true;
    client->certificate_expiry = websocket_certificate_expiry(client->websocket);
    if (client->on_open != NULL) {
        client->on_open(client);
    }
}

static void on_message(void *owner, struct slice message, bool is_binary)
{
    struct client *client = owner;
    client->messages++;
    client->text_messages += is_binary ? 0 : 1;
    (void)snprintf(client->last, sizeof(client->last), "%.*s", SLICE_ARGS(message));
    if (client->on_message != NULL) {
        client->on_message(client, message);
    }
}

static void on_closed(void *owner, const struct websocket_closing *closing)
{
    struct client *client = owner;
    ASSERT(!client->has_closed);
    client->has_closed = true;
    client->closing = *closing;
    client->has_error = closing->error != NULL;
    if (closing->error != NULL) {
        client->error = *closing->error;
    }
    if (closing->location != NULL) {
        (void)snprintf(client->location, sizeof(client->location), "%s", closing->location);
    }
    client->bytes = websocket_bytes_read(client->websocket);
    client->websocket = NULL;
    uv_close((uv_handle_t *)&client->deadline, NULL);
}

static const struct websocket_callbacks callbacks = {
    .on_open = on_open,
    .on_message = on_message,
    .on_closed = on_closed,
};

static void on_deadline(uv_timer_t *timer)
{
    (void)timer;
    PANIC("the connection did not end within a minute");
}

void client_init(struct client *client, uint16_t port)
{
    *client = (struct client){.options = {.user_agent = "standpipe-test",
                                          .tls_verify = true,
                                          .max_message_bytes = MESSAGE_MAX,
                                          .connect_timeout_ms = PATIENCE_MS,
                                          .idle_timeout_ms = PATIENCE_MS}};
    (void)snprintf(client->url, sizeof(client->url), "ws://127.0.0.1:%u/xrpc/x", port);
    ASSERT(uv_loop_init(&client->loop) == 0);
}

void client_init_tls(struct client *client, const char *host, uint16_t port)
{
    client_init(client, port);
    (void)snprintf(client->url, sizeof(client->url), "wss://%s:%u/xrpc/x", host, port);
}

void client_run(struct client *client)
{
    client->options.url = client->url;
    ASSERT(uv_timer_init(&client->loop, &client->deadline) == 0);
    ASSERT(uv_timer_start(&client->deadline, on_deadline, DEADLINE_MS, 0) == 0);
    client->websocket = websocket_open(&client->loop, &client->options, &callbacks, client);
    (void)uv_run(&client->loop, UV_RUN_DEFAULT);
    ASSERT(client->has_closed);
}

void client_deinit(struct client *client)
{
    ASSERT(uv_loop_close(&client->loop) == 0);
}
