#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit/test.h"

#include "fake/peer/peer.h"
#include "ingest/subscription.h"
#include <uv.h>

/* One subscription against relays that come and go. */

enum {
    DEADLINE_MS = 20000,
    FRAME_MAX = 1024 * 1024,
    REQUESTS = 32
};

/* The owner of a subscription: frames are decimal sequence numbers. */
struct owner {
    uv_loop_t loop;
    uv_timer_t deadline;
    uv_timer_t later;
    struct subscription_options options;
    struct subscription *subscription;
    int64_t cursor;
    unsigned frames;
    unsigned stop_after; /* frames */
    unsigned disconnects;
    unsigned stop_after_disconnects;
    char error[sizeof(((struct error *)0)->text)];
    void (*on_frame)(struct owner *owner);
    struct subscription_counters counters;
    bool has_closed;
    bool is_paused;
};

/* What the relay was asked, request by request; written by its thread, read once it is stopped. */
struct relay {
    char targets[REQUESTS][128];
    unsigned count;
    uint16_t port; /* of another relay */
};

static void finish(struct owner *owner)
{
    owner->counters = subscription_counters(owner->subscription);
    subscription_close(owner->subscription);
}

static int64_t tell_cursor(void *data)
{
    const struct owner *owner = data;
    return owner->cursor;
}

static void note_frame(void *data, struct slice frame, bool is_binary)
{
    struct owner *owner = data;
    char text[32] = "";
    assert_false(owner->is_paused);
    assert_true(is_binary && frame.size < sizeof(text));
    memcpy(text, frame.data, frame.size);
    int64_t sequence = strtoll(text, NULL, 10);
    if (sequence <= owner->cursor) {
        return;
    }
    assert_int_equal(sequence, owner->cursor < 0 ? sequence : owner->cursor + 1);
    owner->cursor = sequence;
    owner->frames++;
    if (owner->on_frame != NULL) {
        owner->on_frame(owner);
    }
    if (owner->frames == owner->stop_after) {
        finish(owner);
    }
}

static void note_disconnect(void *data, const struct error *error)
{
    struct owner *owner = data;
    if (error != NULL) {
        (void)snprintf(owner->error, sizeof(owner->error), "%s", error->text);
    }
    if (++owner->disconnects == owner->stop_after_disconnects) {
        finish(owner);
    }
}

static void note_closed(void *data)
{
    struct owner *owner = data;
    owner->has_closed = true;
    owner->subscription = NULL;
    uv_close((uv_handle_t *)&owner->deadline, NULL);
    uv_close((uv_handle_t *)&owner->later, NULL);
}

static const struct subscription_callbacks callbacks = {
    .cursor = tell_cursor,
    .on_frame = note_frame,
    .on_disconnected = note_disconnect,
    .on_closed = note_closed,
};

static void on_deadline(uv_timer_t *timer)
{
    (void)timer;
    fail_msg("the subscription did not end within 20 seconds");
}

static void owner_init(struct owner *owner, int64_t cursor)
{
    *owner = (struct owner){.cursor = cursor,
                            .options = {.host = "test",
                                        .user_agent = "standpipe-test",
                                        .tls_verify = true,
                                        .max_frame_bytes = FRAME_MAX,
                                        .backoff_base_ms = 1,
                                        .backoff_limit_ms = 2}};
    assert_int_equal(uv_loop_init(&owner->loop), 0);
    assert_int_equal(uv_timer_init(&owner->loop, &owner->deadline), 0);
    assert_int_equal(uv_timer_init(&owner->loop, &owner->later), 0);
    owner->later.data = owner;
}

static void owner_run(struct owner *owner, struct peer *peer, const char *target)
{
    char url[160];
    (void)snprintf(url, sizeof(url), "ws://127.0.0.1:%u%s", peer_port(peer), target);
    owner->options.url = url;
    assert_int_equal(uv_timer_start(&owner->deadline, on_deadline, DEADLINE_MS, 0), 0);
    owner->subscription = subscription_open(&owner->loop, &owner->options, &callbacks, owner);
    (void)uv_run(&owner->loop, UV_RUN_DEFAULT);
    assert_true(owner->has_closed);
    assert_int_equal(uv_loop_close(&owner->loop), 0);
    peer_stop(peer);
}

