#include "fake/peer/peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/panic.h"
#include "fake/peer/certificate.h"
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>

enum {
    PATIENCE_SECONDS = 10,
    CONTROL_MAX = 125,
    HEADER_MAX = 10
};

struct peer {
    peer_script script;
    void *argument;
    int listener;
    uint16_t port;
    SSL_CTX *context; /* NULL without TLS */
    pthread_t thread;
    pthread_mutex_t mutex; /* guards `current` */
    int current;           /* the connection being served, -1 for none */
    atomic_bool is_stopping;
    atomic_uint connections;
};

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int bind_loopback(uint16_t *port)
{
    struct sockaddr_in address = loopback(0);
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ASSERT(fd >= 0);
    ASSERT(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
    ASSERT(getsockname(fd, (struct sockaddr *)&address, &size) == 0);
    *port = ntohs(address.sin_port);
    return fd;
}

uint16_t peer_free_port(void)
{
    uint16_t port = 0;
    ASSERT(close(bind_loopback(&port)) == 0);
    return port;
}

static void set_patience(int fd)
{
    const struct timeval patience = {.tv_sec = PATIENCE_SECONDS};
    int on = 1;
    ASSERT(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == 0);
    ASSERT(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) == 0);
    ASSERT(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0);
}

static void run_script(struct peer *peer, struct peer_connection *connection)
{
    bool is_ready = true;
    if (peer->context != NULL) {
        connection->ssl = SSL_new(peer->context);
        ASSERT(connection->ssl != NULL && SSL_set_fd(connection->ssl, connection->fd) == 1);
        is_ready = SSL_accept(connection->ssl) == 1; /* a client that refuses us is no fault here */
    }
    if (is_ready) {
        peer->script(connection);
    }
    if (connection->ssl != NULL) {
        (void)SSL_shutdown(connection->ssl);
        SSL_free(connection->ssl);
    }
}

static void set_current(struct peer *peer, int fd)
{
    (void)pthread_mutex_lock(&peer->mutex);
    peer->current = fd;
    (void)pthread_mutex_unlock(&peer->mutex);
}

static void serve(struct peer *peer, int fd)
{
    struct peer_connection *connection = memory_allocate(sizeof(*connection));
    connection->fd = fd;
    connection->number = atomic_fetch_add(&peer->connections, 1) + 1;
    connection->argument = peer->argument;
    set_current(peer, fd);
    run_script(peer, connection);
    set_current(peer, -1);
    (void)close(fd);
    free(connection);
}

static void *run(void *argument)
{
    struct peer *peer = argument;
    while (!atomic_load(&peer->is_stopping)) {
        int fd = accept4(peer->listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0) {
            continue;
        }
        set_patience(fd);
        serve(peer, fd);
    }
    return NULL;
}

struct peer *peer_start_tls(peer_script script, void *argument,
                            const struct peer_certificate *certificate)
{
    struct peer *peer = memory_allocate(sizeof(*peer));
    (void)signal(SIGPIPE, SIG_IGN);
    peer->script = script;
    peer->argument = argument;
    peer->current = -1;
    peer->listener = bind_loopback(&peer->port);
    ASSERT(listen(peer->listener, SOMAXCONN) == 0);
    if (certificate != NULL) {
        peer->context = peer_certificate_context(certificate);
    }
    ASSERT(pthread_mutex_init(&peer->mutex, NULL) == 0);
    ASSERT(pthread_create(&peer->thread, NULL, run, peer) == 0);
    return peer;
}

struct peer *peer_start(peer_script script, void *argument)
{
    return peer_start_tls(script, argument, NULL);
}

void peer_stop(struct peer *peer)
{
    atomic_store(&peer->is_stopping, true);
    (void)shutdown(peer->listener, SHUT_RDWR); /* wakes accept() */
    (void)pthread_mutex_lock(&peer->mutex);
    if (peer->current >= 0) {
        (void)shutdown(peer->current, SHUT_RDWR);
    }
    (void)pthread_mutex_unlock(&peer->mutex);
    ASSERT(pthread_join(peer->thread, NULL) == 0);
    (void)close(peer->listener);
    SSL_CTX_free(peer->context);
    (void)pthread_mutex_destroy(&peer->mutex);
    free(peer);
}

uint16_t peer_port(const struct peer *peer)
{
    return peer->port;
}

unsigned peer_connections(struct peer *peer)
{
    return atomic_load(&peer->connections);
}

/* ---- for scripts ---------------------------------------------------------------------------- */

static ssize_t read_some(struct peer_connection *connection, void *bytes, size_t size)
{
    if (connection->ssl != NULL) {
        return SSL_read(connection->ssl, bytes, (int)size);
    }
    return recv(connection->fd, bytes, size, 0);
}

