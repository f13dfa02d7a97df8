#include "runtime/tally.h"

#include <stdio.h>
#include <string.h>

#include "unit/test.h"

static struct tally tally;

static int set_up(void **state)
{
    (void)state;
    memset(&tally, 0, sizeof(tally));
    return 0;
}

static void see(const char *name, unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        if (!tally_add(&tally, slice_from_string(name))) {
            tally_learn(&tally, slice_from_string(name));
        }
    }
}

static uint64_t sum(void)
{
    uint64_t all = tally.other;
    for (unsigned i = 0; i < tally.used; i++) {
        all += tally.places[i].count;
    }
    return all;
}

static void names_are_counted_and_the_commonest_comes_first(void **state)
{
    (void)state;
    see("app.bsky.feed.post", 2);
    see("app.bsky.feed.like", 5);
    see("app.bsky.feed.post", 1);
    assert_int_equal(tally.used, 2);
    assert_string_equal(tally.places[0].name, "app.bsky.feed.like");
    assert_int_equal(tally.places[0].count, 5);
    assert_int_equal(tally.places[1].count, 3);
    assert_int_equal(tally.other, 0);
}

static void a_flood_of_names_takes_no_place_of_a_common_one_and_loses_no_count(void **state)
{
    (void)state;
    char name[32];
    see("app.bsky.feed.like", 1000);
    see("app.bsky.feed.post", 500);
    for (unsigned i = 0; i < 10000; i++) {
        (void)snprintf(name, sizeof(name), "com.example.n%u", i);
        see(name, 1);
    }
    assert_int_equal(tally.used, TALLY_PLACES);
    assert_string_equal(tally.places[0].name, "app.bsky.feed.like");
    assert_string_equal(tally.places[1].name, "app.bsky.feed.post");
    assert_int_equal(sum(), 11500);
}

static void what_is_no_name_is_other(void **state)
{
    (void)state;
    char name[TALLY_NAME_MAX + 2];
    memset(name, 'a', sizeof(name));
    tally_learn(&tally, SLICE(""));
    tally_learn(&tally, slice_of(name, TALLY_NAME_MAX + 1));
    tally_learn(&tally, slice_of(name, TALLY_NAME_MAX));
    assert_int_equal(tally.other, 2);
    assert_int_equal(tally.used, 1);
    assert_int_equal(strlen(tally.places[0].name), TALLY_NAME_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(names_are_counted_and_the_commonest_comes_first, set_up),
        cmocka_unit_test_setup(a_flood_of_names_takes_no_place_of_a_common_one_and_loses_no_count,
                               set_up),
        cmocka_unit_test_setup(what_is_no_name_is_other, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
