#include "flow/stream_proxy.h"

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "flow/stream_server.h"

enum {
    CONNECTIONS_MAX = 16,
    ANSWERS_MAX = 256, /* that one connection waits for */
    READ_SIZE = 65536,
    PATH_SIZE = 108, /* of a socket */
    LINE_SIZE = 160
};

const struct stream_fault stream_faults[] = {
    {"out of memory", "OOM command not allowed when used memory > 'maxmemory'.", FAULT_ERROR,
     false},
    {"loading", "LOADING Redis is loading the dataset in memory", FAULT_ERROR, false},
    {"a replica", "READONLY You can't write against a read only replica.", FAULT_ERROR, false},
    {"cannot save",
     "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist on "
     "disk.",
     FAULT_ERROR, false},
    {"disk full", "MISCONF Errors writing to the AOF file: No space left on device", FAULT_ERROR,
     false},
    {"cluster down", "CLUSTERDOWN The cluster is down", FAULT_ERROR, true},
    {"no group", "NOGROUP No such key 'events' or consumer group 'group'", FAULT_ERROR, true},
    {"no script", "NOSCRIPT No matching script. Please use EVAL.", FAULT_ERROR, true},
    {"busy", "BUSY Redis is busy running a script.", FAULT_ERROR, false},
    {"password changed", "NOAUTH Authentication required.", FAULT_ERROR, true},
    {"an error nobody foresaw", "ERR something new", FAULT_ERROR, true},
    {"cut before", NULL, FAULT_CUT_BEFORE, false},
    {"cut after", NULL, FAULT_CUT_AFTER, false},
    {"cut within the answer", NULL, FAULT_CUT_WITHIN, false},
};
const size_t stream_fault_count = sizeof(stream_faults) / sizeof(stream_faults[0]);

/* What is owed to the client, in order. */
struct answer {
    const struct stream_fault *fault; /* NULL: what Redis says */
};

struct connection {
    int client, server; /* -1: none */
    struct buffer commands, replies;
    struct answer answers[ANSWERS_MAX];
    size_t answer_count;
};

static struct {
    pthread_t thread;
    pthread_mutex_t lock;
    int listener, wake[2];
    char path[PATH_SIZE], url[PATH_SIZE + 8];
    struct connection connections[CONNECTIONS_MAX];
    /* under the lock */
    const struct stream_fault *fault;
    unsigned first, times, commands, hits;
} proxy = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* -- RESP2 -- */

/* How many bytes the first command or reply in `data` has; 0: it is not whole yet. */
static size_t message_size(const char *data, size_t size)
{
    size_t at = 0;
    for (int64_t due = 1; due > 0; due--) {
        const char *end = at < size ? memchr(data + at, '\n', size - at) : NULL;
        if (end == NULL) {
            return 0;
        }
        char type = data[at];
        int64_t number = strtoll(data + at + 1, NULL, 10); /* stops at the CR at the latest */
        at = (size_t)(end - data) + 1;
        if (type == '$' && number >= 0) {
            at += (size_t)number + 2;
        } else if (type == '*' && number > 0) {
            due += number;
        }
        if (at > size) {
            return 0;
        }
    }
    return at;
}

static void drop_front(struct buffer *buffer, size_t size)
{
    memmove(buffer->data, buffer->data + size, buffer->size - size);
    buffer->size -= size;
}

/* -- one connection -- */

static void end_connection(struct connection *connection)
{
    (void)close(connection->client);
    (void)close(connection->server);
    buffer_deinit(&connection->commands);
    buffer_deinit(&connection->replies);
    *connection = (struct connection){.client = -1, .server = -1};
}

/* Blocking: what is written here is small against the sockets' buffers. False: the peer has gone. */
static bool write_all(int socket_number, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t written = send(socket_number, data, size, MSG_NOSIGNAL);
        if (written <= 0) {
            return false;
        }
        data += written;
        size -= (size_t)written;
    }
    return true;
}

