#include "unit/test.h"

#include <stdio.h>
#include <stdlib.h>

#include "atproto/car.h"
#include "base/panic.h"
#include "unit/atproto/cbor_writer.h"

struct fixture {
    struct car car;
    struct dag_stack stack;
    struct buffer bytes;
    const char *why;
};

static int set_up(void **state)
{
    struct fixture *fixture = memory_allocate(sizeof(*fixture));
    car_init(&fixture->car);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    car_deinit(&fixture->car);
    dag_stack_deinit(&fixture->stack);
    buffer_deinit(&fixture->bytes);
    free(fixture);
    return 0;
}

static enum car_result parse(struct fixture *fixture)
{
    return car_parse(&fixture->car, buffer_slice(&fixture->bytes), &fixture->stack, &fixture->why);
}

static void add(struct fixture *fixture, const char *block)
{
    char cid[CID_SIZE];
    struct slice bytes = slice_from_string(block);
    car_add(&fixture->bytes, make_cid(bytes, cid), bytes);
}

static void assert_found(const struct fixture *fixture, const char *block)
{
    char cid[CID_SIZE];
    struct slice found;
    struct slice bytes = slice_from_string(block);
    assert_true(car_find(&fixture->car, make_cid(bytes, cid), &found));
    assert_true(slice_equals(found, bytes));
}

static void blocks_are_found_in_any_order_twice_or_unasked(void **state)
{
    struct fixture *fixture = *state;
    char cid[CID_SIZE];
    struct slice found;
    car_begin(&fixture->bytes, make_cid(SLICE("root"), cid));
    add(fixture, "one");
    add(fixture, "root");
    add(fixture, "one");
    add(fixture, "");
    assert_int_equal(parse(fixture), CAR_DONE);
    assert_found(fixture, "root");
    assert_found(fixture, "one");
    assert_found(fixture, "");
    assert_false(car_find(&fixture->car, make_cid(SLICE("none"), cid), &found));
    assert_false(car_find(&fixture->car, SLICE("short"), &found));
}

static void many_blocks_are_all_found_and_a_small_car_forgets_them(void **state)
{
    struct fixture *fixture = *state;
    char cid[CID_SIZE];
    char text[16];
    struct slice found;
    enum {
        COUNT = 5000
    };
    car_begin(&fixture->bytes, make_cid(SLICE("root"), cid));
    for (int i = 0; i < COUNT; i++) {
        (void)snprintf(text, sizeof(text), "%d", i);
        add(fixture, text);
    }
    assert_int_equal(parse(fixture), CAR_DONE);
    for (int i = 0; i < COUNT; i++) {
        (void)snprintf(text, sizeof(text), "%d", i);
        assert_found(fixture, text);
    }
    buffer_clear(&fixture->bytes);
    car_begin(&fixture->bytes, make_cid(SLICE("root"), cid));
    add(fixture, "one");
    assert_int_equal(parse(fixture), CAR_DONE);
    assert_true(fixture->car.capacity < COUNT);
    assert_found(fixture, "one");
    assert_false(car_find(&fixture->car, make_cid(SLICE("42"), cid), &found));
}

static void a_wrong_block_is_found_by_its_hash(void **state)
{
    struct fixture *fixture = *state;
    const struct car_block *bad = NULL;
    char cid[CID_SIZE];
    car_begin(&fixture->bytes, make_cid(SLICE("root"), cid));
    add(fixture, "root");
    assert_int_equal(parse(fixture), CAR_DONE);
    assert_true(car_verify(&fixture->car, &bad));
    fixture->bytes.data[fixture->bytes.size - 1] = 'T';
    assert_false(car_verify(&fixture->car, &bad));
    assert_ptr_equal(bad, &fixture->car.blocks[0]);
}

static void a_header_that_is_none_is_refused(void **state)
{
    struct fixture *fixture = *state;
    static const struct slice headers[] = {
        SLICE(""),
        SLICE("\x00"),
        SLICE("\x7f"),
        SLICE("\x01\xa0"),
        SLICE("\x0a\xa1\x67version\x01"),
        SLICE("\x11\xa2\x65roots\x80\x67version\x02"),
        SLICE("\x11\xa2\x65roots\x01\x67version\x01"),
        SLICE("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"),
    };
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        buffer_clear(&fixture->bytes);
        buffer_append_slice(&fixture->bytes, headers[i]);
        assert_int_equal(parse(fixture), CAR_BAD);
    }
    buffer_clear(&fixture->bytes);
    buffer_append_slice(&fixture->bytes, SLICE("\x11\xa2\x65roots\x80\x67version\x01"));
    assert_int_equal(parse(fixture), CAR_DONE);
}

static void a_section_that_is_cut_or_has_no_cid_is_refused(void **state)
{
    struct fixture *fixture = *state;
    char cid[CID_SIZE];
    car_begin(&fixture->bytes, make_cid(SLICE("root"), cid));
    size_t header = fixture->bytes.size;
    add(fixture, "root");
    size_t whole = fixture->bytes.size;
    for (size_t size = header + 1; size < whole; size++) {
        fixture->bytes.size = size;
        assert_int_equal(parse(fixture), CAR_BAD);
    }
    fixture->bytes.size = header;
    buffer_append_slice(&fixture->bytes, SLICE("\x05hello"));
    assert_int_equal(parse(fixture), CAR_BAD);
    assert_string_equal(fixture->why, "a section starts with no CID");
}

static void more_blocks_than_the_bound_are_refused(void **state)
{
    struct fixture *fixture = *state;
    char cid[CID_SIZE];
    struct slice root = make_cid(SLICE(""), cid);
    car_begin(&fixture->bytes, root);
    for (int i = 0; i < CAR_BLOCKS_MAX; i++) {
        car_add(&fixture->bytes, root, (struct slice){0});
    }
    assert_int_equal(parse(fixture), CAR_DONE);
    car_add(&fixture->bytes, root, (struct slice){0});
    assert_int_equal(parse(fixture), CAR_OVER_LIMIT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(blocks_are_found_in_any_order_twice_or_unasked),
        TEST(many_blocks_are_all_found_and_a_small_car_forgets_them),
        TEST(a_wrong_block_is_found_by_its_hash),
        TEST(a_header_that_is_none_is_refused),
        TEST(a_section_that_is_cut_or_has_no_cid_is_refused),
        TEST(more_blocks_than_the_bound_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
