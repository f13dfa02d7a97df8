#include "flow/fault_proxy.h"

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    CONNECTIONS_MAX = 16,
    READ_SIZE = 65536
};

static struct {
    struct fault_protocol protocol;
    pthread_t thread;
    pthread_mutex_t lock;
    int listener, wake[2];
    struct sockaddr_un here, server;
    struct fault_connection connections[CONNECTIONS_MAX];
    /* under the lock */
    const void *fault;
    unsigned first, times, steps, hits;
} proxy = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- counting ---- */

const void *fault_proxy_take(void)
{
    (void)pthread_mutex_lock(&proxy.lock);
    unsigned number = ++proxy.steps;
    bool is_hit =
        proxy.fault != NULL && number >= proxy.first && number - proxy.first < proxy.times;
    proxy.hits += is_hit;
    const void *fault = is_hit ? proxy.fault : NULL;
    (void)pthread_mutex_unlock(&proxy.lock);
    return fault;
}

void fault_proxy_arm(const void *fault, unsigned first, unsigned times)
{
    (void)pthread_mutex_lock(&proxy.lock);
    proxy.fault = fault;
    proxy.first = first;
    proxy.times = times;
    proxy.steps = 0;
    proxy.hits = 0;
    (void)pthread_mutex_unlock(&proxy.lock);
}

void fault_proxy_disarm(void)
{
    (void)pthread_mutex_lock(&proxy.lock);
    proxy.fault = NULL;
    (void)pthread_mutex_unlock(&proxy.lock);
}

static unsigned read_locked(const unsigned *count)
{
    (void)pthread_mutex_lock(&proxy.lock);
    unsigned value = *count;
    (void)pthread_mutex_unlock(&proxy.lock);
    return value;
}

unsigned fault_proxy_hits(void)
{
    return read_locked(&proxy.hits);
}

unsigned fault_proxy_steps(void)
{
    return read_locked(&proxy.steps);
}

/* ---- one connection ---- */

static void end_connection(struct fault_connection *connection)
{
    (void)close(connection->client);
    (void)close(connection->server);
    buffer_deinit(&connection->requests);
    buffer_deinit(&connection->answers);
    *connection = (struct fault_connection){.client = -1, .server = -1};
}

bool fault_proxy_write(int socket_number, const char *data, size_t size)
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

void fault_proxy_drop_front(struct buffer *buffer, size_t size)
{
    memmove(buffer->data, buffer->data + size, buffer->size - size);
    buffer->size -= size;
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

static void serve(struct fault_connection *connection, bool has_requests, bool has_answers)
{
    bool is_alive = !has_requests || read_into(connection->client, &connection->requests);
    is_alive = is_alive && (!has_answers || read_into(connection->server, &connection->answers));
    if (!is_alive || !proxy.protocol.pass_requests(connection) ||
        !proxy.protocol.pass_answers(connection)) {
        end_connection(connection);
    }
}

/* ---- the thread ---- */

/* Both ends of each connection, then the listener, then the end. */
enum {
    WATCH_LISTENER = 2 * CONNECTIONS_MAX,
    WATCH_END,
    WATCH_COUNT
};

static int connect_server(void)
{
    int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(server, (const struct sockaddr *)(const void *)&proxy.server,
                sizeof(proxy.server)) != 0) {
        (void)close(server);
        return -1;
    }
    return server;
}

static void take_client(void)
{
    int client = accept(proxy.listener, NULL, NULL);
    for (size_t i = 0; client >= 0 && i < CONNECTIONS_MAX; i++) {
        struct fault_connection *connection = &proxy.connections[i];
        int server = connection->client < 0 ? connect_server() : -1;
        if (server >= 0) {
            *connection = (struct fault_connection){.client = client, .server = server};
            return;
        }
    }
    (void)close(client);
}

static bool is_readable(const struct pollfd *watched)
{
    return (watched->revents & (POLLIN | POLLHUP | POLLERR)) != 0;
}

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
        bool has_requests = is_readable(&watched[2 * i]);
        bool has_answers = is_readable(&watched[2 * i + 1]);
        if (has_requests || has_answers) {
            serve(&proxy.connections[i], has_requests, has_answers);
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

/* ---- life ---- */

static struct sockaddr_un address_of(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    assert_true(strlen(path) < sizeof(address.sun_path));
    memcpy(address.sun_path, path, strlen(path) + 1);
    return address;
}

void fault_proxy_start(const struct fault_protocol *protocol, const char *path,
                       const char *server_path)
{
    proxy.protocol = *protocol;
    proxy.here = address_of(path);
    proxy.server = address_of(server_path);
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        proxy.connections[i] = (struct fault_connection){.client = -1, .server = -1};
    }
    proxy.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(proxy.listener, (const struct sockaddr *)(const void *)&proxy.here,
                          sizeof(proxy.here)),
                     0);
    assert_int_equal(listen(proxy.listener, CONNECTIONS_MAX), 0);
    assert_int_equal(pipe(proxy.wake), 0);
    assert_int_equal(pthread_create(&proxy.thread, NULL, run, NULL), 0);
}

void fault_proxy_stop(void)
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
    (void)unlink(proxy.here.sun_path);
}
