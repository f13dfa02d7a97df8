/*
 * Client: a websocket and a loop of its own for a test, which notes what happens.
 *
 *   client_init(); client.options...; client_run(&client); look at client
 *
 * Ownership: a value. Threading: the test's thread.
 */
#ifndef FAKE_PEER_CLIENT_H
#define FAKE_PEER_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "fake/peer/peer.h"
#include "net/websocket.h"
#include <uv.h>

struct client {
    uv_loop_t loop;
    uv_timer_t deadline;
    struct websocket_options options;
    char url[128];
    struct websocket *websocket; /* NULL before and after */
    void (*on_open)(struct client *client);
    void (*on_message)(struct client *client, struct slice message);
    void *argument;
    /* What happened. */
    bool was_open;
    unsigned messages;
    unsigned text_messages;
    char last[64]; /* the start of the last message, terminated */
    bool has_closed;
    bool has_error;
    struct error error;
    struct websocket_closing closing;
    char location[256];
    uint64_t bytes;
    int64_t certificate_expiry; /* at the open */
};

/* ws://127.0.0.1:port/xrpc/x, generous timeouts, messages up to 1 MiB. */
void client_init(struct client *client, uint16_t port);
/* As client_init(), with wss and a host name. */
void client_init_tls(struct client *client, const char *host, uint16_t port);
/* Connects and runs until all is closed; fails the test after a minute. */
void client_run(struct client *client);
void client_deinit(struct client *client);

#endif
