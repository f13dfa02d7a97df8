#include "unit/test.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "atproto/json.h"
#include "base/panic.h"
#include "unit/atproto/cbor_writer.h"

/* The record that `hex` holds becomes `json`, and `reason` is told. */
static void becomes(const char *hex, const char *json, enum invalid_reason reason)
{
    struct buffer block = {0};
    struct buffer out = {0};
    struct dag_stack stack = {0};
    cbor_put_hex(&block, hex);
    uint32_t breaks = json_append_record(&out, buffer_slice(&block), &stack);
    buffer_append_byte(&out, '\0');
    assert_string_equal(out.data, json);
    if (invalid_first(breaks) != reason) {
        fail_msg("%s: told %s, expected %s", hex, invalid_reason_text(invalid_first(breaks)),
                 invalid_reason_text(reason));
    }
    dag_stack_deinit(&stack);
    buffer_deinit(&block);
    buffer_deinit(&out);
}

static void scalars_are_said_as_they_are(void **state)
{
    (void)state;
    becomes("a0", "{}", INVALID_NONE);
    becomes("a3616100616239ffff6163f5", "{\"a\":0,\"b\":-65536,\"c\":true}", INVALID_NONE);
    becomes("a2616180616285f4f6a0810160", "{\"a\":[],\"b\":[false,null,{},[1],\"\"]}",
            INVALID_NONE);
    becomes("a16161430102ff", "{\"a\":{\"$bytes\":\"AQL/\"}}", INVALID_NONE);
    becomes("a16061", "null", INVALID_TRUNCATED);
    becomes("a1606161", "{\"\":\"a\"}", INVALID_NONE);
}

static void integers_up_to_2_to_the_53_are_exact_and_beyond_are_flagged(void **state)
{
    (void)state;
    becomes("a161611b001fffffffffffff", "{\"a\":9007199254740991}", INVALID_NONE);
    becomes("a161611b0020000000000000", "{\"a\":9007199254740992}", INVALID_LARGE_INTEGER);
    becomes("a161613b001ffffffffffffe", "{\"a\":-9007199254740991}", INVALID_NONE);
    becomes("a161613b001fffffffffffff", "{\"a\":-9007199254740992}", INVALID_LARGE_INTEGER);
    becomes("a161611bffffffffffffffff", "{\"a\":18446744073709551615}", INVALID_LARGE_INTEGER);
    becomes("a161613bffffffffffffffff", "{\"a\":-18446744073709551616}", INVALID_LARGE_INTEGER);
    becomes("a161613b8000000000000000", "{\"a\":-9223372036854775809}", INVALID_LARGE_INTEGER);
}

static void links_of_any_kind_are_printed(void **state)
{
    (void)state;
    becomes("a16161d82a582300"
            "1220c3c4733ec8affd06cf9e9ff50ffc6bcd2ec85a6170004bb709669c31de94391a",
            "{\"a\":{\"$link\":\"QmbWqxBEKC3P8tqsKc98xmWNzrzDtRLMiMPL8wBuTGsMnR\"}}", INVALID_NONE);
    becomes("a16161d82a4700015500026869", "{\"a\":{\"$link\":\"bafkqaatine\"}}", INVALID_NONE);
    becomes("a16161d82a420001", "{\"a\":{\"$bytes\":\"AAE\"}}", INVALID_LINK);
    becomes("a16161d82a6162", "{\"a\":\"b\"}", INVALID_LINK);
    becomes("a16161d82ad82a6162", "{\"a\":\"b\"}", INVALID_LINK);
}

static void what_breaks_the_data_model_is_said_and_flagged(void **state)
{
    (void)state;
    becomes("a16161f93e00", "{\"a\":1.5}", INVALID_FLOAT);
    becomes("a16161fb3fb999999999999a", "{\"a\":0.1}", INVALID_FLOAT);
    becomes("a16161fb7ff0000000000000", "{\"a\":null}", INVALID_FLOAT);
    becomes("a16161f7", "{\"a\":null}", INVALID_UNDEFINED);
    becomes("a16161e0", "{\"a\":null}", INVALID_UNDEFINED);
    becomes("a16161f820", "{\"a\":null}", INVALID_UNDEFINED);
    becomes("a16161c101", "{\"a\":1}", INVALID_TAG);
    becomes("a16161c601", "{\"a\":1}", INVALID_TAG);
    becomes("a16161d86401", "{\"a\":1}", INVALID_TAG);
    becomes("a161611801", "{\"a\":1}", INVALID_NOT_MINIMAL);
    becomes("a161617801ff", "{\"a\":\"\xef\xbf\xbd\"}", INVALID_UTF8);
    becomes("a161619800", "{\"a\":[]}", INVALID_NOT_MINIMAL);
    becomes("a2616201616102", "{\"b\":1,\"a\":2}", INVALID_UNSORTED_KEYS);
    becomes("a262616101616202", "{\"aa\":1,\"b\":2}", INVALID_UNSORTED_KEYS);
    becomes("a2616101616102", "{\"a\":1,\"a\":2}", INVALID_DUPLICATE_KEY);
    becomes("8101", "[1]", INVALID_NOT_A_MAP);
    becomes("d82a4700015500026869", "{\"$link\":\"bafkqaatine\"}", INVALID_NOT_A_MAP);
    becomes("a000", "{}", INVALID_TRAILING);
    becomes("a16161a165246c696e6b01", "{\"a\":{\"$link\":1}}", INVALID_PLAIN_LINK);
    becomes("a16161a16624627974657301", "{\"a\":{\"$bytes\":1}}", INVALID_PLAIN_BYTES);
    becomes("a165247479706560", "{\"$type\":\"\"}", INVALID_TYPE);
    becomes("a1652474797065f6", "{\"$type\":null}", INVALID_TYPE);
    becomes("a16524747970656462"
            "6c6f62",
            "{\"$type\":\"blob\"}", INVALID_BLOB);
}

