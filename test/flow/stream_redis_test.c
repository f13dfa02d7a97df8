/* The connection against a real Redis and against nasty peers: every loss is reported, none hangs. */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "flow/stream_server.h"
#include "stream/redis.h"
#include "stream/redis_reply.h"
#include <hiredis/hiredis.h>
#include <uv.h>

enum {
    CONNECT_MS = 500,
    REPLY_MS = 300,
    URL_SIZE = 256,
    TEXT_SIZE = 512,
    PATIENT_MS = 20000,
    LARGE_COMMANDS = 4,
    LARGE_SIZE = 1 << 20 /* several times what a socket takes at once */
};

struct rig {
    uv_loop_t loop;
    struct redis *redis;
    unsigned ready, lost, replies, nulls;
    bool is_closed, closes_on_ready, closes_on_lost, resends_on_null, could_resend;
    struct error error;
    char text[TEXT_SIZE];
    struct redisReply *kept;
};

/* A peer that says one thing to each client after its greeting. */
struct peer {
    uv_tcp_t server;
    uv_tcp_t client;
    bool has_client, is_reset;
    const char *answer; /* to the first bytes of each client */
    unsigned clients;
};

static void on_ready(void *owner)
{
    struct rig *rig = owner;
    rig->ready++;
    if (rig->closes_on_ready) {
        redis_close(rig->redis);
    }
}

static void on_lost(void *owner, const struct error *error)
{
    struct rig *rig = owner;
    rig->error = *error;
    rig->lost++;
    if (rig->closes_on_lost) {
        redis_close(rig->redis);
    }
}

static void on_closed(void *owner)
{
    ((struct rig *)owner)->is_closed = true;
}

static void on_reply(void *owner, struct redisReply *reply)
{
    struct rig *rig = owner;
    rig->replies++;
    if (reply == NULL) {
        rig->nulls++;
        const struct slice ping = SLICE("PING");
        rig->could_resend = rig->resends_on_null && redis_send(rig->redis, &ping, 1, on_reply, rig);
        return;
    }
    (void)snprintf(rig->text, sizeof(rig->text), "%.*s", SLICE_ARGS(reply_text(reply)));
}

static void on_kept(void *owner, struct redisReply *reply)
{
    struct rig *rig = owner;
    rig->replies++;
    rig->kept = redis_keep_reply(reply);
}

static void rig_open_patient(struct rig *rig, const char *url, uint64_t reply_ms)
{
    static const struct redis_callbacks callbacks = {
        .on_ready = on_ready, .on_lost = on_lost, .on_closed = on_closed};
    struct redis_options options = {.url = url,
                                    .client_name = "test",
                                    .connect_timeout_ms = CONNECT_MS,
                                    .reply_timeout_ms = reply_ms};
    *rig = (struct rig){0};
    assert_int_equal(uv_loop_init(&rig->loop), 0);
    rig->redis = redis_open(&rig->loop, &options, &callbacks, rig);
}

static void rig_open(struct rig *rig, const char *url)
{
    rig_open_patient(rig, url, REPLY_MS);
}

static bool is_ready(void *data)
{
    return ((struct rig *)data)->ready > 0;
}

static bool is_ready_twice(void *data)
{
    return ((struct rig *)data)->ready > 1;
}

static bool is_lost(void *data)
{
    return ((struct rig *)data)->lost > 0;
}

static bool is_lost_thrice(void *data)
{
    return ((struct rig *)data)->lost > 2;
}

static bool is_closed(void *data)
{
    return ((struct rig *)data)->is_closed;
}

static bool has_reply(void *data)
{
    return ((struct rig *)data)->replies > 0;
}

static void rig_close(struct rig *rig)
{
    redis_close(rig->redis);
    if (!rig->is_closed) {
        redis_close(rig->redis);
    }
    stream_wait(&rig->loop, is_closed, rig);
    stream_finish(&rig->loop);
}

