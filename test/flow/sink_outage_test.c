#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "base/clock.h"
#include "flow/sink_harness.h"
#include "flow/sink_postgres.h"

#include <cmocka.h>
#include <libpq-fe.h>

#define DID "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
#define COUNTS                                                                                     \
    "SELECT (SELECT count(*) FROM records) || ' ' || (SELECT count(*) FROM "                       \
    "standpipe_dead_letters)"
/* A trigger on records that runs `body` while the table `switch` has a row. */
#define TRIGGER(body)                                                                              \
    "CREATE TABLE switch (); INSERT INTO switch DEFAULT VALUES; CREATE FUNCTION public.nasty() "   \
    "RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF EXISTS (SELECT FROM public.switch) "          \
    "THEN " body                                                                                   \
    " END IF; RETURN NEW; END $$; CREATE TRIGGER nasty BEFORE INSERT ON standpipe_records FOR "    \
    "EACH ROW EXECUTE FUNCTION public.nasty()"

static int over(void **state)
{
    (void)state;
    harness_close();
    sink_postgres_query("SET TRANSACTION READ WRITE; ALTER ROLE standpipe RESET ALL");
    return 0;
}

static struct harness_batch *commits(int count)
{
    struct harness_batch *batch = harness_batch();
    for (int i = 0; i < count; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "k%d", i);
        harness_commit(batch, 1000, i + 1, DID, 10 + i, key, "{\"n\":1}");
    }
    return batch;
}

/* Another client, which holds the repos until it is finished. */
static PGconn *lock_repos(void)
{
    PGconn *native = PQconnectdb(sink_postgres_conninfo());
    PGresult *result = PQexec(native, "BEGIN; LOCK TABLE repos");
    assert_int_equal(PQresultStatus(result), PGRES_COMMAND_OK);
    PQclear(result);
    return native;
}

/* Runs the loop until `sql` answers `expected`. */
static void wait_for(const char *sql, const char *expected)
{
    uint64_t deadline_ms = clock_monotonic_ms() + 30000;
    while (strcmp(sink_postgres_query(sql), expected) != 0) {
        assert_true(clock_monotonic_ms() < deadline_ms);
        harness_turn();
    }
}

static void wait_for_log(const char *text)
{
    uint64_t deadline_ms = clock_monotonic_ms() + 30000;
    while (strstr(harness_captured_log(), text) == NULL) { /* which ends the capture */
        assert_true(clock_monotonic_ms() < deadline_ms);
        harness_capture_log();
        harness_turn();
    }
}

#define BLOCKED                                                                                    \
    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'test' AND wait_event_type = " \
    "'Lock'"

static void a_statement_that_takes_too_long_is_retried_and_never_a_dead_letter(void **state)
{
    (void)state;
    struct sink_options options = harness_options(1, true);
    options.statement_timeout_ms = 300;
    sink_postgres_query(TRIGGER("PERFORM pg_sleep(5);"));
    harness_open_with(&options);
    struct harness_batch *batch = commits(3);
    harness_capture_log();
    harness_submit(batch);
    assert_true(harness_wait_state(SINK_AWAY));
    sink_postgres_query("DELETE FROM switch");
    harness_wait();
    const char *log = harness_captured_log();
    assert_non_null(strstr(log, "sqlstate=57014"));
    assert_int_equal(batch->failed, 0);
    assert_int_equal(batch->outcome.written, 3);
    assert_string_equal(sink_postgres_query(COUNTS), "3 0");
}

/* A backend that is stopped keeps its socket open and says nothing. */
/* As the deletion of a large account may: more than the timeout, though it runs alone. The trigger notes what is
 * in force; the entry after it is done within the usual time again. */
