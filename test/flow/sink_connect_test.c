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

#define DID "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"

static void open_at(const char *conninfo, unsigned connections)
{
    struct sink_options options = harness_options(connections, true);
    options.conninfo = conninfo;
    harness_open_with(&options);
}

static struct harness_batch *commit(void)
{
    struct harness_batch *batch = harness_batch();
    harness_commit(batch, 1000, 1, DID, 10, "k", "{\"n\":1}");
    return batch;
}

static bool migrate(const char *conninfo, struct error *error)
{
    struct buffer report = {0};
    const struct migrations_options options = {.conninfo = conninfo, .schema = "public"};
    bool is_done = migrations_run(&options, &report, error);
    buffer_deinit(&report);
    return is_done;
}

static void assert_written_here(void)
{
    assert_string_equal(sink_postgres_query("SELECT count(*) FROM records"), "1");
}

static void a_name_is_resolved(void **state)
{
    struct error error;
    (void)state;
    const char *conninfo = sink_postgres_tcp("localhost", "", "user=standpipe dbname=postgres");
    assert_true(migrate(conninfo, &error));
    open_at(conninfo, 2);
    harness_run(commit());
    assert_written_here();
}

static void a_host_that_refuses_gives_way_to_the_next(void **state)
{
    struct error error;
    (void)state;
    const char *conninfo =
        sink_postgres_tcp("127.0.0.1,localhost", "1,", "user=standpipe dbname=postgres");
    assert_true(migrate(conninfo, &error));
    open_at(conninfo, 1);
    harness_run(commit());
    assert_written_here();
}

static void a_name_that_does_not_resolve_gives_way_to_the_next(void **state)
{
    (void)state;
    open_at(sink_postgres_tcp("nobody.invalid,localhost", "1,", "user=standpipe dbname=postgres"),
            1);
    harness_run(commit());
    assert_written_here();
}

/* As behind a failover: the first host is a standby for the time being. */
static void a_host_that_is_read_only_is_passed_over_until_it_is_not(void **state)
{
    (void)state;
    sink_postgres_query("ALTER SYSTEM SET default_transaction_read_only = on");
    sink_postgres_query("SELECT pg_reload_conf()");
    struct harness_batch *batch = commit();
    open_at(sink_postgres_tcp("127.0.0.1,localhost", "1,",
                              "user=standpipe dbname=postgres target_session_attrs=read-write"),
            1);
    harness_submit(batch);
    assert_true(harness_wait_state(SINK_AWAY));
    sink_postgres_query("SET default_transaction_read_only = off");
    sink_postgres_query("ALTER SYSTEM RESET default_transaction_read_only");
    sink_postgres_query("SELECT pg_reload_conf()");
    harness_wait();
    assert_int_equal(batch->failed, 0);
    assert_written_here();
}

/* Waits until it is a wrong set-up, for three more tries, and mends it. */
static void expect_one_message_until(const char *conninfo, const char *sqlstate, const char *cure)
{
    struct harness_batch *batch = commit();
    harness_capture_log();
    open_at(conninfo, 2);
    harness_submit(batch);
    assert_true(harness_wait_state(SINK_MISCONFIGURED));
    for (int i = 0; i < 200; i++) { /* 5 ms each; a try is 200 ms */
        harness_turn();
        assert_int_equal(batch->done, 0);
    }
    sink_postgres_query(cure);
    if (strstr(cure, "DATABASE") != NULL) {
        struct error error;
        assert_true(migrate(conninfo, &error));
    }
    harness_wait();
    const char *log = harness_captured_log();
    assert_int_equal(batch->failed, 0);
    assert_int_equal(harness_count(log, " error "), 1);
    assert_int_equal(harness_count(log, " warning "), 0);
    assert_non_null(strstr(log, sqlstate));
    assert_null(strstr(log, "wrong password of ours"));
}

static void a_wrong_password_is_told_once_and_heals(void **state)
{
    (void)state;
    sink_postgres_query("CREATE ROLE locked LOGIN SUPERUSER PASSWORD 'right'");
    const char *conninfo = sink_postgres_tcp(
        "localhost", "", "user=locked dbname=postgres password='wrong password of ours'");
    struct error error;
    assert_false(migrate(conninfo, &error));
    assert_int_equal(error.kind, ERROR_REFUSED);
    expect_one_message_until(conninfo, "28P01",
                             "ALTER ROLE locked PASSWORD 'wrong password of ours'");
    assert_written_here();
}

/* libpq itself refuses, without a code. */
static void a_password_that_is_missing_is_a_wrong_set_up(void **state)
{
    (void)state;
    open_at(sink_postgres_tcp("localhost", "", "user=locked dbname=postgres passfile=/dev/null"),
            1);
    assert_true(harness_wait_state(SINK_MISCONFIGURED));
}

static void a_database_that_is_missing_is_told_once_and_heals(void **state)
{
    (void)state;
    const char *conninfo = sink_postgres_tcp("localhost", "", "user=standpipe dbname=later");
    struct error error;
    assert_false(migrate(conninfo, &error));
    assert_int_equal(error.kind, ERROR_REFUSED);
    expect_one_message_until(conninfo, "3D000", "CREATE DATABASE later");
}

