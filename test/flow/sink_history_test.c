/* Property: whatever the order, the batching, the duplicates and the connections, the tables end as the plain fold of
 * the history has them. STANDPIPE_SEED repeats a run, STANDPIPE_HISTORIES makes it longer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buffer.h"
#include "flow/sink_harness.h"
#include "flow/sink_postgres.h"
#include "unit/sink/hand_tables.h"

#include <cmocka.h>

enum {
    REPOS = 4,
    KINDS = 2,
    KEYS = 3,
    SUBJECTS = 3,
    EVENTS_MAX = 64,
    OPS_MAX = 4,
    BATCH_MAX = 7,
    CONNECTIONS = 4,
    HISTORIES = 200,
    EPOCH = 1000
};

enum kind {
    KIND_POST,
    KIND_LIKE
};

/* What an op says of its key; of a like `subject` -1 means that the record lacks what is required. */
struct content {
    bool is_live;
    int text;
    int subject; /* or parent; -1: none */
    int number;  /* -1: none, or no integer */
    bool is_bad; /* holds a value that its table must not hold */
    unsigned spelling;
};

struct op {
    enum kind kind;
    int key;
    char cid[24];
    struct content content;
};

struct happening {
    enum {
        HAPPENS_COMMIT,
        HAPPENS_ACCOUNT,
        HAPPENS_IDENTITY
    } type;
    int repo;
    int64_t seq;
    int64_t second; /* of the rev, and of the time */
    const char *status;
    struct op ops[OPS_MAX];
    int op_count;
};

struct state {
    bool is_known;
    int64_t second;
    char cid[24]; /* empty: a tombstone */
    struct content content;
};

struct repo {
    int64_t floor;
    bool is_active;
    struct state keys[KINDS][KEYS];
};

static struct happening events[EVENTS_MAX];
static int event_count;
static struct repo repos[REPOS];
static uint64_t random_state;
static uint64_t running_seed;

static unsigned roll(unsigned sides)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(random_state >> 33) % sides;
}

static const char *collection_of(enum kind kind)
{
    return kind == KIND_POST ? "app.bsky.feed.post" : "app.bsky.feed.like";
}

static const char *did_of(int repo)
{
    static char did[40];
    (void)snprintf(did, sizeof(did), "did:plc:aaaaaaaaaaaaaaaaaaaaaaa%c", 'a' + repo);
    return did;
}

/* --- the tables --- */

static void describe(bool is_counted)
{
    hand_begin();
    struct table *posts = hand_table("posts", collection_of(KIND_POST));
    hand_column(posts, "text", COLUMN_TEXT, "text");
    hand_column(posts, "subject", COLUMN_TEXT, "reply/parent/uri");
    hand_column(posts, "number", COLUMN_INTEGER, "number");
    struct table *likes = hand_table("likes", collection_of(KIND_LIKE));
    hand_column(likes, "text", COLUMN_TEXT, "text");
    hand_column(likes, "subject", COLUMN_TEXT, "reply/parent/uri")->is_required = true;
    hand_column(likes, "number", COLUMN_INTEGER, "number");
    hand_column(likes, "flag", COLUMN_BOOLEAN, "flag")->bad_value = BAD_VALUE_DEAD_LETTER;
    if (is_counted) {
        hand_count(posts, "post_counts", "uri", "replies", "subject");
        hand_count(posts, "actor_counts", "did", "posts", "did");
        hand_count(likes, "post_counts", "uri", "likes", "subject");
    }
    struct buffer sql = {0};
    (void)hand_tables();
    hand_sql(&sql);
    buffer_append_byte(&sql, '\0');
    sink_postgres_query(sql.data);
    buffer_deinit(&sql);
}

/* --- making a history --- */

static struct content make_content(void)
{
    return (struct content){.is_live = true,
                            .text = (int)roll(1000),
                            .subject = (int)roll(SUBJECTS + 1) - 1,
                            .number = (int)roll(5) - 1,
                            .is_bad = roll(12) == 0,
                            .spelling = roll(1 << 16)};
}

static void add_op(struct happening *event, enum kind kind, int key, bool is_live)
{
    struct op *op = &event->ops[event->op_count++];
    *op = (struct op){.kind = kind, .key = key};
    if (is_live) {
        op->content = make_content();
        (void)snprintf(op->cid, sizeof(op->cid), "bafy%06lld%d", (long long)event->seq,
                       event->op_count);
    }
}

