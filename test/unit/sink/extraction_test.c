#include "unit/test.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sink/extraction.h"
#include "sink/jsonb_text.h"
#include "unit/sink/hand_tables.h"

#define CID  "bafyreibnxz5aiq6tz4fvpjwp5g4v2x2nmpphdcctc62ubiguxxxxxxxxxy"
#define IMGS "app.bsky.embed.images"

/* What a column holds, in words: `-` for nothing. */
static const char *say(const struct column_value *value, enum column_type type)
{
    static char text[512];
    struct buffer array = {0};
    if (!value->has_value) {
        return "-";
    }
    switch (type) {
    case COLUMN_TEXT:
    case COLUMN_JSONB:
    case COLUMN_CID:
        (void)snprintf(text, sizeof(text), "%.*s", SLICE_ARGS(value->text));
        break;
    case COLUMN_INTEGER:
    case COLUMN_BOOLEAN:
    case COLUMN_TIMESTAMPTZ:
        (void)snprintf(text, sizeof(text), "%" PRId64, value->number);
        break;
    case COLUMN_TEXT_ARRAY:
        column_value_append_array(value, &array);
        (void)snprintf(text, sizeof(text), "%.*s", SLICE_ARGS(buffer_slice(&array)));
        buffer_deinit(&array);
        break;
    }
    return text;
}

struct wild {
    enum column_type type;
    const char *paths;
    const char *record;
    const char *expected; /* `-`: null */
};

static void check_wild(const struct wild *wild)
{
    struct arena arena = {0};
    hand_begin();
    struct table *table = hand_table("things", "app.test.thing");
    (void)hand_column(table, "x", wild->type, wild->paths);
    struct extraction *extraction = extraction_create(table);
    struct slice record = jsonb_text_without_nul(slice_from_string(wild->record), &arena);
    enum extraction_result result = extraction_run(extraction, record, 0, &arena);
    const char *found = say(extraction_value(extraction, table->column_count - 1), wild->type);
    if (strcmp(found, wild->expected) != 0) {
        print_error("%s of %s: %s, not %s\n", wild->paths, wild->record, found, wild->expected);
    }
    assert_int_equal(result, EXTRACTION_ROW);
    assert_string_equal(found, wild->expected);
    extraction_destroy(extraction);
    arena_deinit(&arena);
}

