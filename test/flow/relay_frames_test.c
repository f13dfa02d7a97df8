#include <string.h>

#include "unit/test.h"

#include "fake/peer/client.h"
#include "fake/peer/peer.h"

/* Peers whose frames are wrong, too long, too many, or stop coming. */

enum {
    PING_COUNT = 100000,
    SMALL_MESSAGE_MAX = 1000
};

static void run_against(struct client *client, struct peer *peer)
{
    client_run(client);
    client_deinit(client);
    peer_stop(peer);
}

static struct peer *prepare(struct client *client, peer_script script, void *argument)
{
    struct peer *peer = peer_start(script, argument);
    client_init(client, peer_port(peer));
    return peer;
}

static void assert_failed(const struct client *client, enum error_kind kind, const char *words)
{
    assert_true(client->was_open);
    assert_true(client->has_error);
    if (strstr(client->error.text, words) == NULL) {
        print_error("'%s' has no '%s'\n", client->error.text, words);
    }
    assert_non_null(strstr(client->error.text, words));
    assert_int_equal(client->error.kind, kind);
}

/* Says goodbye as a good server does, and waits for the answer. */
static void say_goodbye(struct peer_connection *connection)
{
    (void)peer_send_frame(connection, PEER_CLOSE, "\x03\xe8", 2);
    peer_drain(connection);
}

static void script_masked(struct peer_connection *connection)
{
    (void)peer_upgrade(connection);
    (void)peer_send(connection, "\x82\x81\x01\x02\x03\x04\x05", 7);
    peer_drain(connection);
}

static void a_masked_frame_is_refused(void **state)
{
    (void)state;
    struct client client;
    run_against(&client, prepare(&client, script_masked, NULL));
    assert_failed(&client, ERROR_PROTOCOL, "masked");
    assert_int_equal(client.messages, 0);
}

static void script_reserved_bit(struct peer_connection *connection)
{
    (void)peer_upgrade(connection);
    (void)peer_send_frame(connection, PEER_BINARY | 0x40, "x", 1);
    peer_drain(connection);
}

static void a_reserved_bit_is_refused(void **state)
{
    (void)state;
    struct client client;
    run_against(&client, prepare(&client, script_reserved_bit, NULL));
    assert_failed(&client, ERROR_PROTOCOL, "reserved bit");
}

static void script_continuation_first(struct peer_connection *connection)
{
    (void)peer_upgrade(connection);
    (void)peer_send_frame(connection, PEER_FINAL, "x", 1);
    peer_drain(connection);
}

static void a_continuation_of_nothing_is_refused(void **state)
{
    (void)state;
    struct client client;
    run_against(&client, prepare(&client, script_continuation_first, NULL));
    assert_failed(&client, ERROR_PROTOCOL, "RFC 6455");
}

static void script_bad_text(struct peer_connection *connection)
{
    (void)peer_upgrade(connection);
    (void)peer_send_frame(connection, PEER_TEXT, "fine", 4);
    (void)peer_send_frame(connection, PEER_TEXT, "\xff\xfe", 2);
    peer_drain(connection);
}

static void text_is_told_apart_and_must_be_utf_8(void **state)
{
    (void)state;
    struct client client;
    run_against(&client, prepare(&client, script_bad_text, NULL));
    assert_failed(&client, ERROR_PROTOCOL, "not UTF-8");
    assert_int_equal(client.messages, 1);
    assert_int_equal(client.text_messages, 1);
}

static void script_fragments(struct peer_connection *connection)
{
    uint8_t opcode;
    char payload[128];
    size_t size = 0;
    (void)peer_upgrade(connection);
    (void)peer_send_frame(connection, 0x02, "one ", 4);
    (void)peer_send_frame(connection, PEER_PING, "ping", 4);
    (void)peer_send_frame(connection, 0x00, "", 0);
    (void)peer_send_frame(connection, 0x00, "two ", 4);
    if (peer_read_frame(connection, &opcode, payload, &size) && opcode == PEER_PONG && size == 4 &&
        memcmp(payload, "ping", 4) == 0) {
        (void)peer_send_frame(connection, PEER_FINAL, "three", 5);
    }
    say_goodbye(connection);
}

static void fragments_with_a_ping_between_make_one_message_and_one_pong(void **state)
{
    (void)state;
    struct client client;
    run_against(&client, prepare(&client, script_fragments, NULL));
    assert_int_equal(client.messages, 1);
    assert_string_equal(client.last, "one two three");
}

static void script_too_long(struct peer_connection *connection)
{
    static const char zeros[SMALL_MESSAGE_MAX + 1];
    (void)peer_upgrade(connection);
    (void)peer_send_frame(connection, PEER_BINARY, zeros, SMALL_MESSAGE_MAX);
    (void)peer_send_frame(connection, PEER_BINARY, zeros, SMALL_MESSAGE_MAX + 1);
    uint8_t opcode;
    char payload[128];
    size_t size = 0;
    bool *is_told = connection->argument;
    *is_told = peer_read_frame(connection, &opcode, payload, &size) && opcode == PEER_CLOSE &&
               size == 2 && memcmp(payload, "\x03\xf1", 2) == 0;
    peer_drain(connection);
}

