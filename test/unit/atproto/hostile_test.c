#include "unit/test.h"

#include <stdlib.h>

#include "atproto/frame.h"
#include "atproto/json.h"
#include "base/panic.h"
#include "unit/atproto/cbor_writer.h"

/* One commit with a post, a nested record and a delete: what most of the code has to read. */
static void put_rich_frame(struct buffer *frame)
{
    struct buffer block = {0};
    struct buffer car = {0};
    char cid[CID_SIZE];
    cbor_put_hex(&block, "a4");
    cbor_put_text(&block, "a");
    cbor_put_hex(&block, "8301fb3ff8000000000000a1616220");
    cbor_put_text(&block, "b");
    cbor_put_bytes(&block, SLICE("bytes"));
    cbor_put_text(&block, "ref");
    cbor_put_link(&block, make_cid(SLICE("blob"), cid));
    cbor_put_text(&block, "text");
    cbor_put_text(&block, "caf\xc3\xa9 \"\n");
    struct slice link = make_cid(buffer_slice(&block), cid);
    car_begin(&car, link);
    car_add(&car, link, buffer_slice(&block));
    struct op_spec ops[] = {{"create", "app.bsky.feed.post/a", link},
                            {"delete", "app.bsky.feed.post/b", {0}}};
    struct commit_spec spec = {
        .ops = ops, .op_count = 2, .blocks = buffer_slice(&car), .has_prev_data = true};
    put_commit_frame(frame, &spec);
    buffer_deinit(&block);
    buffer_deinit(&car);
}

/* Decodes a heap copy of the exact size, so that the sanitizer sees a read past its end. */
static enum parse_result decode_copy(struct frame_decoder *decoder, struct slice frame,
                                     struct frame_fault *fault)
{
    struct frame_event event;
    char *copy = memory_allocate(frame.size > 0 ? frame.size : 1);
    if (frame.size > 0) {
        memcpy(copy, frame.data, frame.size);
    }
    enum parse_result result =
        frame_decoder_decode(decoder, slice_of(copy, frame.size), &event, fault);
    free(copy);
    return result;
}

static void every_prefix_of_a_valid_frame_is_bad(void **state)
{
    (void)state;
    struct frame_decoder *decoder =
        frame_decoder_create(&(struct frame_decoder_options){.verify_blocks = true});
    struct buffer frame = {0};
    struct frame_fault fault;
    put_rich_frame(&frame);
    for (size_t size = 0; size < frame.size; size++) {
        assert_int_equal(decode_copy(decoder, slice_of(frame.data, size), &fault), PARSE_BAD);
    }
    assert_int_equal(decode_copy(decoder, buffer_slice(&frame), &fault), PARSE_DONE);
    buffer_deinit(&frame);
    frame_decoder_destroy(decoder);
}

static void no_single_changed_byte_crashes(void **state)
{
    (void)state;
    struct frame_decoder *decoder =
        frame_decoder_create(&(struct frame_decoder_options){.verify_blocks = false});
    struct buffer frame = {0};
    struct frame_fault fault;
    put_rich_frame(&frame);
    for (size_t at = 0; at < frame.size; at++) {
        char original = frame.data[at];
        for (int value = 0; value < 256; value++) {
            frame.data[at] = (char)value;
            enum parse_result result = decode_copy(decoder, buffer_slice(&frame), &fault);
            assert_true(result == PARSE_DONE || result == PARSE_BAD);
        }
        frame.data[at] = original;
    }
    buffer_deinit(&frame);
    frame_decoder_destroy(decoder);
}

static void a_record_cut_anywhere_is_null_and_flagged(void **state)
{
    (void)state;
    struct buffer block = {0};
    struct buffer out = {0};
    struct dag_stack stack = {0};
    cbor_put_hex(&block, "a26161830119ffff1b0020000000000000");
    cbor_put_text(&block, "bb");
    cbor_put_hex(&block, "d82a4700015500026869");
    for (size_t size = 0; size < block.size; size++) {
        buffer_clear(&out);
        uint32_t breaks = json_append_record(&out, slice_of(block.data, size), &stack);
        assert_int_equal(invalid_first(breaks), INVALID_TRUNCATED);
        assert_memory_equal(out.data, "null", 4);
        assert_int_equal(out.size, 4);
    }
    buffer_clear(&out);
    assert_int_equal(json_append_record(&out, buffer_slice(&block), &stack),
                     invalid_bit(INVALID_LARGE_INTEGER));
    dag_stack_deinit(&stack);
    buffer_deinit(&block);
    buffer_deinit(&out);
}

static void random_records_never_crash(void **state)
{
    (void)state;
    struct buffer out = {0};
    struct dag_stack stack = {0};
    uint64_t random = 1;
    for (int round = 0; round < 20000; round++) {
        char bytes[48];
        for (size_t i = 0; i < sizeof(bytes); i++) {
            random = random * UINT64_C(6364136223846793005) + 1442695040888963407U;
            bytes[i] = (char)(random >> 33);
        }
        char *copy = memory_allocate(sizeof(bytes));
        memcpy(copy, bytes, sizeof(bytes));
        copy[0] = (char)(0xa0 | (copy[0] & 7));
        buffer_clear(&out);
        (void)json_append_record(&out, slice_of(copy, sizeof(bytes)), &stack);
        assert_true(out.size > 0);
        free(copy);
    }
    dag_stack_deinit(&stack);
    buffer_deinit(&out);
}

/* Five bytes that claim 268 million items: libcbor's own tree would take 2 GB for them. */
static void a_five_byte_bomb_takes_no_memory(void **state)
{
    (void)state;
    struct buffer out = {0};
    struct dag_stack stack = {0};
    uint32_t breaks = json_append_record(&out, SLICE("\x9a\x10\x00\x00\x00"), &stack);
    assert_int_equal(invalid_first(breaks), INVALID_TRUNCATED);
    breaks = json_append_record(&out, SLICE("\xbb\xff\xff\xff\xff\xff\xff\xff\xff"), &stack);
    assert_int_equal(invalid_first(breaks), INVALID_TRUNCATED);
    breaks = json_append_record(&out, SLICE("\x7b\xff\xff\xff\xff\xff\xff\xff\xff"), &stack);
    assert_int_equal(invalid_first(breaks), INVALID_TRUNCATED);
    assert_int_equal(stack.capacity, 0);
    dag_stack_deinit(&stack);
    buffer_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_prefix_of_a_valid_frame_is_bad),
        cmocka_unit_test(no_single_changed_byte_crashes),
        cmocka_unit_test(a_record_cut_anywhere_is_null_and_flagged),
        cmocka_unit_test(random_records_never_crash),
        cmocka_unit_test(a_five_byte_bomb_takes_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
