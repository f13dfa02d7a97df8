/* What a change of each key asks for agrees with what its documentation says. */
#include "runtime/reload_plan.h"

#include <string.h>

#include "config/keys.h"
#include "unit/test.h"

static struct generation *load(const char *const *set, size_t count)
{
    struct config config;
    struct error error;
    const struct config_arguments arguments = {.set = set, .set_count = count};
    if (!config_load(&config, &arguments, &error)) {
        fail_msg("%s", error.text);
    }
    return generation_create(&config);
}

static void a_key_that_reconnects_opens_a_part_and_no_other_key_does(void **state)
{
    (void)state;
    for (size_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        unsigned parts = reload_plan_parts(key->section, key->name);
        bool opens = (parts & ~(unsigned)PART_SCHEMA) != 0;
        print_message("%s.%s\n", key->section, key->name);
        assert_int_equal(opens, key->apply == CONFIG_APPLY_RECONNECT);
    }
}

static void an_equal_configuration_asks_for_nothing(void **state)
{
    (void)state;
    struct generation *a = load(NULL, 0);
    struct generation *b = load(NULL, 0);
    struct reload_plan plan;
    reload_plan_make(&plan, a, b);
    assert_int_equal(plan.parts, 0);
    assert_int_equal(plan.checks, 0);
    assert_true(slice_equals(buffer_slice(&plan.changes), SLICE("[]")));
    reload_plan_deinit(&plan);
    generation_release(a);
    generation_release(b);
}

static void changes_are_counted_and_told_without_their_secrets(void **state)
{
    (void)state;
    const char *const set[] = {"redis.url=redis://:hidden@127.0.0.1/1", "log.level=debug",
                               "stream.key=other"};
    struct generation *a = load(NULL, 0);
    struct generation *b = load(set, 3);
    struct reload_plan plan;
    reload_plan_make(&plan, a, b);
    assert_int_equal(plan.counts[CONFIG_APPLY_AT_ONCE], 1);
    assert_int_equal(plan.counts[CONFIG_APPLY_RECONNECT], 1);
    assert_int_equal(plan.counts[CONFIG_APPLY_RESTART], 1);
    assert_int_equal(plan.checks, CHECK_REDIS);
    buffer_append_byte(&plan.changes, '\0');
    assert_null(strstr(plan.changes.data, "hidden"));
    assert_non_null(strstr(plan.changes.data, "\"key\":\"redis.url\",\"applies\":\"reconnect\""));
    reload_plan_deinit(&plan);
    generation_release(a);
    generation_release(b);
}

static void a_key_that_needs_a_restart_keeps_the_running_value(void **state)
{
    (void)state;
    const char *const set[] = {"stream.key=other", "relay.cursor=12", "workers.threads=3",
                               "workers.batch_size=7"};
    struct generation *a = load(NULL, 0);
    struct generation *b = load(set, 4);
    uint64_t threads = a->config.workers.threads;
    config_hold_back(&b->config, &a->config);
    assert_string_equal(b->config.stream.key, "firehose:events");
    assert_int_equal(b->config.relay.cursor, CURSOR_SAVED);
    assert_int_equal(b->config.workers.threads, threads);
    assert_int_equal(b->config.workers.batch_size, 7);
    generation_release(a);
    generation_release(b);
}

static void a_generation_lives_as_long_as_somebody_holds_it(void **state)
{
    (void)state;
    struct generation *generation = load(NULL, 0);
    assert_ptr_equal(generation_hold(generation), generation);
    generation_release(generation);
    assert_string_equal(generation->config.stream.key, "firehose:events");
    generation_release(generation);
    generation_release(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_that_reconnects_opens_a_part_and_no_other_key_does),
        cmocka_unit_test(an_equal_configuration_asks_for_nothing),
        cmocka_unit_test(changes_are_counted_and_told_without_their_secrets),
        cmocka_unit_test(a_key_that_needs_a_restart_keeps_the_running_value),
        cmocka_unit_test(a_generation_lives_as_long_as_somebody_holds_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
