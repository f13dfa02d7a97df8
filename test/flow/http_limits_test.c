/* What a rude client gets: every limit, every split, garbage, slowness, floods; and memory stays flat. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <malloc.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "base/clock.h"
#include "flow/http_harness.h"

/* They keep the books of memory in place of the C library. */
#ifdef STANDPIPE_SANITIZED
size_t __sanitizer_get_current_allocated_bytes(void); /* its header is clang's alone */

static size_t allocated_bytes(void)
{
    return __sanitizer_get_current_allocated_bytes();
}
#else
static size_t allocated_bytes(void)
{
    return mallinfo2().uordblks;
}
#endif

/* The whole of what the server says to `request` before it closes. */
static void expect_end(struct site *site, struct slice request, const char *status)
{
    struct client client;
    client_open(&client, site);
    client_send(&client, request);
    client_wait_end(&client);
    if (client.got.size < strlen(status) || memcmp(client.got.data, status, strlen(status)) != 0) {
        fail_msg("expected `%s`, got: %.*s", status, SLICE_ARGS(buffer_slice(&client.got)));
    }
    assert_true(client_has(&client, "\r\nConnection: close\r\n"));
    assert_int_equal(client_count(&client, "\r\nContent-Length: "), 1);
    client_close(&client);
}

static void expect(struct site *site, const char *request, const char *status)
{
    expect_end(site, slice_from_string(request), status);
}

static void expect_alive(struct site *site)
{
    expect(site, LAST("/livez"), "HTTP/1.1 200 OK\r\n");
}

/* --- how requests are cut ----------------------------------------------------------------------- */

static void pipelined_requests_are_answered_in_order(void **state)
{
    (void)state;
    struct site site;
    struct client client;
    site_open(&site, NULL);
    client_open(&client, &site);
    client_send_text(&client, GET("/livez") GET("/nothing") "\r\n" GET("/readyz") LAST("/health")
                                  GET("/metrics"));
    client_wait_end(&client);
    assert_int_equal(client_count(&client, "HTTP/1.1 "), 4); /* nothing after `close` */
    const char *alive = strstr(client.got.data, "\"alive\"");
    const char *nothing = strstr(client.got.data, "\"no such path\"");
    const char *ready = strstr(client.got.data, "\"ready\"");
    const char *healthy = strstr(client.got.data, "\"healthy\"");
    assert_true(alive != NULL && alive < nothing && nothing < ready && ready < healthy);
    client_close(&client);
    site_close(&site);
}

static void a_request_that_comes_byte_by_byte_is_a_request(void **state)
{
    (void)state;
    static const char request[] =
        GET("/livez") "HEAD /metrics HTTP/1.1\r\nHost: x\r\nX-Y: z\r\n\r\n" LAST("/nothing");
    struct site site;
    struct client client;
    site_open(&site, NULL);
    client_open(&client, &site);
    for (size_t i = 0; i < sizeof(request) - 1; i++) {
        client_send(&client, slice_of(request + i, 1));
        site_pump(&site);
    }
    client_wait_end(&client);
    assert_int_equal(client_count(&client, "HTTP/1.1 200 OK\r\n"), 2);
    assert_int_equal(client_count(&client, "HTTP/1.1 404 "), 1);
    client_close(&client);
    site_close(&site);
}

static void more_pipelined_requests_than_the_input_holds_are_all_answered(void **state)
{
    (void)state;
    enum {
        MANY = 2000
    };
    struct site site;
    struct client client;
    struct buffer requests = {0};
    for (unsigned i = 0; i < MANY; i++) {
        buffer_append_string(&requests, GET("/nothing"));
    }
    site_open(&site, NULL);
    client_open(&client, &site);
    client_send(&client, buffer_slice(&requests));
    client_wait_for(&client, "HTTP/1.1 404 ", MANY);
    client_close(&client);
    buffer_deinit(&requests);
    site_close(&site);
}