static void a_role_without_rights_is_told_once_and_heals(void **state)
{
    (void)state;
    sink_postgres_query("CREATE ROLE weak LOGIN; GRANT USAGE ON SCHEMA public TO weak");
    expect_one_message_until(sink_postgres_tcp("localhost", "", "user=weak dbname=postgres"),
                             "42501", "GRANT ALL ON ALL TABLES IN SCHEMA public TO weak");
    sink_postgres_query("DROP OWNED BY weak");
    assert_written_here();
}

/* Anew, with that encoding. */
static void make_database(const char *encoding)
{
    char sql[128];
    (void)snprintf(sql, sizeof(sql),
                   "CREATE DATABASE encoded ENCODING '%s' LOCALE 'C' TEMPLATE template0", encoding);
    sink_postgres_query("DROP DATABASE IF EXISTS encoded WITH (FORCE)");
    sink_postgres_query(sql);
}

static void check_encoding(const char *encoding, bool prepared)
{
    struct error error;
    make_database(encoding);
    struct sink_options options = harness_options(1, prepared);
    options.conninfo = sink_postgres_tcp("localhost", "", "user=standpipe dbname=encoded");
    assert_false(migrate(options.conninfo, &error));
    assert_int_equal(error.kind, ERROR_REFUSED);
    assert_non_null(strstr(error.text, encoding));
    assert_non_null(strstr(error.text, "CREATE DATABASE"));
    struct harness_batch *batch = commit();
    harness_capture_log();
    harness_open_with(&options);
    harness_submit(batch);
    assert_true(harness_wait_state(SINK_MISCONFIGURED));
    for (int i = 0; i < 100; i++) { /* 5 ms each; a try is 200 ms */
        harness_turn();
        assert_int_equal(batch->done, 0);
    }
    make_database("UTF8");
    assert_true(migrate(options.conninfo, &error));
    harness_wait();
    const char *log = harness_captured_log();
    assert_int_equal(batch->failed, 0);
    assert_int_equal(harness_count(log, " error "), 1);
    assert_non_null(strstr(log, encoding));
}

static void a_database_of_another_encoding_is_told_once_and_heals(void **state)
{
    (void)state;
    check_encoding("LATIN1", true);
}

static void a_database_without_an_encoding_is_a_wrong_set_up_behind_a_pooler(void **state)
{
    (void)state;
    check_encoding("SQL_ASCII", false);
}

/* As after an upgrade of the system's C library: a WARNING for each connection, before it is one. */
static void a_warning_of_the_server_goes_into_the_log_or_nowhere(void **state)
{
    struct error error;
    (void)state;
    sink_postgres_query("CREATE DATABASE older");
    sink_postgres_query("UPDATE pg_database SET datcollversion = '0.1' "
                        "WHERE datname = 'older'");
    const char *conninfo = sink_postgres_tcp("localhost", "", "user=standpipe dbname=older");
    harness_capture_log();
    bool is_done = migrate(conninfo, &error);
    open_at(conninfo, 2);
    harness_run(commit());
    const char *log = harness_captured_log();
    assert_true(is_done);
    assert_null(strstr(log, "WARNING"));
    assert_null(strstr(log, "LOCATION"));
}

static struct error errors[2];
static bool results[2];

static void migrate_on_a_thread(void *argument)
{
    size_t index = (size_t)argument;
    results[index] = migrate(sink_postgres_conninfo(), &errors[index]);
}

static void two_migrations_at_once_make_one_schema(void **state)
{
    (void)state;
    for (int round = 0; round < 5; round++) {
        uv_thread_t threads[2];
        sink_postgres_query("DROP SCHEMA public CASCADE");
        for (size_t i = 0; i < 2; i++) {
            assert_int_equal(uv_thread_create(&threads[i], migrate_on_a_thread, (void *)i), 0);
        }
        for (size_t i = 0; i < 2; i++) {
            assert_int_equal(uv_thread_join(&threads[i]), 0);
        }
        assert_true(results[0] && results[1]);
        assert_string_equal(sink_postgres_query("SELECT count(*) = max(step) AND min(step) = 1 "
                                                "FROM standpipe_migrations"),
                            "t");
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, harness_setup, harness_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_name_is_resolved),
        TEST(a_host_that_refuses_gives_way_to_the_next),
        TEST(a_name_that_does_not_resolve_gives_way_to_the_next),
        TEST(a_host_that_is_read_only_is_passed_over_until_it_is_not),
        TEST(a_wrong_password_is_told_once_and_heals),
        TEST(a_password_that_is_missing_is_a_wrong_set_up),
        TEST(a_database_that_is_missing_is_told_once_and_heals),
        TEST(a_role_without_rights_is_told_once_and_heals),
        TEST(a_database_of_another_encoding_is_told_once_and_heals),
        TEST(a_database_without_an_encoding_is_a_wrong_set_up_behind_a_pooler),
        TEST(a_warning_of_the_server_goes_into_the_log_or_nowhere),
        cmocka_unit_test_setup(two_migrations_at_once_make_one_schema, harness_setup),
    };
    return cmocka_run_group_tests(tests, sink_postgres_setup, sink_postgres_teardown);
}
