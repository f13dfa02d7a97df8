#include "unit/test.h"

#include "atproto/json_scan.h"

static bool takes_value(struct slice text)
{
    struct arena arena = {0};
    struct slice value;
    struct json_scan scan = json_scan_over(text, &arena);
    bool is_taken = json_scan_value(&scan, &value) && json_scan_is_at_end(&scan);
    arena_deinit(&arena);
    return is_taken;
}

static void assert_taken(struct slice text, bool expected)
{
    if (takes_value(text) != expected) {
        fail_msg("%s: %.*s", expected ? "not taken" : "taken", SLICE_ARGS(text));
    }
}

static void json_is_taken_and_what_only_looks_like_it_is_not(void **state)
{
    (void)state;
    static const struct slice good[] = {SLICE("0"),
                                        SLICE("-0"),
                                        SLICE("1.5e-7"),
                                        SLICE(" true "),
                                        SLICE("null"),
                                        SLICE("[]"),
                                        SLICE("{}"),
                                        SLICE("[ [ ] , { } ]"),
                                        SLICE("\"\\u00E9\""),
                                        SLICE("\"\x7f\""),
                                        SLICE("{\"a\":{\"b\":[1,{\"c\":2}]},\"d\":3}")};
    static const struct slice bad[] = {
        SLICE(""),         SLICE("01"),       SLICE("-"),         SLICE("1."),
        SLICE(".5"),       SLICE("1e"),       SLICE("+1"),        SLICE("tru"),
        SLICE("nul"),      SLICE("[1,]"),     SLICE("[,1]"),      SLICE("[1 2]"),
        SLICE("{\"a\"}"),  SLICE("{\"a\":}"), SLICE("{a:1}"),     SLICE("{\"a\":1,}"),
        SLICE("[}"),       SLICE("{]"),       SLICE("[1"),        SLICE("1 2"),
        SLICE("\"\n\""),   SLICE("\"\\x\""),  SLICE("\"\\u12\""), SLICE("\"a"),
        SLICE("\"\\"),     SLICE("]"),        SLICE("\0"),        SLICE("'a'"),
        SLICE("\"\\\0\""), SLICE("NaN"),      SLICE("[1]]"),      SLICE("{\"a\":1 \"b\":2}")};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_taken(good[i], true);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_taken(bad[i], false);
    }
}

static void a_string_is_unescaped_only_where_it_needs_it(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct slice text;
    struct slice plain = SLICE("\"plain\"");
    struct json_scan scan = json_scan_over(plain, &arena);
    assert_true(json_scan_string(&scan, &text));
    assert_ptr_equal(text.data, plain.data + 1);
    assert_null(arena.chunks);
    scan =
        json_scan_over(SLICE("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\\u00e9\\uD83D\\ude00\""), &arena);
    assert_true(json_scan_string(&scan, &text));
    assert_true(slice_equals(text, SLICE("\"\\/\b\f\n\r\t\0\xc3\xa9\xf0\x9f\x98\x80")));
    arena_deinit(&arena);
}

static void half_a_surrogate_pair_is_refused(void **state)
{
    (void)state;
    static const struct slice bad[] = {SLICE("\"\\ud800\""), SLICE("\"\\udc00\""),
                                       SLICE("\"\\ud800\\ud800\""), SLICE("\"\\ud800x\\udc00\"")};
    struct arena arena = {0};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct slice text;
        struct json_scan scan = json_scan_over(bad[i], &arena);
        assert_false(json_scan_string(&scan, &text));
        assert_string_equal(scan.problem, "half a surrogate pair");
    }
    arena_deinit(&arena);
}

/* Wherever it stands among eight bytes at a time, and whatever stands beside it. */
static void check_byte_at(size_t place, unsigned byte)
{
    static const unsigned char beside[] = {' ', '!', '#', '[', ']', 0x7f, 0x80, 0xa2, 0xdc, 0xff};
    char bytes[26];
    for (size_t i = 0; i < sizeof(beside); i++) {
        memset(bytes, beside[i], sizeof(bytes));
        bytes[0] = '"';
        bytes[sizeof(bytes) - 1] = '"';
        bytes[place] = (char)byte;
        bool is_plain = byte >= 0x20 && byte != '"' && byte != '\\';
        assert_taken(slice_of(bytes, sizeof(bytes)), is_plain);
    }
}

static void every_byte_of_a_string_is_seen_at_every_place(void **state)
{
    (void)state;
    for (size_t place = 1; place < 25; place++) {
        for (unsigned byte = 0; byte <= UINT8_MAX; byte++) {
            check_byte_at(place, byte);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_is_taken_and_what_only_looks_like_it_is_not),
        cmocka_unit_test(a_string_is_unescaped_only_where_it_needs_it),
        cmocka_unit_test(every_byte_of_a_string_is_seen_at_every_place),
        cmocka_unit_test(half_a_surrogate_pair_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
