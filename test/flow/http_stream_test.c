/* Server-sent events over real sockets: what a stream is made of, who gets one, and how it ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "flow/http_harness.h"
#include "http/event_feed.h"

#define STREAM          "/api/events/stream"
#define EVENT           "\nevent: metrics\ndata: {\"eventsProcessed\":"
#define FAST            (&(struct http_options){.event_interval_ms = 5})
#define FAST_AND_STRICT (&(struct http_options){.event_interval_ms = 5, .write_timeout_ms = 2000})

static void listen_to(struct client *client, struct site *site, const char *request)
{
    client_open(client, site);
    client_send_text(client, request);
}

static void a_stream_begins_with_the_history_and_goes_on_with_the_figures(void **state)
{
    (void)state;
    struct site site;
    struct client client;
    site_open(&site, FAST);
    listen_to(&client, &site, GET(STREAM));
    client_wait_for(&client, EVENT, 3);
    assert_true(client_has(&client, "HTTP/1.1 200 OK\r\n"));
    assert_true(client_has(&client, "\r\nContent-Type: text/event-stream; charset=utf-8\r\n"));
    assert_true(client_has(&client, "\r\nConnection: close\r\n"));
    assert_false(client_has(&client, "Content-Length"));
    assert_true(
        client_has(&client, "\r\n\r\nretry: 2000\n\nevent: history\ndata: {\"isWhole\":true,"));
    assert_int_equal(client_count(&client, "\nid: "), client_count(&client, EVENT));
    client_close(&client);
    site_close(&site);
}

/* The id of the last whole event that came, as a request that names it. */
static void ask_again(const struct client *before, char *request, size_t size)
{
    const char *next = before->got.data;
    const char *limit = next + before->got.size;
    struct slice id = {0};
    while ((next = memmem(next, (size_t)(limit - next), "\nid: ", 5)) != NULL) {
        next += 5;
        const char *end = memchr(next, '\n', (size_t)(limit - next));
        if (end != NULL) {
            id = slice_of(next, (size_t)(end - next));
        }
    }
    assert_true(id.size > 0);
    (void)snprintf(request, size,
                   "GET " STREAM " HTTP/1.1\r\nHost: x\r\nLast-Event-ID: %.*s\r\n\r\n",
                   SLICE_ARGS(id));
}

static void who_comes_back_gets_only_what_was_missed(void **state)
{
    (void)state;
    char request[256];
    struct site site;
    struct client client;
    struct client again;
    site_open(&site, FAST);
    listen_to(&client, &site, GET(STREAM));
    client_wait_for(&client, EVENT, 3);
    ask_again(&client, request, sizeof(request));
    listen_to(&again, &site, request);
    client_wait_for(&again, EVENT, 1);
    assert_true(client_has(&again, "event: history\ndata: {\"isWhole\":false,"));
    client_close(&again);
    listen_to(&again, &site, "GET " STREAM " HTTP/1.1\r\nHost: x\r\nLast-Event-ID: 12-34\r\n\r\n");
    client_wait_for(&again, EVENT, 1);
    assert_true(client_has(&again, "{\"isWhole\":true,\"points\":[["));
    client_close(&again);
    client_close(&client);
    site_close(&site);
}

static void a_stream_of_rare_events_is_kept_alive_by_comments(void **state)
{
    (void)state;
    struct site site;
    struct client client;
    site_open(&site, FAST);
    listen_to(&client, &site, GET(STREAM "?interval=60"));
    client_wait_for(&client, ": alive\n\n", 3);
    assert_int_equal(client_count(&client, EVENT), 1);
    client_wait_for(&client, EVENT, 2);
    client_close(&client);
    site_close(&site);
}

static void expect(struct site *site, const char *request, const char *status)
{
    struct buffer got = site_ask(site, request);
    assert_non_null(strstr(got.data, status));
    buffer_deinit(&got);
}

static void an_interval_that_is_none_is_refused(void **state)
{
    (void)state;
    struct site site;
    site_open(&site, FAST);
    expect(&site, LAST(STREAM "?interval=0"), "HTTP/1.1 400 ");
    expect(&site, LAST(STREAM "?interval=61"), "HTTP/1.1 400 ");
    expect(&site, LAST(STREAM "?interval=x"), "HTTP/1.1 400 ");
    site_close(&site);
}

