/*
 * Every op and event ends as a row or as a dead letter, whatever text is in it and whatever refuses the letter.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "flow/sink_harness.h"
#include "flow/sink_postgres.h"

#include <cmocka.h>

#define DID "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
#define GOOD                                                                                       \
    "{\"action\":\"create\",\"path\":\"app.test.thing/good\",\"cid\":\"c\",\"record\":{\"n\":1}}"
#define WITH_CID(path, cid)                                                                        \
    "{\"action\":\"create\",\"path\":\"" path "\",\"cid\":\"" cid "\",\"record\":{}}"
#define COUNTS                                                                                     \
    "SELECT (SELECT count(*) FROM records) || ' ' || (SELECT count(*) FROM "                       \
    "standpipe_dead_letters)"

/* --- texts --- */

/* `bad` stands beside a good op in one commit. */
struct op_case {
    const char *bad;
    const char *counts; /* records and letters */
    const char *reason; /* of the letter and its SQLSTATE */
};

static const struct op_case op_cases[] = {
    {WITH_CID("app.test.thing\\u0000/k", "c"), "1 1", "bad path "},
    {WITH_CID("app.test.thing/k\\u0000", "c"), "1 1", "bad path "},
    {WITH_CID("\\u0000", "c"), "1 1", "bad path "},
    {WITH_CID("app.test.thing/\\ud83d\\ude00", "c"), "1 1", "bad path "},
    {WITH_CID("app.test.thing/k", "c\\u0000"), "1 1", "refused by PostgreSQL 22021"},
    {"{\"action\":\"\\u0000\",\"path\":\"app.test.thing/k\"}", "1 1", "unknown action "},
    {"{\"action\":\"create\\u0000\",\"path\":\"\\u0000\"}", "1 1", "unknown action "},
    {"{\"action\":\"delete\",\"path\":\"\\u0000/\\u0000\"}", "1 1", "bad path "},
    {"{\"action\":\"create\",\"path\":\"app.test.thing/k\",\"cid\":\"c\",\"record\":{},"
     "\"invalid\":\"\\u0000\"}",
     "1 1", "refused by PostgreSQL 22021"},
    {"{\"action\":\"create\",\"path\":\"bad\",\"cid\":\"c\",\"record\":{},\"invalid\":\"\\u0000\"}",
     "1 1", "bad path "},
    {"{\"action\":\"create\",\"path\":\"app.test.thing/k\",\"cid\":\"c\",\"record\":{\"\\u0000\":"
     "\"\\u0000\"}}",
     "2 0", ""},
    {"{\"action\":\"create\",\"path\":\"app.test.thing/k\",\"cid\":\"c\",\"record\":{\"t\":"
     "\"\\ud800\"}}",
     "1 1", "refused by PostgreSQL 22P02"},
    {"{\"action\":\"create\",\"path\":\"app.test.thing/k\",\"cid\":\"c\",\"record\":null,"
     "\"cbor\":\"not base64!\"}",
     "2 0", ""},
    {"{\"action\":\"create\",\"path\":\"app.test.thing/k\",\"cid\":\"c\",\"record\":null,"
     "\"cbor\":\"\",\"invalid\":\"truncated\"}",
     "2 0", ""},
    {"{\"action\":\"create\",\"path\":\"app.test.thing/k\",\"cid\":\"c\\u0000\",\"record\":null,"
     "\"cbor\":\"\",\"invalid\":\"truncated\"}",
     "1 1", "refused by PostgreSQL 22021"},
};

