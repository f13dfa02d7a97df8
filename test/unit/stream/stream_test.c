/* The pure parts of stream/: RESP, IDs, replies, scripts' names, entries. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "stream/reader_entries.h"
#include "stream/redis.h"
#include "stream/redis_reply.h"
#include "stream/reply_builder.h"
#include "stream/scripts.h"
#include "stream/writer_batch.h"
#include "stream/writer_queue.h"
#include <hiredis/hiredis.h>

/* A reader with the functions of ours, as redis_link.c makes one. */
static redisReader *create_reader(void)
{
    static redisReplyObjectFunctions functions;
    functions = *reply_builder_functions();
    redisReader *reader = redisReaderCreate();
    assert_non_null(reader);
    reader->fn = &functions;
    return reader;
}

static struct redisReply *parse_by(redisReader *reader, const char *text)
{
    void *reply = NULL;
    assert_int_equal(redisReaderFeed(reader, text, strlen(text)), REDIS_OK);
    assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
    assert_non_null(reply);
    redisReaderFree(reader);
    return reply;
}

static struct redisReply *parse(const char *text)
{
    return parse_by(create_reader(), text);
}

static void a_command_is_formatted_as_resp_with_its_bytes_untouched(void **state)
{
    (void)state;
    struct buffer out = {0};
    const struct slice arguments[] = {SLICE("SET"), SLICE(""), slice_of("a\0\r\n", 4)};
    redis_format(&out, arguments, 3);
    static const char expected[] = "*3\r\n$3\r\nSET\r\n$0\r\n\r\n$4\r\na\0\r\n\r\n";
    assert_int_equal(out.size, sizeof(expected) - 1);
    assert_memory_equal(out.data, expected, out.size);
    buffer_deinit(&out);
}

static void an_entry_id_goes_to_a_position_and_back(void **state)
{
    (void)state;
    struct position position;
    struct buffer out = {0};
    assert_true(position_parse(SLICE("1700000000000-42"), &position));
    assert_int_equal(position.epoch, 1700000000000);
    assert_int_equal(position.sequence, 42);
    position_append(&out, position);
    assert_true(slice_equals(buffer_slice(&out), SLICE("1700000000000-42")));
    buffer_deinit(&out);
    assert_true(position_parse(SLICE("1-18446744073709551615"), &position));
    assert_true(position.sequence == INT64_MAX); /* beyond any relay's, and that is all we need */
    assert_true(position_parse(SLICE("18446744073709551615-9223372036854775807"), &position));
    assert_true(position.epoch == UINT64_MAX);
    assert_true(position.sequence == INT64_MAX);
    static const char *const bad[] = {"",
                                      "1",
                                      "-",
                                      "1-",
                                      "-1",
                                      "1-2-3",
                                      " 1-2",
                                      "1-x",
                                      "+1-2",
                                      "1--2",
                                      "18446744073709551616-1",
                                      "1-18446744073709551616"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(position_parse(slice_from_string(bad[i]), &position));
    }
}

static void the_position_before_a_position_steps_back_over_the_epoch(void **state)
{
    (void)state;
    assert_int_equal(position_before((struct position){5, 3}).sequence, 2);
    struct position before = position_before((struct position){5, 0});
    assert_int_equal(before.epoch, 4);
    assert_true(before.sequence == INT64_MAX);
    assert_int_equal(
        position_compare(position_before((struct position){0, 0}), (struct position){0, 0}), 0);
}

static void looks_into_a_reply_of_another_form_give_the_empty_value(void **state)
{
    (void)state;
    assert_int_equal(reply_text(NULL).size, 0);
    assert_int_equal(reply_number(NULL), 0);
    assert_true(reply_is_nil(NULL));
    assert_null(reply_element(NULL, 0));
    struct redisReply *reply = parse("*4\r\n:-7\r\n$3\r\n-12\r\n$-1\r\n$3\r\n1x2\r\n");
    assert_int_equal(reply_number(reply_element(reply, 0)), -7);
    assert_int_equal(reply_number(reply_element(reply, 1)), -12);
    assert_true(reply_is_nil(reply_element(reply, 2)));
    assert_int_equal(reply_number(reply_element(reply, 3)), 0);
    assert_null(reply_element(reply, 4));
    assert_null(reply_element(reply_element(reply, 0), 0));
    assert_int_equal(reply_text(reply).size, 0);
    redis_free_reply(reply);
}

static void an_error_is_known_by_its_word_also_inside_a_script_s_message(void **state)
{
    (void)state;
    struct error error;
    struct redisReply *plain =
        parse("-OOM command not allowed when used memory > 'maxmemory'.\r\n");
    struct redisReply *wrapped = parse(
        "-ERR Error running script (call to f_1): @user_script:7: -OOM command not allowed\r\n");
    struct redisReply *other = parse("-ERR the ZOOM of BOOMERANG failed\r\n");
    assert_true(reply_has_error(plain, "OOM"));
    assert_true(reply_has_error(wrapped, "OOM"));
    assert_false(reply_has_error(other, "OOM"));
    reply_error(wrapped, &error);
    assert_int_equal(error.kind, ERROR_UNREACHABLE);
    reply_error(other, &error);
    assert_int_equal(error.kind, ERROR_REFUSED);
    redis_free_reply(plain);
    redis_free_reply(wrapped);
    redis_free_reply(other);
}

