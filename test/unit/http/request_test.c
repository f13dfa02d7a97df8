/* Requests: every way to cut them, what is taken out of them, the token, and addresses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/backoff.h"
#include "base/buffer.h"
#include "http/address.h"
#include "http/request.h"
#include "http/token.h"

static const char whole[] = "\r\nGET /api/metrics?a=b&limit=7 HTTP/1.1\r\nHost: x\r\n"
                            "authoriZation:   Bearer abc \r\nAccept: */*\r\n\r\n";

static void expect_whole(const struct request *request)
{
    struct slice limit;
    assert_true(request->is_get && !request->is_head && request->keep_alive);
    assert_true(slice_equals(request->path, SLICE("/api/metrics")));
    assert_true(slice_equals(request->query, SLICE("a=b&limit=7")));
    assert_true(slice_starts_with(request->authorization, SLICE("Bearer abc")));
    assert_true(request_query_find(request->query, "limit", &limit));
    assert_true(slice_equals(limit, SLICE("7")));
}

static void a_request_cut_in_three_anywhere_is_the_same_request(void **state)
{
    (void)state;
    size_t size = sizeof(whole) - 1;
    for (size_t first = 0; first < size; first++) {
        for (size_t second = first; second < size; second++) {
            struct request_parser *parser = request_parser_create();
            struct request request;
            struct request_fault fault;
            size_t used = 0;
            assert_int_equal(
                request_parser_feed(parser, slice_of(whole, first), &used, &request, &fault),
                PARSE_NEED_MORE);
            assert_int_equal(used, first);
            assert_int_equal(request_parser_feed(parser, slice_of(whole + first, second - first),
                                                 &used, &request, &fault),
                             PARSE_NEED_MORE);
            assert_int_equal(request_parser_feed(parser, slice_of(whole + second, size - second),
                                                 &used, &request, &fault),
                             PARSE_DONE);
            assert_int_equal(used, size - second);
            expect_whole(&request);
            request_parser_destroy(parser);
        }
    }
}

static void bytes_after_a_request_are_left_for_the_next(void **state)
{
    (void)state;
    struct buffer bytes = {0};
    for (unsigned i = 0; i < 3; i++) {
        buffer_append(&bytes, whole, sizeof(whole) - 1);
    }
    struct slice rest = buffer_slice(&bytes);
    struct request_parser *parser = request_parser_create();
    for (unsigned i = 0; i < 3; i++) {
        struct request request;
        struct request_fault fault;
        size_t used = 0;
        assert_int_equal(request_parser_feed(parser, rest, &used, &request, &fault), PARSE_DONE);
        assert_int_equal(used, sizeof(whole) - 1);
        assert_false(request_parser_is_inside(parser));
        expect_whole(&request);
        rest = slice_skip(rest, used);
    }
    assert_int_equal(rest.size, 0);
    request_parser_destroy(parser);
    buffer_deinit(&bytes);
}

static struct request_fault fault_of(const char *text, size_t step)
{
    struct request_parser *parser = request_parser_create();
    struct request request;
    struct request_fault fault = {0};
    enum parse_result result = PARSE_NEED_MORE;
    size_t size = strlen(text);
    size_t used = 0;
    for (size_t at = 0; at < size && result == PARSE_NEED_MORE; at += step) {
        size_t part = size - at < step ? size - at : step;
        result = request_parser_feed(parser, slice_of(text + at, part), &used, &request, &fault);
    }
    request_parser_destroy(parser);
    return fault;
}

static void expect_fault(const char *text, size_t step, int status)
{
    struct request_fault fault = fault_of(text, step);
    if (fault.status != status) {
        fail_msg("expected %d, got %d for: %s, %zu bytes at a time", status, fault.status, text,
                 step);
    }
}

static void a_fault_is_the_same_however_the_bytes_are_cut(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int status;
    } cases[] = {
        {"BREW /pot HTTP/1.1\r\n", 501},
        {"GETS /pot HTTP/1.1\r\n", 501},
        {"\x16\x03\x01", 400},
        {" GET / HTTP/1.1\r\n", 400},
        {"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA / HTTP/1.1\r\n", 400},
        {"GET / HTTP/9.9\r\n", 505},
        {"GET / HTTP/1.1\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n", 413},
        {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n", 400},
        {"GET x HTTP/1.1\r\nHost: x\r\n\r\n", 400},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (size_t step = 1; step <= strlen(cases[i].text); step++) {
            expect_fault(cases[i].text, step, cases[i].status);
        }
    }
}

