/* The courier between a real Redis and a real PostgreSQL: each letter once, whatever is killed. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "flow/letters_harness.h"
#include "flow/sink_postgres.h"
#include "flow/stream_server.h"
#include "stream/dead_letter_mirror.h"
#include <hiredis/hiredis.h>
#include <uv.h>

enum {
    KILLS = 25,
    LETTERS = KILLS * 10
};

/* ---- the courier ---- */

static void open_courier(struct rig *rig, const char *name)
{
    assert_int_equal(uv_loop_init(&rig->loop), 0);
    letters_open(rig, &rig->loop, stream_server_url(), name);
}

static void close_courier(struct rig *rig)
{
    dead_letter_courier_close(rig->courier, 2000);
    dead_letter_courier_close(rig->courier, 2000);
    stream_finish(&rig->loop);
    assert_true(rig->is_closed);
}

static int64_t frames_kept(void)
{
    return letters_query("SELECT count(*) FROM standpipe_dead_letters WHERE type = 'frame'");
}

/* ---- tests ---- */

static void a_frame_comes_into_the_table_once_with_the_relay_it_is_from(void **state)
{
    struct rig rig;
    (void)state;
    letters_add_frame("/v8", "");
    letters_add_frame("AAEC", "41");
    letters_add_frame("/v8", ""); /* Redis has forgotten its hash */
    open_courier(&rig, "a");
    stream_wait(&rig.loop, letters_are_carried, &rig);
    assert_int_equal(frames_kept(), 2);
    assert_string_equal(sink_postgres_query("SELECT concat_ws(' ', host, epoch, seq, op, reason, "
                                            "detail, type, encode(frame, 'hex'), data IS NULL) "
                                            "FROM standpipe_dead_letters WHERE seq = 41"),
                        HOST " 7 41 -1 cbor why frame 000102 t");
    assert_string_equal(sink_postgres_query("SELECT concat_ws(' ', seq, encode(frame, 'hex')) FROM "
                                            "standpipe_dead_letters WHERE seq = 0"),
                        "0 feff");
    close_courier(&rig);
    assert_int_equal(stream_server_number("XLEN " KEY), 3); /* not mirrored: they are there */
}

static void what_somebody_else_wrote_is_kept_and_never_stands_in_the_way(void **state)
{
    struct rig rig;
    (void)state;
    (void)stream_server_number("XADD " KEY " * type frame frame %b reason %b seq x", "**",
                               (size_t)2, "\xff\0", (size_t)2);
    (void)stream_server_number("XADD " KEY " * hello world");
    letters_add_frame("AAEC", "41");
    open_courier(&rig, "a");
    stream_wait(&rig.loop, letters_are_carried, &rig);
    assert_int_equal(frames_kept(), 2);
    close_courier(&rig);
}

static void a_crash_between_commit_and_acknowledge_makes_no_second_row(void **state)
{
    struct rig rig;
    (void)state;
    letters_add_frame("AAEC", "41");
    open_courier(&rig, "a");
    stream_wait(&rig.loop, letters_are_carried, &rig);
    close_courier(&rig);
    (void)stream_server_number("XGROUP SETID " KEY " " GROUP " 0");
    (void)stream_server_number("XREADGROUP GROUP " GROUP " courier STREAMS " KEY " >");
    assert_int_equal(letters_pending(), 1);
    open_courier(&rig, "b");
    stream_wait(&rig.loop, letters_are_carried, &rig);
    assert_int_equal(frames_kept(), 1);
    close_courier(&rig);
}

static void a_row_is_mirrored_once_in_the_form_that_other_programs_read(void **state)
{
    struct rig rig;
    static const char *const expected[] = {"type",   "commit",   "data",  "{\"n\":5}",      "seq",
                                           "5",      "origId",   "7-5",   "deliveries",     "3",
                                           "reason", "bad path", "error", "22P02: because", "frame",
                                           "",       "time"};
    (void)state;
    letters_add_rows(5, 5);
    open_courier(&rig, "a");
    stream_wait(&rig.loop, letters_are_carried, &rig);
    close_courier(&rig);
    letters_check_each_once(1, 0);
    redisReply *reply = stream_server_call("XRANGE " KEY " - +");
    const redisReply *fields = reply->element[0]->element[1];
    assert_int_equal(fields->elements, 18);
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        assert_string_equal(fields->element[i]->str, expected[i]);
    }
    assert_int_equal(fields->element[17]->len, 24); /* RFC 3339 with milliseconds */
    assert_string_equal(reply->element[0]->element[0]->str,
                        sink_postgres_query("SELECT mirror_id FROM standpipe_dead_letters"));
    freeReplyObject(reply);
}

