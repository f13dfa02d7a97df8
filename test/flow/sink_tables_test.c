#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flow/sink_harness.h"
#include "flow/sink_postgres.h"
#include "unit/sink/hand_tables.h"

#include <cmocka.h>

#define DID   "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
#define OTHER "did:plc:bbbbbbbbbbbbbbbbbbbbbbbb"
#define POST  "app.bsky.feed.post"
#define LIKE  "app.bsky.feed.like"

#define POSTS                                                                                      \
    "SELECT string_agg(rkey || '=' || coalesce(text, '-'), ' ' ORDER BY uri) FROM standpipe_posts"
#define LIKES "SELECT string_agg(rkey || '=' || subject, ' ' ORDER BY uri) FROM standpipe_likes"
#define COUNTS                                                                                     \
    "SELECT string_agg(uri || '=' || likes || ',' || replies, ' ' ORDER BY uri) FROM post_counts"  \
    " WHERE (likes, replies) <> (0, 0)"
#define LETTERS                                                                                    \
    "SELECT string_agg(seq || ':' || op || ' ' || reason || ' ' || coalesce(sqlstate, '-'), ', '"  \
    " ORDER BY seq, op, reason) FROM standpipe_dead_letters"
/* All there is, with what moves when a row is written. */
#define EVERYTHING                                                                                 \
    "SELECT md5(string_agg(t, '|' ORDER BY t)) FROM (SELECT xmin::text || p::text AS t"            \
    " FROM standpipe_posts p UNION ALL SELECT xmin::text || l::text FROM standpipe_likes l"        \
    " UNION ALL SELECT xmin::text || c::text FROM post_counts c UNION ALL"                         \
    " SELECT xmin::text || r::text FROM standpipe_records r) AS rows"

static void describe(void)
{
    hand_begin();
    struct table *posts = hand_table("posts", POST);
    hand_column(posts, "text", COLUMN_TEXT, "text");
    hand_column(posts, "langs", COLUMN_TEXT_ARRAY, "langs/[]");
    hand_column(posts, "facets", COLUMN_JSONB, "facets");
    hand_column(posts, "parent", COLUMN_TEXT, "reply/parent/uri");
    hand_column(posts, "size", COLUMN_INTEGER, "size")->fallback = hand_text("7");
    hand_count(posts, "post_counts", "uri", "replies", "parent");
    struct table *likes = hand_table("likes", LIKE);
    hand_column(likes, "subject", COLUMN_TEXT, "subject/uri")->is_required = true;
    hand_column(likes, "strict", COLUMN_INTEGER, "strict")->bad_value = BAD_VALUE_DEAD_LETTER;
    hand_count(likes, "post_counts", "uri", "likes", "subject");
}

static void create_tables(void)
{
    struct buffer sql = {0};
    (void)hand_tables();
    hand_sql(&sql);
    buffer_append_byte(&sql, '\0');
    sink_postgres_query(sql.data);
    buffer_deinit(&sql);
}

static void open_sink(unsigned connections)
{
    struct sink_options options = harness_options(connections, true);
    options.tables = hand_tables();
    harness_open_with(&options);
}

static int fresh(void **state)
{
    (void)state;
    harness_reset();
    describe();
    create_tables();
    open_sink(1);
    return 0;
}

/* One op; the CID is the second's. `record` NULL: a delete. */
static const char *op(const char *collection, const char *rkey, int64_t second, const char *record)
{
    static char texts[8][2048];
    static unsigned next;
    char *text = texts[next++ % 8];
    if (record == NULL) {
        (void)snprintf(text, sizeof(texts[0]), "{\"action\":\"delete\",\"path\":\"%s/%s\"}",
                       collection, rkey);
    } else {
        (void)snprintf(
            text, sizeof(texts[0]),
            "{\"action\":\"create\",\"path\":\"%s/%s\",\"cid\":\"bafy%lld\",\"record\":%s}",
            collection, rkey, (long long)second, record);
    }
    return text;
}

static struct harness_batch *run_op(int64_t seq, const char *did, const char *ops)
{
    struct harness_batch *batch = harness_batch();
    harness_ops(batch, 1000, seq, did, seq, ops);
    harness_run(batch);
    return batch;
}

#define SAME(sql, expected) assert_string_equal(sink_postgres_query(sql), expected)

