/*
 * Typed tables in PostgreSQL: made, upgraded when the description changes, and never at the cost of rows.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/tables.h"
#include "config/tables_private.h"
#include "flow/sink_harness.h"
#include "flow/sink_postgres.h"
#include "sink/migrations.h"

#include <cmocka.h>
#include <libpq-fe.h>
#include <uv.h>

#define HEAD "[things]\ncollection = com.example.thing\n"
#define MANY                                                                                       \
    "INSERT INTO standpipe_things (uri, did, rkey, cid, rev, indexed_at, a) SELECT 'at://d/c/' "   \
    "|| n, 'd', n::text, 'x', 'r', now(), repeat('a', 100) || n FROM generate_series(1, 60000) n"
#define ONE_RECORD                                                                                 \
    "INSERT INTO standpipe_records (did, collection, rkey, cid, rev, seq, indexed_at) VALUES "     \
    "('d', 'c', 'k', 'x', 'r', 1, now())"
#define BOOK(column)                                                                               \
    "SELECT coalesce(string_agg(name || '=' || " column ", ' ' ORDER BY name), '') FROM "          \
    "standpipe_tables"

static struct buffer report;
static struct error error;

static int stop(void **state)
{
    (void)state;
    buffer_deinit(&report);
    sink_postgres_stop();
    return 0;
}

static bool run(const char *text, bool is_dry_run)
{
    struct tables *tables = tables_parse(slice_from_string(text), "t.conf", &error);
    assert_non_null(tables);
    const struct migrations_options options = {.conninfo = sink_postgres_conninfo(),
                                               .schema = "public",
                                               .tables = tables,
                                               .dry_run = is_dry_run};
    buffer_clear(&report);
    bool is_done = migrations_run(&options, &report, &error);
    buffer_append_byte(&report, '\0');
    tables_free(tables);
    return is_done;
}

static void migrate(const char *text)
{
    if (!run(text, false)) {
        fail_msg("%s", error.text);
    }
}

static void assert_reported(const char *words)
{
    if (strstr(report.data, words) == NULL) {
        fail_msg("not reported: %s\n%s", words, report.data);
    }
}

static void assert_nothing_to_do(const char *text)
{
    migrate(text);
    assert_string_equal(report.data, "");
}

/* --- made --- */

static void the_built_in_tables_are_made_once(void **state)
{
    (void)state;
    migrate(tables_built_in);
    assert_reported("typed table posts: standpipe_posts created\n");
    assert_reported("typed table post_counts: created\n");
    assert_nothing_to_do(tables_built_in);
    assert_string_equal(
        sink_postgres_query("SELECT count(*) || ' ' || bool_and(filled) FROM standpipe_tables"),
        "22 true");
    assert_string_equal(
        sink_postgres_query("SELECT count(*) || '' FROM posts NATURAL LEFT JOIN likes"), "0");
    assert_string_equal(sink_postgres_query("SELECT string_agg(column_name, ' ' ORDER BY "
                                            "ordinal_position) FROM information_schema.columns "
                                            "WHERE table_name = 'blocks'"),
                        "uri did rkey cid rev created_at indexed_at sort_at subject_did");
}

static void identifiers_are_compared_as_bytes_and_prose_is_not(void **state)
{
    (void)state;
    migrate(HEAD "text = text text\npost_uri = text uri\nlinks = cid c\nfeed_uris = text[] f[]\n"
                 "tags = text[] t[]\n");
    assert_string_equal(
        sink_postgres_query("SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute "
                            "WHERE attrelid = 'standpipe_things'::regclass AND attcollation = "
                            "'\"C\"'::regcollation"),
        "uri did rkey cid rev post_uri links feed_uris");
}

static void rows_sort_by_the_earlier_of_two_times(void **state)
{
    (void)state;
    migrate(HEAD);
    sink_postgres_query("INSERT INTO standpipe_things (uri, did, rkey, cid, rev, created_at, "
                        "indexed_at) VALUES ('a', 'd', 'k', 'c', 'r', '2030-01-01Z', "
                        "'2026-01-01Z'), ('b', 'd', 'k', 'c', 'r', '2025-01-01Z', '2026-01-01Z'), "
                        "('c', 'd', 'k', 'c', 'r', NULL, '2026-01-01Z')");
    assert_string_equal(sink_postgres_query("SET TimeZone = 'UTC'; SELECT string_agg(uri || "
                                            "extract(year FROM sort_at), ' ' ORDER BY uri) FROM "
                                            "things"),
                        "a2026 b2025 c2026");
}