static void a_nul_in_an_op_ends_as_a_row_or_a_letter_and_spares_its_sibling(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(op_cases) / sizeof(op_cases[0]); i++) {
        const struct op_case *c = &op_cases[i];
        char ops[1024];
        sink_postgres_query("TRUNCATE repos, standpipe_records, standpipe_dead_letters");
        (void)snprintf(ops, sizeof(ops), "%s,%s", c->bad, GOOD);
        struct harness_batch *batch = harness_batch();
        harness_ops(batch, 1000, 1, DID, 10, ops);
        harness_run(batch);
        assert_string_equal(sink_postgres_query(COUNTS), c->counts);
        assert_string_equal(
            sink_postgres_query("SELECT coalesce(string_agg(reason || ' ' || coalesce(sqlstate, "
                                "''), ','), '') FROM standpipe_dead_letters"),
            c->reason);
        assert_string_equal(sink_postgres_query("SELECT count(*) FROM standpipe_dead_letters "
                                                "WHERE data IS NULL AND frame IS NULL"),
                            "0");
    }
}

static void a_block_without_a_byte_is_kept_as_such(void **state)
{
    (void)state;
    struct harness_batch *batch = harness_batch();
    harness_ops(
        batch, 1000, 1, DID, 10,
        "{\"action\":\"create\",\"path\":\"app.test.thing/k\",\"cid\":\"c\",\"record\":null,"
        "\"cbor\":\"\",\"invalid\":\"truncated\"}");
    harness_run(batch);
    assert_string_equal(sink_postgres_query("SELECT record_cbor::text || invalid FROM records"),
                        "\\xtruncated");
    assert_string_equal(sink_postgres_query("SELECT desynchronized FROM repos"), "f");
}

/* Whole events; each stands between two good commits of another repo. */
static const struct {
    const char *type;
    const char *data;
    bool is_letter;
} event_cases[] = {
    {"identity", "{\"did\":\"" DID "\",\"handle\":\"a\\u0000b\"}", true},
    {"identity", "{\"did\":\"" DID "\",\"handle\":\"\xf0\x9f\x98\x80\"}", false},
    {"identity", "{\"did\":\"" DID "\",\"handle\":\"\xff\xfe\"}", true},
    {"identity", "{\"did\":\"" DID "\",\"handle\":\"\\ud800\"}", true},
    {"identity", "{\"did\":\"did:plc:\\u0000\"}", true},
    {"account", "{\"did\":\"" DID "\",\"active\":false,\"status\":\"\\u0000\"}", true},
    {"account", "{\"did\":\"" DID "\",\"active\":true,\"status\":\"\\udfff\"}", true},
    {"account", "{\"did\":\"" DID "\",\"active\":false,\"status\":\"\xc0\x80\"}", true},
    {"sync", "{\"did\":\"" DID "\",\"rev\":\"\\u0000\"}", true},
    {"commit", "{\"repo\":\"" DID "\",\"ops\":[" GOOD "],\"commit\":\"\\u0000\"}", true},
    {"commit", "{\"repo\":\"" DID "\",\"ops\":[],\"commit\":\"\\u0000\"}", true},
    {"no\xffthing", "{}", true},
    {"", "", true},
};

static void a_nul_in_an_event_ends_as_a_row_or_a_letter_and_spares_its_neighbours(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(event_cases) / sizeof(event_cases[0]); i++) {
        sink_postgres_query("TRUNCATE repos, standpipe_records, standpipe_dead_letters");
        struct harness_batch *batch = harness_batch();
        harness_commit(batch, 1000, 1, "did:plc:b", 10, "first", "{}");
        harness_entry(batch, 1000, 2, event_cases[i].type, event_cases[i].data, 11);
        harness_commit(batch, 1000, 3, "did:plc:b", 12, "last", "{}");
        harness_run(batch);
        assert_string_equal(sink_postgres_query(COUNTS), event_cases[i].is_letter ? "2 1" : "2 0");
        assert_int_equal(batch->outcome.dead_entries, event_cases[i].is_letter);
    }
}

