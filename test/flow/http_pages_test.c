/* Pages over real sockets: each path, HEAD, methods, the token, and dead letters that come later. */
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

#include "flow/http_harness.h"

static void expect(struct site *site, const char *request, const char *status, const char *text)
{
    struct buffer got = site_ask(site, request);
    if (got.size == 0 || strncmp(got.data, status, strlen(status)) != 0 ||
        strstr(got.data, text) == NULL) {
        fail_msg("expected `%s` with `%s`, got: %s", status, text, got.data);
    }
    buffer_deinit(&got);
}

static void every_path_answers_with_its_type_and_the_headers_of_safety(void **state)
{
    (void)state;
    struct site site;
    site_open(&site, NULL);
    expect(&site, LAST("/livez"), "HTTP/1.1 200 OK\r\n", "\"status\":\"alive\"");
    expect(&site, LAST("/readyz"), "HTTP/1.1 200 OK\r\n", "\"status\":\"ready\"");
    expect(&site, LAST("/health"), "HTTP/1.1 200 OK\r\n", "\"status\":\"healthy\"");
    expect(&site, LAST("/ready"), "HTTP/1.1 200 OK\r\n", "\"firehose\":\"connected\"");
    expect(&site, LAST("/metrics"), "HTTP/1.1 200 OK\r\n", "\nstandpipe_build_info{");
    expect(&site, LAST("/metrics"), "HTTP/1.1 200 OK\r\n",
           "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n");
    expect(&site, LAST("/api/metrics"), "HTTP/1.1 200 OK\r\n", "{\"eventsProcessed\":0,");
    expect(&site, LAST("/api/metrics?x=y"), "HTTP/1.1 200 OK\r\n",
           "Content-Type: application/json\r\n");
    expect(&site, LAST("/livez"), "HTTP/1.1 200 OK\r\n", "\r\nCache-Control: no-store\r\n");
    expect(&site, LAST("/livez"), "HTTP/1.1 200 OK\r\n", "\r\nX-Content-Type-Options: nosniff\r\n");
    expect(&site, LAST("/livez"), "HTTP/1.1 200 OK\r\n", "\r\nConnection: close\r\n");
    site_close(&site);
}

static void an_unknown_path_is_404_and_another_method_405_with_what_is_allowed(void **state)
{
    (void)state;
    struct site site;
    site_open(&site, NULL);
    expect(&site, LAST("/nothing"), "HTTP/1.1 404 ", "{\"error\":\"no such path\"}");
    expect(&site, LAST("/livez/"), "HTTP/1.1 404 ", "");
    expect(&site, LAST("/../etc/passwd"), "HTTP/1.1 404 ", "");
    expect(&site,
           "POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
           "HTTP/1.1 405 ", "\r\nAllow: GET, HEAD\r\n");
    expect(&site, "DELETE /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
           "HTTP/1.1 405 ", "\r\nAllow: GET, HEAD\r\n");
    site_close(&site);
}