static void many_rows_are_mirrored_in_their_order(void **state)
{
    struct rig rig;
    (void)state;
    letters_add_rows(1, 500);
    sink_postgres_query("UPDATE standpipe_dead_letters SET frame = decode(repeat('00', 300000), "
                        "'hex') WHERE seq BETWEEN 100 AND 120");
    open_courier(&rig, "a");
    stream_wait(&rig.loop, letters_are_carried, &rig);
    close_courier(&rig);
    letters_check_each_once(500, 0);
    assert_int_equal(letters_query("SELECT count(*) FROM (SELECT seq, lag(seq) OVER (ORDER BY "
                                   "split_part(mirror_id, '-', 1)::bigint, split_part(mirror_id, "
                                   "'-', 2)::bigint) AS before FROM standpipe_dead_letters) AS x "
                                   "WHERE before > seq"),
                     0);
}

static void a_crash_between_add_and_note_adds_no_second_entry(void **state)
{
    struct rig rig;
    (void)state;
    letters_add_rows(1, 1);
    char id[64];
    (void)snprintf(id, sizeof(id), "%s", stream_server_text("XADD " KEY " * type commit"));
    (void)stream_server_number("HSET " HASH " holder another 1 %s", id);
    open_courier(&rig, "a");
    stream_wait(&rig.loop, letters_are_carried, &rig);
    close_courier(&rig);
    letters_check_each_once(1, 0);
    assert_string_equal(sink_postgres_query("SELECT mirror_id FROM standpipe_dead_letters"), id);
}

static void a_row_that_was_dropped_on_the_way_takes_its_entry_with_it(void **state)
{
    struct rig rig;
    (void)state;
    char id[64];
    (void)snprintf(id, sizeof(id), "%s", stream_server_text("XADD " KEY " * type commit"));
    (void)stream_server_number("HSET " HASH " holder another 12345 %s", id);
    letters_add_rows(1, 1);
    open_courier(&rig, "a");
    stream_wait(&rig.loop, letters_are_carried, &rig);
    close_courier(&rig);
    letters_check_each_once(1, 0);
}

static bool is_told_full(void *data)
{
    (void)data;
    redisReply *reply = stream_server_call("INFO errorstats");
    bool is_full = strstr(reply->str, "errorstat_OOM") != NULL;
    freeReplyObject(reply);
    return is_full;
}

static void a_full_redis_keeps_the_rows_waiting(void **state)
{
    struct rig rig;
    (void)state;
    (void)stream_server_number("CONFIG RESETSTAT");
    (void)stream_server_number("CONFIG SET maxmemory 1");
    letters_add_rows(1, 10);
    open_courier(&rig, "a");
    stream_wait(&rig.loop, is_told_full, &rig);
    assert_int_equal(letters_unmirrored(), 10);
    (void)stream_server_number("CONFIG SET maxmemory 0");
    stream_wait(&rig.loop, letters_are_carried, &rig);
    close_courier(&rig);
    letters_check_each_once(10, 0);
}

static bool has_count(void *data)
{
    const struct rig *rig = data;
    return rig->depth.undecided == 3;
}

static void what_nobody_has_decided_on_is_counted_without_the_lease(void **state)
{
    struct rig rig;
    (void)state;
    (void)stream_server_number("SET " KEY ":lease another");
    letters_add_rows(1, 3);
    open_courier(&rig, "a");
    stream_wait(&rig.loop, has_count, &rig);
    assert_int_equal(rig.depth.undecided_bytes, 3 * (int64_t)strlen("{\"n\":1}"));
    assert_int_equal(dead_letter_courier_depth(rig.courier).undecided, 3);
    assert_int_equal(rig.count.kind_count, 1);
    assert_int_equal(rig.count.kinds[0].letters, 3);
    assert_string_equal(rig.count.kinds[0].data, "{\"n\":3}");
    assert_int_equal(letters_unmirrored(), 3);
    close_courier(&rig);
}

static void closing_carries_what_there_is_once_more(void **state)
{
    struct rig rig;
    (void)state;
    open_courier(&rig, "a");
    rig.config.ingest.lease_ms = LETTERS_LEASE_MS;
    letters_add_rows(1, 1);
    stream_wait(&rig.loop, letters_are_carried, &rig);
    letters_add_rows(2, 2);
    close_courier(&rig);
    letters_check_each_once(2, 0);
}

/* ---- the script's own guard ---- */

struct hand {
    struct dead_letter_mirror *mirror;
    unsigned ready, held, added, failed;
};

static void hand_on_ready(void *owner)
{
    ((struct hand *)owner)->ready++;
}

static void hand_on_held(void *owner, const struct mirror_left *left, size_t count)
{
    (void)left;
    (void)count;
    ((struct hand *)owner)->held++;
}

static void hand_on_added(void *owner, const struct slice *ids, size_t count)
{
    (void)ids;
    ((struct hand *)owner)->added += (unsigned)count;
}

static void hand_on_failed(void *owner, const struct error *error)
{
    assert_int_equal(error->kind, ERROR_CLOSED);
    ((struct hand *)owner)->failed++;
}

static void hand_on_closed(void *owner)
{
    ((struct hand *)owner)->mirror = NULL;
}

static bool is_ready(void *data)
{
    return ((struct hand *)data)->ready > 0;
}

static bool is_held(void *data)
{
    return ((struct hand *)data)->held > 0;
}