static void make_commit(struct happening *event)
{
    int ops = 1 + (int)roll(OPS_MAX - 1);
    while (event->op_count < ops) {
        enum kind kind = (enum kind)roll(KINDS);
        int key = (int)roll(KEYS);
        bool is_twice = roll(6) == 0 && event->op_count + 2 <= OPS_MAX;
        if (is_twice) { /* delete then create, or the other way round */
            bool is_live = roll(2) == 0;
            add_op(event, kind, key, !is_live);
            add_op(event, kind, key, is_live);
        } else {
            add_op(event, kind, key, roll(3) > 0);
        }
    }
}

static void make_event(struct happening *event, int64_t number)
{
    static const char *const statuses[] = {"deleted", "active", "active", "takendown"};
    *event = (struct happening){.repo = (int)roll(REPOS), .seq = number, .second = number * 10};
    unsigned die = roll(20);
    if (die == 0) {
        event->type = HAPPENS_IDENTITY;
    } else if (die <= 3) {
        event->type = HAPPENS_ACCOUNT;
        event->status = statuses[roll(4)];
    } else {
        event->type = HAPPENS_COMMIT;
        make_commit(event);
    }
}

/* Now and then a commit has the rev of an earlier one of its repo, which no honest server makes. */
static void make_history(void)
{
    event_count = 10 + (int)roll(EVENTS_MAX - 10);
    for (int i = 0; i < event_count; i++) {
        make_event(&events[i], i + 1);
        int before = (int)roll((unsigned)i + 1);
        if (roll(10) == 0 && events[i].type == HAPPENS_COMMIT &&
            events[before].type == HAPPENS_COMMIT && events[before].repo == events[i].repo) {
            events[i].second = events[before].second;
        }
    }
}

/* --- as entries --- */

static const char *spell_number(int number, unsigned spelling)
{
    static const char *const spellings[][5] = {{"\"no\"", "0", "1", "2", "3"},
                                               {"1.5", "-0", "1.0", "2e0", "30e-1"},
                                               {"1e30", "0.0", "0.1e1", "0.02E2", "3.000"},
                                               {"null", "0e9", "10e-1", "2", "3"}};
    return spellings[spelling % 4][number + 1];
}

/* The subject, or an object without one. */
static void append_subject(struct buffer *out, int subject)
{
    buffer_append_string(out, "\"reply\":{\"parent\":{");
    if (subject >= 0) {
        buffer_append_format(out, "\"uri\":\"at://s%d\"", subject);
    }
    buffer_append_string(out, "}}");
}

static void append_member(struct buffer *out, const struct content *content, unsigned which)
{
    switch (which) {
    case 0:
        buffer_append_format(out, "\"text\":\"t%d\"", content->text);
        return;
    case 1:
        buffer_append_format(out, "\"number\":%s",
                             spell_number(content->number, content->spelling >> 4));
        return;
    case 2:
        buffer_append_format(out, "\"flag\":%s", content->is_bad ? "\"no\"" : "true");
        return;
    default: /* a number, not an enum */
        append_subject(out, content->subject);
        return;
    }
}

/* In any order of keys, and one of them twice. */
static void append_members(struct buffer *out, const struct content *content)
{
    unsigned from = content->spelling >> 2;
    if ((content->spelling & 1) != 0) {
        buffer_append_string(out, "\"text\":\"not this one\",");
    }
    for (unsigned i = 0; i < 4; i++) {
        buffer_append_string(out, i > 0 ? "," : "");
        append_member(out, content, (i + from) % 4);
    }
}

static void add_commit(struct harness_batch *batch, const struct happening *event, uint64_t epoch)
{
    struct buffer ops = {0};
    for (int i = 0; i < event->op_count; i++) {
        const struct op *op = &event->ops[i];
        buffer_append_format(&ops, "%s{\"action\":\"%s\",\"path\":\"%s/k%d\"", i > 0 ? "," : "",
                             op->content.is_live ? "create" : "delete", collection_of(op->kind),
                             op->key);
        if (op->content.is_live) {
            buffer_append_format(&ops, ",\"cid\":\"%s\",\"record\":{", op->cid);
            append_members(&ops, &op->content);
            buffer_append_byte(&ops, '}');
        }
        buffer_append_byte(&ops, '}');
    }
    buffer_append_byte(&ops, '\0');
    harness_ops(batch, epoch, event->seq, did_of(event->repo), event->second, ops.data);
    buffer_deinit(&ops);
}

/* A replay may come under another epoch. */
static void add_event(struct harness_batch *batch, const struct happening *event)
{
    uint64_t epoch = roll(4) == 0 ? EPOCH + 1 : EPOCH;
    switch (event->type) {
    case HAPPENS_COMMIT:
        add_commit(batch, event, epoch);
        return;
    case HAPPENS_ACCOUNT:
        harness_account(batch, epoch, event->seq, did_of(event->repo), event->status,
                        event->second);
        return;
    case HAPPENS_IDENTITY:
        harness_identity(batch, epoch, event->seq, did_of(event->repo), "a.test", event->second);
        return;
    }
}