static const struct wild wild_values[] = {
    {COLUMN_TEXT, "x", "{\"x\":\"a\"}", "a"},
    {COLUMN_TEXT, "x", "{\"x\":\"\\u0061\\n\\ud83d\\ude00\"}", "a\n\xf0\x9f\x98\x80"},
    {COLUMN_TEXT, "x", "{\"x\":\"\\u0000\"}", "\xef\xbf\xbd"},
    {COLUMN_TEXT, "x", "{\"x\":\"\"}", ""},
    {COLUMN_TEXT, "x", "{\"x\":null}", "-"},
    {COLUMN_TEXT, "x", "{\"x\":1}", "-"},
    {COLUMN_TEXT, "x", "{\"x\":[\"a\"]}", "-"},
    {COLUMN_TEXT, "x", "{\"y\":{\"x\":\"a\"}}", "-"},
    {COLUMN_TEXT, "x", "null", "-"},
    {COLUMN_TEXT, "x", "[]", "-"},
    {COLUMN_TEXT, "x", "\"x\"", "-"},
    {COLUMN_TEXT, "x", "{\"x\":\"first\",\"x\":\"last\"}", "last"},
    {COLUMN_TEXT, "x", "{\"x\":\"first\",\"\\u0078\":\"last\"}", "last"},
    {COLUMN_TEXT, "x", "{\"x\":\"first\",\"x\":7}", "-"},
    {COLUMN_TEXT, "x/y", "{\"x\":{\"y\":\"no\"},\"x\":{\"z\":1}}", "-"},
    {COLUMN_TEXT, "x|y|z", "{\"z\":\"z\",\"y\":\"y\"}", "y"},
    {COLUMN_TEXT, "x|y", "{\"x\":5,\"y\":\"y\"}", "y"},
    {COLUMN_TEXT, "x/[]/y", "{\"x\":[1,{},{\"y\":null},{\"y\":2},{\"y\":\"a\"},{\"y\":\"b\"}]}",
     "a"},
    {COLUMN_TEXT, "x/[]/y", "{\"x\":{\"y\":\"a\"}}", "-"},
    {COLUMN_TEXT, "x/y", "{\"x\":[{\"y\":\"a\"}]}", "-"},
    {COLUMN_INTEGER, "x", "{\"x\":0}", "0"},
    {COLUMN_INTEGER, "x", "{\"x\":-0.0}", "0"},
    {COLUMN_INTEGER, "x", "{\"x\":1e2}", "100"},
    {COLUMN_INTEGER, "x", "{\"x\":1.0}", "1"},
    {COLUMN_INTEGER, "x", "{\"x\":1.50e1}", "15"},
    {COLUMN_INTEGER, "x", "{\"x\":1500e-2}", "15"},
    {COLUMN_INTEGER, "x", "{\"x\":0.001E+3}", "1"},
    {COLUMN_INTEGER, "x", "{\"x\":1.5}", "-"},
    {COLUMN_INTEGER, "x", "{\"x\":1e-1}", "-"},
    {COLUMN_INTEGER, "x", "{\"x\":0e999999999999}", "0"},
    {COLUMN_INTEGER, "x", "{\"x\":1e999999999999}", "-"},
    {COLUMN_INTEGER, "x", "{\"x\":9223372036854775807}", "9223372036854775807"},
    {COLUMN_INTEGER, "x", "{\"x\":9223372036854775807.000}", "9223372036854775807"},
    {COLUMN_INTEGER, "x", "{\"x\":9223372036854775808}", "-"},
    {COLUMN_INTEGER, "x", "{\"x\":-9223372036854775808}", "-9223372036854775808"},
    {COLUMN_INTEGER, "x", "{\"x\":-9223372036854775809}", "-"},
    {COLUMN_INTEGER, "x", "{\"x\":99999999999999999999999}", "-"},
    {COLUMN_INTEGER, "x", "{\"x\":\"5\"}", "-"},
    {COLUMN_INTEGER, "x", "{\"x\":true}", "-"},
    {COLUMN_BOOLEAN, "x", "{\"x\":true}", "1"},
    {COLUMN_BOOLEAN, "x", "{\"x\":false}", "0"},
    {COLUMN_BOOLEAN, "x", "{\"x\":\"true\"}", "-"},
    {COLUMN_BOOLEAN, "x", "{\"x\":1}", "-"},
    {COLUMN_TIMESTAMPTZ, "x", "{\"x\":\"1970-01-01T00:00:01.5Z\"}", "1500000"},
    {COLUMN_TIMESTAMPTZ, "x", "{\"x\":\"1970-01-01T02:00:00+02:00\"}", "0"},
    {COLUMN_TIMESTAMPTZ, "x", "{\"x\":\"yesterday\"}", "-"},
    {COLUMN_TIMESTAMPTZ, "x", "{\"x\":\"2026-02-30T00:00:00Z\"}", "-"},
    {COLUMN_TIMESTAMPTZ, "x", "{\"x\":\"0000-01-01T00:00:00Z\"}", "-"},
    {COLUMN_TIMESTAMPTZ, "x", "{\"x\":\"294277-01-01T00:00:00Z\"}", "-"},
    {COLUMN_TIMESTAMPTZ, "x", "{\"x\":\"-4714-01-01T00:00:00Z\"}", "-"},
    {COLUMN_TIMESTAMPTZ, "x", "{\"x\":\"infinity\"}", "-"},
    {COLUMN_TIMESTAMPTZ, "x", "{\"x\":1700000000}", "-"},
    {COLUMN_JSONB, "x", "{\"x\":{\"a\":[1, 2]}}", "{\"a\":[1, 2]}"},
    {COLUMN_JSONB, "x", "{\"x\":1e2}", "1e2"},
    {COLUMN_JSONB, "x", "{\"x\":\"\\u0000\"}", "\"\xef\xbf\xbd\""},
    {COLUMN_JSONB, "x", "{\"x\":null}", "-"},
    {COLUMN_TEXT_ARRAY, "x/[]", "{\"x\":[\"a\",\"b\\\"\\\\\",\"\",\"{},\"]}",
     "{\"a\",\"b\\\"\\\\\",\"\",\"{},\"}"},
    {COLUMN_TEXT_ARRAY, "x", "{\"x\":[\"a\",\"b\"]}", "{\"a\",\"b\"}"},
    {COLUMN_TEXT_ARRAY, "x/[]", "{\"x\":[\"a\",5,null,[\"b\"]]}", "{\"a\",\"b\"}"},
    {COLUMN_TEXT_ARRAY, "x/[]", "{\"x\":[]}", "{}"},
    {COLUMN_TEXT_ARRAY, "x/[]", "{\"x\":[null,5]}", "{}"},
    {COLUMN_TEXT_ARRAY, "x/[]", "{\"x\":null}", "-"},
    {COLUMN_TEXT_ARRAY, "x/[]", "{}", "-"},
    {COLUMN_TEXT_ARRAY, "x/[]|y/[]", "{\"x\":[],\"y\":[\"a\"]}", "{}"},
    {COLUMN_TEXT_ARRAY, "x/[]|y/[]", "{\"y\":[\"a\"]}", "{\"a\"}"},
    {COLUMN_TEXT_ARRAY, "x/[]/y/[]", "{\"x\":[]}", "{}"},
    {COLUMN_TEXT_ARRAY, "x/[]/y/[]", "{\"x\":[{}]}", "{}"},
    {COLUMN_TEXT_ARRAY, "x/<a.b.c>/y/[]", "{\"x\":{\"$type\":\"a.b.d\",\"y\":[]}}", "-"},
    {COLUMN_TEXT_ARRAY, "x/<a.b.c>/y/[]", "{\"x\":{\"$type\":\"a.b.c\",\"y\":[]}}", "{}"},
    {COLUMN_TEXT_ARRAY, "x/[]", "{\"x\":\"a\"}", "-"},
    {COLUMN_TEXT_ARRAY, "x/[]/f/[]/<a.b.c#tag>/t",
     "{\"x\":[{\"f\":[{\"t\":\"no\",\"$type\":\"a.b.c#link\"},{\"t\":\"1\",\"$type\":\"a.b.c#tag\"}"
     "]},"
     "{\"f\":[{\"$type\":\"a.b.c#tag\",\"t\":\"2\"}]},{\"f\":7}]}",
     "{\"1\",\"2\"}"},
    {COLUMN_CID, "x", "{\"x\":{\"$link\":\"" CID "\"}}", CID},
    {COLUMN_CID, "x", "{\"x\":\"" CID "\"}", CID},
    {COLUMN_CID, "x",
     "{\"x\":{\"$type\":\"blob\",\"ref\":{\"$link\":\"" CID "\"},\"mimeType\":\"a/b\",\"size\":5}}",
     CID},
    {COLUMN_CID, "x", "{\"x\":{\"cid\":\"" CID "\",\"mimeType\":\"image/jpeg\"}}", CID},
    {COLUMN_CID, "x", "{\"x\":{\"cid\":\"" CID "\",\"uri\":\"at://did:plc:a/b/c\"}}", "-"},
    {COLUMN_CID, "x", "{\"x\":{\"$link\":7}}", "-"},
    {COLUMN_CID, "x", "{\"x\":{\"$link\":\"no cid\"}}", "-"},
    {COLUMN_CID, "x", "{\"x\":\"password1\"}", "-"},
    {COLUMN_CID, "x", "{\"x\":\"bafyreib\"}", "-"},
    {COLUMN_CID, "x", "{\"x\":\"QmbWqxBEKC3P8tqsKc98xmWNzrzDtRLMiMPL8wBuTGsMnR\"}", "-"},
    {COLUMN_CID, "x", "{\"x\":{\"ref\":\"" CID "\"}}", "-"},
    {COLUMN_CID, "x", "{\"x\":{\"ref\":{\"ref\":{\"$link\":\"" CID "\"}}}}", "-"},
    /* unions: whatever the order, with and without #main, unknown, absent, no text */
    {COLUMN_TEXT, "e/<" IMGS ">/x", "{\"e\":{\"x\":\"a\",\"$type\":\"" IMGS "\"}}", "a"},
    {COLUMN_TEXT, "e/<" IMGS ">/x", "{\"e\":{\"$type\":\"" IMGS "#main\",\"x\":\"a\"}}", "a"},
    {COLUMN_TEXT, "e/<" IMGS "#main>/x", "{\"e\":{\"$type\":\"" IMGS "\",\"x\":\"a\"}}", "a"},
    {COLUMN_TEXT, "e/<" IMGS ">/x", "{\"e\":{\"$type\":\"" IMGS "#view\",\"x\":\"a\"}}", "-"},
    {COLUMN_TEXT, "e/<" IMGS ">/x", "{\"e\":{\"$type\":\"org.unknown\",\"x\":\"a\"}}", "-"},
    {COLUMN_TEXT, "e/<" IMGS ">/x", "{\"e\":{\"x\":\"a\"}}", "-"},
    {COLUMN_TEXT, "e/<" IMGS ">/x", "{\"e\":{\"$type\":7,\"x\":\"a\"}}", "-"},
    {COLUMN_TEXT, "e/<" IMGS ">/x",
     "{\"e\":{\"$type\":\"" IMGS "\",\"x\":\"a\",\"$type\":\"other\"}}", "-"},
    {COLUMN_TEXT, "e/<" IMGS ">/x|e/x", "{\"e\":{\"$type\":\"other\",\"x\":\"b\"}}", "b"},
    {COLUMN_TEXT, "e/$type", "{\"e\":{\"$type\":\"" IMGS "\"}}", IMGS},
};

