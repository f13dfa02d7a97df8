/*
 * WebSocket client (RFC 6455) over ws:// or wss://: one connection, from name to close.
 *
 *   url --> [resolve off the loop] -> [TCP] -> [TLS] -> [101 by llhttp] -> wslay --> on_message
 *
 * Ownership: the connection is heap memory of its own; it is freed right after `on_closed`, the last
 * call that it makes. Messages are borrowed for the length of the callback.
 * Threading: call from the loop's thread only.
 * Memory: at most one message of `max_message_bytes` plus 256 KiB of socket and TLS buffers, both
 * directions together.
 */
#ifndef NET_WEBSOCKET_H
#define NET_WEBSOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

struct uv_loop_s;
struct websocket;

struct websocket_options {
    const char *url;             /* ws://host[:port]/path?query or wss://...; copied */
    const char *user_agent;      /* copied */
    const char *ca_file;         /* PEM; NULL: the system's */
    bool tls_verify;             /* chain and host name */
    size_t max_message_bytes;    /* a longer message closes the connection with code 1009 */
    uint64_t connect_timeout_ms; /* from open to the 101 */
    uint64_t idle_timeout_ms;    /* no bytes for this long: ping; no answer in half of it: closed.
                                   Stands still while paused. 0: never */
};

/* Why a connection ended. */
struct websocket_closing {
    const struct error *error; /* NULL where websocket_close() asked for it */
    int http_status;           /* of the answer to the handshake, where it was not 101, else 0 */
    uint64_t retry_after_ms;   /* from Retry-After (429, 503), seconds or HTTP date; else 0 */
    const char *location;      /* of a redirect (301, 302, 303, 307, 308), a whole ws:// or wss://
                                  URL that lives as long as the callback; else NULL */
    uint16_t close_code;       /* the peer's close frame, 0 where none came */
};

struct websocket_callbacks {
    /* The 101 has come. */
    void (*on_open)(void *owner);
    /* One whole message. May call websocket_pause() and websocket_close(). */
    void (*on_message)(void *owner, struct slice message, bool is_binary);
    /* Once, last; the connection is freed when it returns. May open another. */
    void (*on_closed)(void *owner, const struct websocket_closing *closing);
};

/* Starts connecting. Never fails at once: failures arrive in `on_closed`. */
struct websocket *websocket_open(struct uv_loop_s *loop, const struct websocket_options *options,
                                 const struct websocket_callbacks *callbacks, void *owner);
/* No `on_message` until websocket_resume(); the socket is not read, so the peer has to wait.
 * Messages already here are kept, bounded by the memory above. Safe inside any callback. */
void websocket_pause(struct websocket *websocket);
void websocket_resume(struct websocket *websocket);
/* Says goodbye (close code 1000) and closes within a second; no `on_message` from now on. Safe inside
 * any callback, safe twice. */
void websocket_close(struct websocket *websocket);
/* Bytes read from the socket since it was opened. */
uint64_t websocket_bytes_read(const struct websocket *websocket);
/* "1.2.3.4:443", empty before the connection. */
const char *websocket_peer_address(const struct websocket *websocket);
/* Seconds since 1970 at which the peer's certificate ends; 0 without TLS or before the handshake. */
int64_t websocket_certificate_expiry(const struct websocket *websocket);

#endif
