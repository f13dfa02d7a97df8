#include <stdio.h>
#include <string.h>
#include <time.h>

#include "unit/test.h"

#include "fake/peer/client.h"
#include "fake/peer/peer.h"

/* Peers that fail before the first frame. */

static void run_against(struct client *client, peer_script script, const void *argument)
{
    struct peer *peer = peer_start(script, (void *)(uintptr_t)argument);
    client_init(client, peer_port(peer));
    client_run(client);
    client_deinit(client);
    peer_stop(peer);
}

static void assert_failed(const struct client *client, enum error_kind kind, const char *words)
{
    assert_false(client->was_open);
    assert_true(client->has_error);
    if (strstr(client->error.text, words) == NULL) {
        print_error("'%s' has no '%s'\n", client->error.text, words);
    }
    assert_non_null(strstr(client->error.text, words));
    assert_int_equal(client->error.kind, kind);
}

static void a_port_where_nobody_listens_is_unreachable(void **state)
{
    (void)state;
    struct client client;
    client_init(&client, peer_free_port());
    client_run(&client);
    client_deinit(&client);
    assert_failed(&client, ERROR_UNREACHABLE, "connection refused");
}

static void a_name_that_does_not_resolve_is_unreachable(void **state)
{
    (void)state;
    struct client client;
    client_init(&client, 1);
    /* Longer than a label may be, so no resolver is asked anything. */
    memset(client.url, 'a', sizeof(client.url) - 1);
    memcpy(client.url, "ws://", strlen("ws://"));
    client_run(&client);
    client_deinit(&client);
    assert_failed(&client, ERROR_UNREACHABLE, "resolve");
}

static void a_bad_url_is_told_in_on_closed(void **state)
{
    (void)state;
    struct client client;
    client_init(&client, 1);
    (void)snprintf(client.url, sizeof(client.url), "gopher://relay");
    client_run(&client);
    client_deinit(&client);
    assert_failed(&client, ERROR_USAGE, "expected ws:// or wss://");
}

static void script_reset_at_once(struct peer_connection *connection)
{
    (void)peer_read_request(connection);
    peer_reset(connection);
}

static void a_reset_before_the_answer_is_told(void **state)
{
    (void)state;
    struct client client;
    run_against(&client, script_reset_at_once, NULL);
    assert_failed(&client, ERROR_CLOSED, "connection reset");
}

static void script_answer(struct peer_connection *connection)
{
    (void)peer_read_request(connection);
    (void)peer_send_string(connection, connection->argument);
    peer_drain(connection);
}

static void script_half_an_answer(struct peer_connection *connection)
{
    (void)peer_read_request(connection);
    (void)peer_send_string(connection, "HTTP/1.1 101 Switching Pro");
    peer_drain(connection);
}

static void half_an_answer_and_silence_ends_at_the_connect_timeout(void **state)
{
    (void)state;
    struct client client;
    struct peer *peer = peer_start(script_half_an_answer, NULL);
    client_init(&client, peer_port(peer));
    client.options.connect_timeout_ms = 100;
    client_run(&client);
    client_deinit(&client);
    peer_stop(peer);
    assert_failed(&client, ERROR_TIMEOUT, "no complete answer within 100 ms");
}

static void script_bytewise(struct peer_connection *connection)
{
    char accept[29];
    char answer[512];
    (void)peer_read_request(connection);
    peer_compute_accept(connection, accept);
    int size = snprintf(answer, sizeof(answer),
                        "HTTP/1.1 101 OK\r\nuPGRADE:  WebSocket \r\nConnection: x\r\n"
                        "Connection: keep-alive, upgrade\r\nSEC-WEBSOCKET-ACCEPT: %s\r\n"
                        "Content-Length: 4\r\n\r\n\x82\x03one\x82\x03two",
                        accept);
    (void)peer_send_bytewise(connection, answer, (size_t)size);
    (void)peer_send_frame(connection, PEER_CLOSE, "\x03\xe8", 2);
    peer_drain(connection);
}

static void an_answer_one_byte_at_a_time_with_a_content_length_loses_no_frame(void **state)
{
    (void)state;
    struct client client;
    run_against(&client, script_bytewise, NULL);
    assert_true(client.was_open);
    assert_int_equal(client.messages, 2);
    assert_int_equal(client.closing.close_code, 1000);
}

