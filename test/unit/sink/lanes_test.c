/* Lanes go round, and a batch in parts is one batch. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "sink/lanes.h"
#include "sink/split.h"
#include <uv.h>

enum {
    MEMBERS = 3,
    ROUNDS = 2000,
    ENTRIES = 200,
    REPOS = 40,
    DATA_SIZE = 100
};

struct user {
    struct lane_member *member;
    unsigned free, left;
};

static uv_loop_t loop;

static void on_free(void *owner)
{
    ((struct user *)owner)->free++;
}

static void on_left(void *owner)
{
    ((struct user *)owner)->left++;
}

static void turn(void)
{
    (void)uv_run(&loop, UV_RUN_NOWAIT);
}

static struct lanes *join(struct user *users)
{
    struct lanes *lanes = lanes_create();
    assert_int_equal(uv_loop_init(&loop), 0);
    for (int i = 0; i < MEMBERS; i++) {
        users[i] = (struct user){0};
        users[i].member = lanes_join(lanes, &loop, on_free, &users[i]);
    }
    return lanes;
}

static void leave(struct lanes *lanes, struct user *users)
{
    for (int i = 0; i < MEMBERS; i++) {
        if (users[i].left == 0) {
            lanes_leave(users[i].member, on_left);
        }
    }
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    for (int i = 0; i < MEMBERS; i++) {
        assert_int_equal(users[i].left, 1);
    }
    assert_int_equal(uv_loop_close(&loop), 0);
    lanes_destroy(lanes);
}

static void a_lane_is_one_member_s_and_then_the_next_one_s_that_waits(void **state)
{
    (void)state;
    struct user users[MEMBERS];
    struct lanes *lanes = join(users);
    assert_true(lanes_take(users[0].member, 3));
    assert_false(lanes_take(users[1].member, 3));
    assert_false(lanes_take(users[2].member, 3));
    assert_true(lanes_take(users[1].member, 4));
    lanes_give_back(users[0].member, 1U << 3);
    turn();
    assert_int_equal(users[1].free, 1);
    assert_int_equal(users[2].free, 0);
    assert_false(lanes_take(users[0].member, 3)); /* it is kept for who has waited */
    assert_false(lanes_take(users[2].member, 3));
    assert_true(lanes_take(users[1].member, 3));
    lanes_give_back(users[1].member, 1U << 3 | 1U << 4);
    turn();
    assert_int_equal(users[2].free, 1);
    assert_true(lanes_take(users[2].member, 3));
    lanes_give_back(users[2].member, 1U << 3);
    assert_true(lanes_take(users[0].member, 3));
    leave(lanes, users);
}

static void what_is_kept_and_not_taken_goes_to_the_next(void **state)
{
    (void)state;
    struct user users[MEMBERS];
    struct lanes *lanes = join(users);
    assert_true(lanes_take(users[0].member, 0));
    assert_false(lanes_take(users[1].member, 0));
    assert_false(lanes_take(users[2].member, 0));
    lanes_give_back(users[0].member, 1);
    lanes_settle(users[1].member); /* it has nothing for it by now */
    turn();
    assert_int_equal(users[2].free, 1);
    lanes_settle(users[2].member);
    assert_true(lanes_take(users[0].member, 0));
    leave(lanes, users);
}

static void a_member_that_leaves_gives_back_what_it_has_and_what_is_kept_for_it(void **state)
{
    (void)state;
    struct user users[MEMBERS];
    struct lanes *lanes = join(users);
    assert_true(lanes_take(users[0].member, 0));
    assert_true(lanes_take(users[1].member, 1));
    assert_false(lanes_take(users[1].member, 0));
    assert_false(lanes_take(users[2].member, 0));
    lanes_give_back(users[0].member, 1); /* kept for the second */
    lanes_leave(users[1].member, on_left);
    turn();
    assert_true(lanes_take(users[2].member, 0));
    assert_true(lanes_take(users[0].member, 1));
    leave(lanes, users);
}