/* Each of a: hidden by its account; b: below the floor while it is cleared; c: above it. */
static void a_view_hides_what_records_hides(void **state)
{
    (void)state;
    migrate(HEAD);
    sink_postgres_query(
        "INSERT INTO repos (did, active, clearing, floor, floor_time) VALUES ('a', false, false, "
        "NULL, NULL), ('b', true, true, '3d', '2026-01-02'), ('c', true, false, '3d', "
        "'2026-01-02'); INSERT INTO standpipe_records (did, collection, rkey, cid, rev, seq, "
        "event_time, indexed_at) SELECT d, 'com.example.thing', k, 'x', rev, 1, at::timestamptz, "
        "now() FROM unnest(ARRAY['a', 'b', 'c', 'd']) AS d, (VALUES ('1', '3c', NULL), ('2', '3d', "
        "NULL), ('3', '', '2026-01-01'), ('4', '', '2026-01-03'), ('5', '', NULL)) AS x (k, rev, "
        "at); INSERT INTO standpipe_things (uri, did, rkey, cid, rev, indexed_at) SELECT 'at://' "
        "|| did || '/com.example.thing/' || rkey, did, rkey, cid, rev, indexed_at FROM "
        "standpipe_records");
    assert_string_equal(sink_postgres_query("SELECT string_agg(did || rkey, ' ' ORDER BY did, "
                                            "rkey) FROM things"),
                        "b2 b4 c1 c2 c3 c4 c5 d1 d2 d3 d4 d5");
    assert_string_equal(sink_postgres_query("SELECT count(*) FROM records FULL JOIN things USING "
                                            "(did, rkey) WHERE records.cid IS NULL OR things.cid "
                                            "IS NULL"),
                        "0");
}

static void counts_are_a_table_of_their_own(void **state)
{
    (void)state;
    migrate(HEAD "s = text s\ncount = thing_counts(uri).n by s\n");
    sink_postgres_query("INSERT INTO thing_counts (uri) VALUES ('a')");
    migrate(HEAD "s = text s\ncount = thing_counts(uri).n by s\n"
                 "count = thing_counts(uri).m by did\n");
    assert_reported("typed table thing_counts: column m added\n");
    assert_string_equal(sink_postgres_query("SELECT n || ' ' || m FROM thing_counts"), "0 0");
    assert_false(run(HEAD "s = text s\ncount = thing_counts(uri).n by s\n", false));
    assert_non_null(strstr(error.text, "ALTER TABLE thing_counts DROP COLUMN m;"));
    assert_false(run(HEAD "s = text s\ncount = thing_counts(did).n by s\n"
                          "count = thing_counts(did).m by did\n",
                     false));
    assert_non_null(strstr(error.text, "DROP TABLE thing_counts;"));
}

/* --- upgraded --- */

static void a_new_column_is_added_behind_and_seen(void **state)
{
    (void)state;
    migrate(HEAD "a = text a\n");
    migrate(HEAD "b = integer b\na = text a\n");
    assert_reported("typed table things: column b added\n");
    assert_reported("typed table things: view made\n");
    assert_string_equal(sink_postgres_query("SELECT string_agg(column_name, ' ' ORDER BY "
                                            "ordinal_position) FROM information_schema.columns "
                                            "WHERE table_name = 'things' AND ordinal_position > "
                                            "8"),
                        "a b");
    assert_nothing_to_do(HEAD "b = integer b\na = text a\n");
    assert_nothing_to_do(HEAD "a = text a\nb = integer b\n");
}

static void a_table_beside_stored_records_waits_to_be_filled(void **state)
{
    (void)state;
    migrate(HEAD "a = text a\n");
    assert_string_equal(sink_postgres_query(BOOK("filled")), "things=true");
    migrate(HEAD "a = text b\n");
    assert_string_equal(sink_postgres_query(BOOK("filled")), "things=true");
    sink_postgres_query(ONE_RECORD);
    assert_nothing_to_do(HEAD "a = text b\n");
    migrate(HEAD "a = text b\nindex = a\n");
    assert_string_equal(sink_postgres_query(BOOK("filled")), "things=true");
    migrate(HEAD "a = text b\nindex = a\ncount = c.n by a\n");
    assert_string_equal(sink_postgres_query(BOOK("filled")), "c=false things=true");
    sink_postgres_query("UPDATE standpipe_tables SET rebuild = '{}'");
    migrate(HEAD "a = text a\nindex = a\ncount = c.n by a\n");
    assert_string_equal(sink_postgres_query(BOOK("(filled, rebuild)::text")),
                        "c=(f,{}) things=(f,)");
}

