/* How much one letter, and one repo, can write into standpipe_dead_letters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "flow/sink_harness.h"
#include "flow/sink_postgres.h"
#include "sink/dead_letter.h"

#include <cmocka.h>

#define DID     "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
#define OTHER   "did:plc:bbbbbbbbbbbbbbbbbbbbbbbb"
#define SUMMARY "too many letters of one repo"

enum {
    LONG = DEAD_LETTER_DATA_MAX + 1000,
    OPS = 60
};

/* A commit of OPS ops without a slash in their path. */
static void run_bad_commit(int64_t seq, const char *did)
{
    struct buffer ops = {0};
    struct harness_batch *batch = harness_batch();
    for (int i = 0; i < OPS; i++) {
        buffer_append_format(&ops, "%s{\"action\":\"create\",\"path\":\"bad%d\",\"record\":{}}",
                             i == 0 ? "" : ",", i);
    }
    buffer_append_byte(&ops, '\0');
    harness_ops(batch, 7, seq, did, seq, ops.data);
    harness_run(batch);
    assert_int_equal(batch->outcome.dead, OPS);
    buffer_deinit(&ops);
}

static const char *letters_of(const char *did)
{
    char sql[512];
    (void)snprintf(sql, sizeof(sql),
                   "SELECT concat_ws(' ', count(*) FILTER (WHERE type <> 'summary'), sum(letters) "
                   "FILTER (WHERE type = 'summary'), max(last_seq)) FROM standpipe_dead_letters "
                   "WHERE did = '%s'",
                   did);
    return sink_postgres_query(sql);
}

static void an_op_s_letter_that_is_too_long_keeps_the_op_and_says_how_long_it_was(void **state)
{
    (void)state;
    struct buffer ops = {0};
    struct harness_batch *batch = harness_batch();
    buffer_append_string(&ops, "{\"action\":\"create\",\"path\":\"bad\",\"record\":{\"t\":\"");
    memset(buffer_reserve(&ops, LONG), 'x', LONG);
    ops.size += LONG;
    buffer_append_string(&ops, "\"}}");
    buffer_append_byte(&ops, '\0');
    harness_ops(batch, 7, 1, DID, 1, ops.data);
    harness_run(batch);
    buffer_deinit(&ops);
    assert_string_equal(sink_postgres_query("SELECT cut_from > 1048576 AND data::json #> "
                                            "'{ops,0,path}' IS NOT NULL AND data::json #> "
                                            "'{ops,0,record}' IS NULL FROM standpipe_dead_letters"),
                        "t");
}

static void an_entry_s_letter_that_is_too_long_keeps_its_first_bytes(void **state)
{
    (void)state;
    struct buffer data = {0};
    struct harness_batch *batch = harness_batch();
    memset(buffer_reserve(&data, LONG), 'x', LONG);
    data.size = LONG;
    buffer_append_byte(&data, '\0');
    harness_entry(batch, 7, 1, "commit", data.data, 1);
    harness_run(batch);
    buffer_deinit(&data);
    assert_string_equal(
        sink_postgres_query("SELECT length(data) || ' ' || cut_from FROM standpipe_dead_letters"),
        "1048576 1049576");
}

static void of_one_repo_and_hour_100_are_kept_and_the_others_are_one_summary(void **state)
{
    (void)state;
    for (int64_t seq = 1; seq <= 3; seq++) {
        run_bad_commit(seq, DID);
    }
    assert_string_equal(letters_of(DID), "100 80 3");
    run_bad_commit(4, OTHER);
    assert_string_equal(letters_of(OTHER), "60");
    run_bad_commit(5, DID);
    assert_string_equal(letters_of(DID), "100 140 5");
    assert_string_equal(
        sink_postgres_query("SELECT count(*) FROM standpipe_dead_letters WHERE reason = '" SUMMARY
                            "'"),
        "1");
}

static void what_comes_again_is_neither_kept_nor_counted_again_in_whatever_order(void **state)
{
    (void)state;
    for (int64_t seq = 1; seq <= 3; seq++) {
        run_bad_commit(seq, DID);
    }
    for (int64_t seq = 3; seq >= 1; seq--) {
        run_bad_commit(seq, DID);
    }
    assert_string_equal(letters_of(DID), "100 80 3");
    sink_postgres_query(
        "UPDATE standpipe_dead_letters SET created_at = created_at - interval '1h'");
    run_bad_commit(3, DID); /* as late as an hour after */
    assert_string_equal(letters_of(DID), "100 80 3");
}

static void the_next_hour_keeps_letters_again(void **state)
{
    (void)state;
    run_bad_commit(1, DID);
    run_bad_commit(2, DID);
    assert_string_equal(letters_of(DID), "100 20 2");
    sink_postgres_query(
        "UPDATE standpipe_dead_letters SET created_at = created_at - interval '1h'");
    run_bad_commit(3, DID);
    assert_string_equal(letters_of(DID), "160 20 2");
}

static int fresh_retry(void **state)
{
    (void)state;
    harness_reset();
    struct sink_options options = harness_options(1, true);
    options.keeps_no_letters = true;
    harness_open_with(&options);
    return 0;
}

static void a_retry_counts_what_is_dead_and_keeps_no_second_letter(void **state)
{
    (void)state;
    run_bad_commit(1, DID);
    sink_postgres_query("ALTER TABLE standpipe_records ADD CHECK (rkey <> 'no')");
    struct harness_batch *batch = harness_batch();
    harness_commit(batch, 7, 2, DID, 2, "no", "{}");
    harness_commit(batch, 7, 3, DID, 3, "yes", "{}");
    harness_run(batch);
    assert_int_equal(batch->outcome.dead, 1);
    assert_int_equal(batch->outcome.written, 1);
    assert_string_equal(sink_postgres_query("SELECT count(*) FROM standpipe_dead_letters"), "0");
    assert_string_equal(sink_postgres_query("SELECT string_agg(rkey, ' ') FROM records"), "yes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            an_op_s_letter_that_is_too_long_keeps_the_op_and_says_how_long_it_was,
            harness_setup_open, harness_teardown),
        cmocka_unit_test_setup_teardown(an_entry_s_letter_that_is_too_long_keeps_its_first_bytes,
                                        harness_setup_open, harness_teardown),
        cmocka_unit_test_setup_teardown(
            of_one_repo_and_hour_100_are_kept_and_the_others_are_one_summary, harness_setup_open,
            harness_teardown),
        cmocka_unit_test_setup_teardown(
            what_comes_again_is_neither_kept_nor_counted_again_in_whatever_order,
            harness_setup_open, harness_teardown),
        cmocka_unit_test_setup_teardown(the_next_hour_keeps_letters_again, harness_setup_open,
                                        harness_teardown),
        cmocka_unit_test_setup_teardown(a_retry_counts_what_is_dead_and_keeps_no_second_letter,
                                        fresh_retry, harness_teardown),
    };
    return cmocka_run_group_tests(tests, sink_postgres_setup, sink_postgres_teardown);
}
