#include "unit/test.h"

#include <stdio.h>
#include <stdlib.h>

#include "atproto/syntax.h"

static void assert_verdict(const char *list, struct slice text, bool (*is_valid)(struct slice),
                           bool expected)
{
    if (is_valid(text) != expected) {
        fail_msg("%s: [%.*s]", list, SLICE_ARGS(text));
    }
}

/* Asks `is_valid` about each line of a list that is neither empty nor a comment. */
static void list_agrees(const char *list, bool (*is_valid)(struct slice), bool expected)
{
    char path[1024];
    (void)snprintf(path, sizeof(path), "%s/syntax/%s.txt", FIXTURES, list);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    char *line = NULL;
    size_t capacity = 0;
    size_t count = 0;
    ssize_t size;
    while ((size = getline(&line, &capacity, file)) >= 0) {
        if (size > 0 && line[size - 1] == '\n') {
            size--;
        }
        if (size == 0 || line[0] == '#') {
            continue;
        }
        count++;
        assert_verdict(list, slice_of(line, (size_t)size), is_valid, expected);
    }
    assert_true(count > 0);
    free(line);
    assert_int_equal(fclose(file), 0);
}

static void the_lists_of_identifiers_agree(void **state)
{
    (void)state;
    list_agrees("tid_syntax_valid", tid_is_valid, true);
    list_agrees("tid_syntax_invalid", tid_is_valid, false);
    list_agrees("nsid_syntax_valid", nsid_is_valid, true);
    list_agrees("nsid_syntax_invalid", nsid_is_valid, false);
    list_agrees("recordkey_syntax_valid", record_key_is_valid, true);
    list_agrees("recordkey_syntax_invalid", record_key_is_valid, false);
    list_agrees("did_syntax_valid", did_is_valid, true);
    list_agrees("did_syntax_invalid", did_is_valid, false);
    list_agrees("handle_syntax_valid", handle_is_valid, true);
    list_agrees("handle_syntax_invalid", handle_is_valid, false);
    list_agrees("atidentifier_syntax_valid", at_identifier_is_valid, true);
    list_agrees("atidentifier_syntax_invalid", at_identifier_is_valid, false);
    list_agrees("aturi_syntax_valid", at_uri_is_valid, true);
    list_agrees("aturi_syntax_invalid", at_uri_is_valid, false);
    list_agrees("uri_syntax_valid", uri_is_valid, true);
    list_agrees("uri_syntax_invalid", uri_is_valid, false);
    list_agrees("cid_syntax_valid", cid_text_is_valid, true);
    list_agrees("cid_syntax_invalid", cid_text_is_valid, false);
}

static void the_lists_of_datetimes_agree(void **state)
{
    (void)state;
    list_agrees("datetime_syntax_valid", datetime_has_syntax, true);
    list_agrees("datetime_syntax_valid", datetime_is_valid, true);
    list_agrees("datetime_syntax_invalid", datetime_has_syntax, false);
    list_agrees("datetime_parse_invalid", datetime_has_syntax, true);
    list_agrees("datetime_parse_invalid", datetime_is_valid, false);
}

static void the_lists_of_languages_agree(void **state)
{
    (void)state;
    list_agrees("language_syntax_valid", language_has_syntax, true);
    list_agrees("language_syntax_valid", language_is_valid, true);
    list_agrees("language_syntax_invalid", language_has_syntax, false);
    list_agrees("language_parse_invalid", language_has_syntax, true);
    list_agrees("language_parse_invalid", language_is_valid, false);
}

static void nothing_is_valid_when_empty(void **state)
{
    (void)state;
    bool (*const checks[])(struct slice) = {
        tid_is_valid,       nsid_is_valid,          record_key_is_valid, did_is_valid,
        handle_is_valid,    at_uri_is_valid,        uri_is_valid,        cid_text_is_valid,
        datetime_is_valid,  at_identifier_is_valid, language_is_valid,   datetime_has_syntax,
        language_has_syntax};
    for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
        assert_false(checks[i]((struct slice){0}));
        assert_false(checks[i](SLICE("\0")));
        assert_false(checks[i](SLICE("did:plc:a\0b")));
    }
}

static void february_has_29_days_in_leap_years_alone(void **state)
{
    (void)state;
    assert_true(datetime_is_valid(SLICE("2024-02-29T00:00:00Z")));
    assert_true(datetime_is_valid(SLICE("2000-02-29T00:00:00Z")));
    assert_false(datetime_is_valid(SLICE("2023-02-29T00:00:00Z")));
    assert_false(datetime_is_valid(SLICE("1900-02-29T00:00:00Z")));
}

static void a_path_splits_into_collection_and_record_key(void **state)
{
    (void)state;
    struct slice collection = {0};
    struct slice key = {0};
    assert_true(record_path_split(SLICE("Com.Example.UPPER/a:b"), &collection, &key));
    assert_true(slice_equals(collection, SLICE("Com.Example.UPPER")));
    assert_true(slice_equals(key, SLICE("a:b")));
    static const struct slice bad[] = {SLICE(""),         SLICE("/"),        SLICE("a.b.c"),
                                       SLICE("a.b.c/"),   SLICE("/a"),       SLICE("a.b.c/d/e"),
                                       SLICE("a.b.c/d/"), SLICE("a.b/c"),    SLICE("a.b.c//d"),
                                       SLICE("a.b.c/."),  SLICE("$a.b.c/d"), SLICE("a.b.c/d e"),
                                       SLICE("a.b.c/\0"), SLICE("a.b.c\0/d")};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(record_path_split(bad[i], &collection, &key));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_lists_of_identifiers_agree),
        cmocka_unit_test(the_lists_of_datetimes_agree),
        cmocka_unit_test(the_lists_of_languages_agree),
        cmocka_unit_test(nothing_is_valid_when_empty),
        cmocka_unit_test(february_has_29_days_in_leap_years_alone),
        cmocka_unit_test(a_path_splits_into_collection_and_record_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
