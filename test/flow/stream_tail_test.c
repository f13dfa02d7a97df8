/* The tail against a real Redis. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "flow/stream_server.h"
#include "stream/stream_tail.h"
#include <hiredis/hiredis.h>

struct told {
    unsigned count;
    int64_t first, last;
    unsigned end_at;  /* ends the tail after so many */
    unsigned add_one; /* adds an entry after each, up to so many: what following waits for */
};

static bool on_entry(void *owner, struct slice id, const struct entry *entry)
{
    struct told *told = owner;
    assert_true(id.size > 0);
    told->first = told->count == 0 ? entry->id.sequence : told->first;
    told->last = entry->id.sequence;
    told->count++;
    if (told->count <= told->add_one) {
        freeReplyObject(
            stream_server_call("XADD events 7-%d type sync data {}", (int)entry->id.sequence + 1));
    }
    return told->count != told->end_at;
}

static void prepare(int entries)
{
    freeReplyObject(stream_server_call("FLUSHALL"));
    for (int i = 1; i <= entries; i++) {
        freeReplyObject(stream_server_call("XADD events 7-%d type sync data {}", i));
    }
}

static void all_that_is_stored_is_told_once_and_in_order(void **state)
{
    (void)state;
    struct told told = {0};
    struct error error;
    struct stream_tail_options options = {.url = stream_server_url(), .key = "events"};
    prepare(250);
    assert_true(stream_tail(&options, on_entry, &told, &error));
    assert_int_equal(told.count, 250);
    assert_int_equal(told.first, 1);
    assert_int_equal(told.last, 250);
    told = (struct told){0};
    options.from = "7-240";
    assert_true(stream_tail(&options, on_entry, &told, &error));
    assert_int_equal(told.count, 11);
    told = (struct told){.end_at = 3};
    assert_true(stream_tail(&options, on_entry, &told, &error));
    assert_int_equal(told.count, 3);
    options.key = "nothing";
    assert_true(stream_tail(&options, on_entry, &told, &error));
    assert_int_equal(told.count, 3);
}

static void following_goes_on_with_what_comes(void **state)
{
    (void)state;
    struct told told = {.add_one = 5, .end_at = 6};
    struct error error;
    struct stream_tail_options options = {
        .url = stream_server_url(), .key = "events", .from = "7-10", .should_follow = true};
    prepare(10);
    assert_true(stream_tail(&options, on_entry, &told, &error));
    assert_int_equal(told.first, 10);
    assert_int_equal(told.last, 15);
}

static void a_redis_that_is_away_or_refuses_is_said_in_words(void **state)
{
    (void)state;
    struct told told = {0};
    struct error error;
    struct stream_tail_options options = {.url = "unix:///nowhere/redis.sock", .key = "events"};
    assert_false(stream_tail(&options, on_entry, &told, &error));
    assert_int_equal(error.kind, ERROR_UNREACHABLE);
    options.url = stream_server_url();
    freeReplyObject(stream_server_call("FLUSHALL"));
    freeReplyObject(stream_server_call("SET events text"));
    assert_false(stream_tail(&options, on_entry, &told, &error));
    assert_int_equal(error.kind, ERROR_REFUSED);
    assert_non_null(strstr(error.text, "WRONGTYPE"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_that_is_stored_is_told_once_and_in_order),
        cmocka_unit_test(following_goes_on_with_what_comes),
        cmocka_unit_test(a_redis_that_is_away_or_refuses_is_said_in_words),
    };
    return cmocka_run_group_tests(tests, stream_server_setup, stream_server_teardown);
}
