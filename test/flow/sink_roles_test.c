/*
 * Whatever a role, a database or a schema is called and set to, the rows are the same.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "flow/sink_harness.h"
#include "flow/sink_postgres.h"
#include "sink/migrations.h"

#include <cmocka.h>
#include <uv.h>

#define DID    "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
#define OTHER  "did:plc:bbbbbbbbbbbbbbbbbbbbbbbb"
#define SMILE  "\xf0\x9f\x98\x80"
#define LONG63 "abcdefghijklmnopqrstuvwxyz_abcdefghijklmnopqrstuvwxyz_123456789"
_Static_assert(sizeof(LONG63) - 1 == 63, "the longest name that PostgreSQL keeps");

/* The role `odd` has the settings of a case; what is asked is asked by another. */
static int start(void **state)
{
    (void)state;
    if (!sink_postgres_start(false)) {
        return -1;
    }
    sink_postgres_query("CREATE ROLE odd LOGIN SUPERUSER");
    return 0;
}

static const char *conninfo_of_odd(void)
{
    return sink_postgres_tcp("localhost", "", "user=odd dbname=postgres");
}

static void migrate(const char *schema)
{
    struct buffer report = {0};
    struct error error;
    const struct migrations_options options = {.conninfo = conninfo_of_odd(), .schema = schema};
    if (!migrations_run(&options, &report, &error)) {
        fail_msg("%s", error.text);
    }
    buffer_clear(&report);
    assert_true(migrations_run(&options, &report, &error));
    assert_int_equal(report.size, 0);
    buffer_deinit(&report);
}

static void open_as_odd(const char *schema, unsigned connections, bool prepared)
{
    struct sink_options options = harness_options(connections, prepared);
    options.conninfo = conninfo_of_odd();
    options.schema = schema;
    harness_open_with(&options);
}

/* Text, time, bytes, a deletion, a letter: what any setting might bend. */
static void write_some(void)
{
    struct harness_batch *batch = harness_batch();
    harness_commit(batch, 1000, 1, DID, 10, "k", "{\"t\":\"\\u00e9" SMILE "\\\\'\"}");
    harness_ops(batch, 1000, 2, DID, 11,
                "{\"action\":\"create\",\"path\":\"app.test.thing/b\",\"cid\":\"c\",\"record\":{"
                "\"n\":1e3},\"cbor\":\"AP9c\",\"invalid\":\"" SMILE "\"}");
    harness_ops(batch, 1000, 3, DID, 12,
                "{\"action\":\"create\",\"path\":\"" SMILE "\\\\\",\"cid\":\"c\",\"record\":{}}");
    harness_identity(batch, 1000, 4, DID, SMILE ".example", 13);
    harness_commit(batch, 1000, 5, OTHER, 14, "gone", "{}");
    harness_account(batch, 1000, 6, OTHER, "deleted", INT64_C(86400) * 200);
    harness_run(batch);
    assert_int_equal(batch->outcome.dead, 1);
    harness_run(batch);
}

static void assert_rows(const char *quoted_schema)
{
    char sql[2048];
    (void)snprintf(
        sql, sizeof(sql),
        "SET search_path = %s; SET TimeZone = 'UTC'; SELECT concat_ws(' ', (SELECT string_agg(rkey "
        "|| record::text || (event_time::text) || coalesce(record_cbor::text || invalid, ''), ',' "
        "ORDER BY rkey) FROM records), (SELECT handle || active FROM repos WHERE did = '" DID
        "'), (SELECT status || floor_time FROM repos WHERE did = '" OTHER
        "'), (SELECT string_agg((data::json)->'ops'->0->>'path', ',') FROM "
        "standpipe_dead_letters))",
        quoted_schema);
    assert_string_equal(sink_postgres_query(sql),
                        "b{\"n\": 1000}2026-01-01 00:00:11+00\\x00ff5c" SMILE
                        ",k{\"t\": \"\xc3\xa9" SMILE "\\\\'\"}2026-01-01 00:00:10+00 " SMILE
                        ".exampletrue deleted2026-07-20 00:00:00+00 " SMILE "\\");
}

/* --- settings --- */