/* A rebuild that goes on where one was that filled what is gone would leave out what that one had done. */
static void what_was_dropped_by_hand_and_made_again_is_not_filled(void **state)
{
    (void)state;
    static const char text[] = HEAD "a = text a\ncount = c.n by a\n";
    migrate(text);
    sink_postgres_query("DROP VIEW things; DROP TABLE standpipe_things, c");
    migrate(text);
    assert_string_equal(sink_postgres_query(BOOK("filled")), "c=true things=true");
    sink_postgres_query(ONE_RECORD);
    sink_postgres_query("UPDATE standpipe_tables SET rebuild = '{}'");
    sink_postgres_query("DROP VIEW things; DROP TABLE standpipe_things");
    migrate(text);
    assert_string_equal(sink_postgres_query(BOOK("(filled, rebuild)::text")),
                        "c=(t,{}) things=(f,)");
    sink_postgres_query("UPDATE standpipe_tables SET filled = true, rebuild = '{}'");
    sink_postgres_query("DROP VIEW things; DROP TABLE c");
    migrate(text);
    assert_string_equal(sink_postgres_query(BOOK("(filled, rebuild)::text")),
                        "c=(f,) things=(t,{})");
    assert_nothing_to_do(text);
}

static void a_column_that_was_dropped_by_hand_and_added_again_is_not_filled(void **state)
{
    (void)state;
    static const char text[] = HEAD "a = text a\nb = text b\ncount = c.n by a\ncount = c.m by b\n";
    migrate(text);
    sink_postgres_query(ONE_RECORD);
    sink_postgres_query("UPDATE standpipe_tables SET rebuild = '{}'");
    sink_postgres_query("DROP VIEW things; ALTER TABLE standpipe_things DROP COLUMN b");
    migrate(text);
    assert_string_equal(sink_postgres_query(BOOK("(filled, rebuild)::text")),
                        "c=(t,{}) things=(f,)");
    sink_postgres_query("UPDATE standpipe_tables SET filled = true, rebuild = '{}'");
    sink_postgres_query("ALTER TABLE c DROP COLUMN n");
    migrate(text);
    assert_string_equal(sink_postgres_query(BOOK("(filled, rebuild)::text")),
                        "c=(f,) things=(t,{})");
    assert_nothing_to_do(text);
}

static void an_index_of_a_small_table_comes_and_goes(void **state)
{
    (void)state;
    migrate(HEAD "a = text a\nindex = a\n");
    sink_postgres_query("CREATE INDEX standpipe_things_mine ON standpipe_things (cid)");
    migrate(HEAD "a = text a\nindex = did, sort_at\nunique = a where a <> ''\n");
    assert_reported("typed table things: index standpipe_things_a dropped, as it is no longer");
    assert_reported("typed table things: index standpipe_things_did_sort_at created\n");
    assert_string_equal(sink_postgres_query("SELECT count(*) FROM pg_indexes WHERE tablename = "
                                            "'standpipe_things'"),
                        "4");
    assert_string_equal(sink_postgres_query("SELECT to_regclass('standpipe_things_mine') IS NOT "
                                            "NULL AND to_regclass('standpipe_things_a') IS NULL"),
                        "t");
}

static void an_index_of_a_large_table_is_built_beside_its_writers(void **state)
{
    (void)state;
    migrate(HEAD "a = text a\n");
    sink_postgres_query(MANY);
    assert_true(run(HEAD "a = text a\nindex = a\n", true));
    assert_reported("CREATE INDEX CONCURRENTLY standpipe_things_a ON \"public\".standpipe_things");
    migrate(HEAD "a = text a\nindex = a\nindex = rkey\n");
    assert_reported("typed table things: index standpipe_things_a created\n");
    assert_reported("typed table things: index standpipe_things_rkey created\n");
    sink_postgres_query("UPDATE pg_index SET indisvalid = false WHERE indexrelid = "
                        "'standpipe_things_a'::regclass");
    migrate(HEAD "a = text a\nindex = a\nindex = rkey\n");
    assert_reported("index standpipe_things_a dropped, as its build did not end\n");
    assert_reported("typed table things: index standpipe_things_a created\n");
    assert_nothing_to_do(HEAD "a = text a\nindex = a\nindex = rkey\n");
    sink_postgres_query("UPDATE standpipe_things SET a = 'same' WHERE rkey < '3'");
    assert_false(run(HEAD "a = text a\nindex = a\nindex = rkey\nunique = a\n", false));
    assert_non_null(strstr(error.text, "standpipe_things_a_unique"));
    assert_int_equal(error.kind, ERROR_REFUSED);
    assert_string_equal(sink_postgres_query("SELECT to_regclass('standpipe_things_a_unique') IS "
                                            "NULL"),
                        "t");
    migrate(HEAD "a = text a\nindex = a\nindex = rkey\n");
}