static void check_long_entry(bool prepared)
{
    struct sink_options options = harness_options(1, prepared);
    options.statement_timeout_ms = 300;
    sink_postgres_query(
        "CREATE TABLE seen (v text); CREATE FUNCTION public.slow() RETURNS trigger LANGUAGE "
        "plpgsql AS $$ BEGIN INSERT INTO public.seen SELECT current_setting('statement_timeout'); "
        "IF NEW.rkey = 'k1' THEN PERFORM pg_sleep(2); END IF; RETURN NEW; END $$; CREATE TRIGGER "
        "slow BEFORE INSERT ON standpipe_records FOR EACH ROW EXECUTE FUNCTION public.slow()");
    harness_open_with(&options);
    struct harness_batch *batch = commits(3);
    harness_run(batch);
    assert_int_equal(batch->outcome.written, 3);
    assert_string_equal(sink_postgres_query(COUNTS), "3 0");
    assert_string_equal(sink_postgres_query("SELECT string_agg(v, ' ') FROM seen"),
                        "300ms 4800ms 300ms");
}

static void an_entry_that_takes_too_long_alone_gets_more_time(void **state)
{
    (void)state;
    check_long_entry(true);
}

static void an_entry_that_takes_too_long_alone_gets_more_time_behind_a_pooler(void **state)
{
    (void)state;
    check_long_entry(false);
}

static void a_server_that_stops_answering_is_left_after_our_own_deadline(void **state)
{
    (void)state;
    struct sink_options options = harness_options(1, true);
    options.statement_timeout_ms = 100;
    harness_open_with(&options);
    assert_true(harness_wait_state(SINK_READY));
    pid_t backend = (pid_t)strtol(
        sink_postgres_query("SELECT pid FROM pg_stat_activity WHERE application_name = 'test'"),
        NULL, 10);
    assert_true(backend > 1);
    assert_int_equal(kill(backend, SIGSTOP), 0);
    struct harness_batch *batch = commits(3);
    harness_submit(batch);
    harness_wait();
    assert_int_equal(kill(backend, SIGCONT), 0); /* and now it runs its copy: nothing may change */
    assert_int_equal(batch->failed, 0);
    wait_for("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'test'", "1");
    assert_string_equal(sink_postgres_query(COUNTS), "3 0");
}

static void a_backend_that_is_terminated_in_the_middle_costs_nothing(void **state)
{
    (void)state;
    harness_open(1, true);
    assert_true(harness_wait_state(SINK_READY));
    PGconn *other = lock_repos();
    struct harness_batch *batch = commits(3);
    harness_capture_log();
    harness_submit(batch);
    wait_for(BLOCKED, "1");
    sink_postgres_query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
                        "application_name = 'test'");
    assert_true(harness_wait_state(SINK_AWAY));
    PQfinish(other);
    harness_wait();
    wait_for_log("57P01");
    assert_int_equal(batch->failed, 0);
    assert_string_equal(sink_postgres_query(COUNTS), "3 0");
}

static void an_idle_backend_that_is_terminated_comes_back(void **state)
{
    (void)state;
    harness_open(1, true);
    assert_true(harness_wait_state(SINK_READY));
    harness_capture_log();
    sink_postgres_query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
                        "application_name = 'test'");
    assert_true(harness_wait_state(SINK_AWAY));
    assert_true(harness_wait_state(SINK_READY));
    assert_non_null(strstr(harness_captured_log(), "57P01"));
    harness_run(commits(3));
}

/* 53300: with room for two the sink works with two. */
static void too_many_connections_are_an_outage_of_the_others_only(void **state)
{
    (void)state;
    sink_postgres_query("CREATE ROLE narrow LOGIN CONNECTION LIMIT 2; GRANT ALL ON SCHEMA public "
                        "TO narrow; GRANT ALL ON ALL TABLES IN SCHEMA public TO narrow");
    char conninfo[256];
    (void)snprintf(conninfo, sizeof(conninfo), "%s user=narrow", sink_postgres_conninfo());
    struct sink_options options = harness_options(4, true);
    options.conninfo = conninfo;
    harness_capture_log();
    harness_open_with(&options);
    struct harness_batch *batch = commits(3);
    harness_run(batch);
    wait_for("SELECT count(*) FROM pg_stat_activity WHERE usename = 'narrow'", "2");
    wait_for_log("53300");
    assert_true(harness_wait_state(SINK_READY));
    sink_postgres_query("ALTER ROLE narrow CONNECTION LIMIT 10");
    wait_for("SELECT count(*) FROM pg_stat_activity WHERE usename = 'narrow'", "4");
    sink_postgres_query("DROP OWNED BY narrow");
    assert_string_equal(sink_postgres_query(COUNTS), "3 0");
}