static void head_has_the_length_of_the_body_and_no_body(void **state)
{
    (void)state;
    struct site site;
    site_open(&site, NULL);
    struct buffer got =
        site_ask(&site, "HEAD /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_non_null(strstr(got.data, "HTTP/1.1 200 OK\r\n"));
    assert_non_null(strstr(got.data, "\r\nContent-Length: "));
    assert_null(strstr(got.data, "\r\nContent-Length: 0\r\n"));
    assert_string_equal(strstr(got.data, "\r\n\r\n"), "\r\n\r\n");
    buffer_deinit(&got);
    site_close(&site);
}

/* --- the token -------------------------------------------------------------------------------- */

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

#define WITH_TOKEN(token)                                                                          \
    "GET /api/metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: " token "\r\n\r"  \
    "\n"

static void a_token_protects_all_but_health_and_metrics_and_can_be_changed(void **state)
{
    (void)state;
    char path[] = "/tmp/standpipe-token-XXXXXX";
    struct site site;
    struct error error;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    write_file(path, "s3cret-Token\n");
    site_open(&site, &(struct http_options){.token_file = path});
    expect(&site, LAST("/api/metrics"), "HTTP/1.1 401 ", "\r\nWWW-Authenticate: Bearer ");
    expect(&site, LAST("/api/redis/dead-letters"), "HTTP/1.1 401 ", "");
    expect(&site, WITH_TOKEN("Bearer s3cret-Toke"), "HTTP/1.1 401 ", "");
    expect(&site, WITH_TOKEN("Bearer s3cret-Tokens"), "HTTP/1.1 401 ", "");
    expect(&site, WITH_TOKEN("Bearer "), "HTTP/1.1 401 ", "");
    expect(&site, WITH_TOKEN("Basic s3cret-Token"), "HTTP/1.1 401 ", "");
    expect(&site, WITH_TOKEN("Bearer s3cret-Token"), "HTTP/1.1 200 ", "eventsProcessed");
    expect(&site, WITH_TOKEN("bearer s3cret-Token"), "HTTP/1.1 200 ", "eventsProcessed");
    expect(&site, LAST("/livez"), "HTTP/1.1 200 ", "");
    expect(&site, LAST("/readyz"), "HTTP/1.1 200 ", "");
    expect(&site, LAST("/metrics"), "HTTP/1.1 200 ", "");

    write_file(path, "\n"); /* an accident must not open the door */
    assert_false(http_reload_token(site.http, path, &error));
    expect(&site, WITH_TOKEN("Bearer s3cret-Token"), "HTTP/1.1 200 ", "");
    write_file(path, "another");
    assert_true(http_reload_token(site.http, path, &error));
    expect(&site, WITH_TOKEN("Bearer s3cret-Token"), "HTTP/1.1 401 ", "");
    expect(&site, WITH_TOKEN("Bearer another"), "HTTP/1.1 200 ", "");
    assert_true(http_reload_token(site.http, "", &error));
    expect(&site, LAST("/api/metrics"), "HTTP/1.1 200 ", "");
    site_close(&site);
    assert_int_equal(unlink(path), 0);
}

/* --- dead letters ------------------------------------------------------------------------------ */

static const struct http_letter letter = {
    .id = {"1-1", 3},
    .type = {"commit", 6},
    .data = {"{\"repo\":\"\xff\"}", 12},
    .seq = {"7", 1},
    .orig_id = {"5-7", 3},
    .deliveries = {"10", 2},
    .reason = {"23502", 5},
};

static void wait_until_asked(struct site *site, unsigned times)
{
    for (unsigned i = 0; i < 4000 && site->asked < times; i++) {
        site_pump(site);
    }
    assert_int_equal(site->asked, times);
}

static void dead_letters_come_later_and_are_valid_json(void **state)
{
    (void)state;
    struct site site;
    struct client client;
    site_open(&site, NULL);
    client_open(&client, &site);
    client_send_text(&client, GET("/api/redis/dead-letters?limit=5") GET("/livez"));
    wait_until_asked(&site, 1);
    assert_int_equal(site.limit, 5);
    assert_true(http_answer_add(site.answer, &letter));
    assert_true(http_answer_add(site.answer, &letter));
    assert_int_equal(client.got.size, 0); /* and the pipelined request waits for its turn */
    http_answer_end(site.answer, NULL);
    client_wait_for(&client, "\"alive\"", 1);
    assert_int_equal(client_count(&client, "HTTP/1.1 200 OK"), 2);
    assert_true(client_has(
        &client, "{\"items\":[{\"id\":\"1-1\",\"type\":\"commit\",\"data\":\"{\\\"repo\\\":"));
    assert_true(client_has(
        &client,
        ",\"seq\":\"7\",\"origId\":\"5-7\",\"deliveries\":\"10\",\"reason\":\"23502\"},{"));
    client_close(&client);
    site_close(&site);
}

static void a_limit_that_is_no_number_in_range_is_400(void **state)
{
    (void)state;
    struct site site;
    site_open(&site, NULL);
    site.answers_at_once = true;
    expect(&site, LAST("/api/redis/dead-letters?limit=0"), "HTTP/1.1 400 ", "limit");
    expect(&site, LAST("/api/redis/dead-letters?limit=1001"), "HTTP/1.1 400 ", "limit");
    expect(&site, LAST("/api/redis/dead-letters?limit=-1"), "HTTP/1.1 400 ", "limit");
    expect(&site, LAST("/api/redis/dead-letters?limit="), "HTTP/1.1 400 ", "limit");
    assert_int_equal(site.asked, 0);
    expect(&site, LAST("/api/redis/dead-letters?a=b&limit=1000"), "HTTP/1.1 200 ",
           "{\"items\":[]}");
    assert_int_equal(site.limit, 1000);
    expect(&site, LAST("/api/redis/dead-letters"), "HTTP/1.1 200 ", "{\"items\":[]}");
    assert_int_equal(site.limit, HTTP_LETTERS_DEFAULT);
    site_close(&site);
}

static void an_answer_that_fails_is_503_with_the_reason(void **state)
{
    (void)state;
    struct site site;
    struct client client;
    struct error error;
    site_open(&site, NULL);
    client_open(&client, &site);
    client_send_text(&client, GET("/api/redis/dead-letters"));
    wait_until_asked(&site, 1);
    assert_true(http_answer_add(site.answer, &letter));
    error_set(&error, ERROR_UNREACHABLE, "redis is away");
    http_answer_end(site.answer, &error);
    client_wait_for(&client, "{\"error\":\"redis is away\"}", 1);
    assert_true(client_has(&client, "HTTP/1.1 503 "));
    assert_false(client_has(&client, "1-1"));
    client_close(&client);
    site_close(&site);
}

static void an_answer_is_cut_before_it_is_over_its_bound(void **state)
{
    (void)state;
    enum {
        DATA_BYTES = 1024 * 1024,
        FIT = 7 /* of 1 MiB each, in 8 MiB with what stands around them */
    };
    struct site site;
    struct client client;
    char *data = calloc(1, DATA_BYTES + 1);
    assert_non_null(data);
    memset(data, 'x', DATA_BYTES);
    struct http_letter large = letter;
    large.data = slice_of(data, DATA_BYTES);
    site_open(&site, NULL);
    client_open(&client, &site);
    client_send_text(&client, LAST("/api/redis/dead-letters"));
    wait_until_asked(&site, 1);
    for (unsigned i = 0; i < FIT; i++) {
        assert_true(http_answer_add(site.answer, &large));
    }
    assert_false(http_answer_add(site.answer, &large));
    assert_false(http_answer_add(site.answer, &letter));
    http_answer_end(site.answer, NULL);
    client_wait_end(&client);
    assert_true(client_has(&client, "],\"truncated\":true}"));
    assert_int_equal(client_count(&client, "\"id\""), FIT);
    free(data);
    client_close(&client);
    site_close(&site);
}

static void a_client_that_leaves_does_not_hurt_its_answer(void **state)
{
    (void)state;
    struct site site;
    struct client client;
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    site_open(&site, NULL);
    client_open(&client, &site);
    client_send_text(&client, GET("/api/redis/dead-letters"));
    wait_until_asked(&site, 1);
    assert_true(http_answer_add(site.answer, &letter));
    assert_int_equal(setsockopt(client.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
    client_close(&client);
    for (unsigned i = 0; i < 4000 && http_answer_add(site.answer, &letter); i++) {
        site_pump(&site);
    }
    assert_false(http_answer_add(site.answer, &letter)); /* the reset was noticed */
    http_answer_end(site.answer, NULL);
    expect(&site, LAST("/livez"), "HTTP/1.1 200 ", "");
    site_close(&site);
}

static void a_client_that_only_stops_sending_still_gets_its_answer(void **state)
{
    (void)state;
    struct site site;
    struct client client;
    site_open(&site, NULL);
    client_open(&client, &site);
    client_send_text(&client, GET("/api/redis/dead-letters"));
    assert_int_equal(shutdown(client.fd, SHUT_WR), 0);
    wait_until_asked(&site, 1);
    site_pump(&site);
    http_answer_end(site.answer, NULL);
    client_wait_end(&client);
    assert_true(client_has(&client, "{\"items\":[]}"));
    client_close(&client);
    site_close(&site);
}

static void an_answer_outlives_the_server(void **state)
{
    (void)state;
    struct site site;
    struct client client;
    site_open(&site, NULL);
    client_open(&client, &site);
    client_send_text(&client, GET("/api/redis/dead-letters"));
    wait_until_asked(&site, 1);
    struct http_answer *answer = site.answer;
    site_close(&site);
    assert_false(http_answer_add(answer, &letter));
    http_answer_end(answer, NULL);
    client_close(&client);
}

static void an_answer_that_takes_too_long_is_504_and_may_still_end(void **state)
{
    (void)state;
    struct site site;
    struct client client;
    site_open(&site, &(struct http_options){.answer_timeout_ms = 20});
    client_open(&client, &site);
    client_send_text(&client, GET("/api/redis/dead-letters"));
    client_wait_end(&client);
    assert_true(client_has(&client, "HTTP/1.1 504 "));
    http_answer_end(site.answer, NULL);
    client_close(&client);
    site_close(&site);
}

static void only_so_many_answers_may_be_outstanding(void **state)
{
    (void)state;
    enum {
        MANY = 16
    };
    struct site site;
    struct client clients[MANY];
    struct http_answer *answers[MANY];
    site_open(&site, NULL);
    for (unsigned i = 0; i < MANY; i++) {
        client_open(&clients[i], &site);
        client_send_text(&clients[i], GET("/api/redis/dead-letters"));
        wait_until_asked(&site, i + 1);
        answers[i] = site.answer;
    }
    expect(&site, LAST("/api/redis/dead-letters"), "HTTP/1.1 503 ", "\r\nRetry-After: 1\r\n");
    assert_int_equal(site.asked, MANY);
    for (unsigned i = 0; i < MANY; i++) {
        http_answer_end(answers[i], NULL);
        client_wait_for(&clients[i], "{\"items\":[]}", 1);
        client_close(&clients[i]);
    }
    site_close(&site);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_path_answers_with_its_type_and_the_headers_of_safety),
        cmocka_unit_test(an_unknown_path_is_404_and_another_method_405_with_what_is_allowed),
        cmocka_unit_test(head_has_the_length_of_the_body_and_no_body),
        cmocka_unit_test(a_token_protects_all_but_health_and_metrics_and_can_be_changed),
        cmocka_unit_test(dead_letters_come_later_and_are_valid_json),
        cmocka_unit_test(a_limit_that_is_no_number_in_range_is_400),
        cmocka_unit_test(an_answer_that_fails_is_503_with_the_reason),
        cmocka_unit_test(an_answer_is_cut_before_it_is_over_its_bound),
        cmocka_unit_test(a_client_that_leaves_does_not_hurt_its_answer),
        cmocka_unit_test(a_client_that_only_stops_sending_still_gets_its_answer),
        cmocka_unit_test(an_answer_outlives_the_server),
        cmocka_unit_test(an_answer_that_takes_too_long_is_504_and_may_still_end),
        cmocka_unit_test(only_so_many_answers_may_be_outstanding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