static void bytes_in_any_field_of_an_entry_are_kept_in_a_letter(void **state)
{
    (void)state;
    static const struct slice bytes = SLICE("\0\xff\xc0\x80 \xed\xa0\x80");
    for (int field = 0; field < 5; field++) {
        struct harness_batch *batch = harness_batch();
        harness_commit(batch, 1000, field + 1, DID, 10 + field, "k", "{}");
        struct entry *entry = &batch->entries[0];
        struct slice *fields[] = {&entry->type, &entry->data, &entry->sequence, &entry->time,
                                  &entry->rev};
        *fields[field] = bytes;
        harness_run(batch);
    }
    /* The time and rev within the data come first. */
    assert_string_equal(sink_postgres_query(COUNTS), "1 3");
    assert_string_equal(sink_postgres_query("SELECT frame::text FROM standpipe_dead_letters WHERE "
                                            "frame IS NOT NULL"),
                        "\\x00ffc08020eda080");
}

/* --- letters that are refused --- */

static struct harness_batch *one_bad_of_three(void)
{
    struct harness_batch *batch = harness_batch();
    harness_commit(batch, 1000, 1, DID, 10, "first", "{}");
    harness_ops(batch, 1000, 2, DID, 11,
                WITH_CID("app.test.thing/bad", "c\\u0000") "," GOOD "," WITH_CID("\\u0000", "c"));
    harness_commit(batch, 1000, 3, DID, 12, "last", "{}");
    return batch;
}

static void commit_bad_op(uint64_t epoch, const char *bad)
{
    struct harness_batch *batch = harness_batch();
    harness_ops(batch, epoch, 1, DID, 10, bad);
    harness_run(batch);
}

static void what_comes_again_under_a_new_epoch_is_the_same_letter(void **state)
{
    (void)state;
    sink_postgres_query("INSERT INTO standpipe_cursor (host, epoch, queued, committed) VALUES"
                        " ('a', 1000, 1, 0), ('a', 2000, 1, 0), ('b', 3000, 1, 0)");
    commit_bad_op(1000, WITH_CID("bad", "c"));
    commit_bad_op(2000, WITH_CID("bad", "c"));
    assert_string_equal(sink_postgres_query("SELECT string_agg(host || epoch, ' ' ORDER BY epoch)"
                                            " FROM standpipe_dead_letters"),
                        "a1000");
    commit_bad_op(2000, WITH_CID("bad", "d")); /* the relay counts anew: another event */
    commit_bad_op(3000, WITH_CID("bad", "c")); /* another relay */
    assert_string_equal(sink_postgres_query("SELECT string_agg(host || epoch, ' ' ORDER BY epoch)"
                                            " FROM standpipe_dead_letters"),
                        "a1000 a2000 b3000");
}

static void a_letter_that_is_refused_is_reduced_and_its_siblings_are_rows(void **state)
{
    (void)state;
    sink_postgres_query("ALTER TABLE standpipe_dead_letters ADD CHECK (data IS NULL)");
    harness_capture_log();
    struct harness_batch *batch = one_bad_of_three();
    harness_run(batch);
    const char *log = harness_captured_log();
    assert_int_equal(harness_count(log, "dead letter refused, it is reduced"), 1);
    assert_null(strstr(log, "batch held"));
    assert_string_equal(sink_postgres_query(COUNTS), "3 2");
    assert_int_equal(batch->outcome.written, 3);
    assert_int_equal(batch->outcome.dead, 2);
    assert_string_equal(
        sink_postgres_query("SELECT string_agg(substring(convert_from(frame, 'UTF8') FROM "
                            "'\"path\":\"([^\"]*)\"'), ' ' ORDER BY op) FROM "
                            "standpipe_dead_letters WHERE detail LIKE 'reduced, because PostgreSQL "
                            "refused this letter%'"),
        "app.test.thing/bad \\u0000");
    harness_run(batch); /* again: nothing is counted twice */
    assert_string_equal(sink_postgres_query(COUNTS), "3 2");
}

static void a_letter_that_is_refused_for_its_bytes_too_is_bare(void **state)
{
    (void)state;
    sink_postgres_query("ALTER TABLE standpipe_dead_letters ADD CHECK (data IS NULL), ADD CHECK "
                        "(frame IS NULL)");
    harness_run(one_bad_of_three());
    assert_string_equal(sink_postgres_query(COUNTS), "3 2");
    assert_string_equal(sink_postgres_query("SELECT count(*) FROM standpipe_dead_letters WHERE "
                                            "cut_from > 50 AND did = '" DID "'"),
                        "2");
}