static void a_message_over_the_limit_is_refused_with_1009_and_one_at_it_is_not(void **state)
{
    (void)state;
    struct client client;
    bool is_told = false;
    struct peer *peer = prepare(&client, script_too_long, &is_told);
    client.options.max_message_bytes = SMALL_MESSAGE_MAX;
    run_against(&client, peer);
    assert_failed(&client, ERROR_PROTOCOL, "longer than the limit of 1000 bytes");
    assert_int_equal(client.messages, 1);
    assert_true(is_told);
}

static void script_too_many_fragments(struct peer_connection *connection)
{
    (void)peer_upgrade(connection);
    bool is_read = peer_send_frame(connection, 0x02, "x", 1);
    while (is_read) {
        is_read = peer_send_frame(connection, 0x00, "x", 1);
    }
}

static void fragments_that_add_up_to_more_than_the_limit_are_refused(void **state)
{
    (void)state;
    struct client client;
    struct peer *peer = prepare(&client, script_too_many_fragments, NULL);
    client.options.max_message_bytes = SMALL_MESSAGE_MAX;
    run_against(&client, peer);
    assert_failed(&client, ERROR_PROTOCOL, "longer than the limit");
    assert_int_equal(client.messages, 0);
}

static void script_claims_much(struct peer_connection *connection)
{
    (void)peer_upgrade(connection);
    (void)peer_send(connection, "\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff.", 11);
    peer_drain(connection);
}

static void a_claimed_length_of_2_to_the_63_takes_no_memory(void **state)
{
    (void)state;
    struct client client;
    run_against(&client, prepare(&client, script_claims_much, NULL));
    assert_failed(&client, ERROR_PROTOCOL, "longer than the limit");
}

static void script_many_pings(struct peer_connection *connection)
{
    uint8_t opcode;
    char payload[128];
    size_t size = 0;
    unsigned *pongs = connection->argument;
    (void)peer_upgrade(connection);
    for (int sent = 0; sent < PING_COUNT; sent += 1000) {
        for (int i = 0; i < 1000; i++) {
            (void)peer_send_frame(connection, PEER_PING, "", 0);
        }
        for (int i = 0; i < 1000; i++) {
            *pongs += peer_read_frame(connection, &opcode, payload, &size) && opcode == PEER_PONG;
        }
    }
    say_goodbye(connection);
}

static void a_hundred_thousand_pings_get_as_many_pongs_while_the_peer_reads_them(void **state)
{
    (void)state;
    struct client client;
    unsigned pongs = 0;
    run_against(&client, prepare(&client, script_many_pings, &pongs));
    assert_int_equal(pongs, PING_COUNT);
    assert_int_equal(client.closing.close_code, 1000);
}

static void script_deaf_pings(struct peer_connection *connection)
{
    char pings[2000];
    for (size_t i = 0; i < sizeof(pings); i += 2) {
        memcpy(pings + i, "\x89", 2);
    }
    (void)peer_upgrade(connection);
    bool is_read = true;
    while (is_read) {
        is_read = peer_send(connection, pings, sizeof(pings));
    }
}

static void endless_pings_of_a_peer_that_reads_no_pong_end_the_connection(void **state)
{
    (void)state;
    struct client client;
    run_against(&client, prepare(&client, script_deaf_pings, NULL));
    assert_failed(&client, ERROR_PROTOCOL, "pings wait");
}

static void script_close(struct peer_connection *connection)
{
    (void)peer_upgrade(connection);
    (void)peer_send_frame(connection, PEER_BINARY, "last", 4);
    (void)peer_send_frame(connection, PEER_CLOSE, "\x03\xf0slow\nreader", 13);
    uint8_t opcode;
    char payload[128];
    size_t size = 0;
    bool *is_answered = connection->argument;
    *is_answered =
        peer_read_frame(connection, &opcode, payload, &size) && opcode == PEER_CLOSE && size >= 2;
    peer_drain(connection);
}

static void a_close_frame_is_answered_and_told_with_code_and_reason(void **state)
{
    (void)state;
    struct client client;
    bool is_answered = false;
    run_against(&client, prepare(&client, script_close, &is_answered));
    assert_failed(&client, ERROR_CLOSED, "with code 1008: slow.reader");
    assert_int_equal(client.closing.close_code, 1008);
    assert_int_equal(client.messages, 1);
    assert_true(is_answered);
}

static void script_end_without_close(struct peer_connection *connection)
{
    (void)peer_upgrade(connection);
    (void)peer_send_frame(connection, PEER_BINARY, "one", 3);
    (void)peer_send(connection, "\x82\x05tw", 4);
}