static void a_record_is_a_row_through_create_update_and_delete(void **state)
{
    (void)state;
    run_op(1, DID,
           op(POST, "a", 1,
              "{\"text\":\"one\",\"createdAt\":\"2026-01-01T00:00:00Z\",\"langs\":"
              "[\"en\",\"d\\\"e\"],\"facets\":[1e2],\"reply\":{\"parent\":{\"uri\":\"at://x\"}}}"));
    SAME(POSTS, "a=one");
    SAME(COUNTS, "at://x=0,1");
    SAME("SELECT langs::text || facets || size || uri || did || cid || (rev = '' OR indexed_at IS "
         "NULL)"
         " || created_at FROM standpipe_posts",
         "{en,\"d\\\"e\"}[100]7at://" DID "/" POST "/a" DID "bafy1false2026-01-01 00:00:00+00");
    run_op(2, DID,
           op(POST, "a", 2,
              "{\"text\":\"two\",\"size\":8,\"reply\":{\"parent\":{\"uri\":\"at://y\"}}}"));
    SAME(POSTS, "a=two");
    SAME(COUNTS, "at://y=0,1");
    SAME("SELECT (p.indexed_at, p.rev, p.cid) = (r.indexed_at, r.rev, r.cid) AND p.langs IS NULL"
         " FROM standpipe_posts p, standpipe_records r",
         "t");
    run_op(3, DID, op(POST, "a", 3, NULL));
    SAME(POSTS, "");
    SAME(COUNTS, "");
}

static struct harness_batch *a_bit_of_everything(uint64_t epoch)
{
    char ops[4096];
    struct harness_batch *batch = harness_batch();
    harness_ops(batch, epoch, 1, DID, 1, op(POST, "a", 1, "{\"text\":\"one\"}"));
    harness_ops(batch, epoch, 2, OTHER, 2, op(LIKE, "l", 2, "{\"subject\":{\"uri\":\"at://x\"}}"));
    (void)snprintf(ops, sizeof(ops), "%s,%s", op(LIKE, "l", 3, NULL),
                   op(LIKE, "l", 3, "{\"subject\":{\"uri\":\"at://y\"}}"));
    harness_ops(batch, epoch, 3, OTHER, 3, ops);
    harness_ops(batch, epoch, 4, DID, 4,
                op(POST, "b", 4, "{\"text\":\"two\",\"reply\":{\"parent\":{\"uri\":\"at://y\"}}}"));
    harness_ops(batch, epoch, 5, DID, 5, op(POST, "a", 5, NULL));
    return batch;
}

static void a_replay_changes_no_row_and_no_count(void **state)
{
    (void)state;
    char before[64];
    harness_run(a_bit_of_everything(1000));
    SAME(POSTS, "b=two");
    SAME(LIKES, "l=at://y");
    SAME(COUNTS, "at://y=1,1");
    (void)snprintf(before, sizeof(before), "%s", sink_postgres_query(EVERYTHING));
    harness_run(a_bit_of_everything(1000));
    SAME(EVERYTHING, before);
    harness_run(a_bit_of_everything(2000));
    SAME(EVERYTHING, before);
    run_op(1, DID, op(POST, "a", 1, "{\"text\":\"one\"}"));
    SAME(EVERYTHING, before);
}

/* New records are not looked for in the tables: what is there all the same is found by its key, and set right. */
static void a_row_that_nobody_should_have_made_is_set_right_by_its_record(void **state)
{
    (void)state;
    sink_postgres_query("INSERT INTO standpipe_posts (uri, did, rkey, cid, rev, indexed_at, text) "
                        "VALUES ('at://" DID "/" POST "/a', '" DID
                        "', 'a', 'c', '2', now(), 'no')");
    struct harness_batch *batch = harness_batch();
    harness_ops(batch, 1000, 1, DID, 1,
                op(POST, "a", 1, "{\"text\":\"one\",\"reply\":{\"parent\":{\"uri\":\"at://x\"}}}"));
    harness_ops(batch, 1000, 2, OTHER, 2, op(LIKE, "l", 2, "{\"subject\":{\"uri\":\"at://x\"}}"));
    harness_run(batch);
    assert_int_equal(batch->outcome.written, 2);
    SAME(POSTS, "a=one");
    SAME(LIKES, "l=at://x");
    SAME(COUNTS, "at://x=1,1");
    SAME(LETTERS, "");
}