/* --- threads --- */

struct hammer {
    struct lanes *lanes;
    uv_loop_t loop;
    uv_thread_t thread;
    struct lane_member *member;
    unsigned rounds;
};

static unsigned inside[LANE_COUNT];

static void try_all(void *owner)
{
    struct hammer *hammer = owner;
    for (unsigned lane = 0; hammer->rounds < ROUNDS && lane < LANE_COUNT; lane++) {
        if (lanes_take(hammer->member, lane)) {
            assert_int_equal(__atomic_fetch_add(&inside[lane], 1, __ATOMIC_RELAXED), 0);
            (void)__atomic_fetch_sub(&inside[lane], 1, __ATOMIC_RELAXED);
            lanes_give_back(hammer->member, UINT32_C(1) << lane);
            hammer->rounds++;
        }
    }
    lanes_settle(hammer->member);
}

static void on_hammer_left(void *owner)
{
    (void)owner;
}

static void run_hammer(void *argument)
{
    struct hammer *hammer = argument;
    while (hammer->rounds < ROUNDS) {
        try_all(hammer);
        (void)uv_run(&hammer->loop, UV_RUN_NOWAIT);
    }
    lanes_leave(hammer->member, on_hammer_left);
    (void)uv_run(&hammer->loop, UV_RUN_DEFAULT);
}

static void of_many_threads_one_has_a_lane_and_all_get_on(void **state)
{
    (void)state;
    struct hammer hammers[MEMBERS] = {0};
    struct lanes *lanes = lanes_create();
    for (int i = 0; i < MEMBERS; i++) {
        hammers[i].lanes = lanes;
        assert_int_equal(uv_loop_init(&hammers[i].loop), 0);
        hammers[i].member = lanes_join(lanes, &hammers[i].loop, try_all, &hammers[i]);
    }
    for (int i = 0; i < MEMBERS; i++) {
        assert_int_equal(uv_thread_create(&hammers[i].thread, run_hammer, &hammers[i]), 0);
    }
    for (int i = 0; i < MEMBERS; i++) {
        assert_int_equal(uv_thread_join(&hammers[i].thread), 0);
        assert_int_equal(uv_loop_close(&hammers[i].loop), 0);
        assert_true(hammers[i].rounds >= ROUNDS);
    }
    lanes_destroy(lanes);
}

/* --- parts --- */

struct whole {
    struct sink_batch batch;
    struct sink_outcome outcome;
    unsigned done;
    bool has_failed;
};

static void on_whole_done(struct sink_batch *batch, const struct sink_outcome *outcome,
                          const struct error *error)
{
    struct whole *whole = LIST_ENTRY(batch, struct whole, batch);
    whole->outcome = *outcome;
    whole->done++;
    whole->has_failed = error != NULL;
}

static char data[ENTRIES][DATA_SIZE];
static struct entry entries[ENTRIES];

static struct whole make_whole(void)
{
    for (int i = 0; i < ENTRIES; i++) {
        (void)snprintf(data[i], DATA_SIZE, "{\"%s\":\"did:plc:%d\",\"seq\":%d}",
                       i % 3 == 0 ? "did" : "repo", i % REPOS, i);
        entries[i] = (struct entry){.id = {1000, i}, .data = slice_from_string(data[i])};
    }
    return (struct whole){
        .batch = {.entries = entries, .count = ENTRIES, .on_done = on_whole_done}};
}

static struct slice did_of(const struct entry *entry)
{
    struct slice rest = entry->data;
    while (rest.data[0] != ':') {
        rest = slice_skip(rest, 1);
    }
    rest = slice_skip(rest, 2);
    size_t size = 0;
    while (rest.data[size] != '"') {
        size++;
    }
    return slice_of(rest.data, size);
}