static const char *const settings[][4] = {
    {"TimeZone = 'Asia/Kathmandu'", "DateStyle = 'German, DMY'", "IntervalStyle = 'sql_standard'"},
    {"client_encoding = 'LATIN1'"},
    {"search_path = 'pg_catalog'", "temp_tablespaces = ''"},
    {"search_path = 'nowhere, pg_temp'"},
    {"standard_conforming_strings = off", "backslash_quote = off", "escape_string_warning = on"},
    {"default_transaction_isolation = 'serializable'", "default_transaction_deferrable = on"},
    {"default_transaction_isolation = 'repeatable read'"},
    {"statement_timeout = '200ms'", "lock_timeout = '200ms'",
     "idle_in_transaction_session_timeout = '200ms'", "idle_session_timeout = '200ms'"},
    {"row_security = off", "session_replication_role = replica"},
    {"bytea_output = 'escape'", "extra_float_digits = -15", "array_nulls = off"},
    {"transform_null_equals = on", "quote_all_identifiers = on", "check_function_bodies = off"},
    {"client_min_messages = 'debug5'", "log_min_messages = 'warning'"},
    {"synchronous_commit = off", "jit = on", "jit_above_cost = 0"},
    {"plan_cache_mode = 'force_custom_plan'", "enable_indexscan = off", "work_mem = '64kB'"},
    {"constraint_exclusion = on", "from_collapse_limit = 1", "geqo_threshold = 2"},
};

static void apply(const char *const set[4])
{
    sink_postgres_query("ALTER ROLE odd RESET ALL");
    for (int i = 0; i < 4 && set[i] != NULL; i++) {
        char sql[256];
        (void)snprintf(sql, sizeof(sql), "ALTER ROLE odd SET %s", set[i]);
        sink_postgres_query(sql);
    }
}

static void check_settings(const char *const set[4], bool prepared)
{
    sink_postgres_query("DROP SCHEMA IF EXISTS public CASCADE");
    apply(set);
    harness_capture_log();
    migrate("public");
    open_as_odd("public", 2, prepared);
    write_some();
    harness_close();
    const char *log = harness_captured_log();
    if (harness_count(log, "\n") != harness_count(log, "postgres[test] connected")) {
        fail_msg("%s: %s", set[0], log);
    }
    assert_rows("public");
}

static void no_setting_of_a_role_changes_what_is_written(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        check_settings(settings[i], true);
        check_settings(settings[i], false);
    }
    sink_postgres_query("ALTER ROLE odd RESET ALL");
}

/* A trigger that takes longer than the role would have it, and a session that is idle for longer. */
static void check_slow_statements(bool prepared)
{
    static const char *const timeouts[4] = {"statement_timeout = '100ms'"};
    sink_postgres_query("DROP SCHEMA public CASCADE");
    apply(timeouts);
    migrate("public");
    sink_postgres_query(
        "CREATE FUNCTION public.slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM "
        "pg_sleep(0.3); RETURN NULL; END $$; CREATE TRIGGER slow AFTER INSERT ON standpipe_records "
        "FOR EACH STATEMENT EXECUTE FUNCTION public.slow()");
    harness_capture_log();
    open_as_odd("public", 1, prepared);
    write_some();
    harness_close();
    assert_null(strstr(harness_captured_log(), "57014"));
    assert_rows("public");
    sink_postgres_query("ALTER ROLE odd RESET ALL");
}

static void a_timeout_of_a_role_is_not_ours(void **state)
{
    (void)state;
    check_slow_statements(true);
    check_slow_statements(false);
}

/* Each of the four meets the other three in every repo. */
static void check_isolation(const char *level, bool prepared)
{
    enum {
        BATCHES = 16
    };
    const char *const set[4] = {level};
    struct harness_batch *batches[BATCHES];
    sink_postgres_query("DROP SCHEMA public CASCADE");
    apply(set);
    migrate("public");
    open_as_odd("public", 4, prepared);
    for (int i = 0; i < BATCHES; i++) {
        batches[i] = harness_batch();
        batches[i]->batch.bytes = (size_t)60 << 20; /* one a transaction */
        for (int n = 0; n < 20; n++) {
            char record[32];
            (void)snprintf(record, sizeof(record), "{\"n\":%d}", i);
            harness_commit(batches[i], 1000, i * 20 + n + 1, n % 2 == 0 ? DID : OTHER, i * 20 + n,
                           n % 3 == 0 ? "a" : "b", record);
        }
        harness_submit(batches[i]);
    }
    harness_wait();
    harness_close();
    assert_string_equal(sink_postgres_query("SELECT count(*) || ' ' || min(record->>'n') || ' ' || "
                                            "(SELECT count(*) FROM standpipe_dead_letters) FROM "
                                            "public.records"),
                        "4 15 0");
    sink_postgres_query("ALTER ROLE odd RESET ALL");
}