static void rows_that_a_trigger_leaves_out_are_not_counted(void **state)
{
    (void)state;
    sink_postgres_query(
        "CREATE FUNCTION public.leave_out() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF "
        "NEW.rkey = 'out' THEN RETURN NULL; END IF; RETURN NEW; END $$; CREATE TRIGGER leave_out "
        "BEFORE INSERT ON standpipe_likes FOR EACH ROW EXECUTE FUNCTION public.leave_out()");
    struct harness_batch *batch = harness_batch();
    harness_ops(batch, 1000, 1, DID, 1, op(LIKE, "out", 1, "{\"subject\":{\"uri\":\"at://x\"}}"));
    harness_ops(batch, 1000, 2, OTHER, 2, op(LIKE, "in", 2, "{\"subject\":{\"uri\":\"at://x\"}}"));
    harness_run(batch);
    sink_postgres_query("DROP FUNCTION public.leave_out() CASCADE");
    SAME(LIKES, "in=at://x");
    SAME(COUNTS, "at://x=1,0");
}

enum {
    COLLECTIONS = 200 /* whose names are more than STATEMENT_REPLACED_MAX */
};

/* One record of each of many collections, and the post `a`, which is the last of them by key. */
static struct harness_batch *many_collections(int64_t seq, const char *post)
{
    char collection[80];
    struct harness_batch *batch = harness_batch();
    for (int i = 0; i < COLLECTIONS; i++) {
        (void)snprintf(collection, sizeof(collection), "aa.x%050d.thing", i);
        harness_ops(batch, 1000, seq + i, DID, seq + i, op(collection, "k", seq, "{\"n\":1}"));
    }
    harness_ops(batch, 1000, seq + COLLECTIONS, DID, seq + COLLECTIONS, op(POST, "a", seq, post));
    return batch;
}

/* What is replaced is named up to a bound; beyond it all is taken for replaced. Were the post taken for new, its row would be
 * refused, and every entry tried in a transaction of its own. */
static void replacing_records_of_more_collections_than_are_named_is_one_transaction(void **state)
{
    (void)state;
    harness_run(
        many_collections(1, "{\"text\":\"one\",\"reply\":{\"parent\":{\"uri\":\"at://x\"}}}"));
    harness_run(
        many_collections(1001, "{\"text\":\"two\",\"reply\":{\"parent\":{\"uri\":\"at://y\"}}}"));
    SAME(POSTS, "a=two");
    SAME(COUNTS, "at://y=0,1");
    SAME("SELECT count(*) || ' ' || count(DISTINCT xmin::text) FROM standpipe_records", "201 1");
}

/* Of three new records, and of one that replaces another. */
static void a_count_goes_by_whatever_a_row_has(void **state)
{
    static const char *const columns[] = {"uri", "did", "rkey", "cid", "rev", "kind", "x"};
    char sql[512];
    (void)state;
    harness_close();
    harness_reset();
    hand_begin();
    struct table *things = hand_table("things", "app.test.thing");
    hand_source(things, "kind", COLUMN_LITERAL)->fallback = hand_text("k");
    hand_column(things, "x", COLUMN_TEXT, "x")->fallback = hand_text("none");
    for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
        (void)snprintf(sql, sizeof(sql), "by_%s", columns[i]);
        hand_count(things, sql, "key", "n", columns[i]);
    }
    create_tables();
    open_sink(1);
    struct harness_batch *batch = harness_batch();
    harness_commit(batch, 1000, 1, DID, 1, "a", "{\"x\":\"1\"}");
    harness_commit(batch, 1000, 2, OTHER, 2, "a", "{\"x\":\"1\"}");
    harness_commit(batch, 1000, 3, OTHER, 3, "b", "{}");
    harness_run(batch);
    harness_run(batch);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
            (void)snprintf(sql, sizeof(sql),
                           "SELECT count(*) FROM (SELECT key, n FROM by_%s WHERE n <> 0) AS c FULL "
                           "JOIN (SELECT %s AS key, count(*) AS n FROM standpipe_things GROUP BY "
                           "1) AS w USING (key, n) WHERE c.n IS NULL OR w.n IS NULL",
                           columns[i], columns[i]);
            SAME(sql, "0");
        }
        batch = harness_batch();
        harness_commit(batch, 1000, 4, OTHER, 4, "b", "{\"x\":\"2\"}");
        harness_commit(batch, 1000, 5, OTHER, 5, "c", "{\"x\":\"2\"}");
        harness_run(batch);
    }
    SAME("SELECT string_agg(key || n, ' ' ORDER BY key) FROM by_x WHERE n <> 0", "12 22");
}