static void assert_told(const char *words)
{
    if (strstr(error.text, words) == NULL) {
        fail_msg("not told: %s\n%s", words, error.text);
    }
}

/* What else is new is there, so that the rebuild that is advised has its columns. */
static void an_index_that_the_rows_do_not_fit_into_is_told_with_the_way_out(void **state)
{
    static const char duplicates[] =
        "SELECT a, count(*) FROM standpipe_things WHERE a <> '' GROUP BY a HAVING count(*) > 1";
    (void)state;
    migrate(HEAD "a = text a\n");
    sink_postgres_query("INSERT INTO standpipe_things (uri, did, rkey, cid, rev, indexed_at, a) "
                        "SELECT n, 'd', n, 'x', 'r', now(), (SELECT string_agg(md5(i::text), '') "
                        "FROM generate_series(1, 200) i) FROM unnest('{1,2}'::text[]) n");
    assert_false(run(HEAD "a = text a\nb = text b\nindex = a\n", false));
    assert_int_equal(error.kind, ERROR_REFUSED);
    assert_told("typed table things: index standpipe_things_a cannot be made: rows hold more");
    assert_told("run `standpipe rebuild things` with this description");
    assert_string_equal(sink_postgres_query("SELECT count(b) || '' FROM things"), "0");
    sink_postgres_query("UPDATE standpipe_things SET a = 'same'");
    assert_false(run(HEAD "a = text a\nb = text b\nunique = a where a <> ''\n", false));
    assert_told("typed table things: index standpipe_things_a_unique_");
    assert_told("cannot be made: rows of one key are there already: take the line out, or delete");
    assert_told(duplicates);
    assert_string_equal(sink_postgres_query(duplicates), "same");
    assert_false(run(HEAD "a = text a\nb = text b\nindex = a where c = 1\n", false));
    assert_told("column \"c\" does not exist: correct its line in the description");
    assert_false(run("[others]\ncollection = a.b\nindex = did where c = 1\n" HEAD
                     "a = text a\nb = text b\n",
                     false));
    assert_told("typed tables: column \"c\" does not exist: correct the description");
}

static const char *const upgrades[] = {HEAD "a = text a\nindex = a\n",
                                       HEAD "a = text a\nb = text b\nindex = a\nindex = b\n"};

static void migrate_on_a_thread(void *argument)
{
    struct error why;
    struct buffer words = {0};
    struct tables *tables = tables_parse(slice_from_string(argument), "t.conf", &why);
    const struct migrations_options options = {
        .conninfo = sink_postgres_conninfo(), .schema = "public", .tables = tables};
    if (!migrations_run(&options, &words, &why)) {
        print_error("%s\n", why.text);
        abort();
    }
    buffer_deinit(&words);
    tables_free(tables);
}

static void two_migrations_of_one_description_make_one_table(void **state)
{
    (void)state;
    for (size_t step = 0; step < 2; step++) {
        uv_thread_t threads[2];
        for (size_t i = 0; i < 2; i++) {
            assert_int_equal(uv_thread_create(&threads[i], migrate_on_a_thread,
                                              (void *)(uintptr_t)upgrades[step]),
                             0);
        }
        for (size_t i = 0; i < 2; i++) {
            assert_int_equal(uv_thread_join(&threads[i]), 0);
        }
        assert_nothing_to_do(upgrades[step]);
        sink_postgres_query(step == 0 ? MANY : "SELECT 1");
    }
}

static void a_writer_of_the_version_before_goes_on(void **state)
{
    (void)state;
    harness_open(1, true);
    for (int i = 0; i < 3; i++) {
        struct harness_batch *batch = harness_batch();
        harness_commit(batch, 1000, i + 1, "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa", 10 + i, "k",
                       "{\"n\":1}");
        harness_run(batch);
        assert_int_equal(batch->outcome.written, 1);
        migrate(i == 0 ? HEAD : upgrades[1]);
    }
    harness_close();
}