/* ---- relays ---------------------------------------------------------------------------------- */

static bool note_request(struct peer_connection *connection)
{
    struct relay *relay = connection->argument;
    if (!peer_read_request(connection) || relay->count >= REQUESTS) {
        return false;
    }
    (void)sscanf(connection->request, "GET %127s ", relay->targets[relay->count++]);
    return true;
}

static int64_t asked_cursor(const struct peer_connection *connection)
{
    const char *cursor = strstr(connection->request, "cursor=");
    return cursor != NULL ? strtoll(cursor + strlen("cursor="), NULL, 10) : 100;
}

static bool send_sequences(struct peer_connection *connection, int64_t from, int64_t to)
{
    char text[32];
    for (int64_t sequence = from; sequence <= to; sequence++) {
        int size = snprintf(text, sizeof(text), "%lld", (long long)sequence);
        if (!peer_send_frame(connection, PEER_BINARY, text, (size_t)size)) {
            return false;
        }
    }
    return true;
}

/* Ten frames from the cursor on, itself included, then gone without a word. */
static void script_ten_frames(struct peer_connection *connection)
{
    if (!note_request(connection) || !peer_accept_upgrade(connection)) {
        return;
    }
    int64_t cursor = asked_cursor(connection);
    (void)send_sequences(connection, cursor, cursor + 10);
}

static void each_reconnect_asks_at_the_newest_cursor(void **state)
{
    (void)state;
    struct owner owner;
    struct relay relay = {0};
    owner_init(&owner, 100);
    owner.stop_after = 50;
    owner_run(&owner, peer_start(script_ten_frames, &relay), "/xrpc/x");
    assert_int_equal(owner.cursor, 150);
    assert_string_equal(relay.targets[0], "/xrpc/x?cursor=100");
    assert_string_equal(relay.targets[1], "/xrpc/x?cursor=110");
    assert_string_equal(relay.targets[4], "/xrpc/x?cursor=140");
    assert_int_equal(owner.counters.connects, 5);
    assert_int_equal(owner.counters.failures, 4);
    assert_true(owner.counters.bytes > 0);
}

static void live_asks_without_a_cursor_and_zero_asks_for_the_oldest(void **state)
{
    (void)state;
    struct owner owner;
    struct relay relay = {0};
    owner_init(&owner, -1);
    owner.stop_after = 1;
    owner_run(&owner, peer_start(script_ten_frames, &relay), "/xrpc/x?a=b");
    assert_string_equal(relay.targets[0], "/xrpc/x?a=b");
    relay = (struct relay){0};
    owner_init(&owner, 0);
    owner.stop_after = 1;
    owner_run(&owner, peer_start(script_ten_frames, &relay), "/xrpc/x?a=b");
    assert_string_equal(relay.targets[0], "/xrpc/x?a=b&cursor=0");
}

static void script_redirect_loop(struct peer_connection *connection)
{
    if (note_request(connection)) {
        (void)peer_send_string(connection, "HTTP/1.1 302 Found\r\nLocation: /again\r\n\r\n");
    }
    peer_drain(connection);
}

static void a_redirect_loop_ends_after_five(void **state)
{
    (void)state;
    struct owner owner;
    struct relay relay = {0};
    owner_init(&owner, 5);
    owner.stop_after_disconnects = 6;
    owner_run(&owner, peer_start(script_redirect_loop, &relay), "/xrpc/x");
    assert_int_equal(relay.count, 6);
    assert_int_equal(owner.counters.redirects, 5);
    assert_string_equal(relay.targets[5], "/again?cursor=5");
}

