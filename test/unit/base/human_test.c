#include "base/human.h"
#include "unit/test.h"

static void counts_have_their_thousands_apart(void **state)
{
    (void)state;
    static const struct {
        uint64_t count;
        const char *text;
    } cases[] = {{0, "0"},
                 {999, "999"},
                 {1000, "1,000"},
                 {1234567, "1,234,567"},
                 {UINT64_MAX, "18,446,744,073,709,551,615"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[HUMAN_SIZE];
        human_count(cases[i].count, text);
        assert_string_equal(text, cases[i].text);
    }
}

static void short_counts_have_five_characters_at_most(void **state)
{
    (void)state;
    static const struct {
        double count;
        const char *text;
    } cases[] = {{0, "0"},         {999.4, "999"},   {999.6, "1.0k"},  {12345, "12.3k"},
                 {99949, "99.9k"}, {123456, "123k"}, {999499, "999k"}, {999500, "1.0M"},
                 {45e6, "45.0M"},  {999.4e9, "999G"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[HUMAN_SIZE];
        human_short(cases[i].count, text);
        assert_string_equal(text, cases[i].text);
    }
}

static void times_come_in_the_largest_unit_that_still_says_something(void **state)
{
    (void)state;
    static const struct {
        uint64_t time_ms;
        const char *text;
    } cases[] = {{0, "0 ms"},         {999, "999 ms"},       {61250, "61.2 s"},
                 {120000, "2 min"},   {7199999, "119 min"},  {7200000, "2 h"},
                 {172799999, "47 h"}, {172800000, "2 days"}, {UINT64_C(86400000) * 90, "90 days"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[HUMAN_SIZE];
        human_time_ms(cases[i].time_ms, text);
        assert_string_equal(text, cases[i].text);
    }
}

static void bytes_come_in_powers_of_1024(void **state)
{
    (void)state;
    static const struct {
        uint64_t bytes;
        const char *text;
    } cases[] = {{0, "0 B"},
                 {1023, "1023 B"},
                 {1024, "1.0 KiB"},
                 {UINT64_C(5) << 30, "5.0 GiB"},
                 {UINT64_MAX, "16.0 EiB"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[HUMAN_SIZE];
        human_bytes(cases[i].bytes, text);
        assert_string_equal(text, cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_have_their_thousands_apart),
        cmocka_unit_test(short_counts_have_five_characters_at_most),
        cmocka_unit_test(times_come_in_the_largest_unit_that_still_says_something),
        cmocka_unit_test(bytes_come_in_powers_of_1024),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
