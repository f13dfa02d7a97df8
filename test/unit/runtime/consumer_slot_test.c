#include "runtime/consumer_slot.h"

#include <stdio.h>
#include <unistd.h>

#include "unit/test.h"

static void two_processes_of_a_group_get_two_numbers_and_the_free_one_comes_back(void **state)
{
    (void)state;
    char scope[64];
    struct error error;
    struct consumer_slot first, second, third, other;
    (void)snprintf(scope, sizeof(scope), "test-%d", getpid());
    assert_true(consumer_slot_take(&first, scope, 0, &error));
    assert_true(consumer_slot_take(&second, scope, 0, &error));
    assert_int_equal(first.number, 0);
    assert_int_equal(second.number, 1);
    consumer_slot_release(&first);
    assert_true(consumer_slot_take(&third, scope, 0, &error));
    assert_int_equal(third.number, 0);
    (void)snprintf(scope, sizeof(scope), "test-%d-other", getpid());
    assert_true(consumer_slot_take(&other, scope, 0, &error));
    assert_int_equal(other.number, 0);
    consumer_slot_release(&second);
    consumer_slot_release(&third);
    consumer_slot_release(&other);
    consumer_slot_release(&other); /* twice is safe */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_processes_of_a_group_get_two_numbers_and_the_free_one_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