/* False: closed. */
static bool read_into(int socket_number, struct buffer *buffer)
{
    char data[READ_SIZE];
    ssize_t size = recv(socket_number, data, sizeof(data), 0);
    if (size > 0) {
        buffer_append(buffer, data, (size_t)size);
    }
    return size > 0;
}

static const struct stream_fault *take_fault(void)
{
    (void)pthread_mutex_lock(&proxy.lock);
    unsigned number = ++proxy.commands;
    bool is_hit =
        proxy.fault != NULL && number >= proxy.first && number - proxy.first < proxy.times;
    proxy.hits += is_hit;
    const struct stream_fault *fault = is_hit ? proxy.fault : NULL;
    (void)pthread_mutex_unlock(&proxy.lock);
    return fault;
}

/* False: the connection has to end. */
static bool pass_commands(struct connection *connection)
{
    size_t size;
    while ((size = message_size(connection->commands.data, connection->commands.size)) > 0) {
        const struct stream_fault *fault = take_fault();
        bool is_refused = fault != NULL && fault->kind == FAULT_ERROR;
        if (fault != NULL && fault->kind == FAULT_CUT_BEFORE) {
            return false;
        }
        if (!is_refused && !write_all(connection->server, connection->commands.data, size)) {
            return false;
        }
        drop_front(&connection->commands, size);
        if (connection->answer_count == ANSWERS_MAX) {
            return false;
        }
        connection->answers[connection->answer_count++] = (struct answer){.fault = fault};
    }
    return true;
}

static bool send_error(struct connection *connection, const char *text)
{
    char line[LINE_SIZE];
    int size = snprintf(line, sizeof(line), "-%s\r\n", text);
    return write_all(connection->client, line, (size_t)size);
}

/* The first answer that is owed. False: the connection has to end. */
static bool pass_answer(struct connection *connection, size_t size)
{
    const struct stream_fault *fault = connection->answers[0].fault;
    if (fault != NULL) {
        size_t part = fault->kind == FAULT_CUT_WITHIN ? size / 2 : 0;
        (void)write_all(connection->client, connection->replies.data, part);
        return false;
    }
    bool is_sent = write_all(connection->client, connection->replies.data, size);
    drop_front(&connection->replies, size);
    return is_sent;
}

static bool pass_answers(struct connection *connection)
{
    while (connection->answer_count > 0) {
        const struct stream_fault *fault = connection->answers[0].fault;
        bool is_refused = fault != NULL && fault->kind == FAULT_ERROR;
        size_t size = message_size(connection->replies.data, connection->replies.size);
        if (!is_refused && size == 0) {
            return true; /* Redis has not answered yet */
        }
        if (!(is_refused ? send_error(connection, fault->text) : pass_answer(connection, size))) {
            return false;
        }
        connection->answer_count--;
        memmove(connection->answers, connection->answers + 1,
                connection->answer_count * sizeof(struct answer));
    }
    return true;
}

static void serve(struct connection *connection, bool has_commands, bool has_replies)
{
    bool is_alive = !has_commands || read_into(connection->client, &connection->commands);
    is_alive = is_alive && (!has_replies || read_into(connection->server, &connection->replies));
    if (!is_alive || !pass_commands(connection) || !pass_answers(connection)) {
        end_connection(connection);
    }
}

/* -- the thread -- */

static int connect_server(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", stream_server_socket());
    if (connect(server, (const struct sockaddr *)(const void *)&address, sizeof(address)) != 0) {
        (void)close(server);
        return -1;
    }
    return server;
}

static void take_client(void)
{
    int client = accept(proxy.listener, NULL, NULL);
    for (size_t i = 0; client >= 0 && i < CONNECTIONS_MAX; i++) {
        struct connection *connection = &proxy.connections[i];
        int server = connection->client < 0 ? connect_server() : -1;
        if (server >= 0) {
            *connection = (struct connection){.client = client, .server = server};
            return;
        }
    }
    (void)close(client);
}