static void values_as_they_are_in_the_wild_become_columns_or_null(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(wild_values) / sizeof(wild_values[0]); i++) {
        check_wild(&wild_values[i]);
    }
}

static enum extraction_result run_one(struct table *table, const char *record)
{
    struct arena arena = {0};
    struct extraction *extraction = extraction_create(table);
    enum extraction_result result =
        extraction_run(extraction, slice_from_string(record), 0, &arena);
    if (result == EXTRACTION_BAD) {
        assert_string_equal(table->columns[extraction_bad_column(extraction)].name, "x");
    }
    extraction_destroy(extraction);
    arena_deinit(&arena);
    return result;
}

static void a_required_column_without_a_value_means_no_row(void **state)
{
    (void)state;
    hand_begin();
    struct table *table = hand_table("things", "app.test.thing");
    struct table_column *column = hand_column(table, "x", COLUMN_INTEGER, "x");
    column->is_required = true;
    assert_int_equal(run_one(table, "{\"x\":1}"), EXTRACTION_ROW);
    assert_int_equal(run_one(table, "{}"), EXTRACTION_NO_ROW);
    assert_int_equal(run_one(table, "{\"x\":null}"), EXTRACTION_NO_ROW);
    assert_int_equal(run_one(table, "{\"x\":\"1\"}"), EXTRACTION_NO_ROW);
    assert_int_equal(run_one(table, "null"), EXTRACTION_NO_ROW);
    column->fallback = hand_text("7");
    assert_int_equal(run_one(table, "{}"), EXTRACTION_ROW);
}