static int deal(int *cards)
{
    int count = 0;
    for (int i = 0; i < event_count; i++) {
        for (unsigned copies = 1 + roll(3) / 2; copies > 0; copies--) {
            cards[count++] = i;
        }
    }
    for (int i = count - 1; i > 0; i--) {
        int other = (int)roll((unsigned)i + 1);
        int card = cards[i];
        cards[i] = cards[other];
        cards[other] = card;
    }
    return count;
}

static void apply_shuffled(void)
{
    int cards[2 * EVENTS_MAX];
    int count = deal(cards);
    for (int at = 0; at < count;) {
        struct harness_batch *batch = harness_batch();
        for (unsigned size = 1 + roll(BATCH_MAX); size > 0 && at < count; size--) {
            add_event(batch, &events[cards[at++]]);
        }
        harness_submit(batch);
    }
    harness_wait();
}

/* --- the plain fold --- */

static bool is_last_of_its_key(const struct happening *event, int index)
{
    for (int i = index + 1; i < event->op_count; i++) {
        if (event->ops[i].kind == event->ops[index].kind &&
            event->ops[i].key == event->ops[index].key) {
            return false;
        }
    }
    return true;
}

static void fold_op(struct repo *repo, const struct happening *event, const struct op *op)
{
    struct state *state = &repo->keys[op->kind][op->key];
    bool is_later = !state->is_known || event->second > state->second ||
                    (event->second == state->second && strcmp(op->cid, state->cid) > 0);
    if (!is_later || event->second < repo->floor) {
        return;
    }
    *state = (struct state){.is_known = true, .second = event->second, .content = op->content};
    memcpy(state->cid, op->cid, sizeof(state->cid));
}

static void fold_deletion(struct repo *repo, int64_t second)
{
    repo->floor = second;
    for (int i = 0; i < KINDS * KEYS; i++) {
        struct state *state = &repo->keys[i / KEYS][i % KEYS];
        if (state->second < second) {
            *state = (struct state){0};
        }
    }
}

static void fold_event(const struct happening *event)
{
    struct repo *repo = &repos[event->repo];
    if (event->type == HAPPENS_ACCOUNT) {
        repo->is_active = strcmp(event->status, "active") == 0;
        if (strcmp(event->status, "deleted") == 0) {
            fold_deletion(repo, event->second);
        }
    }
    for (int i = 0; i < event->op_count; i++) {
        if (is_last_of_its_key(event, i)) {
            fold_op(repo, event, &event->ops[i]);
        }
    }
}

static void fold_history(void)
{
    memset(repos, 0, sizeof(repos));
    for (int i = 0; i < REPOS; i++) {
        repos[i].is_active = true;
    }
    for (int i = 0; i < event_count; i++) {
        fold_event(&events[i]);
    }
}

/* --- comparing --- */

static bool has_row(const struct state *state, enum kind kind)
{
    bool is_like = kind == KIND_LIKE;
    return state->is_known && state->content.is_live &&
           !(is_like && (state->content.is_bad || state->content.subject < 0));
}

static void expect_row(struct buffer *out, int repo, enum kind kind, int key)
{
    const struct state *state = &repos[repo].keys[kind][key];
    if (!has_row(state, kind)) {
        return;
    }
    buffer_append_format(out, "at://%s/%s/k%d|%s|%s|t%d|", did_of(repo), collection_of(kind), key,
                         state->cid, harness_tid(state->second), state->content.text);
    buffer_append_format(out, state->content.subject >= 0 ? "at://s%d|" : "-|",
                         state->content.subject);
    buffer_append_format(out, state->content.number >= 0 ? "%d\n" : "-\n", state->content.number);
}

static void expect_rows(struct buffer *out, enum kind kind)
{
    buffer_clear(out);
    for (int i = 0; i < REPOS * KEYS; i++) {
        expect_row(out, i / KEYS, kind, i % KEYS);
    }
    buffer_append_byte(out, '\0');
}

static int count_rows(enum kind kind, int repo, int subject)
{
    int count = 0;
    for (int i = 0; i < REPOS * KEYS; i++) {
        const struct state *state = &repos[i / KEYS].keys[kind][i % KEYS];
        bool is_counted = repo >= 0 ? i / KEYS == repo : state->content.subject == subject;
        count += is_counted && has_row(state, kind) ? 1 : 0;
    }
    return count;
}