static void script_redirect_once(struct peer_connection *connection)
{
    char answer[128];
    struct relay *relay = connection->argument;
    if (!note_request(connection)) {
        return;
    }
    (void)snprintf(answer, sizeof(answer),
                   "HTTP/1.1 308\r\nLocation: http://127.0.0.1:%u/y?cursor=1&b=c\r\n\r\n",
                   relay->port);
    (void)peer_send_string(connection, answer);
    peer_drain(connection);
}

static void a_redirect_is_followed_with_our_own_cursor(void **state)
{
    (void)state;
    struct owner owner;
    struct relay first = {0};
    struct relay second = {0};
    struct peer *target = peer_start(script_ten_frames, &second);
    first.port = peer_port(target);
    owner_init(&owner, 100);
    owner.stop_after = 10;
    owner_run(&owner, peer_start(script_redirect_once, &first), "/xrpc/x");
    peer_stop(target);
    assert_string_equal(second.targets[0], "/y?b=c&cursor=100");
}

static void script_busy_once(struct peer_connection *connection)
{
    if (connection->number > 1) {
        script_ten_frames(connection);
        return;
    }
    if (note_request(connection)) {
        (void)peer_send_string(connection, "HTTP/1.1 429\r\nRetry-After: 1\r\n\r\n");
    }
    peer_drain(connection);
}

static void retry_after_is_honoured(void **state)
{
    (void)state;
    struct owner owner;
    struct relay relay = {0};
    owner_init(&owner, 100);
    owner.stop_after = 10;
    uint64_t before = uv_hrtime();
    owner_run(&owner, peer_start(script_busy_once, &relay), "/xrpc/x");
    assert_true(uv_hrtime() - before >= 1000000000);
    assert_int_equal(relay.count, 2);
}

/* Frames until the client has enough of them. */
static void script_endless(struct peer_connection *connection)
{
    if (!note_request(connection) || !peer_accept_upgrade(connection)) {
        return;
    }
    int64_t cursor = asked_cursor(connection);
    while (send_sequences(connection, cursor + 1, cursor + 100)) {
        cursor += 100;
    }
}

static void reconnect_at_twenty(struct owner *owner)
{
    if (owner->frames == 20) {
        subscription_reconnect(owner->subscription, "twenty frames");
    }
}

static void a_reconnect_takes_no_frame_more_and_goes_on_after_the_last(void **state)
{
    (void)state;
    struct owner owner;
    struct relay relay = {0};
    owner_init(&owner, 100);
    owner.on_frame = reconnect_at_twenty;
    owner.stop_after = 40;
    owner_run(&owner, peer_start(script_endless, &relay), "/xrpc/x");
    assert_int_equal(relay.count, 2);
    assert_string_equal(relay.targets[1], "/xrpc/x?cursor=120");
    assert_int_equal(owner.counters.frames, 40);
    assert_int_equal(owner.counters.failures, 0);
}

static void on_resume(uv_timer_t *timer)
{
    struct owner *owner = timer->data;
    owner->is_paused = false;
    subscription_resume(owner->subscription);
}

static void pause_for_long(struct owner *owner)
{
    if (owner->frames != 20) {
        return;
    }
    owner->is_paused = true;
    subscription_pause(owner->subscription);
    assert_int_equal(uv_timer_start(&owner->later, on_resume, 300, 0), 0);
}

static void a_long_pause_closes_and_resumes_at_the_cursor(void **state)
{
    (void)state;
    struct owner owner;
    struct relay relay = {0};
    owner_init(&owner, 100);
    owner.options.idle_timeout_ms = 50;
    owner.on_frame = pause_for_long;
    owner.stop_after = 40;
    owner_run(&owner, peer_start(script_endless, &relay), "/xrpc/x");
    assert_int_equal(relay.count, 2);
    assert_string_equal(relay.targets[1], "/xrpc/x?cursor=120");
    assert_int_equal(owner.counters.parks, 1);
    assert_int_equal(owner.counters.failures, 0);
}