static void send_words(struct rig *rig, const char *first, const char *second,
                       redis_reply_callback *callback)
{
    const struct slice words[] = {slice_from_string(first), slice_from_string(second)};
    rig->replies = 0;
    assert_true(redis_send(rig->redis, words, second != NULL ? 2 : 1, callback, rig));
}

static void a_connection_greets_answers_and_closes(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, stream_server_url());
    assert_false(redis_is_ready(rig.redis));
    stream_wait(&rig.loop, is_ready, &rig);
    assert_true(redis_is_ready(rig.redis));
    send_words(&rig, "ECHO", "hello", on_reply);
    stream_wait(&rig.loop, has_reply, &rig);
    assert_string_equal(rig.text, "hello");
    send_words(&rig, "CLIENT", "GETNAME", on_reply);
    stream_wait(&rig.loop, has_reply, &rig);
    assert_string_equal(rig.text, "test");
    rig_close(&rig);
    assert_int_equal(rig.lost, 0);
}

struct large {
    struct rig *rig;
    unsigned answered;
    bool is_whole;
};

static void on_large(void *owner, struct redisReply *reply)
{
    struct large *large = owner;
    struct slice text = reply != NULL ? reply_text(reply) : slice_of(NULL, 0);
    char expected = (char)('a' + large->answered++);
    large->is_whole = large->is_whole && text.size == LARGE_SIZE && text.data[0] == expected &&
                      text.data[LARGE_SIZE - 1] == expected;
}

static bool has_all_large(void *data)
{
    return ((struct large *)data)->answered == LARGE_COMMANDS;
}

static void what_a_full_socket_does_not_take_is_sent_when_it_has_room(void **state)
{
    (void)state;
    struct rig rig;
    struct large large = {.rig = &rig, .is_whole = true};
    char *bytes = malloc(LARGE_SIZE);
    rig_open_patient(&rig, stream_server_url(), PATIENT_MS);
    stream_wait(&rig.loop, is_ready, &rig);
    for (int i = 0; i < LARGE_COMMANDS; i++) {
        memset(bytes, 'a' + i, LARGE_SIZE);
        const struct slice words[] = {SLICE("ECHO"), slice_of(bytes, LARGE_SIZE)};
        assert_true(redis_send(rig.redis, words, 2, on_large, &large));
    }
    stream_wait(&rig.loop, has_all_large, &large);
    assert_true(large.is_whole);
    rig_close(&rig);
    assert_int_equal(rig.lost, 0);
    free(bytes);
}

static void a_command_into_a_connection_that_the_server_has_ended_comes_back_without_a_reply(
    void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, stream_server_url());
    stream_wait(&rig.loop, is_ready, &rig);
    freeReplyObject(stream_server_call("CLIENT KILL TYPE normal SKIPME yes"));
    send_words(&rig, "PING", NULL, on_reply);
    stream_wait(&rig.loop, is_lost, &rig);
    assert_int_equal(rig.nulls, 1);
    stream_wait(&rig.loop, is_ready_twice, &rig);
    rig_close(&rig);
}

static void a_kept_reply_outlives_its_connection(void **state)
{
    (void)state;
    struct rig rig;
    freeReplyObject(stream_server_call("FLUSHALL"));
    freeReplyObject(stream_server_call("RPUSH list one two"));
    rig_open(&rig, stream_server_url());
    stream_wait(&rig.loop, is_ready, &rig);
    const struct slice words[] = {SLICE("LRANGE"), SLICE("list"), SLICE("0"), SLICE("-1")};
    assert_true(redis_send(rig.redis, words, 4, on_kept, &rig));
    stream_wait(&rig.loop, has_reply, &rig);
    rig_close(&rig);
    assert_int_equal(reply_count(rig.kept), 2);
    assert_true(slice_equals(reply_text(reply_element(rig.kept, 1)), SLICE("two")));
    redis_free_reply(rig.kept);
}