static void a_repo_is_in_one_part_and_in_its_order(void **state)
{
    (void)state;
    struct whole whole = make_whole();
    struct split *split = split_create(&whole.batch);
    unsigned count = split_part_count(split);
    size_t seen = 0;
    assert_true(count > LANE_COUNT / 2);
    for (unsigned i = 0; i < count; i++) {
        const struct split_part *part = split_part(split, i);
        int64_t last = -1;
        for (size_t k = 0; k < part->batch.count; k++) {
            const struct entry *entry = &part->batch.entries[k];
            assert_int_equal(lanes_of(did_of(entry)), part->lane);
            assert_true(entry->id.sequence > last);
            last = entry->id.sequence;
        }
        seen += part->batch.count;
        assert_true(part->batch.bytes >= part->batch.count * 20);
    }
    assert_int_equal(seen, ENTRIES);
    const struct sink_outcome one = {
        .written = 1, .commits = 2, .oldest_event_us = 50, .newest_event_us = 60};
    for (unsigned i = 0; i < count; i++) {
        struct sink_outcome outcome = one;
        outcome.oldest_event_us = i == 0 ? 0 : 50 - (int64_t)i;
        struct sink_batch *part = &split_part(split, i)->batch;
        assert_int_equal(whole.done, 0);
        part->on_done(part, &outcome, NULL);
    }
    assert_int_equal(whole.done, 1);
    assert_false(whole.has_failed);
    assert_int_equal(whole.outcome.written, count);
    assert_int_equal(whole.outcome.commits, 2 * count);
    assert_int_equal(whole.outcome.oldest_event_us, 50 - (int64_t)count + 1);
    assert_int_equal(whole.outcome.newest_event_us, 60);
}

static void a_part_that_is_given_up_gives_up_the_batch(void **state)
{
    (void)state;
    struct whole whole = make_whole();
    struct split *split = split_create(&whole.batch);
    struct error error;
    const struct sink_outcome one = {.written = 1};
    unsigned count = split_part_count(split);
    error_set(&error, ERROR_CLOSED, "closed");
    for (unsigned i = 0; i < count; i++) {
        struct sink_batch *part = &split_part(split, i)->batch;
        part->on_done(part, &one, i == 1 ? &error : NULL);
    }
    assert_int_equal(whole.done, 1);
    assert_true(whole.has_failed);
    assert_int_equal(whole.outcome.written, 0);
}

static void what_runs_alone_and_what_is_empty_is_one_part(void **state)
{
    (void)state;
    struct whole whole = make_whole();
    whole.batch.is_alone = true;
    struct split *split = split_create(&whole.batch);
    assert_int_equal(split_part_count(split), 1);
    struct sink_batch *part = &split_part(split, 0)->batch;
    assert_true(part->is_alone);
    assert_ptr_equal(part->entries, entries);
    assert_int_equal(part->count, ENTRIES);
    part->on_done(part, &(struct sink_outcome){.dead = 1}, NULL);
    assert_int_equal(whole.outcome.dead, 1);
    whole = make_whole();
    whole.batch.count = 0;
    split = split_create(&whole.batch);
    assert_int_equal(split_part_count(split), 1);
    part = &split_part(split, 0)->batch;
    assert_int_equal(part->count, 0);
    part->on_done(part, &(struct sink_outcome){0}, NULL);
    assert_int_equal(whole.done, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lane_is_one_member_s_and_then_the_next_one_s_that_waits),
        cmocka_unit_test(what_is_kept_and_not_taken_goes_to_the_next),
        cmocka_unit_test(a_member_that_leaves_gives_back_what_it_has_and_what_is_kept_for_it),
        cmocka_unit_test(of_many_threads_one_has_a_lane_and_all_get_on),
        cmocka_unit_test(a_repo_is_in_one_part_and_in_its_order),
        cmocka_unit_test(a_part_that_is_given_up_gives_up_the_batch),
        cmocka_unit_test(what_runs_alone_and_what_is_empty_is_one_part),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
