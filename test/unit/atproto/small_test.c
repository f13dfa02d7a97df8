/* What is too small for a program of its own: utf8, sha256, invalid, collection_filter. */
#include "unit/test.h"

#include "atproto/frame.h"
#include "atproto/invalid.h"
#include "atproto/sha256.h"
#include "atproto/utf8.h"

static void utf_8_is_judged_as_rfc_3629_says(void **state)
{
    (void)state;
    static const struct slice good[] = {SLICE(""),
                                        SLICE("0123456789"),
                                        SLICE("\xc2\x80"),
                                        SLICE("\xed\x9f\xbf\xee\x80\x80"),
                                        SLICE("\xf4\x8f\xbf\xbf"),
                                        SLICE("\xe0\xa0\x80 12345678 \xf0\x90\x80\x80"),
                                        SLICE("\0")};
    static const struct slice bad[] = {SLICE("\x80"),
                                       SLICE("\xc1\xbf"),
                                       SLICE("\xe0\x9f\xbf"),
                                       SLICE("\xed\xa0\x80"),
                                       SLICE("\xf0\x8f\xbf\xbf"),
                                       SLICE("\xf4\x90\x80\x80"),
                                       SLICE("\xf5\x80\x80\x80"),
                                       SLICE("12345678\xc3"),
                                       SLICE("\xe2\x82"),
                                       SLICE("\xff"),
                                       SLICE("\xc3(")};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(utf8_is_valid(good[i]));
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(utf8_is_valid(bad[i]));
    }
}

static void a_code_point_that_is_written_reads_as_one_sequence(void **state)
{
    (void)state;
    static const uint32_t points[] = {0, 0x7f, 0x80, 0x7ff, 0x800, 0xffff, 0x10000, 0x10ffff};
    for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
        char text[UTF8_SEQUENCE_MAX];
        size_t size = utf8_encode(points[i], text);
        assert_int_equal(utf8_sequence((const uint8_t *)text, size), size);
    }
}

static void sha_256_is_that_of_the_standard_time_after_time(void **state)
{
    (void)state;
    static const uint8_t expected[] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea,
                                       0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23,
                                       0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c,
                                       0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};
    uint8_t digest[SHA256_SIZE];
    for (int i = 0; i < 3; i++) {
        sha256_digest(SLICE("abc"), digest);
        assert_memory_equal(digest, expected, sizeof(expected));
    }
}

static void every_reason_has_a_text_of_its_own(void **state)
{
    (void)state;
    for (int i = 0; i < INVALID_REASON_COUNT; i++) {
        for (int other = 0; other < i; other++) {
            assert_string_not_equal(invalid_reason_text((enum invalid_reason)i),
                                    invalid_reason_text((enum invalid_reason)other));
        }
    }
    assert_int_equal(invalid_first(0), INVALID_NONE);
    assert_int_equal(invalid_first(invalid_bit(INVALID_BLOB) | invalid_bit(INVALID_FLOAT)),
                     INVALID_FLOAT);
}

static bool matches(const char *pattern, const char *collection)
{
    struct collection_filter filter = {&pattern, 1};
    return collection_filter_matches(&filter, slice_from_string(collection));
}

static void a_filter_matches_whole_segments_only(void **state)
{
    (void)state;
    assert_true(matches("app.bsky.feed.post", "app.bsky.feed.post"));
    assert_false(matches("app.bsky.feed.post", "app.bsky.feed.postgate"));
    assert_true(matches("app.bsky.feed.*", "app.bsky.feed.post"));
    assert_true(matches("app.bsky.*", "app.bsky.feed.post"));
    assert_false(matches("app.bsky.feed.*", "app.bsky.feedback.post"));
    assert_false(matches("app.bsky.feed.*", "app.bsky.feed"));
    assert_false(matches("app.bsky.feed.*", "app.bsky.feed."));
    assert_false(matches("*", "app.bsky.feed.post"));
    assert_true(collection_filter_matches(&(struct collection_filter){0}, SLICE("anything")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(utf_8_is_judged_as_rfc_3629_says),
        cmocka_unit_test(a_code_point_that_is_written_reads_as_one_sequence),
        cmocka_unit_test(sha_256_is_that_of_the_standard_time_after_time),
        cmocka_unit_test(every_reason_has_a_text_of_its_own),
        cmocka_unit_test(a_filter_matches_whole_segments_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