static void check_synchronous_commit(bool prepared)
{
    sink_postgres_query("ALTER ROLE standpipe SET synchronous_commit = off; CREATE TABLE seen (v "
                        "text); " TRIGGER("INSERT INTO public.seen VALUES "
                                          "(current_setting('synchronous_commit'));"));
    harness_open(1, prepared);
    harness_run(commits(1));
    assert_string_equal(sink_postgres_query("SHOW synchronous_commit"), "off");
    assert_string_equal(sink_postgres_query("SELECT string_agg(v, ',') FROM seen"), "on");
}

static void a_role_that_commits_asynchronously_is_overruled(void **state)
{
    (void)state;
    check_synchronous_commit(true);
}

static void a_role_that_commits_asynchronously_is_overruled_behind_a_pooler(void **state)
{
    (void)state;
    check_synchronous_commit(false);
}

static void a_role_with_another_search_path_is_overruled_behind_a_pooler(void **state)
{
    (void)state;
    sink_postgres_query("ALTER ROLE standpipe SET search_path = pg_catalog");
    harness_open(1, false);
    harness_run(commits(1));
    sink_postgres_query("ALTER ROLE standpipe RESET ALL");
    assert_string_equal(sink_postgres_query(COUNTS), "1 0");
}

static void a_column_that_another_session_adds_stops_nobody(void **state)
{
    (void)state;
    harness_open(1, true);
    for (int i = 0; i < 7; i++) { /* until the plans are generic */
        harness_run(commits(2 + i));
    }
    sink_postgres_query("ALTER TABLE standpipe_records ADD COLUMN extra text DEFAULT 'x'; ALTER "
                        "TABLE repos ADD COLUMN extra text");
    harness_capture_log();
    harness_run(commits(12));
    assert_string_equal(harness_captured_log(), "");
    assert_string_equal(sink_postgres_query(COUNTS), "12 0");
}

/* As a pooler or an operator may do it: the statement that comes next is unknown (26000). */
static void statements_that_are_gone_are_prepared_again(void **state)
{
    (void)state;
    harness_open(1, true);
    harness_run(commits(1));
    sink_postgres_query("CREATE SEQUENCE once; CREATE FUNCTION public.nasty() RETURNS trigger "
                        "LANGUAGE plpgsql AS $$ BEGIN IF nextval('public.once') = 1 THEN EXECUTE "
                        "'DEALLOCATE ALL'; END IF; RETURN NULL; END $$; CREATE TRIGGER nasty AFTER "
                        "INSERT ON repos FOR EACH STATEMENT EXECUTE FUNCTION public.nasty()");
    struct harness_batch *batch = commits(5);
    harness_run(batch);
    assert_int_equal(batch->outcome.written, 4);
    assert_string_equal(sink_postgres_query("SELECT last_value > 1 FROM once"), "t");
    assert_string_equal(sink_postgres_query(COUNTS), "5 0");
}

static void a_session_that_is_read_only_is_an_outage(void **state)
{
    (void)state;
    sink_postgres_query("ALTER ROLE standpipe SET default_transaction_read_only = on");
    harness_open(1, true);
    struct harness_batch *batch = commits(3);
    harness_capture_log();
    harness_submit(batch);
    assert_true(harness_wait_state(SINK_AWAY));
    sink_postgres_query("SET TRANSACTION READ WRITE; ALTER ROLE standpipe RESET ALL");
    harness_wait();
    assert_non_null(strstr(harness_captured_log(), "25006"));
    assert_string_equal(sink_postgres_query(COUNTS), "3 0");
}