static void the_database_and_the_password_of_the_url_are_used(void **state)
{
    (void)state;
    struct rig rig;
    char url[URL_SIZE];
    (void)snprintf(url, sizeof(url), "%s?db=3", stream_server_url());
    freeReplyObject(stream_server_call("FLUSHALL"));
    rig_open(&rig, url);
    stream_wait(&rig.loop, is_ready, &rig);
    const struct slice set[] = {SLICE("SET"), SLICE("in-three"), SLICE("1")};
    assert_true(redis_send(rig.redis, set, 3, on_reply, &rig));
    stream_wait(&rig.loop, has_reply, &rig);
    assert_int_equal(stream_server_number("EXISTS in-three"), 0);
    rig_close(&rig);
}

static void a_missing_password_is_one_clear_refusal_and_no_hot_loop(void **state)
{
    (void)state;
    struct rig rig;
    freeReplyObject(stream_server_call("CONFIG SET requirepass secret"));
    rig_open(&rig, stream_server_url());
    stream_wait(&rig.loop, is_lost, &rig);
    assert_int_equal(rig.error.kind, ERROR_REFUSED);
    assert_non_null(strstr(rig.error.text, "password"));
    uint64_t until = uv_now(&rig.loop) + 200;
    while (uv_now(&rig.loop) < until) {
        (void)uv_run(&rig.loop, UV_RUN_NOWAIT);
    }
    assert_int_equal(rig.lost, 1); /* 30 s until the next attempt */
    freeReplyObject(stream_server_call("AUTH secret"));
    freeReplyObject(stream_server_call("CONFIG SET requirepass %s", ""));
    rig_close(&rig);
}

static void a_url_that_cannot_work_is_told_and_never_repeats_its_password(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, "redis://user:hunter2@host:port");
    stream_wait(&rig.loop, is_lost, &rig);
    assert_int_equal(rig.error.kind, ERROR_USAGE);
    assert_null(strstr(rig.error.text, "hunter2"));
    rig_close(&rig);
}

static void a_refused_unix_socket_is_reported_again_and_again_with_backoff(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, "unix:///nowhere/redis.sock");
    stream_wait(&rig.loop, is_lost_thrice, &rig);
    assert_int_equal(rig.ready, 0);
    rig_close(&rig);
}

/* -- nasty peers over TCP -- */

static void on_peer_allocate(uv_handle_t *handle, size_t size, uv_buf_t *buffer)
{
    static char bytes[4096];
    (void)handle;
    (void)size;
    *buffer = uv_buf_init(bytes, sizeof(bytes));
}

static void on_peer_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
    struct peer *peer = stream->data;
    (void)buffer;
    if (size < 0) {
        if (!uv_is_closing((uv_handle_t *)stream)) {
            uv_close((uv_handle_t *)stream, NULL);
        }
        peer->has_client = false;
        return;
    }
    if (peer->is_reset) {
        peer->has_client = false;
        assert_int_equal(uv_tcp_close_reset(&peer->client, NULL), 0);
        return;
    }
    if (peer->answer != NULL) {
        static char bytes[TEXT_SIZE];
        int used = snprintf(bytes, sizeof(bytes), "%s", peer->answer);
        uv_buf_t answer = uv_buf_init(bytes, (unsigned)used);
        (void)uv_try_write(stream, &answer, 1);
    }
}

static void on_peer_connection(uv_stream_t *server, int status)
{
    struct peer *peer = server->data;
    assert_int_equal(status, 0);
    peer->clients++;
    assert_false(peer->has_client);
    assert_int_equal(uv_tcp_init(server->loop, &peer->client), 0);
    assert_int_equal(uv_accept(server, (uv_stream_t *)&peer->client), 0);
    peer->has_client = true;
    peer->client.data = peer;
    assert_int_equal(uv_read_start((uv_stream_t *)&peer->client, on_peer_allocate, on_peer_read),
                     0);
}