static void expect_counts(struct buffer *out)
{
    buffer_clear(out);
    for (int i = 0; i < REPOS; i++) {
        int posts = count_rows(KIND_POST, i, 0);
        if (posts > 0) {
            buffer_append_format(out, "%s %d\n", did_of(i), posts);
        }
    }
    for (int i = 0; i < SUBJECTS; i++) {
        int likes = count_rows(KIND_LIKE, -1, i);
        int replies = count_rows(KIND_POST, -1, i);
        if (likes > 0 || replies > 0) {
            buffer_append_format(out, "at://s%d %d,%d\n", i, likes, replies);
        }
    }
    buffer_append_byte(out, '\0');
}

#define ROWS(table)                                                                                \
    "SELECT coalesce(string_agg(concat_ws('|', t.uri, t.cid, t.rev, text, coalesce(subject, '-')," \
    " coalesce(number::text, '-')) || E'\\n', '' ORDER BY uri), '') FROM standpipe_" table " AS t"
#define COUNTS                                                                                     \
    "SELECT coalesce(string_agg(line || E'\\n', '' ORDER BY line LIKE 'at:%', line), '') FROM "    \
    "(SELECT did || ' ' ||"                                                                        \
    " posts AS line FROM actor_counts WHERE posts <> 0 UNION ALL SELECT uri || ' ' || likes ||"    \
    " ',' || replies FROM post_counts WHERE (likes, replies) <> (0, 0)) AS lines"
/* Rows that say another time than their record, or are not hidden or shown with it. */
#define STRANGERS(table)                                                                           \
    "SELECT count(*) FROM standpipe_" table                                                        \
    " AS t LEFT JOIN standpipe_records AS r ON r.did = t.did"                                      \
    " AND r.rkey = t.rkey AND r.rev = t.rev AND r.cid = t.cid AND r.indexed_at = t.indexed_at"     \
    " WHERE r.did IS NULL"

static void check(const char *sql, const char *expected)
{
    const char *found = sink_postgres_query(sql);
    if (strcmp(found, expected) != 0) {
        print_error("STANDPIPE_SEED=%llu STANDPIPE_HISTORIES=1: %s\nfound:\n%s\nexpected:\n%s\n",
                    (unsigned long long)running_seed, sql, found, expected);
    }
    assert_string_equal(found, expected);
}

static void check_tables(bool is_counted)
{
    struct buffer expected = {0};
    expect_rows(&expected, KIND_POST);
    check(ROWS("posts"), expected.data);
    expect_rows(&expected, KIND_LIKE);
    check(ROWS("likes"), expected.data);
    check(STRANGERS("posts"), "0");
    check(STRANGERS("likes"), "0");
    if (is_counted) {
        expect_counts(&expected);
        check(COUNTS, expected.data);
    }
    buffer_deinit(&expected);
}

/* --- running --- */

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text != NULL && *text != '\0' ? strtoull(text, NULL, 10) : otherwise;
}

static void run_history(uint64_t seed, bool is_counted)
{
    random_state = seed;
    (void)roll(2);
    sink_postgres_query(is_counted ? "TRUNCATE repos, standpipe_records, standpipe_posts,"
                                     " standpipe_likes, post_counts, actor_counts"
                                   : "TRUNCATE repos, standpipe_records, standpipe_posts,"
                                     " standpipe_likes");
    harness_forget();
    make_history();
    apply_shuffled();
    fold_history();
    check_tables(is_counted);
}

static void run_histories(bool is_counted)
{
    uint64_t seed = from_environment("STANDPIPE_SEED", (uint64_t)time(NULL) * 1000003);
    uint64_t count = from_environment("STANDPIPE_HISTORIES", HISTORIES);
    print_message("%llu histories from STANDPIPE_SEED=%llu on\n", (unsigned long long)count,
                  (unsigned long long)seed);
    for (uint64_t i = 0; i < count; i++) {
        running_seed = seed + i;
        run_history(seed + i, is_counted);
    }
}

static void open_all(bool is_counted)
{
    harness_reset();
    describe(is_counted);
    struct sink_options options = harness_options(CONNECTIONS, true);
    options.tables = hand_tables();
    options.batch_entries = BATCH_MAX + BATCH_MAX;
    options.full_entries = 1; /* each idle connection takes its share */
    harness_open_with(&options);
}

static void every_order_on_four_connections_ends_as_the_fold_without_counts(void **state)
{
    (void)state;
    open_all(false);
    run_histories(false);
    harness_close();
}

static void every_order_on_four_connections_ends_as_the_fold_with_counts(void **state)
{
    (void)state;
    open_all(true);
    run_histories(true);
    harness_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_order_on_four_connections_ends_as_the_fold_without_counts),
        cmocka_unit_test(every_order_on_four_connections_ends_as_the_fold_with_counts),
    };
    return cmocka_run_group_tests(tests, sink_postgres_setup, sink_postgres_teardown);
}