static void closing_finishes_what_is_in_a_transaction(void **state)
{
    (void)state;
    harness_open(1, true);
    assert_true(harness_wait_state(SINK_READY));
    PGconn *other = lock_repos();
    struct harness_batch *batch = commits(3);
    struct harness_batch *waiting = commits(5);
    harness_submit(batch);
    harness_submit(waiting);
    wait_for(BLOCKED, "1");
    harness_begin_close(20000);
    assert_int_equal(waiting->failed, 1);
    PQfinish(other);
    harness_wait();
    assert_int_equal(batch->done, 1);
    assert_int_equal(batch->failed, 0);
    assert_int_equal(batch->outcome.written, 3);
    assert_string_equal(sink_postgres_query(COUNTS), "3 0");
}

static void closing_gives_up_what_is_not_done_in_time(void **state)
{
    (void)state;
    harness_open(1, true);
    assert_true(harness_wait_state(SINK_READY));
    PGconn *other = lock_repos();
    struct harness_batch *batch = commits(3);
    harness_submit(batch);
    wait_for(BLOCKED, "1");
    uint64_t before_ms = clock_monotonic_ms();
    harness_begin_close(300);
    harness_wait(); /* the lock is still held: it ends because the time is over */
    uint64_t took_ms = clock_monotonic_ms() - before_ms;
    PQfinish(other);
    assert_true(took_ms >= 200 && took_ms < 10000);
    assert_int_equal(batch->done, 1);
    assert_int_equal(batch->failed, 1);
}

/* Five hundred records with a secret in each, refused by three kinds of errors that quote it. */
static void refused_rows_fill_no_log_and_quote_nothing_in_it(void **state)
{
    (void)state;
    sink_postgres_query("ALTER TABLE standpipe_records ADD CONSTRAINT no_k7 CHECK (rkey <> 'k7')");
    sink_postgres_query(
        TRIGGER("IF NEW.rkey = 'k8' THEN RAISE EXCEPTION 'no %', NEW.record; ELSIF NEW.rkey "
                "<> 'k7' THEN PERFORM (NEW.record->>'n')::int; END IF;"));
    harness_open(1, true);
    struct harness_batch *batch = harness_batch();
    for (int i = 0; i < 100; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "k%d", i);
        harness_commit(batch, 1000, i + 1, DID, 10 + i, key, "{\"n\":\"secret\"}");
    }
    harness_capture_log();
    harness_run(batch);
    const char *log = harness_captured_log();
    assert_int_equal(harness_count(log, "refused epoch"), 1);
    assert_null(strstr(log, "secret"));
    assert_string_equal(sink_postgres_query(COUNTS), "0 100");
    assert_string_equal(sink_postgres_query("SELECT string_agg(DISTINCT sqlstate, ' ') FROM "
                                            "standpipe_dead_letters"),
                        "22P02 23514 P0001");
    assert_string_equal(
        sink_postgres_query("SELECT count(*) FROM standpipe_dead_letters WHERE detail LIKE "
                            "'%secret%'"),
        "100");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, harness_setup, over)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_statement_that_takes_too_long_is_retried_and_never_a_dead_letter),
        TEST(an_entry_that_takes_too_long_alone_gets_more_time),
        TEST(an_entry_that_takes_too_long_alone_gets_more_time_behind_a_pooler),
        TEST(a_server_that_stops_answering_is_left_after_our_own_deadline),
        TEST(a_backend_that_is_terminated_in_the_middle_costs_nothing),
        TEST(an_idle_backend_that_is_terminated_comes_back),
        TEST(too_many_connections_are_an_outage_of_the_others_only),
        TEST(a_role_that_commits_asynchronously_is_overruled),
        TEST(a_role_that_commits_asynchronously_is_overruled_behind_a_pooler),
        TEST(a_role_with_another_search_path_is_overruled_behind_a_pooler),
        TEST(a_column_that_another_session_adds_stops_nobody),
        TEST(statements_that_are_gone_are_prepared_again),
        TEST(a_session_that_is_read_only_is_an_outage),
        TEST(closing_finishes_what_is_in_a_transaction),
        TEST(closing_gives_up_what_is_not_done_in_time),
        TEST(refused_rows_fill_no_log_and_quote_nothing_in_it),
    };
    return cmocka_run_group_tests(tests, sink_postgres_setup, sink_postgres_teardown);
}