static void absolute_form_and_http_1_0_are_understood(void **state)
{
    (void)state;
    struct site site;
    struct client client;
    site_open(&site, NULL);
    expect(&site,
           "GET http://a.example:5000/livez?x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
           "HTTP/1.1 200 OK\r\n");
    expect(&site, "GET /livez HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\n");
    client_open(&client, &site);
    client_send_text(&client, "GET /livez HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    client_wait_for(&client, "\r\nConnection: keep-alive\r\n", 1);
    client_send_text(&client, "GET /livez HTTP/1.0\r\n\r\n");
    client_wait_end(&client);
    assert_int_equal(client_count(&client, "HTTP/1.1 200 OK\r\n"), 2);
    client_close(&client);
    site_close(&site);
}

/* --- what is refused ------------------------------------------------------------------------------ */

static void bodies_are_refused_before_they_are_read(void **state)
{
    (void)state;
    struct site site;
    site_open(&site, NULL);
    expect(&site, "GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
           "HTTP/1.1 413 ");
    expect(&site, "POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551615\r\n\r\n",
           "HTTP/1.1 413 ");
    expect(
        &site,
        "POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 413 ");
    expect(&site, "POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
           "HTTP/1.1 413 ");
    expect(&site, "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
           "HTTP/1.1 400 ");
    expect(&site,
           "GET /x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
           "HTTP/1.1 4");
    expect_alive(&site);
    site_close(&site);
}

static void what_is_no_request_is_400_and_closed(void **state)
{
    (void)state;
    static const char tls_hello[] = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    struct site site;
    site_open(&site, NULL);
    expect_end(&site, slice_of(tls_hello, sizeof(tls_hello) - 1), "HTTP/1.1 400 ");
    expect(&site, "GET\r\n\r\n", "HTTP/1.1 400 ");
    expect(&site, "GET /livez HTTP/1.1\nHost: x\n\n", "HTTP/1.1 400 ");
    expect(&site, "GET /livez HTTP/1.1\r\n\r\n", "HTTP/1.1 400 "); /* no Host */
    expect(&site, "GET /livez HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", "HTTP/1.1 400 ");
    expect(&site, "GET /livez HTTP/1.1\r\nHost: x\r\nAuthorization: a\r\nAuthorization: b\r\n\r\n",
           "HTTP/1.1 400 ");
    expect(&site, "GET /livez HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n", "HTTP/1.1 400 ");
    expect(&site, "GET livez HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 400 ");
    expect(&site, "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 400 ");
    expect(&site,
           "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
           "HTTP/1.1 400 ");
    expect(&site,
           "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\n"
           "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
           "HTTP/1.1 400 ");
    expect_alive(&site);
    site_close(&site);
}

static void methods_and_versions_of_others_are_told_apart(void **state)
{
    (void)state;
    struct site site;
    site_open(&site, NULL);
    expect(&site, "BREW /pot HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 501 ");
    expect(&site, "get /livez HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 501 ");
    expect(&site, "CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 405 ");
    expect(&site, "GET /livez HTTP/3.7\r\nHost: x\r\n\r\n", "HTTP/1.1 505 ");
    expect(&site, "GET /livez HTTP/2.0\r\nHost: x\r\n\r\n", "HTTP/1.1 505 ");
    expect(&site, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/1.1 ");
    site_close(&site);
}

static void too_long_a_line_is_414_and_too_many_headers_are_431(void **state)
{
    (void)state;
    struct site site;
    struct buffer request = {0};
    site_open(&site, NULL);
    buffer_append_string(&request, "GET /");
    for (unsigned i = 0; i < 9000; i++) {
        buffer_append_byte(&request, 'x');
    }
    buffer_append_string(&request, " HTTP/1.1\r\nHost: x\r\n\r\n");
    expect_end(&site, buffer_slice(&request), "HTTP/1.1 414 ");

    buffer_clear(&request);
    buffer_append_string(&request, "GET /livez HTTP/1.1\r\nHost: x\r\nX: ");
    for (unsigned i = 0; i < 17 * 1024; i++) {
        buffer_append_byte(&request, 'x');
    }
    buffer_append_string(&request, "\r\n\r\n");
    expect_end(&site, buffer_slice(&request), "HTTP/1.1 431 ");

    buffer_clear(&request);
    buffer_append_string(&request, "GET /livez HTTP/1.1\r\nHost: x\r\n");
    for (unsigned i = 0; i < 100; i++) {
        buffer_append_format(&request, "X%u:y\r\n", i);
    }
    buffer_append_string(&request, "\r\n");
    expect_end(&site, buffer_slice(&request), "HTTP/1.1 431 ");

    buffer_clear(&request); /* blanks are no bytes of a value, and bounded all the same */
    buffer_append_string(&request, "GET /livez HTTP/1.1\r\nHost: x\r\nX:");
    for (unsigned i = 0; i < 64 * 1024; i++) {
        buffer_append_byte(&request, ' ');
    }
    expect_end(&site, buffer_slice(&request), "HTTP/1.1 431 ");
    expect_alive(&site);
    buffer_deinit(&request);
    site_close(&site);
}

static void a_head_just_under_its_limits_is_served(void **state)
{
    (void)state;
    struct site site;
    struct client client;
    struct buffer request = {0};
    site_open(&site, NULL);
    buffer_append_string(&request, "GET /livez?");
    while (request.size < 8000) {
        buffer_append_byte(&request, 'x');
    }
    buffer_append_string(&request, " HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX: ");
    for (unsigned i = 0; i < 16000; i++) {
        buffer_append_byte(&request, 'x');
    }
    buffer_append_string(&request, "\r\n\r\n");
    client_open(&client, &site);
    client_send(&client, buffer_slice(&request));
    client_wait_end(&client);
    assert_true(client_has(&client, "HTTP/1.1 200 OK\r\n"));
    client_close(&client);
    buffer_deinit(&request);
    site_close(&site);
}

/* --- time ------------------------------------------------------------------------------------------ */

static void a_head_that_drips_in_is_408_however_often_it_drips(void **state)
{
    (void)state;
    struct site site;
    struct client client;
    uint64_t started_ms = clock_monotonic_ms();
    site_open(&site, &(struct http_options){.header_timeout_ms = 100});
    client_open(&client, &site);
    client_send_text(&client, "GET /livez HTTP/1.1\r\nHost: x\r\nX: ");
    while (!client.has_ended && client.got.size == 0 &&
           clock_monotonic_ms() < started_ms + SITE_PATIENCE_MS) {
        client_send_text(&client, "y"); /* one byte a few milliseconds */
        site_pump(&site);
        char byte;
        client.has_ended = recv(client.fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) >= 0;
    }
    client.has_ended = false;
    client_wait_end(&client);
    assert_true(client_has(&client, "HTTP/1.1 408 "));
    client_close(&client);
    site_close(&site);
}

static void a_problem_after_a_head_request_has_its_body(void **state)
{
    (void)state;
    struct site site;
    struct client client;
    site_open(&site, &(struct http_options){.header_timeout_ms = 100});
    client_open(&client, &site);
    client_send_text(&client, "HEAD /livez HTTP/1.1\r\nHost: x\r\n\r\n");
    client_wait_for(&client, "\r\n\r\n", 1);
    client_send_text(&client, "GET /li");
    client_wait_end(&client);
    assert_true(client_has(&client, "HTTP/1.1 408 "));
    assert_true(client_has(&client, "{\"error\":"));
    client_close(&client);
    site_close(&site);
}

static void a_client_that_says_nothing_is_closed_without_a_word(void **state)
{
    (void)state;
    struct site site;
    struct client first;
    struct client second;
    site_open(&site, &(struct http_options){.header_timeout_ms = 30, .idle_timeout_ms = 30});
    client_open(&first, &site);
    client_wait_end(&first);
    assert_int_equal(first.got.size, 0);
    client_open(&second, &site);
    client_send_text(&second, GET("/livez"));
    client_wait_end(&second);
    assert_int_equal(client_count(&second, "HTTP/1.1 "), 1);
    client_close(&first);
    client_close(&second);
    site_close(&site);
}

static void a_client_that_does_not_read_is_closed(void **state)
{
    (void)state;
    enum {
        REQUESTS = 4000 /* answers of several MiB, more than the kernel's buffers take */
    };
    struct site site;
    struct client client;
    struct buffer requests = {0};
    for (unsigned i = 0; i < REQUESTS; i++) {
        buffer_append_string(&requests, GET("/metrics"));
    }
    site_open(&site, &(struct http_options){.write_timeout_ms = 50});
    client_open(&client, &site);
    uint64_t deadline = clock_monotonic_ms() + SITE_PATIENCE_MS;
    struct slice rest = buffer_slice(&requests);
    ssize_t sent = 0;
    while (clock_monotonic_ms() < deadline) {
        sent = send(client.fd, rest.data, rest.size, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent > 0) {
            rest = slice_skip(rest, (size_t)sent);
        }
        site_pump(&site);
        int problem = 0;
        socklen_t size = sizeof(problem);
        assert_int_equal(getsockopt(client.fd, SOL_SOCKET, SO_ERROR, &problem, &size), 0);
        if (problem != 0) {
            break; /* reset: the server has closed while bytes of ours waited */
        }
    }
    assert_true(clock_monotonic_ms() < deadline);
    client_close(&client);
    buffer_deinit(&requests);
    expect_alive(&site);
    site_close(&site);
}

/* --- numbers --------------------------------------------------------------------------------------- */

static void every_connection_over_the_cap_gets_a_503_and_the_others_are_served(void **state)
{
    (void)state;
    enum {
        CAP = 4,
        FAR_OVER = 60
    };
    struct site site;
    struct client served[CAP];
    struct client refused[FAR_OVER];
    site_open(&site, &(struct http_options){.max_connections = CAP});
    for (unsigned i = 0; i < CAP; i++) {
        client_open(&served[i], &site);
        client_send_text(&served[i], GET("/livez"));
        client_wait_for(&served[i], "\"alive\"", 1);
    }
    for (unsigned i = 0; i < FAR_OVER; i++) {
        client_open(&refused[i], &site);
        if (i % 2 == 0) { /* a reset must not overtake what these are told */
            client_send_text(&refused[i], GET("/livez"));
        }
    }
    for (unsigned i = 0; i < FAR_OVER; i++) {
        site_pump(&site); /* a turn of libuv 1.50 accepts one, a turn of 1.44 all */
    }
    for (unsigned i = 0; i < FAR_OVER; i++) {
        client_wait_end(&refused[i]);
        assert_true(client_has(&refused[i], "HTTP/1.1 503 "));
        client_close(&refused[i]);
    }
    for (unsigned i = 0; i < CAP; i++) {
        client_send_text(&served[i], GET("/livez"));
        client_wait_for(&served[i], "\"alive\"", 2);
        client_close(&served[i]);
    }
    uint64_t deadline = clock_monotonic_ms() + SITE_PATIENCE_MS;
    struct buffer got = site_ask(&site, LAST("/livez"));
    while (strstr(got.data, "HTTP/1.1 200 ") == NULL && clock_monotonic_ms() < deadline) {
        buffer_deinit(&got);
        got = site_ask(&site, LAST("/livez"));
    }
    assert_non_null(strstr(got.data, "HTTP/1.1 200 "));
    buffer_deinit(&got);
    site_close(&site);
}

/* Each look takes time, so that the pace may be over at one and not at the next: nobody is forgotten in between. */
static void who_waits_for_the_pace_gets_a_turn_however_time_passes(void **state)
{
    (void)state;
    enum {
        PAGES = 25,
        COST_MS = 6,
        STEP_US = 2000
    };
    struct site site;
    site_open(&site, NULL);
    site.page_costs_ms = COST_MS; /* over the brim at once */
    clock_test_freeze(0);
    clock_test_step_us(STEP_US);
    for (unsigned i = 0; i < PAGES; i++) {
        struct buffer got = site_ask(&site, LAST("/livez"));
        buffer_append_byte(&got, '\0');
        assert_non_null(strstr(got.data, "\"alive\""));
        buffer_deinit(&got);
    }
    clock_test_thaw();
    site.page_costs_ms = 0;
    site_close(&site);
}

static void ten_thousand_requests_on_one_connection_keep_memory_flat(void **state)
{
    (void)state;
    enum {
        ROUNDS = 100,
        PER_ROUND = 100,
        WARM_UP = 10,
        SLACK_BYTES = 256 * 1024
    };
    static const char *const paths[] = {GET("/livez"), GET("/metrics"), GET("/api/metrics"),
                                        GET("/nothing")};
    struct site site;
    struct client client;
    struct buffer requests = {0};
    size_t before = 0;
    for (unsigned i = 0; i < PER_ROUND; i++) {
        buffer_append_string(&requests, paths[i % 4]);
    }
    site_open(&site, NULL);
    client_open(&client, &site);
    for (unsigned i = 0; i < ROUNDS; i++) {
        client_send(&client, buffer_slice(&requests));
        client_wait_for(&client, "HTTP/1.1 ", PER_ROUND);
        client_wait_for(&client, "{\"error\":\"no such path\"}\n", PER_ROUND / 4);
        buffer_clear(&client.got);
        if (i == WARM_UP) {
            before = allocated_bytes();
        }
    }
    assert_true(before > 0 && allocated_bytes() <= before + SLACK_BYTES);
    client_close(&client);
    buffer_deinit(&requests);
    site_close(&site);
}

static void a_server_that_closes_takes_every_connection_with_it(void **state)
{
    (void)state;
    enum {
        COUNT = 3
    };
    static const char *const requests[COUNT] = {"", "GET /li", GET("/livez")};
    struct site site;
    struct client clients[COUNT];
    site_open(&site, NULL);
    for (unsigned i = 0; i < COUNT; i++) {
        client_open(&clients[i], &site);
        client_send_text(&clients[i], requests[i]);
        site_pump(&site);
    }
    client_wait_for(&clients[2], "\"alive\"", 1);
    site_close(&site);
    for (unsigned i = 0; i < COUNT; i++) {
        client_close(&clients[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pipelined_requests_are_answered_in_order),
        cmocka_unit_test(a_request_that_comes_byte_by_byte_is_a_request),
        cmocka_unit_test(more_pipelined_requests_than_the_input_holds_are_all_answered),
        cmocka_unit_test(absolute_form_and_http_1_0_are_understood),
        cmocka_unit_test(bodies_are_refused_before_they_are_read),
        cmocka_unit_test(what_is_no_request_is_400_and_closed),
        cmocka_unit_test(methods_and_versions_of_others_are_told_apart),
        cmocka_unit_test(too_long_a_line_is_414_and_too_many_headers_are_431),
        cmocka_unit_test(a_head_just_under_its_limits_is_served),
        cmocka_unit_test(a_head_that_drips_in_is_408_however_often_it_drips),
        cmocka_unit_test(a_problem_after_a_head_request_has_its_body),
        cmocka_unit_test(a_client_that_says_nothing_is_closed_without_a_word),
        cmocka_unit_test(a_client_that_does_not_read_is_closed),
        cmocka_unit_test(every_connection_over_the_cap_gets_a_503_and_the_others_are_served),
        cmocka_unit_test(who_waits_for_the_pace_gets_a_turn_however_time_passes),
        cmocka_unit_test(ten_thousand_requests_on_one_connection_keep_memory_flat),
        cmocka_unit_test(a_server_that_closes_takes_every_connection_with_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