static void peer_url(const uv_tcp_t *server, char *url)
{
    struct sockaddr_in address;
    int size = sizeof(address);
    assert_int_equal(uv_tcp_getsockname(server, (struct sockaddr *)&address, &size), 0);
    (void)snprintf(url, URL_SIZE, "redis://127.0.0.1:%u", (unsigned)ntohs(address.sin_port));
}

static void peer_open(struct peer *peer, struct rig *rig)
{
    char url[URL_SIZE];
    struct sockaddr_in address;
    assert_int_equal(uv_ip4_addr("127.0.0.1", 0, &address), 0);
    rig_open(rig, "redis://127.0.0.1:1"); /* closed at once: only its loop is wanted */
    redis_close(rig->redis);
    stream_wait(&rig->loop, is_closed, rig);
    assert_int_equal(uv_tcp_init(&rig->loop, &peer->server), 0);
    peer->server.data = peer;
    assert_int_equal(uv_tcp_bind(&peer->server, (const struct sockaddr *)&address, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&peer->server, 4, on_peer_connection), 0);
    peer_url(&peer->server, url);
    static const struct redis_callbacks callbacks = {
        .on_ready = on_ready, .on_lost = on_lost, .on_closed = on_closed};
    struct redis_options options = {.url = url,
                                    .client_name = "test",
                                    .connect_timeout_ms = CONNECT_MS,
                                    .reply_timeout_ms = REPLY_MS};
    rig->is_closed = false;
    rig->lost = 0;
    rig->redis = redis_open(&rig->loop, &options, &callbacks, rig);
}

static void peer_close(struct peer *peer, struct rig *rig)
{
    uv_close((uv_handle_t *)&peer->server, NULL);
    redis_close(rig->redis);
    stream_wait(&rig->loop, is_closed, rig);
    if (peer->has_client) {
        uv_close((uv_handle_t *)&peer->client, NULL);
    }
    stream_finish(&rig->loop);
}

/* The first zombie of hiredis 0.14's own adapter: no callback ever. */
static void a_refused_connection_is_reported_and_tried_again(void **state)
{
    (void)state;
    struct rig rig;
    struct peer peer = {0};
    char url[URL_SIZE];
    peer_open(&peer, &rig);
    peer_url(&peer.server, url);
    peer_close(&peer, &rig); /* now nobody listens there */
    rig_open(&rig, url);
    stream_wait(&rig.loop, is_lost_thrice, &rig);
    assert_non_null(strstr(rig.error.text, "refused"));
    rig_close(&rig);
}

/* The second: the connection stands and the peer resets it. */
static void a_reset_peer_is_reported_and_connected_to_again(void **state)
{
    (void)state;
    struct rig rig;
    struct peer peer = {.is_reset = true};
    peer_open(&peer, &rig);
    stream_wait(&rig.loop, is_lost_thrice, &rig);
    assert_true(peer.clients >= 3);
    peer_close(&peer, &rig);
}

static void a_silent_peer_is_left_after_the_connect_timeout(void **state)
{
    (void)state;
    struct rig rig;
    struct peer peer = {.answer = NULL};
    peer_open(&peer, &rig);
    stream_wait(&rig.loop, is_lost, &rig);
    assert_int_equal(rig.error.kind, ERROR_TIMEOUT);
    peer_close(&peer, &rig);
}