/* --- refused --- */

/* Runs the statements that the refusal names, up to "; and migrate again". */
static void obey(const char *from)
{
    char sql[512];
    const char *at = strstr(error.text, from);
    assert_non_null(at);
    const char *end = strstr(at, "; and migrate");
    const char *other = strstr(at, "; to keep");
    end = other != NULL && other < end ? other : end;
    assert_non_null(end);
    (void)snprintf(sql, sizeof(sql), "%.*s", (int)(end - at), at);
    sink_postgres_query(sql);
}

static void assert_refused(const char *text, const char *why)
{
    assert_false(run(text, false));
    assert_int_equal(error.kind, ERROR_REFUSED);
    if (strstr(error.text, why) == NULL) {
        fail_msg("%s", error.text);
    }
    assert_false(run(text, true));
    assert_reported("-- refused: ");
}

static void what_would_lose_data_is_refused_with_what_to_run(void **state)
{
    (void)state;
    migrate(HEAD "a = text a\nb = text b\n");
    assert_refused(HEAD "a = text a\n", "things.b is no longer described: standpipe drops no data");
    obey("DROP VIEW");
    migrate(HEAD "a = text a\n");
    assert_refused(HEAD "a = integer a\n", "things.a has another type than is described");
    obey("DROP VIEW");
    migrate(HEAD "a = integer a\n");
    assert_nothing_to_do(HEAD "a = integer a\n");
    assert_refused("[others]\ncollection = com.example.thing\n", "things is no longer described");
    obey("DELETE FROM");
    migrate("[others]\ncollection = com.example.thing\n");
    assert_refused(HEAD "a = integer a\n[others]\ncollection = a.b\n",
                   "standpipe_things is there already and standpipe did not make it");
    assert_refused("", "others is no longer described");
    obey("DROP VIEW");
    migrate("");
    assert_reported("typed table others: forgotten\n");
}

/* All is looked at before anything is changed. */
static void a_refusal_changes_nothing(void **state)
{
    (void)state;
    migrate(HEAD "a = text a\n");
    assert_refused("[apples]\ncollection = a.b\n" HEAD "b = text b\n", "things.a is no longer");
    assert_string_equal(sink_postgres_query("SELECT to_regclass('standpipe_apples') IS NULL"), "t");
    assert_refused("[apples]\ncollection = a.b\n", "things is no longer described");
    assert_refused(HEAD "b = text b\n[z]\ncollection = a.b\n", "things.a is no longer");
    assert_refused("[a]\ncollection = a.b\n[b]\ncollection = a.b\ncount = things.n by did\n",
                   "things is there already");
}

static void what_others_made_is_left_alone(void **state)
{
    (void)state;
    sink_postgres_query("CREATE TABLE things (n int)");
    assert_refused(HEAD, "things is there already and standpipe did not make it");
    sink_postgres_query("DROP TABLE things");
    migrate(HEAD);
    sink_postgres_query("ALTER TABLE standpipe_things ADD COLUMN mine text; CREATE VIEW mine AS "
                        "SELECT uri FROM things");
    assert_nothing_to_do(HEAD);
    migrate(HEAD "a = text a\n");
    assert_string_equal(sink_postgres_query("SELECT count(*) FROM information_schema.columns WHERE "
                                            "table_name = 'things' AND column_name = 'mine'"),
                        "0");
}

static void a_table_of_the_users_is_only_looked_at(void **state)
{
    static const char text[] = "[app.things]\ncollection = com.example.thing\nexisting = true\n"
                               "id = text @uri\nn = integer n\n";
    (void)state;
    sink_postgres_query("DROP SCHEMA IF EXISTS app CASCADE; CREATE SCHEMA app");
    assert_refused(text, "app.things does not exist and is described as existing: create it");
    sink_postgres_query("CREATE TABLE app.things (id text)");
    assert_refused(text, "app.things has no column n: add it");
    sink_postgres_query("ALTER TABLE app.things ADD COLUMN n smallint");
    migrate(text);
    assert_nothing_to_do(text);
    assert_string_equal(sink_postgres_query(BOOK("kind || filled")), "app.things=existingtrue");
    migrate("");
    assert_reported("typed table app.things: forgotten\n");
    assert_string_equal(sink_postgres_query("SELECT count(*) FROM app.things"), "0");
}

