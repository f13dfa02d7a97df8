/*
 * Peer: a server on loopback that does what a script says, however rude: one thread, one connection
 * after the other, blocking calls.
 *
 *   peer_start(script) --> port;   script(connection): read the request, send what must not be sent
 *
 * Ownership: peer_stop() ends the thread and frees all; a connection lives as long as its script.
 * Threading: scripts run on the peer's thread; share nothing with the test but atomics.
 * Every call of a script gives up after 10 seconds, so a broken client fails the test and does not hang.
 */
#ifndef FAKE_PEER_H
#define FAKE_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct peer;
struct ssl_st;
struct peer_certificate;

enum {
    PEER_REQUEST_SIZE = 8192,
    PEER_TEXT = 0x81,
    PEER_BINARY = 0x82,
    PEER_FINAL = 0x80
};
enum {
    PEER_CLOSE = 0x88,
    PEER_PING = 0x89,
    PEER_PONG = 0x8a
};

struct peer_connection {
    int fd;
    struct ssl_st *ssl; /* NULL without TLS */
    unsigned number;    /* 1 for the first */
    void *argument;
    char request[PEER_REQUEST_SIZE]; /* after peer_read_request(), terminated */
};

typedef void (*peer_script)(struct peer_connection *connection);

struct peer *peer_start(peer_script script, void *argument);
/* `certificate` is borrowed until peer_stop(). */
struct peer *peer_start_tls(peer_script script, void *argument,
                            const struct peer_certificate *certificate);
void peer_stop(struct peer *peer);
uint16_t peer_port(const struct peer *peer);
unsigned peer_connections(struct peer *peer);
/* A port of loopback on which nobody listens. */
uint16_t peer_free_port(void);

/* ---- for scripts ---- */
bool peer_read_request(struct peer_connection *connection);
/* The right 101, without reading anything. */
bool peer_accept_upgrade(struct peer_connection *connection);
/* Both. */
bool peer_upgrade(struct peer_connection *connection);
/* Sec-WebSocket-Accept for the request read, terminated, into 29 bytes. */
void peer_compute_accept(const struct peer_connection *connection, char *accept);
bool peer_send(struct peer_connection *connection, const void *bytes, size_t size);
bool peer_send_string(struct peer_connection *connection, const char *text);
/* One byte a write. */
bool peer_send_bytewise(struct peer_connection *connection, const void *bytes, size_t size);
/* An unmasked frame; `first` is FIN, reserved bits and opcode. */
bool peer_send_frame(struct peer_connection *connection, uint8_t first, const void *payload,
                     size_t size);
/* Reads one frame of the client's into `payload` (125 bytes at most, else false), unmasked. */
bool peer_read_frame(struct peer_connection *connection, uint8_t *opcode, char *payload,
                     size_t *size);
/* Reads and forgets until the client closes. */
void peer_drain(struct peer_connection *connection);
/* The socket will end with RST. */
void peer_reset(struct peer_connection *connection);
/* TLS: the socket will end without close_notify. */
void peer_forget_tls(struct peer_connection *connection);

#endif
