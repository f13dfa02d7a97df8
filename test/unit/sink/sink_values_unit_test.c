#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "sink/batch.h"
#include "sink/jsonb_text.h"
#include "sink/pg_failure.h"
#include "sink/sqlstate.h"

#include <cmocka.h>

enum {
    LARGE = 1 << 20
};

static void each_sqlstate_has_the_meaning_of_the_contract(void **state)
{
    static const struct {
        const char *sqlstate;
        enum sqlstate_class class;
    } cases[] = {{"23505", SQLSTATE_DONE},          {"23503", SQLSTATE_DONE},
                 {"22P05", SQLSTATE_ROW},           {"23502", SQLSTATE_ROW},
                 {"23514", SQLSTATE_ROW},           {"21000", SQLSTATE_ROW},
                 {"54000", SQLSTATE_ROW},           {"54001", SQLSTATE_ROW},
                 {"08006", SQLSTATE_OUTAGE},        {"40001", SQLSTATE_OUTAGE},
                 {"40P01", SQLSTATE_OUTAGE},        {"53100", SQLSTATE_OUTAGE},
                 {"55P03", SQLSTATE_OUTAGE},        {"57P01", SQLSTATE_OUTAGE},
                 {"57014", SQLSTATE_SLOW},          {"25006", SQLSTATE_OUTAGE},
                 {"42P01", SQLSTATE_MISCONFIGURED}, {"28P01", SQLSTATE_MISCONFIGURED},
                 {"3D000", SQLSTATE_MISCONFIGURED}, {"0A000", SQLSTATE_MISCONFIGURED},
                 {"26000", SQLSTATE_STALE_PLAN},    {"", SQLSTATE_OUTAGE},
                 {"ZZ999", SQLSTATE_OUTAGE}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(sqlstate_classify(cases[i].sqlstate, NULL), cases[i].class);
    }
    assert_int_equal(sqlstate_classify("0A000", "cached plan must not change result type"),
                     SQLSTATE_STALE_PLAN);
}

static void an_array_is_laid_out_as_array_recv_reads_it(void **state)
{
    static const char expected[] =
        "\0\0\0\1\0\0\0\1\0\0\0\31\0\0\0\2\0\0\0\1\0\0\0\2ab\377\377\377\377";
    struct pg_array array = {0};
    (void)state;
    pg_array_begin(&array, PG_TEXT);
    pg_array_append(&array, SLICE("ab"));
    pg_array_append_null(&array);
    struct slice bytes = pg_array_finish(&array);
    assert_int_equal(bytes.size, sizeof(expected) - 1);
    assert_memory_equal(bytes.data, expected, bytes.size);
    pg_array_deinit(&array);
}

static void an_array_that_is_begun_again_is_empty_and_of_the_new_type(void **state)
{
    static const char expected[] = "\0\0\0\1\0\0\0\1\0\0\0\24\0\0\0\0\0\0\0\1";
    struct pg_array array = {0};
    (void)state;
    pg_array_begin(&array, PG_TEXT);
    pg_array_begin(&array, PG_INT8);
    struct slice untouched = pg_array_finish(&array);
    assert_int_equal(untouched.size, sizeof(expected) - 1);
    assert_memory_equal(untouched.data, expected, untouched.size);
    pg_array_append_int64(&array, 1);
    pg_array_begin(&array, PG_INT8);
    struct slice again = pg_array_finish(&array);
    assert_int_equal(again.size, sizeof(expected) - 1);
    assert_memory_equal(again.data, expected, again.size);
    pg_array_deinit(&array);
}

static void what_a_large_array_took_goes_back_though_nothing_is_appended_any_more(void **state)
{
    struct pg_array array = {0};
    char *bytes = calloc(1, LARGE);
    (void)state;
    pg_array_begin(&array, PG_BYTEA);
    pg_array_append(&array, slice_of(bytes, LARGE));
    pg_array_begin(&array, PG_BYTEA);
    assert_true(array.bytes.capacity >= LARGE);
    pg_array_begin(&array, PG_BYTEA);
    assert_true(array.bytes.capacity < LARGE);
    pg_array_deinit(&array);
    free(bytes);
}

static void only_a_real_nul_escape_is_replaced(void **state)
{
    struct arena arena = {0};
    (void)state;
    struct slice text = jsonb_text_without_nul(SLICE("\"\\\\u0000\\u0000\\\\\\u0000\""), &arena);
    assert_true(slice_equals(text, SLICE("\"\\\\u0000\xef\xbf\xbd\\\\\xef\xbf\xbd\"")));
    arena_deinit(&arena);
}