static void a_dry_run_shows_the_sql_and_changes_nothing(void **state)
{
    (void)state;
    assert_true(run(tables_built_in, true));
    assert_reported("CREATE TABLE standpipe_posts (\n");
    assert_reported("CREATE INDEX standpipe_posts_did_sort_at ON standpipe_posts");
    assert_reported("CREATE OR REPLACE VIEW posts AS\n");
    assert_string_equal(sink_postgres_query("SELECT to_regclass('standpipe_posts') IS NULL"), "t");
    sink_postgres_query(report.data);
    assert_nothing_to_do(tables_built_in);
    sink_postgres_query("DROP SCHEMA public CASCADE");
    assert_true(run(tables_built_in, true));
    assert_reported("CREATE TABLE standpipe_posts (\n");
    assert_string_equal(
        sink_postgres_query("SELECT count(*) FROM pg_namespace WHERE nspname = 'public'"), "0");
    sink_postgres_query("CREATE SCHEMA public");
}

static void a_dry_run_shows_every_index_of_a_large_table(void **state)
{
    static const char text[] = HEAD "a = text a\nindex = a\nindex = rkey\nindex = cid\n";
    (void)state;
    migrate(HEAD "a = text a\n");
    sink_postgres_query(MANY);
    migrate(HEAD "a = text a\nindex = a\n");
    sink_postgres_query("UPDATE pg_index SET indisvalid = false WHERE indexrelid = "
                        "'standpipe_things_a'::regclass");
    assert_true(run(text, true));
    assert_reported("DROP INDEX CONCURRENTLY IF EXISTS \"public\".standpipe_things_a;\n"
                    "CREATE INDEX CONCURRENTLY standpipe_things_a ON");
    assert_reported("CREATE INDEX CONCURRENTLY standpipe_things_rkey ON");
    assert_reported("CREATE INDEX CONCURRENTLY standpipe_things_cid ON");
}

/* --- names --- */

static void assert_refused_name(const char *word)
{
    if (tables_name_fault(slice_from_string(word)) == NULL) {
        fail_msg("%s is no name for a column", word);
    }
}

static void every_word_that_the_server_reserves_is_refused(void **state)
{
    (void)state;
    PGconn *native = PQconnectdb(sink_postgres_conninfo());
    PGresult *words = PQexec(native, "SELECT word FROM pg_get_keywords() WHERE catcode IN ('R', "
                                     "'T') UNION SELECT attname FROM pg_attribute WHERE attrelid = "
                                     "'pg_class'::regclass AND attnum < 0");
    assert_true(PQntuples(words) > 90);
    for (int i = 0; i < PQntuples(words); i++) {
        assert_refused_name(PQgetvalue(words, i, 0));
    }
    PQclear(words);
    PQfinish(native);
}

#define TYPED_TEST(test) cmocka_unit_test_setup(test, harness_setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TYPED_TEST(the_built_in_tables_are_made_once),
        TYPED_TEST(identifiers_are_compared_as_bytes_and_prose_is_not),
        TYPED_TEST(rows_sort_by_the_earlier_of_two_times),
        TYPED_TEST(a_view_hides_what_records_hides),
        TYPED_TEST(counts_are_a_table_of_their_own),
        TYPED_TEST(a_new_column_is_added_behind_and_seen),
        TYPED_TEST(a_table_beside_stored_records_waits_to_be_filled),
        TYPED_TEST(what_was_dropped_by_hand_and_made_again_is_not_filled),
        TYPED_TEST(a_column_that_was_dropped_by_hand_and_added_again_is_not_filled),
        TYPED_TEST(an_index_of_a_small_table_comes_and_goes),
        TYPED_TEST(an_index_of_a_large_table_is_built_beside_its_writers),
        TYPED_TEST(an_index_that_the_rows_do_not_fit_into_is_told_with_the_way_out),
        TYPED_TEST(two_migrations_of_one_description_make_one_table),
        TYPED_TEST(a_writer_of_the_version_before_goes_on),
        TYPED_TEST(what_would_lose_data_is_refused_with_what_to_run),
        TYPED_TEST(a_refusal_changes_nothing),
        TYPED_TEST(what_others_made_is_left_alone),
        TYPED_TEST(a_table_of_the_users_is_only_looked_at),
        TYPED_TEST(a_dry_run_shows_the_sql_and_changes_nothing),
        TYPED_TEST(a_dry_run_shows_every_index_of_a_large_table),
        TYPED_TEST(every_word_that_the_server_reserves_is_refused),
    };
    return cmocka_run_group_tests(tests, sink_postgres_setup, stop);
}
