/* Log: three formats with the same fields, safe against what stands in them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"

#define NOON 1769860800123456LL /* 2026-01-31T12:00:00.123456Z */

static char text[512];

static const char *line_of(enum log_format format, const struct log_field *fields, size_t count)
{
    const struct log_line line = {.level = LOG_LEVEL_INFO,
                                  .wall_us = NOON,
                                  .object = "relay[a]",
                                  .message = "is connected",
                                  .fields = fields,
                                  .field_count = count};
    size_t size = log_format_line(text, sizeof(text), format, &line);
    assert_int_equal(size, strlen(text));
    return text;
}

static void the_three_formats_carry_the_same_fields(void **state)
{
    (void)state;
    const struct log_field fields[] = {LOG_INT("cursor", -5), LOG_TEXT("address", "1.2.3.4"),
                                       LOG_REAL("seconds", 0.25), LOG_BOOL("new", true),
                                       LOG_BOOL("old", 0)};
    assert_string_equal(line_of(LOG_FORMAT_TEXT, fields, 5),
                        "2026-01-31T12:00:00.123Z info relay[a] is connected cursor=-5 "
                        "address=1.2.3.4 seconds=0.250 new=true old=false");
    assert_string_equal(line_of(LOG_FORMAT_JSON, fields, 5),
                        "{\"time\":\"2026-01-31T12:00:00.123Z\",\"level\":\"info\","
                        "\"object\":\"relay[a]\",\"message\":\"is connected\",\"cursor\":-5,"
                        "\"address\":\"1.2.3.4\",\"seconds\":0.250,\"new\":true,\"old\":false}");
    assert_string_equal(
        line_of(LOG_FORMAT_LOGFMT, fields, 5),
        "time=2026-01-31T12:00:00.123Z level=info object=relay[a] "
        "message=\"is connected\" cursor=-5 address=1.2.3.4 seconds=0.250 new=true old=false");
}

static void nothing_in_a_field_can_start_another_line_or_field(void **state)
{
    (void)state;
    const struct log_field field = LOG_TEXT("name", "a\nb\x1b[31m \"c\" d=1\\\x7f");
    static const enum log_format formats[] = {LOG_FORMAT_TEXT, LOG_FORMAT_JSON, LOG_FORMAT_LOGFMT};
    for (size_t i = 0; i < 3; i++) {
        const char *line = line_of(formats[i], &field, 1);
        assert_null(strchr(line, '\n'));
        assert_null(strchr(line, '\x1b'));
        assert_null(strchr(line, '\x7f'));
        assert_non_null(strstr(line, "\"a\\u000ab\\u001b[31m \\\"c\\\" d=1\\\\\\u007f\""));
    }
}

static void nothing_suppressed_is_not_worth_a_field(void **state)
{
    (void)state;
    static const enum log_format formats[] = {LOG_FORMAT_TEXT, LOG_FORMAT_JSON, LOG_FORMAT_LOGFMT};
    const struct log_field none = LOG_SUPPRESSED(0);
    const struct log_field some = LOG_SUPPRESSED(7);
    for (size_t i = 0; i < 3; i++) {
        assert_null(strstr(line_of(formats[i], &none, 1), "suppressed"));
        assert_non_null(strstr(line_of(formats[i], &some, 1), "suppressed"));
    }
}

static void an_empty_text_is_visible(void **state)
{
    (void)state;
    const struct log_field field = LOG_SLICE("name", slice_of(NULL, 0));
    assert_non_null(strstr(line_of(LOG_FORMAT_TEXT, &field, 1), " name=\"\""));
    assert_non_null(strstr(line_of(LOG_FORMAT_JSON, &field, 1), "\"name\":\"\""));
}

static void a_line_is_cut_where_its_room_ends(void **state)
{
    (void)state;
    char room[64];
    char longer[2000];
    memset(room, 'R', sizeof(room));
    memset(longer, 'x', sizeof(longer));
    const struct log_field field = LOG_SLICE("name", slice_of(longer, sizeof(longer)));
    const struct log_line line = {.level = LOG_LEVEL_ERROR,
                                  .wall_us = NOON,
                                  .object = "o",
                                  .message = "m",
                                  .fields = &field,
                                  .field_count = 1};
    size_t size = log_format_line(room, 60, LOG_FORMAT_TEXT, &line);
    assert_int_equal(size, 59);
    assert_int_equal(room[59], '\0');
    assert_int_equal(room[60], 'R');
}

