/*
 * Subscription: keeps one subscription to a relay alive, for ever, asking at the newest cursor each
 * time.
 *
 *   url --+--> [connect at cursor()] --101--> on_connected, on_frame, on_frame, ...
 *         |          |                              |
 *         +-- wait <-+---------- on_disconnected <--+     backoff with full jitter, Retry-After
 *
 *   CONNECTING -> CONNECTED -> WAITING -> CONNECTING ...; PARKED: paused for too long to stay connected
 *
 * Ownership: heap memory of its own; freed right after `on_closed`, the last call that it makes.
 * Frames are borrowed for the length of the callback.
 * Threading: call from the loop's thread only.
 * Memory: that of one WebSocket (net/websocket.h).
 */
#ifndef INGEST_SUBSCRIPTION_H
#define INGEST_SUBSCRIPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

struct uv_loop_s;
struct subscription;

/* All strings are copied. 0 stands for the default in brackets. */
struct subscription_options {
    const char *url;        /* ws:// or wss://, with the XRPC path and without a cursor */
    const char *host;       /* for the log: relay[host] */
    const char *user_agent; /* visible ASCII */
    const char *ca_file;    /* PEM; NULL: the system's */
    bool tls_verify;        /* false is warned of once, here */
    size_t max_frame_bytes;
    uint64_t idle_timeout_ms; /* [30,000] as in net/websocket.h; paused for longer than this, the
                                    connection is closed and opened again by the resume */
    uint64_t
        silence_timeout_ms; /* [10 * idle] no frame for this long, though the peer answers pings:
                                    a relay that forgot its subscriber; connect anew at the cursor */
    uint64_t connect_timeout_ms; /* [10,000] from the name to the 101 */
    uint64_t backoff_base_ms;    /* [1,000] */
    uint64_t backoff_limit_ms;   /* [30,000] */
    uint64_t healthy_after_ms;   /* [60,000] connected for this long, the backoff starts anew */
};

/* subscription_pause(), _resume(), _reconnect() and _close() may be called inside each of them, but
 * for `cursor`. All but `cursor` and `on_frame` may be NULL. */
struct subscription_callbacks {
    /* Asked before each connection: the last sequence that needs not come again; 0 asks for the
     * oldest, below 0 for live. */
    int64_t (*cursor)(void *owner);
    void (*on_connected)(void *owner, const char *address);
    /* One message, in order. None comes after subscription_reconnect() until `on_connected`. */
    void (*on_frame)(void *owner, struct slice frame, bool is_binary);
    /* Each time that a connection, or the try of one, is over; `error` is NULL where we ended it. */
    void (*on_disconnected)(void *owner, const struct error *error);
    /* Once, last, after subscription_close(). */
    void (*on_closed)(void *owner);
};

struct subscription_counters {
    uint64_t connects; /* 101s */
    uint64_t failures; /* connections, or tries, that ended otherwise than by us */
    uint64_t redirects;
    uint64_t parks; /* connections closed because the pause was too long */
    uint64_t frames;
    uint64_t bytes; /* read from the sockets, TLS included */
};

/* Starts connecting; failures are logged and tried again. `callbacks` must outlive it. */
struct subscription *subscription_open(struct uv_loop_s *loop,
                                       const struct subscription_options *options,
                                       const struct subscription_callbacks *callbacks, void *owner);
/* No `on_frame` until subscription_resume(), not one; the relay has to wait. Safe twice. */
void subscription_pause(struct subscription *subscription);
void subscription_resume(struct subscription *subscription);
/* Ends this connection because of `reason` (logged) and opens another after the backoff. Nothing to
 * do where none is open. */
void subscription_reconnect(struct subscription *subscription, const char *reason);
/* Says goodbye to the relay and frees all. Safe twice. */
void subscription_close(struct subscription *subscription);

bool subscription_is_connected(const struct subscription *subscription);
/* Since the 101; 0 where it is not connected. */
uint64_t subscription_connected_ms(const struct subscription *subscription);
struct subscription_counters subscription_counters(const struct subscription *subscription);
/* Why the last connection, or the try of one, ended; "" while connected, and where we ended it. */
const char *subscription_trouble(const struct subscription *subscription);
/* Seconds since 1970 at which the peer's certificate ends; 0 where there is none. */
int64_t subscription_certificate_expiry(const struct subscription *subscription);

#endif
