/*
 * Channel: one accepted connection, plain TCP or TLS, as bytes in and bytes out.
 *
 *   socket -> [TLS] -> on_bytes          channel_write -> [TLS] -> socket, then on_drained
 *
 * Ownership: embedded in its client; memory may go once `on_closed` was called, the last call.
 * Back-pressure: whoever writes only while channel_is_idle() bounds what is held here.
 * Threading: the loop's thread.
 */
#ifndef RELAY_CHANNEL_H
#define RELAY_CHANNEL_H

#include <stdbool.h>

#include "base/buffer.h"

#include <openssl/ssl.h>
#include <uv.h>

struct channel_callbacks {
    void (*on_bytes)(void *owner, struct slice bytes);
    void (*on_drained)(void *owner); /* everything is with the kernel; may write and close */
    void (*on_closed)(void *owner);
};

struct channel {
    uv_tcp_t tcp;
    uv_write_t write;
    SSL *ssl; /* NULL: plain */
    const struct channel_callbacks *callbacks;
    void *owner;
    struct buffer pending; /* not yet with uv */
    struct buffer flight;  /* being written */
    size_t flight_sent;
    bool is_writing;
    bool is_slow; /* one byte a write */
};

/* Takes the next connection off `server`. False where that fails: on_closed still comes. */
bool channel_accept(struct channel *channel, uv_stream_t *server, SSL_CTX *tls,
                    const struct channel_callbacks *callbacks, void *owner)
    __attribute__((warn_unused_result));
/* Sends `bytes` and leaves it empty. */
void channel_write(struct channel *channel, struct buffer *bytes);
bool channel_is_idle(const struct channel *channel);
bool channel_is_closing(const struct channel *channel);
/* At once, what is unsent is dropped; safe twice. */
void channel_close(struct channel *channel);
/* The same with RST. */
void channel_reset(struct channel *channel);

#endif