static void script_glued(struct peer_connection *connection)
{
    char accept[29];
    char answer[512];
    (void)peer_read_request(connection);
    peer_compute_accept(connection, accept);
    int size = snprintf(answer, sizeof(answer),
                        "HTTP/1.1 100 Continue\r\nLocation: nowhere\r\n\r\n"
                        "HTTP/1.1 101 OK\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
                        "Sec-WebSocket-Accept: %s\r\n\r\n\x82\x03one\x82\x03two\x88\x02\x03\xe9",
                        accept);
    (void)peer_send(connection, answer, (size_t)size);
    peer_drain(connection);
}

static void a_100_the_101_and_frames_in_one_packet_are_all_read(void **state)
{
    (void)state;
    struct client client;
    run_against(&client, script_glued, NULL);
    assert_int_equal(client.messages, 2);
    assert_int_equal(client.closing.close_code, 1001);
}

static void a_wrong_accept_key_is_refused(void **state)
{
    (void)state;
    struct client client;
    run_against(&client, script_answer,
                "HTTP/1.1 101 OK\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
                "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n");
    assert_failed(&client, ERROR_PROTOCOL, "wrong Sec-WebSocket-Accept");
}

static void script_unasked_header(struct peer_connection *connection)
{
    char accept[29];
    char answer[512];
    (void)peer_read_request(connection);
    peer_compute_accept(connection, accept);
    (void)snprintf(answer, sizeof(answer),
                   "HTTP/1.1 101 OK\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
                   "Sec-WebSocket-Accept: %s\r\n%s\r\n\r\n",
                   accept, (const char *)connection->argument);
    (void)peer_send_string(connection, answer);
    peer_drain(connection);
}

static void an_extension_that_we_did_not_offer_is_refused(void **state)
{
    (void)state;
    struct client client;
    run_against(&client, script_unasked_header, "Sec-WebSocket-Extensions: permessage-deflate");
    assert_failed(&client, ERROR_PROTOCOL, "extension");
}

static void a_subprotocol_that_we_did_not_offer_is_refused(void **state)
{
    (void)state;
    struct client client;
    run_against(&client, script_unasked_header, "Sec-WebSocket-Protocol: xrpc.v1.cbor");
    assert_failed(&client, ERROR_PROTOCOL, "subprotocol");
}

static void a_101_without_upgrade_is_refused(void **state)
{
    (void)state;
    struct client client;
    run_against(&client, script_answer, "HTTP/1.1 101 OK\r\nConnection: upgrade\r\n\r\n");
    assert_failed(&client, ERROR_PROTOCOL, "without 'Upgrade: websocket'");
}

static void an_answer_that_is_no_http_is_refused(void **state)
{
    (void)state;
    struct client client;
    run_against(&client, script_answer, "SSH-2.0-OpenSSH_9.2\r\n");
    assert_failed(&client, ERROR_PROTOCOL, "no HTTP answer");
}

static void script_endless_headers(struct peer_connection *connection)
{
    (void)peer_read_request(connection);
    bool is_read = peer_send_string(connection, "HTTP/1.1 101 OK\r\n");
    while (is_read) {
        is_read = peer_send_string(connection, "X-Again: and again and again\r\n");
    }
}

static void endless_headers_are_cut_at_16_kib(void **state)
{
    (void)state;
    struct client client;
    run_against(&client, script_endless_headers, NULL);
    assert_failed(&client, ERROR_PROTOCOL, "more than 16 KiB");
    assert_true(client.bytes < 131072);
}