static void a_record_that_loses_what_is_required_loses_its_row(void **state)
{
    (void)state;
    run_op(1, DID, op(LIKE, "l", 1, "{\"subject\":{\"uri\":\"at://x\"}}"));
    SAME(LIKES, "l=at://x");
    struct harness_batch *batch = run_op(2, DID, op(LIKE, "l", 2, "{\"subject\":{}}"));
    assert_int_equal(batch->outcome.written, 1);
    assert_int_equal(batch->outcome.refused_rows, 0);
    SAME(LIKES, "");
    SAME(COUNTS, "");
    SAME(LETTERS, "");
    SAME("SELECT count(*) FROM records", "1");
}

static void a_bad_value_is_a_letter_that_names_the_column(void **state)
{
    (void)state;
    struct harness_batch *batch =
        run_op(1, DID, op(LIKE, "l", 1, "{\"subject\":{\"uri\":\"at://x\"},\"strict\":\"no\"}"));
    assert_int_equal(batch->outcome.written, 1);
    assert_int_equal(batch->outcome.dead, 0);
    assert_int_equal(batch->outcome.refused_rows, 1);
    SAME(LIKES, "");
    SAME(LETTERS, "1:0 bad value for likes.strict -");
    SAME("SELECT count(*) FROM records", "1");
}

static void a_deleted_repo_takes_its_rows_and_what_they_counted(void **state)
{
    (void)state;
    harness_run(a_bit_of_everything(1000));
    struct harness_batch *batch = harness_batch();
    harness_account(batch, 1000, 9, OTHER, "deleted", 9);
    harness_ops(batch, 1000, 10, OTHER, 10,
                op(LIKE, "m", 10, "{\"subject\":{\"uri\":\"at://z\"}}"));
    harness_run(batch);
    SAME(LIKES, "m=at://z");
    SAME(POSTS, "b=two");
    SAME(COUNTS, "at://y=0,1 at://z=1,0");
    run_op(3, OTHER, op(LIKE, "l", 3, "{\"subject\":{\"uri\":\"at://y\"}}"));
    SAME(LIKES, "m=at://z");
}

static void a_table_that_refuses_a_row_keeps_it_out_of_nothing_else(void **state)
{
    (void)state;
    char ops[4096];
    sink_postgres_query("ALTER TABLE standpipe_posts ADD CHECK (text <> 'bad')");
    run_op(1, DID,
           op(POST, "b", 1, "{\"text\":\"good\",\"reply\":{\"parent\":{\"uri\":\"at://x\"}}}"));
    (void)snprintf(ops, sizeof(ops), "%s,%s,%s", op(POST, "a", 2, "{\"text\":\"one\"}"),
                   op(POST, "b", 2, "{\"text\":\"bad\"}"),
                   op(LIKE, "l", 2, "{\"subject\":{\"uri\":\"at://x\"}}"));
    struct harness_batch *batch = harness_batch();
    harness_ops(batch, 1000, 2, DID, 2, ops);
    harness_ops(batch, 1000, 3, OTHER, 3, op(POST, "c", 3, "{\"text\":\"bad\"}"));
    harness_ops(batch, 1000, 4, OTHER, 4, op(POST, "d", 4, "{\"text\":\"four\"}"));
    harness_run(batch);
    assert_int_equal(batch->outcome.written, 5);
    assert_int_equal(batch->outcome.dead, 0);
    assert_int_equal(batch->outcome.refused_rows, 2);
    SAME(POSTS, "a=one d=four"); /* what `b` was before is not what its record is */
    SAME(LIKES, "l=at://x");
    SAME(COUNTS, "at://x=1,0");
    SAME(LETTERS, "2:1 refused by table posts 23514, 3:0 refused by table posts 23514");
    SAME("SELECT count(*) FROM records", "5");
    /* The same again when the table takes it. */
    sink_postgres_query("ALTER TABLE standpipe_posts DROP CONSTRAINT standpipe_posts_text_check");
    run_op(3, OTHER, op(POST, "c", 3, "{\"text\":\"bad\"}"));
    SAME(POSTS, "a=one c=bad d=four");
}

static void a_table_of_counts_that_refuses_costs_the_row_that_counts(void **state)
{
    (void)state;
    sink_postgres_query("ALTER TABLE post_counts ADD CHECK (uri <> 'at://bad')");
    char ops[4096];
    (void)snprintf(ops, sizeof(ops), "%s,%s",
                   op(LIKE, "k", 1, "{\"subject\":{\"uri\":\"at://bad\"}}"),
                   op(LIKE, "l", 1, "{\"subject\":{\"uri\":\"at://x\"}}"));
    run_op(1, DID, ops);
    SAME(LIKES, "l=at://x");
    SAME(COUNTS, "at://x=1,0");
    SAME(LETTERS, "1:0 refused by table likes 23514");
    SAME("SELECT count(*) FROM records", "2");
}

