#include "flow/http_harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"

enum {
    PUMP_MS = 5,
    READ_BYTES = 64 * 1024
};

static void fill(void *owner, struct metrics_snapshot *snapshot)
{
    struct site *site = owner;
    site->fills++;
    if (site->page_costs_ms > 0) {
        clock_test_advance_ms(site->page_costs_ms);
    }
    snapshot->version = "0.0.0";
    snapshot->worker_count = site->workers > 0 ? site->workers : 1;
    for (unsigned i = 0; i < DEPENDENCY_COUNT; i++) {
        snapshot->dependencies[i].state = DEPENDENCY_READY;
    }
}

static void dead_letters(void *owner, unsigned limit, struct http_answer *answer)
{
    struct site *site = owner;
    site->asked++;
    site->limit = limit;
    if (site->answers_at_once) {
        http_answer_end(answer, NULL);
    } else {
        site->answer = answer;
    }
}

static void on_closed(void *owner)
{
    struct site *site = owner;
    site->is_closed = true;
    site->http = NULL;
}

void site_open(struct site *site, const struct http_options *options)
{
    static const struct http_callbacks callbacks = {
        .fill = fill, .dead_letters = dead_letters, .on_closed = on_closed};
    struct http_options chosen = options != NULL ? *options : (struct http_options){0};
    struct error error;
    *site = (struct site){0};
    (void)signal(SIGPIPE, SIG_IGN);
    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    if (chosen.listen == NULL) {
        chosen.listen = "127.0.0.1:0";
    }
    assert_int_equal(uv_loop_init(&site->loop), 0);
    site->http = http_open(&site->loop, &chosen, &callbacks, site, &error);
    assert_non_null(site->http);
}

void site_pump(struct site *site)
{
    struct pollfd loop = {.fd = uv_backend_fd(&site->loop), .events = POLLIN};
    (void)poll(&loop, 1, PUMP_MS);
    (void)uv_run(&site->loop, UV_RUN_NOWAIT);
}

void site_close(struct site *site)
{
    uint64_t deadline = clock_monotonic_ms() + SITE_PATIENCE_MS;
    http_close(site->http);
    http_close(site->http);
    while (!site->is_closed) {
        assert_true(clock_monotonic_ms() < deadline);
        site_pump(site);
    }
    assert_int_equal(uv_loop_close(&site->loop), 0);
}

void client_open(struct client *client, struct site *site)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(http_port(site->http)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    *client = (struct client){.site = site};
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(client->fd >= 0);
    assert_int_equal(connect(client->fd, (struct sockaddr *)&address, sizeof(address)), 0);
}

/* One round: the server's loop, then what it sent. */
static void turn(struct client *client)
{
    site_pump(client->site);
    if (client->has_ended) {
        return;
    }
    char *room = buffer_reserve(&client->got, READ_BYTES);
    ssize_t size = recv(client->fd, room, READ_BYTES, MSG_DONTWAIT);
    if (size > 0) {
        client->got.size += (size_t)size;
    } else if (size == 0 || (errno != EAGAIN && errno != EINTR)) {
        client->has_ended = true;
    }
}

void client_send(struct client *client, struct slice bytes)
{
    uint64_t deadline = clock_monotonic_ms() + SITE_PATIENCE_MS;
    while (bytes.size > 0 && !client->has_ended) {
        assert_true(clock_monotonic_ms() < deadline);
        ssize_t size = send(client->fd, bytes.data, bytes.size, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (size > 0) {
            bytes = slice_skip(bytes, (size_t)size);
        } else if (errno != EAGAIN && errno != EINTR) {
            return; /* the server closed: what it said is still to be read */
        } else {
            turn(client);
        }
    }
}

void client_send_text(struct client *client, const char *text)
{
    client_send(client, slice_from_string(text));
}

unsigned client_count(const struct client *client, const char *text)
{
    unsigned count = 0;
    size_t size = strlen(text);
    struct slice rest = buffer_slice(&client->got);
    while (rest.size >= size) {
        const char *found = memmem(rest.data, rest.size, text, size);
        if (found == NULL) {
            break;
        }
        count++;
        rest = slice_skip(rest, (size_t)(found - rest.data) + size);
    }
    return count;
}

bool client_has(const struct client *client, const char *text)
{
    return client_count(client, text) > 0;
}

void client_wait_for(struct client *client, const char *text, unsigned count)
{
    uint64_t deadline = clock_monotonic_ms() + SITE_PATIENCE_MS;
    while (client_count(client, text) < count && !client->has_ended &&
           clock_monotonic_ms() < deadline) {
        turn(client);
    }
    if (client_count(client, text) < count) {
        fail_msg("waited for %u times `%s`, got: %.*s", count, text,
                 SLICE_ARGS(buffer_slice(&client->got)));
    }
}

void client_wait_end(struct client *client)
{
    uint64_t deadline = clock_monotonic_ms() + SITE_PATIENCE_MS;
    while (!client->has_ended) {
        assert_true(clock_monotonic_ms() < deadline);
        turn(client);
    }
}

void client_close(struct client *client)
{
    if (client->fd >= 0) {
        assert_int_equal(close(client->fd), 0);
    }
    client->fd = -1;
    buffer_deinit(&client->got);
}

struct buffer site_ask(struct site *site, const char *request)
{
    struct client client;
    client_open(&client, site);
    client_send_text(&client, request);
    client_wait_end(&client);
    struct buffer got = client.got;
    client.got = (struct buffer){0};
    client_close(&client);
    buffer_append_byte(&got, '\0');
    got.size--;
    return got;
}