static void a_bad_value_is_a_dead_letter_where_its_column_says_so(void **state)
{
    (void)state;
    hand_begin();
    struct table *table = hand_table("things", "app.test.thing");
    struct table_column *column = hand_column(table, "x", COLUMN_INTEGER, "x|y");
    column->bad_value = BAD_VALUE_DEAD_LETTER;
    assert_int_equal(run_one(table, "{\"x\":1,\"y\":\"bad, and not looked at\"}"), EXTRACTION_ROW);
    assert_int_equal(run_one(table, "{}"), EXTRACTION_ROW);
    assert_int_equal(run_one(table, "{\"x\":1.5,\"y\":1}"), EXTRACTION_BAD);
    assert_int_equal(run_one(table, "{\"y\":[]}"), EXTRACTION_BAD);
    struct table_column *required = hand_column(table, "z", COLUMN_TEXT, "z");
    required->is_required = true;
    assert_int_equal(run_one(table, "{\"x\":1.5}"), EXTRACTION_NO_ROW);
}

/* As long as its index takes: in bytes, and after it was unescaped. */
static void a_text_too_long_for_its_index_is_a_bad_value(void **state)
{
    (void)state;
    hand_begin();
    struct table *table = hand_table("things", "app.test.thing");
    struct table_column *column = hand_column(table, "x", COLUMN_TEXT, "x|y");
    column->bytes_max = 4;
    column->is_required = true;
    assert_int_equal(run_one(table, "{\"x\":\"\\u00e9\\u00e9\"}"), EXTRACTION_ROW);
    assert_int_equal(run_one(table, "{\"x\":\"12345\"}"), EXTRACTION_NO_ROW);
    assert_int_equal(run_one(table, "{\"x\":\"12345\",\"y\":\"1\"}"), EXTRACTION_ROW);
    column->type = COLUMN_TEXT_ARRAY;
    assert_int_equal(run_one(table, "{\"x\":[\"1234\",\"1234\"]}"), EXTRACTION_ROW);
    assert_int_equal(run_one(table, "{\"x\":[\"12345\"]}"), EXTRACTION_NO_ROW);
    column->bad_value = BAD_VALUE_DEAD_LETTER;
    column->is_required = false;
    assert_int_equal(run_one(table, "{\"x\":[\"1\",\"12345\"]}"), EXTRACTION_BAD);
}

