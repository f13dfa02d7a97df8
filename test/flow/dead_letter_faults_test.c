/* What Redis may say or do to the courier, at each of its commands: each letter once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "flow/letters_harness.h"
#include "flow/sink_postgres.h"
#include "flow/stream_faults.h"
#include "flow/stream_server.h"

enum {
    ROWS = 3,
    FRAMES = 2,
    DRAIN_MS = 2000
};

static struct rig rig;

static void open_courier(void)
{
    (void)letters_reset(NULL);
    letters_add_rows(1, ROWS);
    letters_add_frame("AAEC", "41");
    letters_add_frame("/v8", "");
    letters_open(&rig, &faults_loop, stream_proxy_url(), "courier");
}

static void carry(void)
{
    stream_wait(&faults_loop, letters_are_carried, &rig);
}

static void close_courier(void)
{
    dead_letter_courier_close(rig.courier, DRAIN_MS);
    stream_wait(&faults_loop, faults_is_true, &rig.is_closed);
}

static void check(void)
{
    letters_check_each_once(ROWS, FRAMES);
}

static const struct scenario carrying = {open_courier, carry, close_courier, check, true};

static void a_fault_at_any_step_of_the_courier_neither_loses_nor_doubles_a_letter(void **state)
{
    (void)state;
    faults_check_every_step(&carrying, 14);
}

static void the_courier_asks_a_redis_that_refuses_everything_with_patience(void **state)
{
    (void)state;
    faults_check_patience(&carrying);
}

static int start(void **state)
{
    return sink_postgres_start(false) ? faults_start(state) : -1;
}

static int stop(void **state)
{
    sink_postgres_stop();
    return faults_stop(state);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        FAULTS_TEST(a_fault_at_any_step_of_the_courier_neither_loses_nor_doubles_a_letter),
        FAULTS_TEST(the_courier_asks_a_redis_that_refuses_everything_with_patience),
    };
    cmocka_set_test_filter(argc > 1 ? argv[1] : NULL);
    return cmocka_run_group_tests(tests, start, stop);
}