static void a_stricter_isolation_costs_retries_and_no_rows(void **state)
{
    (void)state;
    for (int prepared = 0; prepared < 2; prepared++) {
        check_isolation("default_transaction_isolation = 'repeatable read'", prepared != 0);
        check_isolation("default_transaction_isolation = 'serializable'", prepared != 0);
    }
}

static const char *odd;

static void migrate_on_a_thread(void *argument)
{
    struct buffer report = {0};
    const struct migrations_options options = {.conninfo = odd, .schema = "public"};
    struct error *error = argument;
    if (!migrations_run(&options, &report, error)) {
        assert_true(error->text[0] != '\0');
    }
    buffer_deinit(&report);
}

static void migrate_twice_at_once(void)
{
    struct error errors[2] = {0};
    uv_thread_t threads[2];
    sink_postgres_query("DROP SCHEMA public CASCADE");
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(uv_thread_create(&threads[i], migrate_on_a_thread, &errors[i]), 0);
    }
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(uv_thread_join(&threads[i]), 0);
    }
    assert_string_equal(errors[0].text, "");
    assert_string_equal(errors[1].text, "");
}

/* Their snapshot must not be older than the lock. */
static void two_migrations_at_once_see_each_other_in_any_isolation(void **state)
{
    static const char *const set[4] = {"default_transaction_isolation = 'serializable'"};
    (void)state;
    apply(set);
    odd = conninfo_of_odd(); /* before there are threads */
    for (int round = 0; round < 5; round++) {
        migrate_twice_at_once();
    }
    sink_postgres_query("ALTER ROLE odd RESET ALL");
}

/* --- names --- */

static const struct {
    const char *name;
    const char *quoted;
} schemas[] = {
    {"we\"ird Schema", "\"we\"\"ird Schema\""},
    {"\"", "\"\"\"\""},
    {"a.b, c", "\"a.b, c\""},
    {"it's", "\"it's\""},
    {"back\\slash", "\"back\\slash\""},
    {"select", "\"select\""},
    {"\xc3\xa9" SMILE, "\"\xc3\xa9" SMILE "\""},
    {LONG63, "\"" LONG63 "\""},
};

static void a_schema_of_any_name_holds_the_tables(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(schemas) / sizeof(schemas[0]); i++) {
        for (int prepared = 0; prepared < 2; prepared++) {
            char sql[256];
            migrate(schemas[i].name);
            open_as_odd(schemas[i].name, 1, prepared != 0);
            write_some();
            harness_close();
            assert_rows(schemas[i].quoted);
            (void)snprintf(sql, sizeof(sql), "DROP SCHEMA %s CASCADE", schemas[i].quoted);
            sink_postgres_query(sql);
        }
    }
}

static void a_role_and_a_database_of_any_name_will_do(void **state)
{
    (void)state;
    sink_postgres_query("CREATE ROLE \"" LONG63 "\" LOGIN SUPERUSER");
    sink_postgres_query("CREATE DATABASE \"it's a \\ \"\"base\"\"\"");
    const char *conninfo =
        sink_postgres_tcp("localhost", "", "user=" LONG63 " dbname='it\\'s a \\\\ \"base\"'");
    struct buffer report = {0};
    struct error error;
    const struct migrations_options migrations = {.conninfo = conninfo, .schema = "public"};
    assert_true(migrations_run(&migrations, &report, &error));
    buffer_deinit(&report);
    struct sink_options options = harness_options(1, true);
    options.conninfo = conninfo;
    harness_open_with(&options);
    write_some();
    harness_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_setting_of_a_role_changes_what_is_written),
        cmocka_unit_test(a_timeout_of_a_role_is_not_ours),
        cmocka_unit_test(a_stricter_isolation_costs_retries_and_no_rows),
        cmocka_unit_test(two_migrations_at_once_see_each_other_in_any_isolation),
        cmocka_unit_test(a_schema_of_any_name_holds_the_tables),
        cmocka_unit_test(a_role_and_a_database_of_any_name_will_do),
    };
    return cmocka_run_group_tests(tests, start, sink_postgres_teardown);
}