/* delete then create of one path, and an older revision of it: one row, the create. */
static void of_one_key_the_last_op_of_the_highest_revision_wins(void **state)
{
    static const struct entry entries[] = {
        {.id = {1000, 2},
         .type = {"commit", 6},
         .data =
             SLICE("{\"repo\":\"did:plc:aaaaaaaaaaaaaaaaaaaaaaaa\",\"ops\":[{\"action\":\"delete\","
                   "\"path\":\"app.test.thing/k\"},{\"action\":\"create\",\"path\":"
                   "\"app.test.thing/k\",\"cid\":\"c\",\"record\":{}}],\"rev\":\"3mbd35gkaa222\"}"),
         .sequence = {"2", 1},
         .time = SLICE("2026-01-01T00:00:00Z"),
         .rev = SLICE("3mbd35gkaa222")},
        {.id = {1000, 1},
         .type = {"commit", 6},
         .data =
             SLICE("{\"repo\":\"did:plc:aaaaaaaaaaaaaaaaaaaaaaaa\",\"ops\":[{\"action\":\"delete\","
                   "\"path\":\"app.test.thing/k\"}],\"rev\":\"3mbd35gk2a222\"}"),
         .sequence = {"1", 1},
         .time = SLICE("2026-01-01T00:00:00Z"),
         .rev = SLICE("3mbd35gk2a222")}};
    (void)state;
    for (int order = 0; order < 2; order++) {
        struct batch batch = {0};
        struct sink_outcome outcome = {0};
        batch_begin(&batch);
        batch_add(&batch, &entries[order], &outcome);
        batch_add(&batch, &entries[1 - order], &outcome);
        batch_build(&batch);
        assert_int_equal(batch.tables[BATCH_RECORDS].rows, 1);
        assert_int_equal(batch.tables[BATCH_REPOS].rows, 1);
        assert_int_equal(batch_winner_op(&batch, 0), 1);
        assert_int_equal(outcome.unchanged, 3);
        batch_deinit(&batch);
    }
}

/* As servers of three languages, an SSL attempt before it, and libpq's own refusals say it. */
static void the_sqlstate_of_a_refused_connection_is_found_in_every_language(void **state)
{
    static const struct {
        const char *message;
        const char *sqlstate;
        const char *line;
    } cases[] = {
        {"connection to server at \"127.0.0.1\", port 5432 failed: FATAL:  28P01: "
         "authentification par mot de passe \xc3\xa9"
         "chou\xc3\xa9"
         "e\nEMPLACEMENT : auth_failed, auth.c:326\n",
         "28P01",
         "connection to server at \"127.0.0.1\", port 5432 failed: FATAL:  28P01: "
         "authentification par mot de passe \xc3\xa9"
         "chou\xc3\xa9"
         "e"},
        {"x failed: \xd0\x92\xd0\x90\xd0\x96\xd0\x9d\xd0\x9e:  3D000: nichts\n", "3D000",
         "x failed: \xd0\x92\xd0\x90\xd0\x96\xd0\x9d\xd0\x9e:  3D000: nichts"},
        {"first try failed: SSL error\nsecond failed: FATAL:  53300: too many\n", "53300",
         "second failed: FATAL:  53300: too many"},
        {"FEHLER:  22P02\n", "22P02", "FEHLER:  22P02"},
        {"connection refused\n\tIs the server running?\n", "", "connection refused"},
        {"fe_sendauth:  no password\n", "", "fe_sendauth:  no password"},
        {"", "", ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char sqlstate[PG_SQLSTATE_SIZE];
        char line[PG_TEXT_SIZE];
        bool is_found = pg_failure_parse(cases[i].message, sqlstate, line);
        assert_int_equal(is_found, cases[i].sqlstate[0] != '\0');
        assert_string_equal(sqlstate, cases[i].sqlstate);
        assert_string_equal(line, cases[i].line);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_sqlstate_has_the_meaning_of_the_contract),
        cmocka_unit_test(an_array_is_laid_out_as_array_recv_reads_it),
        cmocka_unit_test(an_array_that_is_begun_again_is_empty_and_of_the_new_type),
        cmocka_unit_test(what_a_large_array_took_goes_back_though_nothing_is_appended_any_more),
        cmocka_unit_test(only_a_real_nul_escape_is_replaced),
        cmocka_unit_test(the_sqlstate_of_a_refused_connection_is_found_in_every_language),
        cmocka_unit_test(of_one_key_the_last_op_of_the_highest_revision_wins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