static void half_a_surrogate_pair_has_no_row(void **state)
{
    (void)state;
    hand_begin();
    struct table *table = hand_table("things", "app.test.thing");
    (void)hand_column(table, "x", COLUMN_TEXT, "x");
    assert_int_equal(run_one(table, "{\"x\":\"\\ud800\"}"), EXTRACTION_BROKEN);
}

/* As many columns and steps as there may be, a million facets, and nesting that goes on for ever. */
static void a_million_facets_and_endless_nesting_are_walked_in_bounded_memory(void **state)
{
    enum {
        FACETS = 1000000,
        NESTING = 200000
    };
    (void)state;
    struct buffer record = {0};
    struct arena arena = {0};
    buffer_append_string(&record, "{\"facets\":[");
    for (int i = 0; i < FACETS; i++) {
        buffer_append_string(&record, i > 0 ? ",{\"tag\":\"t\"}" : "{\"tag\":\"t\"}");
    }
    buffer_append_string(&record, "],\"deep\":");
    for (int i = 0; i < NESTING; i++) {
        buffer_append_string(&record, "{\"deep\":");
    }
    buffer_append_string(&record, "1");
    for (int i = 0; i <= NESTING; i++) {
        buffer_append_string(&record, "}");
    }
    hand_begin();
    struct table *table = hand_table("things", "app.test.thing");
    (void)hand_column(table, "all", COLUMN_JSONB, "facets");
    (void)hand_column(table, "tags", COLUMN_TEXT_ARRAY, "facets/[]/tag");
    (void)hand_column(table, "deep", COLUMN_INTEGER, "deep/deep/deep/deep/deep/deep/deep/deep");
    struct extraction *extraction = extraction_create(table);
    assert_int_equal(extraction_run(extraction, buffer_slice(&record), 0, &arena), EXTRACTION_ROW);
    assert_int_equal(extraction_value(extraction, 8)->item_count, FACETS);
    assert_true(extraction_value(extraction, 7)->text.size > FACETS);
    assert_false(extraction_value(extraction, 9)->has_value);
    assert_true(arena.allocated < (size_t)64 << 20);
    extraction_destroy(extraction);
    arena_deinit(&arena);
    buffer_deinit(&record);
}

/* Beside a long DID an entry of the index has less room: 2,048 bytes of text, less 2 for each byte beyond 256. */
static void a_text_beside_a_long_did_in_an_index_has_less_room(void **state)
{
    static const struct {
        size_t own, text;
        bool fits;
    } cases[] = {{256, 2048, true},  {256, 2049, false}, {300, 1960, true},
                 {300, 1961, false}, {2560, 1, true},    {2560, 2, false}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct arena arena = {0};
        struct buffer record = {0};
        buffer_append_string(&record, "{\"x\":\"");
        for (size_t n = 0; n < cases[i].text; n++) {
            buffer_append_byte(&record, 'a');
        }
        buffer_append_string(&record, "\"}");
        hand_begin();
        struct table *table = hand_table("things", "app.test.thing");
        struct table_column *column = hand_column(table, "x", COLUMN_TEXT, "x");
        column->bytes_max = 2048;
        table->own_max = 2;
        struct extraction *extraction = extraction_create(table);
        enum extraction_result result =
            extraction_run(extraction, buffer_slice(&record), cases[i].own, &arena);
        assert_int_equal(result, EXTRACTION_ROW);
        bool fits = extraction_value(extraction, table->column_count - 1)->has_value;
        assert_int_equal(fits, cases[i].fits);
        extraction_destroy(extraction);
        buffer_deinit(&record);
        arena_deinit(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_beside_a_long_did_in_an_index_has_less_room),
        cmocka_unit_test(values_as_they_are_in_the_wild_become_columns_or_null),
        cmocka_unit_test(a_required_column_without_a_value_means_no_row),
        cmocka_unit_test(a_bad_value_is_a_dead_letter_where_its_column_says_so),
        cmocka_unit_test(a_text_too_long_for_its_index_is_a_bad_value),
        cmocka_unit_test(half_a_surrogate_pair_has_no_row),
        cmocka_unit_test(a_million_facets_and_endless_nesting_are_walked_in_bounded_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
