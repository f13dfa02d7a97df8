#include "flow/stream_faults.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "flow/fault_proxy.h"
#include "flow/harness_log.h"
#include "flow/stream_server.h"
#include <hiredis/hiredis.h>

enum {
    TIMEOUT_MS = 3000,
    REFUSED_MS = 20,
    GREETING = 3, /* commands */
    STEPS_MAX = 60,
    FAULT_STRIDE = 5,
    IN_A_ROW = 3,
    LINES_MAX = 8,     /* of the log, that one fault may cost */
    REFUSAL_MS = 400,  /* how long everything is refused, and */
    COMMANDS_MAX = 100 /* how often it may be tried in that time */
};

uv_loop_t faults_loop;
const struct stream_keys faults_keys = {
    .key = "events", .group = "group", .dead_letter_key = "dead"};

struct redis_options faults_redis(const char *name)
{
    return (struct redis_options){.url = stream_proxy_url(),
                                  .client_name = name,
                                  .connect_timeout_ms = TIMEOUT_MS,
                                  .reply_timeout_ms = TIMEOUT_MS,
                                  .refused_wait_ms = REFUSED_MS};
}

bool faults_is_true(void *data)
{
    return *(bool *)data;
}

static bool has_time_passed(void *data)
{
    return uv_now(&faults_loop) >= *(uint64_t *)data;
}

void faults_run_for(uint64_t milliseconds)
{
    uv_update_time(&faults_loop);
    uint64_t until = uv_now(&faults_loop) + milliseconds;
    stream_wait(&faults_loop, has_time_passed, &until);
}

/* All at once, so that a hundred runs need not be long. The group has been given them; `acknowledged` are done. */
void faults_add_entries(int count, const char *consumer, int given, int acknowledged)
{
    static const char script[] =
        "local count, given = tonumber(ARGV[1]), tonumber(ARGV[3])\n"
        "for i = 1, count do\n"
        "  redis.call('XADD', KEYS[1], '7-' .. (100 + i), 'type', 'commit', 'data', '{}',\n"
        "             'seq', 100 + i, 'time', '2026-01-01T00:00:00Z', 'rev', '3k')\n"
        "end\n"
        "redis.call('XGROUP', 'CREATE', KEYS[1], 'group', '0')\n"
        "redis.call('XREADGROUP', 'GROUP', 'group', ARGV[2], 'COUNT', given, 'STREAMS', KEYS[1], "
        "'>')\n"
        "for i = 1, given do\n"
        "  redis.call('XCLAIM', KEYS[1], 'group', ARGV[2], 0, '7-' .. (100 + i), 'IDLE', 60000, "
        "'JUSTID')\n"
        "end\n"
        "for i = 1, ARGV[4] do redis.call('XACK', KEYS[1], 'group', '7-' .. (100 + i)) end\n"
        "return 1\n";
    assert_int_equal(stream_server_number("EVAL %s 1 events %d %s %d %d", script, count, consumer,
                                          given, acknowledged),
                     1);
}

int64_t faults_pending(void)
{
    redisReply *reply = stream_server_call("XPENDING events group");
    int64_t count = reply->type == REDIS_REPLY_ARRAY ? reply->element[0]->integer : -1;
    freeReplyObject(reply);
    return count;
}

/* ---- every fault at every step ---- */

static void check_log(const char *log, const char *fault, unsigned step)
{
    unsigned lines = harness_count(log, "\n");
    if (lines > LINES_MAX) {
        fail_msg("%s at command %u: %u lines of log:\n%s", fault, step, lines, log);
    }
}

static void begin_run(const struct stream_fault *fault, unsigned step, unsigned times)
{
    freeReplyObject(stream_server_call("FLUSHALL"));
    freeReplyObject(stream_server_call("SCRIPT FLUSH"));
    freeReplyObject(stream_server_call("CONFIG SET maxmemory 1gb"));
    assert_int_equal(uv_loop_init(&faults_loop), 0);
    harness_capture_log();
    fault_proxy_arm(fault, step, times);
}

static void end_run(const struct stream_fault *fault, unsigned step)
{
    fault_proxy_disarm();
    stream_finish(&faults_loop);
    check_log(harness_captured_log(), fault->name, step);
}

/* False: the job was done before the fault's turn came. */
static bool run_once(const struct scenario *scenario, const struct stream_fault *fault,
                     unsigned step, unsigned times)
{
    begin_run(fault, step, times);
    scenario->open();
    scenario->work();
    scenario->close();
    bool is_hit = fault_proxy_hits() > 0;
    end_run(fault, step);
    scenario->check();
    return is_hit;
}

/* The steps that the job has, each of which has met the fault. */
static unsigned try_each_step(const struct scenario *scenario, const struct stream_fault *fault,
                              unsigned times)
{
    unsigned step = 1;
    while (step < STEPS_MAX && run_once(scenario, fault, step, times)) {
        step++;
    }
    return step - 1;
}

static bool is_left_out(const struct scenario *scenario, const struct stream_fault *fault)
{
    return scenario->waits_long && fault->is_lasting;
}

static void check_fault(const struct scenario *scenario, const struct stream_fault *fault,
                        unsigned least, unsigned times)
{
    unsigned steps = is_left_out(scenario, fault) ? least : try_each_step(scenario, fault, times);
    if (steps < least) {
        fail_msg("%s met only %u steps", fault->name, steps);
    }
}

void faults_check_every_step(const struct scenario *scenario, unsigned least)
{
    for (size_t i = 0; i < stream_fault_count; i++) {
        check_fault(scenario, &stream_faults[i], least, 1);
    }
    for (size_t i = 0; i < stream_fault_count; i += FAULT_STRIDE) {
        check_fault(scenario, &stream_faults[i], least, IN_A_ROW);
    }
}

static void refuse_for_a_while(const struct scenario *scenario, const struct stream_fault *fault)
{
    begin_run(fault, GREETING + 1, UINT32_MAX);
    scenario->open();
    faults_run_for(REFUSAL_MS);
    unsigned commands = fault_proxy_steps();
    fault_proxy_disarm();
    if (commands > COMMANDS_MAX) {
        fail_msg("%s: %u commands in %d ms", fault->name, commands, REFUSAL_MS);
    }
    scenario->work();
    scenario->close();
    end_run(fault, GREETING + 1);
    scenario->check();
}

void faults_check_patience(const struct scenario *scenario)
{
    for (size_t i = 0; i < stream_fault_count; i++) {
        if (!is_left_out(scenario, &stream_faults[i])) {
            refuse_for_a_while(scenario, &stream_faults[i]);
        }
    }
}

/* ---- fixtures ---- */

int faults_start(void **state)
{
    if (stream_server_setup(state) != 0) {
        return -1;
    }
    log_configure(LOG_LEVEL_WARNING, LOG_FORMAT_TEXT);
    stream_proxy_start();
    return 0;
}

int faults_stop(void **state)
{
    fault_proxy_stop();
    return stream_server_teardown(state);
}

int faults_over(void **state)
{
    (void)state;
    harness_release_log();
    return 0;
}
