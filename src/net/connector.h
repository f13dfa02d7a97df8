/*
 * Connector: a host and a port become one connected TCP socket (RFC 8305, "happy eyeballs"): the
 * addresses are tried in turn, the next one 250 ms after the last or as soon as it fails; the first
 * that answers wins and the others are closed.
 *
 *   host:port --> [resolve] --> attempt, attempt, ... --> uv_tcp_t
 *
 * Ownership: it frees itself after its one callback, or after connector_close(), once its handles are
 * closed; forget the pointer then. The socket given to `on_connected` is heap memory of the
 * receiver, to be freed in its close callback.
 * Threading: call from the loop's thread only. No deadline of its own: the owner has one.
 */
#ifndef NET_CONNECTOR_H
#define NET_CONNECTOR_H

#include <stdint.h>

#include "base/error.h"

struct uv_loop_s;
struct uv_tcp_s;
struct connector;

/* Exactly one of them is called, once, never before connector_open() returns. */
struct connector_callbacks {
    void (*on_connected)(void *owner, struct uv_tcp_s *tcp);
    /* No address answered; the text tells the last refusal. */
    void (*on_failed)(void *owner, const struct error *error);
};

struct connector *connector_open(struct uv_loop_s *loop, const char *host, uint16_t port,
                                 const struct connector_callbacks *callbacks, void *owner);
/* Gives up; no callback will come. */
void connector_close(struct connector *connector);

#endif