static void script_endless_header(struct peer_connection *connection)
{
    (void)peer_read_request(connection);
    bool is_read = peer_send_string(connection, "HTTP/1.1 101 OK\r\nLocation: ");
    while (is_read) {
        is_read = peer_send_string(connection, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    }
}

static void one_endless_header_is_cut_at_16_kib(void **state)
{
    (void)state;
    struct client client;
    run_against(&client, script_endless_header, NULL);
    assert_failed(&client, ERROR_PROTOCOL, "more than 16 KiB");
}

static void a_redirect_is_reported_with_a_whole_url(void **state)
{
    (void)state;
    struct client client;
    run_against(&client, script_answer,
                "HTTP/1.1 302\r\nLocation: https://other.example/xrpc/y?a=b#c\r\n\r\n");
    assert_failed(&client, ERROR_UNREACHABLE, "answered 302");
    assert_int_equal(client.closing.http_status, 302);
    assert_string_equal(client.location, "wss://other.example/xrpc/y?a=b");
}

static void a_429_reports_its_seconds(void **state)
{
    (void)state;
    struct client client;
    run_against(&client, script_answer, "HTTP/1.1 429\r\nRetry-After: 17\r\n\r\n");
    assert_failed(&client, ERROR_UNREACHABLE, "expected status 101, got 429");
    assert_int_equal(client.closing.retry_after_ms, 17000);
}

static void a_503_reports_its_date_in_milliseconds_from_now(void **state)
{
    (void)state;
    char answer[128];
    time_t then = time(NULL) + 100;
    struct tm parts;
    assert_non_null(gmtime_r(&then, &parts));
    assert_int_not_equal(strftime(answer, sizeof(answer),
                                  "HTTP/1.1 503 Busy\r\n"
                                  "Retry-After: %a, %d %b %Y %H:%M:%S GMT\r\n\r\n",
                                  &parts),
                         0);
    struct client client;
    run_against(&client, script_answer, answer);
    assert_in_range(client.closing.retry_after_ms, 90000, 100000);
}

static void a_senseless_retry_after_is_none(void **state)
{
    (void)state;
    struct client client;
    run_against(&client, script_answer, "HTTP/1.1 503\r\nRetry-After: 12 parsecs\r\n\r\n");
    assert_int_equal(client.closing.retry_after_ms, 0);
}

static void a_502_tells_the_start_of_its_body_without_its_control_bytes(void **state)
{
    (void)state;
    struct client client;
    run_against(&client, script_answer,
                "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 20\r\n\r\nupstream\x1b[31m is gone");
    assert_failed(&client, ERROR_UNREACHABLE, "got 502: ");
    assert_non_null(strstr(client.error.text, "upstream"));
    assert_null(strchr(client.error.text, '\x1b'));
}

static void a_404_is_a_refusal(void **state)
{
    (void)state;
    struct client client;
    run_against(&client, script_answer, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    assert_failed(&client, ERROR_REFUSED, "got 404");
}

static void script_note_request(struct peer_connection *connection)
{
    (void)peer_read_request(connection);
    memcpy(connection->argument, connection->request, PEER_REQUEST_SIZE);
}

static void the_request_names_host_and_agent_and_offers_nothing(void **state)
{
    (void)state;
    static char request[PEER_REQUEST_SIZE];
    struct client client;
    run_against(&client, script_note_request, request);
    assert_ptr_equal(strstr(request, "GET /xrpc/x HTTP/1.1\r\nHost: 127.0.0.1:"), request);
    assert_non_null(strstr(request, "User-Agent: standpipe-test\r\n"));
    assert_non_null(strstr(request, "Sec-WebSocket-Version: 13\r\n"));
    assert_null(strstr(request, "Sec-WebSocket-Protocol"));
    assert_null(strstr(request, "Sec-WebSocket-Extensions"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_port_where_nobody_listens_is_unreachable),
        cmocka_unit_test(a_name_that_does_not_resolve_is_unreachable),
        cmocka_unit_test(a_bad_url_is_told_in_on_closed),
        cmocka_unit_test(a_reset_before_the_answer_is_told),
        cmocka_unit_test(half_an_answer_and_silence_ends_at_the_connect_timeout),
        cmocka_unit_test(an_answer_one_byte_at_a_time_with_a_content_length_loses_no_frame),
        cmocka_unit_test(a_100_the_101_and_frames_in_one_packet_are_all_read),
        cmocka_unit_test(a_wrong_accept_key_is_refused),
        cmocka_unit_test(an_extension_that_we_did_not_offer_is_refused),
        cmocka_unit_test(a_subprotocol_that_we_did_not_offer_is_refused),
        cmocka_unit_test(a_101_without_upgrade_is_refused),
        cmocka_unit_test(an_answer_that_is_no_http_is_refused),
        cmocka_unit_test(endless_headers_are_cut_at_16_kib),
        cmocka_unit_test(one_endless_header_is_cut_at_16_kib),
        cmocka_unit_test(a_redirect_is_reported_with_a_whole_url),
        cmocka_unit_test(a_429_reports_its_seconds),
        cmocka_unit_test(a_503_reports_its_date_in_milliseconds_from_now),
        cmocka_unit_test(a_senseless_retry_after_is_none),
        cmocka_unit_test(a_502_tells_the_start_of_its_body_without_its_control_bytes),
        cmocka_unit_test(a_404_is_a_refusal),
        cmocka_unit_test(the_request_names_host_and_agent_and_offers_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