static void check_same(const struct redisReply *ours, const struct redisReply *theirs)
{
    assert_non_null(ours);
    assert_int_equal(ours->type, theirs->type);
    assert_int_equal(ours->integer, theirs->integer);
    assert_int_equal(ours->len, theirs->len);
    assert_int_equal(ours->elements, theirs->elements);
    if (theirs->str != NULL) {
        assert_memory_equal(ours->str, theirs->str, theirs->len + 1); /* with its zero byte */
    }
    for (size_t i = 0; i < theirs->elements; i++) {
        check_same(ours->element[i], theirs->element[i]);
    }
}

static void a_reply_is_built_as_hiredis_would_build_it(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "+OK\r\n",
        "-ERR no\r\n",
        ":-9223372036854775808\r\n",
        "$0\r\n\r\n",
        "$5\r\na\r\nbc\r\n",
        "$-1\r\n",
        "*-1\r\n",
        "*0\r\n",
        "*3\r\n$-1\r\n*-1\r\n*0\r\n",
        "*2\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\na\r\n$-1\r\n*2\r\n$3\r\n1-2\r\n*-1\r\n",
        "*4\r\n+QUEUED\r\n-ERR\r\n:7\r\n*1\r\n*1\r\n*1\r\n$1\r\nx\r\n",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct redisReply *ours = parse(texts[i]);
        struct redisReply *theirs = parse_by(redisReaderCreate(), texts[i]);
        check_same(ours, theirs);
        freeReplyObject(theirs);
        struct redisReply *kept = redis_keep_reply(ours);
        assert_true(reply_is_nil(ours));
        redis_free_reply(ours);
        redis_free_reply(kept);
    }
}

/* Sanitizers see what is left of it. */
static void a_reply_that_never_ends_goes_with_its_reader(void **state)
{
    (void)state;
    static const char text[] = "*3\r\n$3\r\nabc\r\n*2\r\n$-1\r\n:1\r\n$9\r\ncut";
    redisReader *reader = create_reader();
    void *reply = NULL;
    assert_int_equal(redisReaderFeed(reader, text, sizeof(text) - 1), REDIS_OK);
    assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
    assert_null(reply);
    redisReaderFree(reader);
}

static void a_kept_reply_leaves_hiredis_nothing_to_free(void **state)
{
    (void)state;
    struct redisReply *reply = parse("*2\r\n$1\r\na\r\n*1\r\n$1\r\nb\r\n");
    struct redisReply *kept = redis_keep_reply(reply);
    reply_builder_functions()->freeObject(reply); /* as hiredis does after the callback */
    assert_true(slice_equals(reply_text(reply_element(reply_element(kept, 1), 0)), SLICE("b")));
    redis_free_reply(kept);
}

static void each_script_has_the_sha1_that_redis_names_it_by(void **state)
{
    (void)state;
    for (size_t i = 0; i < SCRIPT_COUNT; i++) {
        const struct script *script = script_get((enum script_name)i);
        assert_true(script->text.size > 0);
        assert_int_equal(strlen(script->sha1), SCRIPT_SHA1_TEXT_SIZE - 1);
        assert_int_equal(strspn(script->sha1, "0123456789abcdef"), SCRIPT_SHA1_TEXT_SIZE - 1);
    }
    assert_string_not_equal(script_get(SCRIPT_FIND)->sha1, script_get(SCRIPT_BEGIN)->sha1);
}

static void a_batch_announces_exactly_the_arguments_that_it_carries(void **state)
{
    (void)state;
    struct script_call call = {0};
    struct writer_batch *batch = writer_batch_create(9);
    const struct stream_event event = {.type = SLICE("sync"), .data = SLICE("{}"), .sequence = 10};
    const struct stream_dead_frame frame = {
        .sequence = 11, .frame = SLICE("x"), .reason = "r", .text = "t"};
    const struct slice keys[WRITER_BATCH_KEYS] = {SLICE("a"), SLICE("b"), SLICE("c"),
                                                  SLICE("d"), SLICE("e"), SLICE("f")};
    const struct writer_expected expected = {
        .last_id = SLICE("0-0"), .host = SLICE("h"), .epoch = 5};
    assert_true(writer_batch_is_empty(batch, 9));
    writer_batch_add_event(batch, &event);
    writer_batch_add_frame(batch, &frame, (struct position){5, 10});
    assert_false(writer_batch_is_empty(batch, 9));
    assert_int_equal(batch->queued, 10); /* a broken frame moves no mark */
    assert_int_equal(batch->last_sequence, 10);
    writer_batch_format(batch, &call, keys, &expected);
    /* hiredis' own parser: the command is an array like any reply. */
    redisReader *reader = redisReaderCreate();
    void *reply = NULL;
    assert_int_equal(redisReaderFeed(reader, call.command.data, call.command.size), REDIS_OK);
    assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
    assert_non_null(reply);
    assert_int_equal(reply_count(reply), 3 + WRITER_BATCH_KEYS + 13 + 5 + 7);
    assert_int_equal(reader->pos, call.command.size); /* nothing is left over */
    freeReplyObject(reply);
    redisReaderFree(reader);
    writer_batch_destroy(batch);
    script_call_deinit(&call);
}