static void head_says_what_would_come_and_ends(void **state)
{
    (void)state;
    struct site site;
    site_open(&site, FAST);
    struct buffer got = site_ask(&site, "HEAD " STREAM " HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_non_null(strstr(got.data, "\r\nContent-Type: text/event-stream; charset=utf-8\r\n"));
    assert_string_equal(strstr(got.data, "\r\n\r\n"), "\r\n\r\n");
    buffer_deinit(&got);
    site_close(&site);
}

static void only_so_many_may_listen_and_a_place_is_free_again_when_one_leaves(void **state)
{
    (void)state;
    struct site site;
    struct client clients[EVENT_STREAMS_MAX];
    site_open(&site, FAST);
    for (unsigned i = 0; i < EVENT_STREAMS_MAX; i++) {
        listen_to(&clients[i], &site, GET(STREAM));
        client_wait_for(&clients[i], EVENT, 1);
    }
    expect(&site, LAST(STREAM), "HTTP/1.1 503 ");
    client_close(&clients[0]);
    struct client late;
    uint64_t deadline = clock_monotonic_ms() + SITE_PATIENCE_MS;
    do { /* until the server has seen it go */
        assert_true(clock_monotonic_ms() < deadline);
        listen_to(&late, &site, GET(STREAM));
        client_wait_for(&late, "\r\n\r\n", 1);
        if (client_has(&late, " 200 OK")) {
            break;
        }
        client_close(&late);
    } while (true);
    client_close(&late);
    for (unsigned i = 1; i < EVENT_STREAMS_MAX; i++) {
        client_close(&clients[i]);
    }
    site_close(&site);
}

static void a_client_that_does_not_read_is_dropped_and_the_others_go_on(void **state)
{
    (void)state;
    enum {
        ROUNDS = 20
    };
    struct site site;
    struct client slow;
    struct client quick;
    site_open(&site, FAST_AND_STRICT);
    site.workers = SNAPSHOT_WORKERS_MAX; /* events of more than 100 KiB */
    listen_to(&slow, &site, GET(STREAM));
    listen_to(&quick, &site, GET(STREAM));
    client_wait_for(&quick, EVENT, 1);
    struct buffer page = {0};
    uint64_t deadline = clock_monotonic_ms() + SITE_PATIENCE_MS;
    do {
        assert_true(clock_monotonic_ms() < deadline);
        for (unsigned i = 0; i < ROUNDS; i++) { /* mostly reading, or it would be dropped as well */
            buffer_clear(&quick.got);
            client_wait_for(&quick, EVENT, 1);
        }
        buffer_deinit(&page);
        page = site_ask(&site, LAST("/metrics"));
    } while (strstr(page.data, "\nstandpipe_http_event_streams 1\n") == NULL);
    assert_null(strstr(page.data, "\nstandpipe_http_skipped_events_total 0\n"));
    buffer_deinit(&page);
    buffer_clear(&quick.got);
    client_wait_for(&quick, EVENT, 2);
    client_close(&quick);
    client_close(&slow);
    site_close(&site);
}

static void a_server_that_closes_says_so_to_who_listens(void **state)
{
    (void)state;
    struct site site;
    struct client client;
    site_open(&site, FAST);
    listen_to(&client, &site, GET(STREAM));
    client_wait_for(&client, EVENT, 2);
    http_close(site.http);
    client_wait_for(&client, "event: end\ndata: {\"reason\":\"the process is stopping\"}\n\n", 1);
    client_wait_end(&client);
    client_close(&client);
    while (!site.is_closed) {
        site_pump(&site);
    }
    assert_int_equal(uv_loop_close(&site.loop), 0);
}

/* `address` at the port that the site has. */
static bool move_to(struct site *site, const char *address)
{
    char listen[64];
    struct error error;
    (void)snprintf(listen, sizeof(listen), "%s:%u", address, http_port(site->http));
    return http_move(site->http, listen, NULL, &error);
}

/* 192.0.2.1 (RFC 5737) is no address of this machine. At 127.0.0.2 somebody else has the port. */
static void a_move_that_is_refused_ends_no_stream(void **state)
{
    (void)state;
    struct site site;
    struct client client;
    site_open(&site, FAST);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(http_port(site.http)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1)};
    int other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(other, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(other, 1), 0);
    listen_to(&client, &site, GET(STREAM));
    client_wait_for(&client, EVENT, 2);
    assert_false(move_to(&site, "192.0.2.1"));
    assert_false(move_to(&site, "127.0.0.2"));
    assert_false(move_to(&site, "0.0.0.0"));
    struct error error;
    assert_false(http_move(site.http, "127.0.0.1:0", "/nowhere", &error));
    client_wait_for(&client, EVENT, client_count(&client, EVENT) + 2);
    assert_false(client_has(&client, "event: end"));
    client_close(&client);
    assert_int_equal(close(other), 0);
    site_close(&site);
}

