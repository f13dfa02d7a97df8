/* When a reader sweeps for what dead consumers have left, and when a look is enough. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "stream/reader_claim.h"
#include <hiredis/hiredis.h>

enum {
    MIN_IDLE_MS = 10000
};

#define CONSUMER(pending, idle)                                                                    \
    "*6\r\n$4\r\nname\r\n$1\r\nc\r\n$7\r\npending\r\n:" pending "\r\n$4\r\nidle\r\n:" idle "\r\n"
#define NOTHING_MORE "*3\r\n$3\r\n0-0\r\n*0\r\n*0\r\n"

struct rig {
    uv_loop_t loop;
    struct reader_claim claim;
    struct buffer command;
    size_t deleted;
};

static void on_due(void *owner)
{
    (void)owner;
}

static void open_rig(struct rig *rig)
{
    *rig = (struct rig){0};
    assert_int_equal(uv_loop_init(&rig->loop), 0);
    reader_claim_init(&rig->claim, &rig->loop, MIN_IDLE_MS, on_due, rig);
    rig->claim.looks = 0;
    rig->claim.is_due = true;
}

static void close_rig(struct rig *rig)
{
    reader_claim_close(&rig->claim, NULL, rig);
    (void)uv_run(&rig->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&rig->loop), 0);
    reader_claim_deinit(&rig->claim);
    buffer_deinit(&rig->command);
}

/* What the next step says to Redis. */
static const char *next_step(struct rig *rig)
{
    static const struct reader_names names = {.key = "events", .group = "group", .consumer = "me"};
    reader_claim_format(&rig->claim, &rig->command, &names, 300);
    buffer_append_byte(&rig->command, '\0');
    return rig->command.data;
}

/* True where entries were taken over. */
static bool answer(struct rig *rig, const char *resp)
{
    void *reply = NULL;
    redisReader *reader = redisReaderCreate();
    assert_int_equal(redisReaderFeed(reader, resp, strlen(resp)), REDIS_OK);
    assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
    bool has_entries = reader_claim_take(&rig->claim, reply, &rig->deleted) != NULL;
    freeReplyObject(reply);
    redisReaderFree(reader);
    return has_entries;
}

static void nothing_is_swept_while_everybody_who_has_something_is_heard_of(void **state)
{
    (void)state;
    struct rig rig;
    open_rig(&rig);
    assert_non_null(strstr(next_step(&rig), "CONSUMERS"));
    assert_false(answer(&rig, "*2\r\n" CONSUMER("1200", "9999") CONSUMER("0", "99999999")));
    assert_false(rig.claim.is_due);
    close_rig(&rig);
}

static void a_silent_consumer_with_something_pending_is_swept_to_the_end(void **state)
{
    (void)state;
    struct rig rig;
    open_rig(&rig);
    assert_false(answer(&rig, "*2\r\n" CONSUMER("5", "3") CONSUMER("1", "10000")));
    assert_true(rig.claim.is_due);
    assert_non_null(strstr(next_step(&rig), "XAUTOCLAIM"));
    assert_non_null(strstr(next_step(&rig), "\r\n0-0\r\n"));
    assert_true(answer(&rig, "*3\r\n$3\r\n7-5\r\n*1\r\n*2\r\n$3\r\n7-1\r\n*0\r\n*2\r\n$3\r\n7-2\r\n"
                             "$3\r\n7-3\r\n"));
    assert_int_equal(rig.deleted, 2);
    assert_true(rig.claim.is_due);
    assert_non_null(strstr(next_step(&rig), "\r\n7-5\r\n"));
    assert_false(answer(&rig, NOTHING_MORE));
    assert_int_equal(rig.deleted, 0);
    assert_false(rig.claim.is_due);
    assert_non_null(strstr(next_step(&rig), "CONSUMERS"));
    close_rig(&rig);
}

static void the_first_sweep_and_every_twelfth_go_through_all(void **state)
{
    (void)state;
    struct rig rig;
    unsigned sweeps = 0;
    open_rig(&rig);
    rig.claim.looks = CLAIM_LOOKS - 1; /* as it begins */
    for (unsigned i = 0; i < 3 * CLAIM_LOOKS; i++) {
        assert_false(answer(&rig, "*1\r\n" CONSUMER("1200", "1")));
        assert_true(rig.claim.is_due == (i % CLAIM_LOOKS == 0));
        if (rig.claim.is_due) {
            sweeps++;
            assert_non_null(strstr(next_step(&rig), "XAUTOCLAIM"));
            assert_false(answer(&rig, NOTHING_MORE));
        }
    }
    assert_int_equal(sweeps, 3);
    close_rig(&rig);
}

static void a_look_that_redis_refuses_is_as_good_as_none(void **state)
{
    static const char *const answers[] = {"-ERR no such key\r\n", "-NOGROUP No such group\r\n",
                                          "-NOPERM no permissions\r\n"};
    (void)state;
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        struct rig rig;
        open_rig(&rig);
        assert_false(answer(&rig, answers[i]));
        assert_non_null(strstr(next_step(&rig), "XAUTOCLAIM"));
        assert_true(rig.claim.is_due);
        close_rig(&rig);
    }
}

static void a_consumer_of_which_the_server_says_too_little_is_swept(void **state)
{
    static const char *const answers[] = {"*1\r\n*2\r\n$4\r\nname\r\n$1\r\nc\r\n", "*1\r\n:1\r\n",
                                          "*1\r\n*3\r\n$7\r\npending\r\n:1\r\n$4\r\nidle\r\n"};
    (void)state;
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        struct rig rig;
        open_rig(&rig);
        assert_false(answer(&rig, answers[i]));
        assert_true(rig.claim.is_due);
        close_rig(&rig);
    }
}

static void an_answer_that_is_none_ends_the_sweep(void **state)
{
    static const char *const answers[] = {"*0\r\n", "$-1\r\n", ":3\r\n", "*1\r\n*0\r\n"};
    (void)state;
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        struct rig rig;
        open_rig(&rig);
        rig.claim.is_sweeping = true;
        assert_false(answer(&rig, answers[i]));
        assert_false(rig.claim.is_due);
        close_rig(&rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_swept_while_everybody_who_has_something_is_heard_of),
        cmocka_unit_test(a_silent_consumer_with_something_pending_is_swept_to_the_end),
        cmocka_unit_test(the_first_sweep_and_every_twelfth_go_through_all),
        cmocka_unit_test(a_look_that_redis_refuses_is_as_good_as_none),
        cmocka_unit_test(a_consumer_of_which_the_server_says_too_little_is_swept),
        cmocka_unit_test(an_answer_that_is_none_ends_the_sweep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