bool peer_send(struct peer_connection *connection, const void *bytes, size_t size)
{
    const char *from = bytes;
    while (size > 0) {
        ssize_t count = connection->ssl != NULL ? SSL_write(connection->ssl, from, (int)size)
                                                : send(connection->fd, from, size, MSG_NOSIGNAL);
        if (count <= 0) {
            return false;
        }
        from += count;
        size -= (size_t)count;
    }
    return true;
}

bool peer_send_string(struct peer_connection *connection, const char *text)
{
    return peer_send(connection, text, strlen(text));
}

bool peer_send_bytewise(struct peer_connection *connection, const void *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (!peer_send(connection, (const char *)bytes + i, 1)) {
            return false;
        }
    }
    return true;
}

bool peer_read_request(struct peer_connection *connection)
{
    size_t size = 0;
    while (size + 1 < sizeof(connection->request)) {
        ssize_t count = read_some(connection, connection->request + size, 1);
        if (count <= 0) {
            return false;
        }
        size += (size_t)count;
        connection->request[size] = '\0';
        if (size >= 4 && strcmp(connection->request + size - 4, "\r\n\r\n") == 0) {
            return true;
        }
    }
    return false;
}

void peer_compute_accept(const struct peer_connection *connection, char *accept)
{
    static const char name[] = "Sec-WebSocket-Key: ";
    char text[128];
    const char *key = strstr(connection->request, name);
    ASSERT(key != NULL);
    key += sizeof(name) - 1;
    (void)snprintf(text, sizeof(text), "%.*s258EAFA5-E914-47DA-95CA-C5AB0DC85B11",
                   (int)strcspn(key, "\r"), key);
    unsigned char digest[SHA_DIGEST_LENGTH];
    (void)SHA1((const unsigned char *)text, strlen(text), digest);
    (void)EVP_EncodeBlock((unsigned char *)accept, digest, sizeof(digest));
}

bool peer_accept_upgrade(struct peer_connection *connection)
{
    char accept[29];
    char answer[256];
    peer_compute_accept(connection, accept);
    (void)snprintf(answer, sizeof(answer),
                   "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                   "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
                   accept);
    return peer_send_string(connection, answer);
}

bool peer_upgrade(struct peer_connection *connection)
{
    return peer_read_request(connection) && peer_accept_upgrade(connection);
}

bool peer_send_frame(struct peer_connection *connection, uint8_t first, const void *payload,
                     size_t size)
{
    uint8_t header[HEADER_MAX] = {first};
    size_t header_size = 2;
    int length_bytes = 0;
    if (size > UINT16_MAX) {
        length_bytes = 8;
    } else if (size > CONTROL_MAX) {
        length_bytes = 2;
    }
    header[1] = (uint8_t)(length_bytes == 8 ? 127 : length_bytes == 2 ? 126 : size);
    for (int i = length_bytes - 1; i >= 0; i--) {
        header[header_size++] = (uint8_t)((uint64_t)size >> (8 * i));
    }
    /* One write: frames are what is tested here, not segments. */
    char *frame = memory_allocate(header_size + size);
    memcpy(frame, header, header_size);
    if (size > 0) {
        memcpy(frame + header_size, payload, size);
    }
    bool is_sent = peer_send(connection, frame, header_size + size);
    free(frame);
    return is_sent;
}

static bool read_all(struct peer_connection *connection, void *bytes, size_t size)
{
    char *to = bytes;
    while (size > 0) {
        ssize_t count = read_some(connection, to, size);
        if (count <= 0) {
            return false;
        }
        to += count;
        size -= (size_t)count;
    }
    return true;
}

bool peer_read_frame(struct peer_connection *connection, uint8_t *opcode, char *payload,
                     size_t *size)
{
    uint8_t header[2];
    uint8_t mask[4];
    if (!read_all(connection, header, sizeof(header))) {
        return false;
    }
    *opcode = header[0];
    *size = header[1] & 0x7fU;
    bool is_masked = (header[1] & 0x80U) != 0;
    if (!is_masked || *size > CONTROL_MAX || !read_all(connection, mask, sizeof(mask)) ||
        !read_all(connection, payload, *size)) {
        return false;
    }
    for (size_t i = 0; i < *size; i++) {
        payload[i] = (char)((uint8_t)payload[i] ^ mask[i % 4]);
    }
    return true;
}

void peer_drain(struct peer_connection *connection)
{
    char bytes[4096];
    ssize_t count = read_some(connection, bytes, sizeof(bytes));
    while (count > 0) {
        count = read_some(connection, bytes, sizeof(bytes));
    }
}

void peer_reset(struct peer_connection *connection)
{
    const struct linger linger = {.l_onoff = 1, .l_linger = 0};
    ASSERT(setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) == 0);
}

void peer_forget_tls(struct peer_connection *connection)
{
    SSL_set_quiet_shutdown(connection->ssl, 1);
}