static bool has_answer(void *data)
{
    const struct hand *hand = data;
    return hand->added + hand->failed > 0;
}

static void take_hold(uv_loop_t *loop, struct hand *hand)
{
    static const struct dead_letter_mirror_callbacks callbacks = {.on_ready = hand_on_ready,
                                                                  .on_held = hand_on_held,
                                                                  .on_added = hand_on_added,
                                                                  .on_failed = hand_on_failed,
                                                                  .on_closed = hand_on_closed};
    const struct redis_options options = {.url = stream_server_url(),
                                          .client_name = "hand",
                                          .connect_timeout_ms = 2000,
                                          .reply_timeout_ms = 2000};
    hand->mirror = dead_letter_mirror_open(loop, &options, KEY, &callbacks, hand);
    stream_wait(loop, is_ready, hand);
    assert_true(dead_letter_mirror_hold(hand->mirror));
    stream_wait(loop, is_held, hand);
}

static void who_slept_while_another_took_over_adds_nothing(void **state)
{
    uv_loop_t loop;
    struct hand first = {0};
    struct hand second = {0};
    const struct mirror_letter letter = {.row = 1, .type = SLICE("commit")};
    (void)state;
    assert_int_equal(uv_loop_init(&loop), 0);
    take_hold(&loop, &first);
    take_hold(&loop, &second);
    assert_true(dead_letter_mirror_add(first.mirror, &letter, 1));
    stream_wait(&loop, has_answer, &first);
    assert_int_equal(first.failed, 1);
    for (unsigned i = 0; i < 2; i++) { /* the answer to the first was lost */
        second.added = 0;
        assert_true(dead_letter_mirror_add(second.mirror, &letter, 1));
        stream_wait(&loop, has_answer, &second);
    }
    assert_int_equal(stream_server_number("XLEN " KEY), 1);
    dead_letter_mirror_close(first.mirror);
    dead_letter_mirror_close(second.mirror);
    stream_finish(&loop);
    assert_null(first.mirror);
}

/* A process of its own, so that SIGKILL ends it anywhere. */
static pid_t spawn_courier(void)
{
    pid_t child = fork();
    if (child == 0) {
        struct rig rig;
        open_courier(&rig, "child");
        (void)uv_run(&rig.loop, UV_RUN_DEFAULT);
        _exit(0);
    }
    return child;
}

static void couriers_that_are_killed_anywhere_carry_each_letter_once(void **state)
{
    struct rig rig;
    (void)state;
    for (int kills = 0; kills < KILLS; kills++) {
        char frame[8];
        pid_t first = spawn_courier();
        pid_t second = spawn_courier();
        for (int i = 0; i < 10; i++) {
            letters_add_rows(kills * 10 + i, kills * 10 + i);
            (void)snprintf(frame, sizeof(frame), "%03d%d", kills, i);
            letters_add_frame(frame, "");
            (void)usleep((useconds_t)(kills * 700)); /* where it hits is left to chance */
        }
        (void)kill(first, SIGKILL);
        (void)kill(second, SIGKILL);
        (void)waitpid(first, NULL, 0);
        (void)waitpid(second, NULL, 0);
        (void)stream_server_number("DEL " KEY
                                   ":lease"); /* the next ones need not wait for its end */
    }
    open_courier(&rig, "last");
    stream_wait(&rig.loop, letters_are_carried, &rig);
    close_courier(&rig);
    letters_check_each_once(LETTERS, LETTERS);
}

/* ---- the group ---- */

static int start(void **state)
{
    return sink_postgres_start(false) ? stream_server_setup(state) : -1;
}

static int stop(void **state)
{
    sink_postgres_stop();
    return stream_server_teardown(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_frame_comes_into_the_table_once_with_the_relay_it_is_from,
                               letters_reset),
        cmocka_unit_test_setup(what_somebody_else_wrote_is_kept_and_never_stands_in_the_way,
                               letters_reset),
        cmocka_unit_test_setup(a_crash_between_commit_and_acknowledge_makes_no_second_row,
                               letters_reset),
        cmocka_unit_test_setup(a_row_is_mirrored_once_in_the_form_that_other_programs_read,
                               letters_reset),
        cmocka_unit_test_setup(many_rows_are_mirrored_in_their_order, letters_reset),
        cmocka_unit_test_setup(a_crash_between_add_and_note_adds_no_second_entry, letters_reset),
        cmocka_unit_test_setup(a_row_that_was_dropped_on_the_way_takes_its_entry_with_it,
                               letters_reset),
        cmocka_unit_test_setup(a_full_redis_keeps_the_rows_waiting, letters_reset),
        cmocka_unit_test_setup(what_nobody_has_decided_on_is_counted_without_the_lease,
                               letters_reset),
        cmocka_unit_test_setup(closing_carries_what_there_is_once_more, letters_reset),
        cmocka_unit_test_setup(who_slept_while_another_took_over_adds_nothing, letters_reset),
        cmocka_unit_test_setup(couriers_that_are_killed_anywhere_carry_each_letter_once,
                               letters_reset),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