static void random_bytes_never_hurt_the_parser(void **state)
{
    (void)state;
    enum {
        ROUNDS = 3000,
        SIZE = 96
    };
    for (unsigned i = 0; i < ROUNDS; i++) {
        char bytes[SIZE];
        struct request_parser *parser = request_parser_create();
        struct request request;
        struct request_fault fault;
        size_t used = 0;
        memcpy(bytes, whole, SIZE);
        for (unsigned j = 0; j < 1 + i % 4; j++) { /* a request with some bytes changed */
            uint64_t bits = random_bits();
            bytes[bits % SIZE] = (char)(unsigned char)(bits >> 32);
        }
        enum parse_result result =
            request_parser_feed(parser, slice_of(bytes, SIZE), &used, &request, &fault);
        assert_true(used <= SIZE);
        assert_true(result != PARSE_BAD || (fault.status >= 400 && fault.problem != NULL));
        request_parser_destroy(parser);
    }
}

static void a_query_gives_only_what_it_names(void **state)
{
    (void)state;
    struct slice value;
    assert_false(request_query_find(SLICE(""), "limit", &value));
    assert_false(request_query_find(SLICE("limits=1&xlimit=2&limit"), "limit", &value));
    assert_true(request_query_find(SLICE("&&limit=&limit=2"), "limit", &value));
    assert_int_equal(value.size, 0);
}

/* --- the token --------------------------------------------------------------------------------------- */

static void only_the_whole_token_is_let_in(void **state)
{
    (void)state;
    struct token token = {0};
    assert_true(token_admits(&token, SLICE("")));
    buffer_append_string(&token.secret, "abc");
    assert_true(token_admits(&token, SLICE("Bearer abc")));
    assert_true(token_admits(&token, SLICE("BEARER  abc ")));
    assert_false(token_admits(&token, SLICE("")));
    assert_false(token_admits(&token, SLICE("abc")));
    assert_false(token_admits(&token, SLICE("Bearer")));
    assert_false(token_admits(&token, SLICE("Bearer ")));
    assert_false(token_admits(&token, SLICE("Bearer ab")));
    assert_false(token_admits(&token, SLICE("Bearer abcd")));
    assert_false(token_admits(&token, SLICE("Bearer ABC")));
    assert_false(token_admits(&token, slice_of("Bearer abc\0", 11)));
    token_deinit(&token);
}

static void a_token_file_that_is_no_token_file_is_an_error(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "\n", " \t\n", "two words\n", "tab\there\n"};
    char path[] = "/tmp/standpipe-token-XXXXXX";
    struct token token = {0};
    struct error error;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    buffer_append_string(&token.secret, "old");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(ftruncate(fd, 0), 0);
        assert_true(pwrite(fd, bad[i], strlen(bad[i]), 0) == (ssize_t)strlen(bad[i]));
        assert_false(token_load(&token, path, &error));
        assert_non_null(strstr(error.text, path));
    }
    assert_false(token_load(&token, "/nonexistent/token", &error));
    assert_false(token_load(&token, "/", &error));
    char large[TOKEN_MAX_BYTES + 10];
    memset(large, 'x', sizeof(large));
    assert_true(pwrite(fd, large, sizeof(large), 0) == (ssize_t)sizeof(large));
    assert_false(token_load(&token, path, &error));
    assert_true(slice_equals(buffer_slice(&token.secret), SLICE("old")));
    assert_int_equal(close(fd), 0);
    assert_int_equal(unlink(path), 0);
    token_deinit(&token);
}

/* --- addresses ---------------------------------------------------------------------------------------- */

static void addresses_of_both_families_can_be_bound(void **state)
{
    (void)state;
    static const char *const good[] = {"127.0.0.1:0", "localhost:0", ":0"};
    struct error error;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        int fd = address_bind(good[i], -1, &error);
        assert_true(fd >= 0);
        assert_true(address_port(fd) > 0);
        assert_int_equal(close(fd), 0);
    }
    int fd = address_bind("[::1]:0", -1, &error);
    if (fd < 0) {
        print_message("skipped: this machine has no IPv6: %s\n", error.text);
        skip();
    }
    assert_true(address_port(fd) > 0);
    assert_int_equal(close(fd), 0);
    fd = address_bind("[::]:0", -1, &error);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
}

static void an_address_that_cannot_be_bound_says_why(void **state)
{
    (void)state;
    static const char *const bad[] = {"",          "127.0.0.1",  "127.0.0.1:http", "1.2.3.4.5:1",
                                      "[::1:5000", "192.0.2.1:0"};
    struct error error;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(address_bind(bad[i], -1, &error), -1);
        assert_non_null(strstr(error.text, "http.listen"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_cut_in_three_anywhere_is_the_same_request),
        cmocka_unit_test(bytes_after_a_request_are_left_for_the_next),
        cmocka_unit_test(a_fault_is_the_same_however_the_bytes_are_cut),
        cmocka_unit_test(random_bytes_never_hurt_the_parser),
        cmocka_unit_test(a_query_gives_only_what_it_names),
        cmocka_unit_test(only_the_whole_token_is_let_in),
        cmocka_unit_test(a_token_file_that_is_no_token_file_is_an_error),
        cmocka_unit_test(addresses_of_both_families_can_be_bound),
        cmocka_unit_test(an_address_that_cannot_be_bound_says_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