static void an_end_without_a_close_frame_is_an_error_after_the_whole_messages(void **state)
{
    (void)state;
    struct client client;
    run_against(&client, prepare(&client, script_end_without_close, NULL));
    assert_failed(&client, ERROR_CLOSED, "closed the connection");
    assert_int_equal(client.messages, 1);
    assert_int_equal(client.closing.close_code, 0);
}

static void script_silent(struct peer_connection *connection)
{
    uint8_t opcode;
    char payload[128];
    size_t size = 0;
    unsigned *pings = connection->argument;
    (void)peer_upgrade(connection);
    (void)peer_send_frame(connection, PEER_BINARY, "one", 3);
    while (peer_read_frame(connection, &opcode, payload, &size)) {
        *pings += opcode == PEER_PING;
    }
}

static void silence_is_asked_once_and_then_ends_the_connection(void **state)
{
    (void)state;
    struct client client;
    unsigned pings = 0;
    struct peer *peer = prepare(&client, script_silent, &pings);
    client.options.idle_timeout_ms = 60;
    run_against(&client, peer);
    assert_failed(&client, ERROR_TIMEOUT, "a ping included");
    assert_int_equal(client.messages, 1);
    assert_int_equal(pings, 1);
}

static void script_quiet(struct peer_connection *connection)
{
    uint8_t opcode;
    char payload[128];
    size_t size = 0;
    (void)peer_upgrade(connection);
    for (int i = 0; i < 3; i++) {
        if (peer_read_frame(connection, &opcode, payload, &size) && opcode == PEER_PING) {
            (void)peer_send_frame(connection, PEER_PONG, payload, size);
        }
    }
    say_goodbye(connection);
}

static void a_quiet_peer_that_answers_pings_stays_connected(void **state)
{
    (void)state;
    struct client client;
    struct peer *peer = prepare(&client, script_quiet, NULL);
    /* Half of it is what a busy machine has to answer: generous enough for the sanitizers. */
    client.options.idle_timeout_ms = 200;
    run_against(&client, peer);
    assert_int_equal(client.closing.close_code, 1000);
}

static void close_now(struct client *client, struct slice message)
{
    (void)message;
    websocket_close(client->websocket);
    websocket_close(client->websocket);
}

static void script_burst(struct peer_connection *connection)
{
    (void)peer_upgrade(connection);
    bool is_read = true;
    while (is_read) {
        is_read = peer_send_frame(connection, PEER_BINARY, "burst", 5);
    }
}

static void no_message_comes_after_a_close_inside_on_message(void **state)
{
    (void)state;
    struct client client;
    struct peer *peer = prepare(&client, script_burst, NULL);
    client.on_message = close_now;
    run_against(&client, peer);
    assert_int_equal(client.messages, 1);
    assert_false(client.has_error);
}

static void close_at_open(struct client *client)
{
    websocket_close(client->websocket);
}

static void script_answers_close(struct peer_connection *connection)
{
    uint8_t opcode;
    char payload[128];
    size_t size = 0;
    bool *is_normal = connection->argument;
    (void)peer_upgrade(connection);
    *is_normal = peer_read_frame(connection, &opcode, payload, &size) && opcode == PEER_CLOSE &&
                 size == 2 && memcmp(payload, "\x03\xe8", 2) == 0;
    say_goodbye(connection);
}

static void closing_says_1000_and_is_no_error(void **state)
{
    (void)state;
    struct client client;
    bool is_normal = false;
    struct peer *peer = prepare(&client, script_answers_close, &is_normal);
    client.on_open = close_at_open;
    run_against(&client, peer);
    assert_true(is_normal);
    assert_false(client.has_error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_masked_frame_is_refused),
        cmocka_unit_test(a_reserved_bit_is_refused),
        cmocka_unit_test(a_continuation_of_nothing_is_refused),
        cmocka_unit_test(text_is_told_apart_and_must_be_utf_8),
        cmocka_unit_test(fragments_with_a_ping_between_make_one_message_and_one_pong),
        cmocka_unit_test(a_message_over_the_limit_is_refused_with_1009_and_one_at_it_is_not),
        cmocka_unit_test(fragments_that_add_up_to_more_than_the_limit_are_refused),
        cmocka_unit_test(a_claimed_length_of_2_to_the_63_takes_no_memory),
        cmocka_unit_test(a_hundred_thousand_pings_get_as_many_pongs_while_the_peer_reads_them),
        cmocka_unit_test(endless_pings_of_a_peer_that_reads_no_pong_end_the_connection),
        cmocka_unit_test(a_close_frame_is_answered_and_told_with_code_and_reason),
        cmocka_unit_test(an_end_without_a_close_frame_is_an_error_after_the_whole_messages),
        cmocka_unit_test(silence_is_asked_once_and_then_ends_the_connection),
        cmocka_unit_test(a_quiet_peer_that_answers_pings_stays_connected),
        cmocka_unit_test(no_message_comes_after_a_close_inside_on_message),
        cmocka_unit_test(closing_says_1000_and_is_no_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