static void a_long_or_broken_text_still_ends_in_valid_json(void **state)
{
    (void)state;
    static char long_text[3000];
    memset(long_text, '\x01', sizeof(long_text));
    const struct log_field fields[] = {LOG_SLICE("name", slice_of(long_text, sizeof(long_text))),
                                       LOG_TEXT("broken", "a\xff\xc3")};
    static char room[4096];
    const struct log_line line = {.level = LOG_LEVEL_ERROR,
                                  .wall_us = NOON,
                                  .object = "o",
                                  .message = "m",
                                  .fields = fields,
                                  .field_count = 2};
    size_t size = log_format_line(room, sizeof(room), LOG_FORMAT_JSON, &line);
    assert_true(size < 1200);
    assert_non_null(strstr(room, "...\",\"broken\":\"a\\ufffd\\ufffd\"}"));
}

static void levels_below_the_configured_one_are_off(void **state)
{
    (void)state;
    log_configure(LOG_LEVEL_WARNING, LOG_FORMAT_TEXT);
    assert_false(log_is_enabled(LOG_LEVEL_DEBUG));
    assert_false(log_is_enabled(LOG_LEVEL_INFO));
    assert_true(log_is_enabled(LOG_LEVEL_WARNING));
    assert_true(log_is_enabled(LOG_LEVEL_ERROR));
    log_configure(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
}

/* What log_write() puts on stderr, read back through a pipe. */
static size_t capture(const struct log_field *fields, size_t count, char *out, size_t size)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    int saved = dup(STDERR_FILENO);
    assert_true(saved >= 0);
    assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
    log_write(LOG_LEVEL_INFO, "object", "message", fields, count);
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    assert_int_equal(close(saved), 0);
    assert_int_equal(close(ends[1]), 0);
    ssize_t got = read(ends[0], out, size);
    assert_true(got > 0);
    assert_int_equal(close(ends[0]), 0);
    return (size_t)got;
}

static void a_written_line_ends_with_one_newline_even_where_it_is_cut(void **state)
{
    (void)state;
    static char longer[10000];
    static char out[20000];
    memset(longer, 'x', sizeof(longer));
    const struct log_field field = LOG_SLICE("name", slice_of(longer, sizeof(longer)));
    const struct log_field fields[] = {field, field, field, field, field};
    size_t size = capture(fields, 5, out, sizeof(out));
    assert_int_equal(size, 4096);
    assert_int_equal(out[size - 1], '\n');
    assert_ptr_equal(memchr(out, '\n', size), out + size - 1);
    size = capture(&field, 0, out, sizeof(out));
    assert_memory_equal(out + size - 16, " object message\n", 16);
}

static void a_limit_lets_one_line_pass_in_its_interval_and_tells_the_rest(void **state)
{
    (void)state;
    struct log_limit limit = {.interval_ms = 1000};
    uint64_t suppressed = 99;
    clock_test_freeze(NOON);
    assert_true(log_limit_pass(&limit, &suppressed));
    assert_int_equal(suppressed, 0);
    for (int i = 0; i < 7; i++) {
        assert_false(log_limit_pass(&limit, &suppressed));
    }
    clock_test_advance_ms(999);
    assert_false(log_limit_pass(&limit, &suppressed));
    clock_test_advance_ms(1);
    assert_true(log_limit_pass(&limit, &suppressed));
    assert_int_equal(suppressed, 8);
    clock_test_advance_ms(5000);
    assert_true(log_limit_pass(&limit, &suppressed));
    assert_int_equal(suppressed, 0);
}

static void a_limit_without_an_interval_waits_ten_seconds(void **state)
{
    (void)state;
    struct log_limit limit = {0};
    uint64_t suppressed = 0;
    clock_test_freeze(NOON);
    assert_true(log_limit_pass(&limit, &suppressed));
    clock_test_advance_ms(9999);
    assert_false(log_limit_pass(&limit, &suppressed));
    clock_test_advance_ms(1);
    assert_true(log_limit_pass(&limit, &suppressed));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_three_formats_carry_the_same_fields),
        cmocka_unit_test(nothing_in_a_field_can_start_another_line_or_field),
        cmocka_unit_test(nothing_suppressed_is_not_worth_a_field),
        cmocka_unit_test(an_empty_text_is_visible),
        cmocka_unit_test(a_line_is_cut_where_its_room_ends),
        cmocka_unit_test(a_long_or_broken_text_still_ends_in_valid_json),
        cmocka_unit_test(levels_below_the_configured_one_are_off),
        cmocka_unit_test(a_written_line_ends_with_one_newline_even_where_it_is_cut),
        cmocka_unit_test(a_limit_lets_one_line_pass_in_its_interval_and_tells_the_rest),
        cmocka_unit_test(a_limit_without_an_interval_waits_ten_seconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