static void entries_of_every_form_are_told_apart(void **state)
{
    (void)state;
    struct reader_entries entries = {0};
    struct redisReply *reply =
        parse("*5\r\n"
              "*2\r\n$3\r\n5-1\r\n*4\r\n$4\r\ntype\r\n$4\r\nsync\r\n$1\r\nx\r\n$1\r\ny\r\n"
              "*2\r\n$3\r\n5-2\r\n$-1\r\n"
              "$-1\r\n"
              "*2\r\n$3\r\n5-3\r\n*1\r\n$4\r\ntype\r\n"
              ":7\r\n");
    reader_entries_parse(&entries, reply);
    assert_int_equal(entries.count, 2);
    assert_true(slice_equals(entries.items[0].type, SLICE("sync")));
    assert_int_equal(entries.items[1].type.size, 0); /* a name without a value */
    assert_int_equal(entries.deleted_count, 1);
    assert_true(slice_equals(entries.deleted[0], SLICE("5-2")));
    assert_int_equal(entries.lost, 2);
    struct redisReply *pending = parse("*3\r\n"
                                       "*4\r\n$3\r\n4-9\r\n$1\r\nc\r\n:1\r\n:9\r\n"
                                       "*4\r\n$3\r\n5-1\r\n$1\r\nc\r\n:1\r\n:1\r\n"
                                       "*4\r\n$3\r\n5-3\r\n$1\r\nc\r\n:1\r\n:4\r\n");
    reader_entries_note_deliveries(&entries, pending);
    assert_int_equal(entries.items[0].deliveries, 0);
    assert_int_equal(entries.items[1].deliveries, 3);
    reader_entries_parse(&entries, NULL);
    assert_int_equal(entries.count, 0);
    reader_entries_deinit(&entries);
    redis_free_reply(pending);
    redis_free_reply(reply);
}

static void a_stored_batch_lends_its_memory_to_the_next_and_nothing_else(void **state)
{
    const struct stream_event event = {.type = SLICE("commit"),
                                       .data = SLICE("{}"),
                                       .time = SLICE("2026-01-01T00:00:00Z"),
                                       .sequence = 5};
    (void)state;
    struct writer_queue queue;
    writer_queue_init(&queue, 1000, 1 << 20);
    struct writer_batch *first = writer_queue_open_batch(&queue, 4);
    char token[WRITER_TOKEN_SIZE];
    memcpy(token, first->token, sizeof(token));
    writer_batch_add_event(first, &event);
    writer_queue_note(&queue, writer_batch_bytes(first));
    first->counts[STREAM_COUNT_FILTERED] = 3;
    assert_ptr_equal(writer_queue_send(&queue), first);
    struct writer_batch *second = writer_queue_open_batch(&queue, 5); /* while the first is out */
    assert_ptr_not_equal(second, first);
    writer_queue_done(&queue);
    assert_ptr_equal(writer_queue_send(&queue), second);
    struct writer_batch *third = writer_queue_open_batch(&queue, 6);
    assert_ptr_equal(third, first);
    assert_true(writer_batch_is_empty(third, 6));
    assert_int_equal(writer_batch_bytes(third), 0);
    assert_string_not_equal(third->token, token);
    writer_queue_clear(&queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_command_is_formatted_as_resp_with_its_bytes_untouched),
        cmocka_unit_test(an_entry_id_goes_to_a_position_and_back),
        cmocka_unit_test(the_position_before_a_position_steps_back_over_the_epoch),
        cmocka_unit_test(looks_into_a_reply_of_another_form_give_the_empty_value),
        cmocka_unit_test(an_error_is_known_by_its_word_also_inside_a_script_s_message),
        cmocka_unit_test(a_reply_is_built_as_hiredis_would_build_it),
        cmocka_unit_test(a_reply_that_never_ends_goes_with_its_reader),
        cmocka_unit_test(a_kept_reply_leaves_hiredis_nothing_to_free),
        cmocka_unit_test(each_script_has_the_sha1_that_redis_names_it_by),
        cmocka_unit_test(a_batch_announces_exactly_the_arguments_that_it_carries),
        cmocka_unit_test(entries_of_every_form_are_told_apart),
        cmocka_unit_test(a_stored_batch_lends_its_memory_to_the_next_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
