/* How many entries a reader asks for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stream/batch_size.h"

#define MEGABYTE ((size_t)1 << 20)

/* Reads that are full, one after the other. */
static void read_full(struct batch_size *size, int reads)
{
    for (int i = 0; i < reads; i++) {
        size_t asked = batch_size_ask_new(size);
        batch_size_note(size, asked * 100, asked);
        batch_size_note_read(size, asked, asked);
    }
}

static void a_reader_that_is_behind_asks_for_up_to_four_times_as_many(void **state)
{
    (void)state;
    struct batch_size size = batch_size_of(300, 8 * MEGABYTE);
    assert_int_equal(batch_size_ask_new(&size), 300);
    read_full(&size, 1);
    assert_int_equal(batch_size_ask_new(&size), 600);
    read_full(&size, 5);
    assert_int_equal(batch_size_ask_new(&size), 1200);
    assert_int_equal(batch_size_ask(&size),
                     300); /* what is pending or claimed comes as configured */
}

static void a_read_that_has_room_ends_it(void **state)
{
    (void)state;
    struct batch_size size = batch_size_of(300, 8 * MEGABYTE);
    read_full(&size, 3);
    batch_size_note_read(&size, 1200, 1199);
    assert_int_equal(batch_size_ask_new(&size), 300);
}

static void no_stretch_goes_beyond_what_one_heartbeat_covers(void **state)
{
    (void)state;
    struct batch_size size = batch_size_of(4000, 1024 * MEGABYTE);
    read_full(&size, 3);
    assert_int_equal(batch_size_ask_new(&size), 10000);
    size = batch_size_of(10000, 1024 * MEGABYTE);
    read_full(&size, 3);
    assert_int_equal(batch_size_ask_new(&size), 10000);
}

static void a_reply_stays_near_its_bytes_however_far_behind_the_reader_is(void **state)
{
    (void)state;
    struct batch_size size = batch_size_of(300, MEGABYTE);
    read_full(&size, 3);
    batch_size_note(&size, 100 * MEGABYTE / 10, 100);
    assert_int_equal(batch_size_ask_new(&size), MEGABYTE / (MEGABYTE / 10 + 1));
    batch_size_note(&size, 2 * MEGABYTE, 1);
    assert_int_equal(batch_size_ask_new(&size), 1);
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_reader_that_is_behind_asks_for_up_to_four_times_as_many),
        TEST(a_read_that_has_room_ends_it),
        TEST(no_stretch_goes_beyond_what_one_heartbeat_covers),
        TEST(a_reply_stays_near_its_bytes_however_far_behind_the_reader_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