static void what_cannot_be_read_is_null(void **state)
{
    (void)state;
    becomes("", "null", INVALID_TRUNCATED);
    becomes("bfff", "null", INVALID_INDEFINITE);
    becomes("a161617f6161ff", "null", INVALID_INDEFINITE);
    becomes("ff", "null", INVALID_INDEFINITE);
    becomes("a10101", "null", INVALID_KEY_NOT_TEXT);
    becomes("a1f6f6", "null", INVALID_KEY_NOT_TEXT);
    becomes("a16161fc", "null", INVALID_MALFORMED);
    becomes("a16161f800", "null", INVALID_MALFORMED);
}

static void text_is_raw_utf_8_with_the_fewest_escapes(void **state)
{
    (void)state;
    becomes("a161616a225c2f0a0d09080c7f1f", "{\"a\":\"\\\"\\\\/\\n\\r\\t\\b\\f\x7f\\u001f\"}",
            INVALID_NONE);
    becomes("a1616167f09f9880c3a961",
            "{\"a\":\"\xf0\x9f\x98\x80\xc3\xa9"
            "a\"}",
            INVALID_NONE);
    becomes("a1616100", "{\"a\":0}", INVALID_NONE);
    becomes("a1610001", "{\"\\u0000\":1}", INVALID_NUL);
    /* A surrogate in CESU form, an overlong slash, and a lead byte at the end. */
    becomes("a1616163eda080", "{\"a\":\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"}", INVALID_UTF8);
    becomes("a1616162c0af", "{\"a\":\"\xef\xbf\xbd\xef\xbf\xbd\"}", INVALID_UTF8);
    becomes("a1616162"
            "61c3",
            "{\"a\":\"a\xef\xbf\xbd\"}", INVALID_UTF8);
}

/* Each ASCII byte at each place of a text: what the eight-at-once path must not overlook. */
static void a_byte_that_needs_an_escape_is_found_wherever_it_stands(void **state)
{
    (void)state;
    for (int byte = 0; byte < 0x80; byte++) {
        for (size_t place = 0; place < 20; place++) {
            char text[20];
            struct buffer out = {0};
            memset(text, 'a', sizeof(text));
            text[place] = (char)byte;
            uint32_t breaks = json_append_text(&out, slice_of(text, sizeof(text)));
            bool is_plain = byte >= 0x20 && byte != '"' && byte != '\\';
            assert_int_equal(out.size == sizeof(text) + 2, is_plain);
            assert_int_equal(breaks, byte == 0 ? invalid_bit(INVALID_NUL) : 0);
            buffer_deinit(&out);
        }
    }
}

static void reals_are_the_shortest_that_read_back(void **state)
{
    (void)state;
    static const struct {
        double real;
        const char *text;
    } cases[] = {{0.1, "0.1"},
                 {1e21, "1e+21"},
                 {-0.0, "-0"},
                 {123.0, "123"},
                 {5e-324, "4.94065645841247e-324"},
                 {0.1 + 0.2, "0.30000000000000004"},
                 {DBL_MAX, "1.7976931348623157e+308"},
                 {(double)NAN, "null"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buffer out = {0};
        json_append_real(&out, cases[i].real);
        buffer_append_byte(&out, '\0');
        assert_string_equal(out.data, cases[i].text);
        buffer_deinit(&out);
    }
}

/* `depth` arrays in a map. */
static uint32_t nested(size_t depth, struct buffer *out)
{
    struct buffer block = {0};
    struct dag_stack stack = {0};
    cbor_put_hex(&block, "a16161");
    for (size_t i = 1; i < depth; i++) {
        buffer_append_byte(&block, (char)0x81);
    }
    buffer_append_byte(&block, (char)0x80);
    uint32_t breaks = json_append_record(out, buffer_slice(&block), &stack);
    dag_stack_deinit(&stack);
    buffer_deinit(&block);
    return breaks;
}

static void depth_is_4096_and_not_one_more(void **state)
{
    (void)state;
    struct buffer out = {0};
    assert_int_equal(nested(4095, &out), 0);
    assert_int_equal(out.size, 6 + (size_t)2 * 4095);
    buffer_clear(&out);
    assert_int_equal(nested(4096, &out), invalid_bit(INVALID_TOO_DEEP));
    assert_int_equal(out.size, 4);
    buffer_clear(&out);
    assert_int_equal(nested(1000000, &out), invalid_bit(INVALID_TOO_DEEP));
    buffer_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalars_are_said_as_they_are),
        cmocka_unit_test(integers_up_to_2_to_the_53_are_exact_and_beyond_are_flagged),
        cmocka_unit_test(links_of_any_kind_are_printed),
        cmocka_unit_test(what_breaks_the_data_model_is_said_and_flagged),
        cmocka_unit_test(what_cannot_be_read_is_null),
        cmocka_unit_test(text_is_raw_utf_8_with_the_fewest_escapes),
        cmocka_unit_test(a_byte_that_needs_an_escape_is_found_wherever_it_stands),
        cmocka_unit_test(reals_are_the_shortest_that_read_back),
        cmocka_unit_test(depth_is_4096_and_not_one_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