static void unlike_and_like_again_in_one_batch_pass_a_unique_key(void **state)
{
    (void)state;
    sink_postgres_query("CREATE UNIQUE INDEX ON standpipe_likes (did, subject)");
    run_op(1, DID, op(LIKE, "k", 1, "{\"subject\":{\"uri\":\"at://x\"}}"));
    struct harness_batch *batch = harness_batch();
    harness_ops(batch, 1000, 2, DID, 2, op(LIKE, "k", 2, NULL));
    harness_ops(batch, 1000, 3, DID, 3, op(LIKE, "l", 3, "{\"subject\":{\"uri\":\"at://x\"}}"));
    harness_ops(batch, 1000, 4, DID, 4, op(LIKE, "m", 4, "{\"subject\":{\"uri\":\"at://x\"}}"));
    harness_run(batch);
    SAME(LIKES, "l=at://x");
    SAME(COUNTS, "at://x=1,0");
    SAME(LETTERS, ""); /* the third is skipped: 23505 is done */
    assert_int_equal(batch->outcome.refused_rows, 0);
    SAME("SELECT count(*) FROM records", "2");
}

static void describe_users(void)
{
    hand_begin();
    struct table *posts = hand_users_table("my.posts", POST);
    posts->line = 1;
    hand_source(posts, "uri", COLUMN_URI);
    hand_column(posts, "body", COLUMN_TEXT, "text");
    hand_column(posts, "langs", COLUMN_TEXT_ARRAY, "langs/[]");
    struct table *likes = hand_users_table("my.likes", LIKE);
    likes->line = 2;
    hand_source(likes, "uri", COLUMN_URI);
    hand_column(likes, "post", COLUMN_TEXT, "subject/uri");
    struct table *bare = hand_users_table("my.bare", LIKE);
    bare->line = 3;
    hand_source(bare, "uri", COLUMN_URI);
}

static int fresh_users(void **state)
{
    (void)state;
    harness_reset();
    describe_users();
    sink_postgres_query("DROP SCHEMA IF EXISTS my CASCADE; CREATE SCHEMA my;"
                        "CREATE TABLE my.posts (id serial, uri varchar(512) PRIMARY KEY, body text,"
                        " langs text[]);"
                        "CREATE TABLE my.likes (uri text UNIQUE, post text REFERENCES my.posts);"
                        "CREATE TABLE my.bare (uri text)");
    open_sink(1);
    return 0;
}

#define MY_POSTS "SELECT string_agg(id || uri || '=' || body, ' ' ORDER BY uri) FROM my.posts"
#define MY_LIKES "SELECT string_agg(uri, ' ' ORDER BY uri) FROM my.likes"
#define POST_URI "at://" DID "/" POST "/a"
#define LIKE_URI "at://" OTHER "/" LIKE "/l"

static void a_users_table_follows_the_records_that_its_constraints_let_in(void **state)
{
    (void)state;
    const char *like = "{\"subject\":{\"uri\":\"" POST_URI "\"}}";
    struct harness_batch *batch = run_op(1, OTHER, op(LIKE, "l", 1, like));
    assert_int_equal(batch->outcome.written, 1);
    SAME(MY_LIKES, ""); /* no parent: done */
    SAME(LETTERS, "");
    SAME("SELECT count(*) FROM my.bare", "1");
    run_op(2, DID, op(POST, "a", 2, "{\"text\":\"one\",\"langs\":[\"en\"]}"));
    run_op(1, OTHER, op(LIKE, "l", 1, like)); /* now it has one */
    SAME(MY_LIKES, LIKE_URI);
    SAME("SELECT count(*) FROM my.bare", "1");
    run_op(3, DID, op(POST, "a", 3, "{\"text\":\"two\"}"));
    SAME(MY_POSTS, "1" POST_URI "=two"); /* in place: others refer to it */
    run_op(2, DID, op(POST, "a", 2, "{\"text\":\"one\"}"));
    SAME(MY_POSTS, "1" POST_URI "=two");
    run_op(4, DID, op(POST, "a", 4, NULL));
    SAME(MY_POSTS, "1" POST_URI "=two"); /* referred to: the table does not give it up */
    SAME(LETTERS, "");
    SAME("SELECT count(*) FROM records", "1");
    run_op(5, OTHER, op(LIKE, "l", 5, NULL));
    run_op(4, DID, op(POST, "a", 4, NULL));
    SAME(MY_POSTS, "");
    SAME("SELECT count(*) FROM my.bare", "0");
}