static void expect_end_by_move(struct site *site, const char *address)
{
    struct client client;
    listen_to(&client, site, GET(STREAM));
    client_wait_for(&client, EVENT, 2);
    assert_true(move_to(site, address));
    client_wait_for(&client, "event: end\ndata: {\"reason\":\"the address has changed\"}\n\n", 1);
    client_wait_end(&client);
    client_close(&client);
}

static void a_server_that_moves_at_one_port_keeps_history_and_counters(void **state)
{
    (void)state;
    struct site site;
    char request[256];
    site_open(&site, FAST);
    struct client first;
    listen_to(&first, &site, GET(STREAM));
    client_wait_for(&first, EVENT, 5);
    expect_end_by_move(&site, "0.0.0.0");
    expect_end_by_move(&site, "127.0.0.1");
    expect_end_by_move(&site, "localhost");
    struct client again;
    ask_again(&first, request, sizeof(request));
    listen_to(&again, &site, request);
    client_wait_for(&again, EVENT, 1);
    assert_true(client_has(&again, "{\"isWhole\":false,")); /* the run is the same */
    struct buffer page = site_ask(&site, LAST("/metrics"));
    assert_non_null(strstr(page.data, "\nstandpipe_http_responses_total{status=\"2xx\"} 5\n"));
    assert_non_null(strstr(page.data, "\nstandpipe_http_connections 2\n"));
    buffer_deinit(&page);
    client_close(&first);
    client_close(&again);
    site_close(&site);
}

static void a_server_that_moves_to_nowhere_may_come_back_or_close(void **state)
{
    (void)state;
    struct site site;
    struct client client;
    struct error error;
    site_open(&site, FAST);
    listen_to(&client, &site, GET(STREAM));
    client_wait_for(&client, EVENT, 2);
    assert_true(http_move(site.http, "", NULL, &error));
    client_wait_for(&client, "{\"reason\":\"pages are no longer served\"}\n\n", 1);
    client_wait_end(&client);
    client_close(&client);
    assert_true(http_reload_token(site.http, "/nowhere", &error));
    assert_true(http_move(site.http, "127.0.0.1:0", NULL, &error));
    struct buffer page = site_ask(&site, LAST("/metrics"));
    assert_non_null(strstr(page.data, "\nstandpipe_http_responses_total{status=\"2xx\"} 1\n"));
    buffer_deinit(&page);
    assert_true(http_move(site.http, "", NULL, &error));
    site_close(&site);
}

static void a_client_that_stops_sending_is_no_listener_any_more(void **state)
{
    (void)state;
    struct site site;
    struct client client;
    site_open(&site, FAST);
    listen_to(&client, &site, GET(STREAM) GET("/livez"));
    client_wait_for(&client, EVENT, 2);
    assert_false(
        client_has(&client, "alive\",\"loops")); /* what is pipelined behind waits for ever */
    assert_int_equal(shutdown(client.fd, SHUT_WR), 0);
    client_wait_end(&client);
    client_close(&client);
    site_close(&site);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_begins_with_the_history_and_goes_on_with_the_figures),
        cmocka_unit_test(who_comes_back_gets_only_what_was_missed),
        cmocka_unit_test(a_stream_of_rare_events_is_kept_alive_by_comments),
        cmocka_unit_test(an_interval_that_is_none_is_refused),
        cmocka_unit_test(head_says_what_would_come_and_ends),
        cmocka_unit_test(only_so_many_may_listen_and_a_place_is_free_again_when_one_leaves),
        cmocka_unit_test(a_client_that_does_not_read_is_dropped_and_the_others_go_on),
        cmocka_unit_test(a_server_that_closes_says_so_to_who_listens),
        cmocka_unit_test(a_move_that_is_refused_ends_no_stream),
        cmocka_unit_test(a_server_that_moves_at_one_port_keeps_history_and_counters),
        cmocka_unit_test(a_server_that_moves_to_nowhere_may_come_back_or_close),
        cmocka_unit_test(a_client_that_stops_sending_is_no_listener_any_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
