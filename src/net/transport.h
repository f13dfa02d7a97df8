/*
 * Transport: a byte stream to a host, plain TCP or TLS over it.
 *
 *   host:port --> [connector] -> tcp -> layer (plain or tls) --> on_bytes
 *                                       transport_write() --> layer -> tcp
 *
 * Ownership: heap memory of its own; freed right after `on_closed`, the last call that it makes.
 * Threading: call from the loop's thread only. SIGPIPE must be ignored by the process.
 * Memory: a read takes at most TRANSPORT_READ_BYTES; what waits to be written is the owner's to
 * bound, with transport_pending_bytes() and `on_room`.
 */
#ifndef NET_TRANSPORT_H
#define NET_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

struct uv_loop_s;
struct transport;

enum {
    TRANSPORT_READ_BYTES = 32 * 1024
};

struct transport_options {
    const char *host; /* without brackets; copied, as are all strings */
    uint16_t port;
    bool use_tls;
    bool tls_verify;     /* chain and host name */
    const char *ca_file; /* PEM; NULL: the system's */
};

/* transport_close() may be called inside each of them. */
struct transport_callbacks {
    /* Once: TCP, and TLS where asked, are up. Reading is on. */
    void (*on_connected)(void *owner);
    /* What the peer sent; borrowed for the call. One read may give several. */
    void (*on_bytes)(void *owner, struct slice bytes);
    /* All that was written is with the kernel. */
    void (*on_room)(void *owner);
    /* Once at most: it could not connect, or the stream ended. Nothing but `on_closed` follows, and
     * that only after transport_close(). */
    void (*on_ended)(void *owner, const struct error *error);
    /* Once, last, after transport_close(). */
    void (*on_closed)(void *owner);
};

/* Whether `ca_file` holds certificates that a connection could be checked against. Any thread. */
bool transport_check_authorities(const char *ca_file, struct error *error)
    __attribute__((warn_unused_result));
/* Starts connecting; failures arrive in `on_ended`, never before this returns. */
struct transport *transport_open(struct uv_loop_s *loop, const struct transport_options *options,
                                 const struct transport_callbacks *callbacks, void *owner);
/* Only after `on_connected`. Copies; transport_flush() sends. */
void transport_write(struct transport *transport, struct slice bytes);
void transport_flush(struct transport *transport);
/* Written and not yet with the kernel. */
size_t transport_pending_bytes(const struct transport *transport);
/* False: the socket is not read, so the peer has to wait. At once: no read callback of libuv after
 * it, but what one read brought still arrives whole. */
void transport_set_reading(struct transport *transport, bool is_reading);
/* Sends what can be sent without waiting and closes. Safe inside any callback, safe twice. */
void transport_close(struct transport *transport);

uint64_t transport_bytes_read(const struct transport *transport);
/* "1.2.3.4:443", empty before the connection. */
const char *transport_peer_address(const struct transport *transport);
/* Seconds since 1970; 0 without TLS or before the handshake. */
int64_t transport_certificate_expiry(const struct transport *transport);

#endif