static void texts_of_a_reduced_letter_are_printable_ascii(void **state)
{
    (void)state;
    sink_postgres_query("ALTER TABLE standpipe_dead_letters ADD CHECK (type ~ '^[ -~]*$')");
    struct harness_batch *batch = harness_batch();
    harness_entry(batch, 1000, 1, "caf\xc3\xa9\n\\", "{}", 10);
    harness_run(batch);
    assert_string_equal(sink_postgres_query("SELECT type || ' ' || convert_from(frame, 'UTF8') "
                                            "FROM standpipe_dead_letters"),
                        "caf\\xc3\\xa9\\x0a\\x5c {}");
}

/* The rule of the user's is at the commit: no statement is to blame. */
static void a_letter_that_is_refused_at_the_commit_is_reduced_too(void **state)
{
    (void)state;
    sink_postgres_query(
        "CREATE FUNCTION public.nasty() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.data "
        "IS NOT NULL THEN RAISE EXCEPTION 'no'; END IF; RETURN NULL; END $$; CREATE CONSTRAINT "
        "TRIGGER nasty AFTER INSERT ON standpipe_dead_letters DEFERRABLE INITIALLY DEFERRED FOR "
        "EACH ROW EXECUTE FUNCTION public.nasty()");
    struct harness_batch *batch = harness_batch();
    harness_commit(batch, 1000, 1, DID, 10, "first", "{}");
    harness_entry(batch, 1000, 2, "identity", "{\"did\":1}", 11);
    harness_run(batch);
    assert_string_equal(sink_postgres_query(COUNTS), "1 1");
}

static void a_table_that_refuses_every_letter_is_a_wrong_set_up_that_heals(void **state)
{
    (void)state;
    sink_postgres_query("ALTER TABLE standpipe_dead_letters ADD CONSTRAINT never CHECK (false)");
    struct harness_batch *batch = one_bad_of_three();
    harness_capture_log();
    harness_submit(batch);
    assert_true(harness_wait_state(SINK_MISCONFIGURED));
    for (int i = 0; i < 100; i++) { /* 5 ms each; a try is 200 ms */
        harness_turn();
        assert_int_equal(batch->done, 0);
    }
    sink_postgres_query("ALTER TABLE standpipe_dead_letters DROP CONSTRAINT never");
    harness_wait();
    const char *log = harness_captured_log();
    assert_int_equal(harness_count(log, " error "), 1);
    assert_non_null(strstr(log, "standpipe_dead_letters refuses even a bare letter"));
    assert_non_null(strstr(log, "constraint never"));
    assert_string_equal(sink_postgres_query(COUNTS), "3 2");
    assert_string_equal(sink_postgres_query("SELECT count(*) FROM standpipe_dead_letters WHERE "
                                            "data IS NOT NULL"),
                        "2");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, harness_setup_open, harness_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_nul_in_an_op_ends_as_a_row_or_a_letter_and_spares_its_sibling),
        TEST(a_block_without_a_byte_is_kept_as_such),
        TEST(a_nul_in_an_event_ends_as_a_row_or_a_letter_and_spares_its_neighbours),
        TEST(bytes_in_any_field_of_an_entry_are_kept_in_a_letter),
        TEST(what_comes_again_under_a_new_epoch_is_the_same_letter),
        TEST(a_letter_that_is_refused_is_reduced_and_its_siblings_are_rows),
        TEST(a_letter_that_is_refused_for_its_bytes_too_is_bare),
        TEST(texts_of_a_reduced_letter_are_printable_ascii),
        TEST(a_letter_that_is_refused_at_the_commit_is_reduced_too),
        TEST(a_table_that_refuses_every_letter_is_a_wrong_set_up_that_heals),
    };
    return cmocka_run_group_tests(tests, sink_postgres_setup, sink_postgres_teardown);
}