static bool is_readable(const struct pollfd *watched)
{
    return (watched->revents & (POLLIN | POLLHUP | POLLERR)) != 0;
}

/* Both ends of each connection, then the listener, then the end. */
enum {
    WATCH_LISTENER = 2 * CONNECTIONS_MAX,
    WATCH_END,
    WATCH_COUNT
};

static void watch(struct pollfd *watched)
{
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        watched[2 * i] = (struct pollfd){proxy.connections[i].client, POLLIN, 0};
        watched[2 * i + 1] = (struct pollfd){proxy.connections[i].server, POLLIN, 0};
    }
    watched[WATCH_LISTENER] = (struct pollfd){proxy.listener, POLLIN, 0};
    watched[WATCH_END] = (struct pollfd){proxy.wake[0], POLLIN, 0};
}

static void serve_all(const struct pollfd *watched)
{
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        bool has_commands = is_readable(&watched[2 * i]);
        bool has_replies = is_readable(&watched[2 * i + 1]);
        if (has_commands || has_replies) {
            serve(&proxy.connections[i], has_commands, has_replies);
        }
    }
    if (is_readable(&watched[WATCH_LISTENER])) {
        take_client();
    }
}

static void *run(void *argument)
{
    struct pollfd watched[WATCH_COUNT] = {0};
    while (!is_readable(&watched[WATCH_END])) {
        watch(watched);
        if (poll(watched, WATCH_COUNT, -1) > 0) {
            serve_all(watched);
        }
    }
    return argument;
}

void stream_proxy_start(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(proxy.path, sizeof(proxy.path), "%s.proxy", stream_server_socket());
    (void)snprintf(proxy.url, sizeof(proxy.url), "unix://%s", proxy.path);
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", proxy.path);
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        proxy.connections[i] = (struct connection){.client = -1, .server = -1};
    }
    proxy.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(
        bind(proxy.listener, (const struct sockaddr *)(const void *)&address, sizeof(address)), 0);
    assert_int_equal(listen(proxy.listener, CONNECTIONS_MAX), 0);
    assert_int_equal(pipe(proxy.wake), 0);
    assert_int_equal(pthread_create(&proxy.thread, NULL, run, NULL), 0);
}

void stream_proxy_stop(void)
{
    assert_int_equal(write(proxy.wake[1], "", 1), 1);
    assert_int_equal(pthread_join(proxy.thread, NULL), 0);
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        if (proxy.connections[i].client >= 0) {
            end_connection(&proxy.connections[i]);
        }
    }
    (void)close(proxy.wake[0]);
    (void)close(proxy.wake[1]);
    (void)close(proxy.listener);
    (void)unlink(proxy.path);
}

const char *stream_proxy_url(void)
{
    return proxy.url;
}

void stream_proxy_arm(const struct stream_fault *fault, unsigned first, unsigned times)
{
    (void)pthread_mutex_lock(&proxy.lock);
    proxy.fault = fault;
    proxy.first = first;
    proxy.times = times;
    proxy.commands = 0;
    proxy.hits = 0;
    (void)pthread_mutex_unlock(&proxy.lock);
}

void stream_proxy_disarm(void)
{
    (void)pthread_mutex_lock(&proxy.lock);
    proxy.fault = NULL;
    (void)pthread_mutex_unlock(&proxy.lock);
}

unsigned stream_proxy_hits(void)
{
    (void)pthread_mutex_lock(&proxy.lock);
    unsigned hits = proxy.hits;
    (void)pthread_mutex_unlock(&proxy.lock);
    return hits;
}

unsigned stream_proxy_commands(void)
{
    (void)pthread_mutex_lock(&proxy.lock);
    unsigned commands = proxy.commands;
    (void)pthread_mutex_unlock(&proxy.lock);
    return commands;
}