/* hiredis would abort the whole process on the first of these. */
static void replies_that_nobody_asked_for_end_the_connection_and_not_the_process(void **state)
{
    (void)state;
    static const char *const answers[] = {
        "+OK\r\n$0\r\n\r\n+PONG\r\n+SURPRISE\r\n",
        "*1000000000\r\n",
        "%1\r\n+a\r\n+b\r\n",
        "HTTP/1.1 400 Bad Request\r\n\r\n",
        "-ERR max number of clients reached\r\n",
        "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
        "-DENIED Redis is running in protected mode\r\n",
        "-MOVED 1 127.0.0.1:1\r\n-MOVED 1 127.0.0.1:1\r\n-MOVED 1 127.0.0.1:1\r\n",
        "+OK\r\n$17\r\ncluster_enabled:1\r\n+PONG\r\n",
    };
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        struct rig rig;
        struct peer peer = {.answer = answers[i]};
        peer_open(&peer, &rig);
        stream_wait(&rig.loop, is_lost, &rig);
        assert_true(rig.error.text[0] != '\0');
        bool is_cluster = i + 2 >= sizeof(answers) / sizeof(answers[0]);
        assert_int_equal(rig.error.kind == ERROR_REFUSED, is_cluster);
        assert_int_equal(strstr(rig.error.text, "luster") != NULL, is_cluster);
        peer_close(&peer, &rig);
    }
}

static void commands_in_flight_end_with_null_before_the_loss_is_told(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, stream_server_url());
    rig.resends_on_null = true;
    stream_wait(&rig.loop, is_ready, &rig);
    stream_server_freeze(true);
    send_words(&rig, "PING", NULL, on_reply);
    send_words(&rig, "PING", NULL, on_reply);
    stream_wait(&rig.loop, is_lost, &rig);
    assert_int_equal(rig.error.kind, ERROR_TIMEOUT);
    assert_int_equal(rig.nulls, 2);
    assert_false(rig.could_resend); /* nobody may send into a dying connection */
    stream_server_freeze(false);
    stream_wait(&rig.loop, is_ready_twice, &rig);
    rig_close(&rig);
}

static void a_reset_by_us_reconnects(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, stream_server_url());
    stream_wait(&rig.loop, is_ready, &rig);
    redis_reset(rig.redis, "the peer breaks the rules");
    assert_false(redis_is_ready(rig.redis));
    stream_wait(&rig.loop, is_ready_twice, &rig);
    assert_string_equal(rig.error.text, "the peer breaks the rules");
    rig_close(&rig);
}

static void closing_is_safe_inside_every_callback(void **state)
{
    (void)state;
    struct rig rig;
    rig_open(&rig, stream_server_url());
    rig.closes_on_ready = true;
    stream_wait(&rig.loop, is_closed, &rig);
    stream_finish(&rig.loop);
    rig_open(&rig, "unix:///nowhere/redis.sock");
    rig.closes_on_lost = true;
    stream_wait(&rig.loop, is_closed, &rig);
    stream_finish(&rig.loop);
    rig_open(&rig, "redis://localhost:1"); /* while its name is being resolved */
    (void)uv_run(&rig.loop, UV_RUN_NOWAIT);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_greets_answers_and_closes),
        cmocka_unit_test(what_a_full_socket_does_not_take_is_sent_when_it_has_room),
        cmocka_unit_test(
            a_command_into_a_connection_that_the_server_has_ended_comes_back_without_a_reply),
        cmocka_unit_test(a_kept_reply_outlives_its_connection),
        cmocka_unit_test(the_database_and_the_password_of_the_url_are_used),
        cmocka_unit_test(a_missing_password_is_one_clear_refusal_and_no_hot_loop),
        cmocka_unit_test(a_url_that_cannot_work_is_told_and_never_repeats_its_password),
        cmocka_unit_test(a_refused_unix_socket_is_reported_again_and_again_with_backoff),
        cmocka_unit_test(a_refused_connection_is_reported_and_tried_again),
        cmocka_unit_test(a_reset_peer_is_reported_and_connected_to_again),
        cmocka_unit_test(a_silent_peer_is_left_after_the_connect_timeout),
        cmocka_unit_test(replies_that_nobody_asked_for_end_the_connection_and_not_the_process),
        cmocka_unit_test(commands_in_flight_end_with_null_before_the_loss_is_told),
        cmocka_unit_test(a_reset_by_us_reconnects),
        cmocka_unit_test(closing_is_safe_inside_every_callback),
    };
    return cmocka_run_group_tests(tests, stream_server_setup, stream_server_teardown);
}
