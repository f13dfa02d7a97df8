/*
 * Server: a listener and its connections, capped; what is asked goes to one handler.
 *
 *   accept --> [connection] --request--> handle() --response--> client
 *         \--> over the cap: 503 and goodbye; far over it: closed at once
 *
 * It gets 5 % of the thread (pace.h); over that, accepts and requests wait, in the kernel and in their input.
 *
 * Ownership: heap; owns its connections; freed right after `on_closed`.
 * Threading: the loop's thread only.
 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "http/request.h"
#include "http/response.h"
#include "http/snapshot.h"

struct uv_loop_s;
struct server;

/* No defaults here. */
struct server_limits {
    unsigned max_connections;
    uint64_t header_timeout_ms, idle_timeout_ms, answer_timeout_ms, write_timeout_ms;
};

struct server_callbacks {
    /* One request: fill `response`, or defer it. The server must not be closed inside. */
    void (*handle)(void *owner, const struct request *request, struct response *response);
    /* Once, last, after server_close(). */
    void (*on_closed)(void *owner);
};

struct server_place {
    const char *listen;
    const struct server *beside; /* listens until this one does, maybe at the same port; or NULL */
};

/* NULL: it cannot listen, and nothing is left behind; `beside` listens on. */
struct server *server_open(struct uv_loop_s *loop, const struct server_place *place,
                           const struct server_limits *limits,
                           const struct server_callbacks *callbacks, void *owner,
                           struct error *error);
/* Closes the listener and every connection. Safe twice. */
void server_close(struct server *server);
uint16_t server_port(const struct server *server);
struct snapshot_server server_counters(const struct server *server);

#endif