static void pause_shortly(struct owner *owner)
{
    if (owner->frames % 20 != 0) {
        return;
    }
    owner->is_paused = true;
    subscription_pause(owner->subscription);
    assert_int_equal(uv_timer_start(&owner->later, on_resume, 1, 0), 0);
}

static void short_pauses_keep_the_connection_and_every_frame(void **state)
{
    (void)state;
    struct owner owner;
    struct relay relay = {0};
    owner_init(&owner, 100);
    owner.on_frame = pause_shortly;
    owner.stop_after = 2010;
    owner_run(&owner, peer_start(script_endless, &relay), "/xrpc/x");
    assert_int_equal(relay.count, 1);
    assert_int_equal(owner.counters.frames, 2010);
}

/* Answers pings and sends no more frames: a relay that forgot its subscriber. */
static void script_forgetful(struct peer_connection *connection)
{
    uint8_t opcode;
    char payload[128];
    size_t size = 0;
    if (!note_request(connection) || !peer_accept_upgrade(connection)) {
        return;
    }
    int64_t cursor = asked_cursor(connection);
    (void)send_sequences(connection, cursor + 1, cursor + 3);
    while (peer_read_frame(connection, &opcode, payload, &size)) {
        if (opcode == PEER_PING) {
            (void)peer_send_frame(connection, PEER_PONG, payload, size);
        }
    }
}

static void a_relay_that_only_answers_pings_is_asked_anew(void **state)
{
    (void)state;
    struct owner owner;
    struct relay relay = {0};
    owner_init(&owner, 100);
    owner.options.idle_timeout_ms = 200;
    owner.options.silence_timeout_ms = 450;
    owner.stop_after = 6;
    owner_run(&owner, peer_start(script_forgetful, &relay), "/xrpc/x");
    assert_int_equal(relay.count, 2);
    assert_string_equal(relay.targets[1], "/xrpc/x?cursor=103");
    assert_int_equal(owner.counters.failures, 0);
}

static void close_soon(uv_timer_t *timer)
{
    struct owner *owner = timer->data;
    finish(owner);
    subscription_close(owner->subscription);
}

static void script_gone(struct peer_connection *connection)
{
    (void)note_request(connection);
}

static void closing_while_waiting_to_reconnect_is_at_once(void **state)
{
    (void)state;
    struct owner owner;
    struct relay relay = {0};
    owner_init(&owner, 1);
    owner.options.backoff_base_ms = 1000000;
    owner.options.backoff_limit_ms = 1000000;
    assert_int_equal(uv_timer_start(&owner.later, close_soon, 200, 0), 0);
    owner_run(&owner, peer_start(script_gone, &relay), "/xrpc/x");
    assert_int_equal(owner.disconnects, 1);
    assert_int_equal(owner.counters.connects, 0);
}

static void closing_inside_on_disconnected_is_safe(void **state)
{
    (void)state;
    struct owner owner;
    struct relay relay = {0};
    owner_init(&owner, 1);
    owner.stop_after_disconnects = 1;
    owner_run(&owner, peer_start(script_gone, &relay), "/xrpc/x");
    assert_non_null(strstr(owner.error, "closed the connection"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_reconnect_asks_at_the_newest_cursor),
        cmocka_unit_test(live_asks_without_a_cursor_and_zero_asks_for_the_oldest),
        cmocka_unit_test(a_redirect_loop_ends_after_five),
        cmocka_unit_test(a_redirect_is_followed_with_our_own_cursor),
        cmocka_unit_test(retry_after_is_honoured),
        cmocka_unit_test(a_reconnect_takes_no_frame_more_and_goes_on_after_the_last),
        cmocka_unit_test(a_long_pause_closes_and_resumes_at_the_cursor),
        cmocka_unit_test(short_pauses_keep_the_connection_and_every_frame),
        cmocka_unit_test(a_relay_that_only_answers_pings_is_asked_anew),
        cmocka_unit_test(closing_while_waiting_to_reconnect_is_at_once),
        cmocka_unit_test(closing_inside_on_disconnected_is_safe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
