/* Times of events, and their TIDs. */
#include "unit/test.h"

#include <string.h>

#include "atproto/event_time.h"

static int64_t parse(const char *text)
{
    return event_time_parse(slice_from_string(text));
}

static void times_of_rfc_3339_are_read_and_garbage_is_unknown(void **state)
{
    static const char *const garbage[] = {"",
                                          "2026",
                                          "2026-01-01",
                                          "2026-02-29T00:00:00Z",
                                          "0000-01-01T00:00:00Z",
                                          "2026-13-01T00:00:00Z",
                                          "2026-01-01T24:00:00Z",
                                          "2026-01-01T00:00:00",
                                          "2026-01-01T00:00:00.Z",
                                          "2026-01-01T00:00:00Zx",
                                          "2026-01-01T00:00:00+24:00",
                                          "0001-01-01T00:59:59+01:00",
                                          "9999-12-31T23:00:00-01:00"};
    (void)state;
    assert_int_equal(parse("1970-01-01T00:00:00Z"), 0);
    assert_int_equal(parse("2000-03-01T00:00:00.5Z"), INT64_C(951868800500000));
    assert_int_equal(parse("2024-02-29T12:00:00+02:00"), INT64_C(1709200800000000));
    assert_int_equal(parse("1969-12-31T23:59:59.999999999Z"), -1);
    assert_int_equal(parse("2016-12-31T23:59:60Z"), INT64_C(1483228799000000)); /* a leap second */
    assert_int_equal(parse("0001-01-01T01:00:00+01:00"), INT64_C(-62135596800000000));
    assert_int_equal(parse("9999-12-31T22:59:59.999999-01:00"), INT64_C(253402300799999999));
    for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
        assert_true(parse(garbage[i]) == TIME_UNKNOWN);
    }
}

static void the_tid_of_a_time_sorts_like_the_time(void **state)
{
    char a[EVENT_TID_SIZE];
    char b[EVENT_TID_SIZE];
    (void)state;
    event_time_tid(0, a);
    assert_memory_equal(a, "2222222222222", EVENT_TID_SIZE);
    event_time_tid(1, b);
    assert_memory_equal(b, "2222222222322", EVENT_TID_SIZE);
    event_time_tid(INT64_C(1767225600000000), a);
    event_time_tid(INT64_C(1767225600000001), b);
    assert_true(memcmp(a, b, EVENT_TID_SIZE) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_of_rfc_3339_are_read_and_garbage_is_unknown),
        cmocka_unit_test(the_tid_of_a_time_sorts_like_the_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