static void a_deleted_repo_leaves_a_users_table_where_its_constraints_let_it(void **state)
{
    (void)state;
    run_op(1, DID, op(POST, "a", 1, "{\"text\":\"one\"}"));
    run_op(2, DID, op(POST, "b", 2, "{\"text\":\"two\"}"));
    run_op(3, OTHER, op(LIKE, "l", 3, "{\"subject\":{\"uri\":\"" POST_URI "\"}}"));
    struct harness_batch *batch = harness_batch();
    harness_account(batch, 1000, 9, OTHER, "deleted", 9);
    harness_run(batch);
    SAME(MY_LIKES, "");
    run_op(10, OTHER, op(LIKE, "l", 10, "{\"subject\":{\"uri\":\"" POST_URI "\"}}"));
    batch = harness_batch();
    harness_account(batch, 1000, 11, DID, "deleted", 11);
    harness_run(batch);
    SAME("SELECT count(*) FROM my.posts", "2"); /* 23503: the clearing of this table is skipped */
    SAME("SELECT count(*) FROM standpipe_records", "1");
    SAME(LETTERS, "");
}

static void a_constraint_that_waits_for_the_commit_costs_one_row_of_its_table(void **state)
{
    (void)state;
    sink_postgres_query(
        "ALTER TABLE my.likes ALTER CONSTRAINT likes_post_fkey DEFERRABLE INITIALLY DEFERRED");
    run_op(1, OTHER, op(LIKE, "l", 1, "{\"subject\":{\"uri\":\"" POST_URI "\"}}"));
    SAME(MY_LIKES, "");
    SAME("SELECT count(*) FROM my.bare", "1");
    SAME("SELECT count(*) FROM records", "1");
    SAME(LETTERS, "");
}

static void a_table_that_is_missing_is_a_wrong_set_up_that_says_migrate(void **state)
{
    (void)state;
    sink_postgres_query("ALTER TABLE standpipe_likes RENAME TO away");
    harness_close();
    harness_capture_log();
    open_sink(1);
    bool is_seen = harness_wait_state(SINK_MISCONFIGURED);
    const char *log = harness_captured_log();
    assert_true(is_seen);
    assert_true(harness_count(log, "standpipe migrate") > 0);
    sink_postgres_query("ALTER TABLE away RENAME TO standpipe_likes");
    run_op(1, DID, op(LIKE, "l", 1, "{\"subject\":{\"uri\":\"at://x\"}}"));
    SAME(LIKES, "l=at://x");
}

#define TEST(name)  cmocka_unit_test_setup_teardown(name, fresh, harness_teardown)
#define USERS(name) cmocka_unit_test_setup_teardown(name, fresh_users, harness_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_record_is_a_row_through_create_update_and_delete),
        TEST(a_replay_changes_no_row_and_no_count),
        TEST(a_row_that_nobody_should_have_made_is_set_right_by_its_record),
        TEST(rows_that_a_trigger_leaves_out_are_not_counted),
        TEST(replacing_records_of_more_collections_than_are_named_is_one_transaction),
        TEST(a_count_goes_by_whatever_a_row_has),
        TEST(a_record_that_loses_what_is_required_loses_its_row),
        TEST(a_bad_value_is_a_letter_that_names_the_column),
        TEST(a_deleted_repo_takes_its_rows_and_what_they_counted),
        TEST(a_table_that_refuses_a_row_keeps_it_out_of_nothing_else),
        TEST(a_table_of_counts_that_refuses_costs_the_row_that_counts),
        TEST(unlike_and_like_again_in_one_batch_pass_a_unique_key),
        USERS(a_users_table_follows_the_records_that_its_constraints_let_in),
        USERS(a_deleted_repo_leaves_a_users_table_where_its_constraints_let_it),
        USERS(a_constraint_that_waits_for_the_commit_costs_one_row_of_its_table),
        TEST(a_table_that_is_missing_is_a_wrong_set_up_that_says_migrate),
    };
    return cmocka_run_group_tests(tests, sink_postgres_setup, sink_postgres_teardown);
}
