#include "unit/test.h"

#include <stdlib.h>

#include "atproto/frame.h"
#include "base/panic.h"
#include "unit/atproto/cbor_writer.h"

/* What put_commit_frame() says where it is told nothing; the CID is that of the bytes `commit`. */
#define COMMIT_TAIL                                                                                \
    ",\"commit\":\"bafyreievaxfmw7drb3ixcjp4y3ftm2pi3xfgzdgyv5vdd5vtzvsgatbqta\",\"prevData\":"    \
    "null,"                                                                                        \
    "\"time\":\"2026-01-31T12:34:56.789Z\",\"seq\":7}"

struct fixture {
    struct frame_decoder *decoder;
    struct buffer frame;
    struct buffer car;
    struct buffer block;
    struct frame_event event;
    struct frame_fault fault;
    char cid[CID_SIZE];
};

static int set_up(void **state)
{
    struct fixture *fixture = memory_allocate(sizeof(*fixture));
    struct frame_decoder_options options = {.verify_blocks = true};
    fixture->decoder = frame_decoder_create(&options);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    frame_decoder_destroy(fixture->decoder);
    buffer_deinit(&fixture->frame);
    buffer_deinit(&fixture->car);
    buffer_deinit(&fixture->block);
    free(fixture);
    return 0;
}

static enum parse_result decode(struct fixture *fixture, struct slice frame)
{
    return frame_decoder_decode(fixture->decoder, frame, &fixture->event, &fixture->fault);
}

static enum parse_result decode_frame(struct fixture *fixture)
{
    return decode(fixture, buffer_slice(&fixture->frame));
}

static void assert_text(struct slice actual, const char *expected)
{
    char *copy = memory_allocate(actual.size + 1);
    if (actual.size > 0) {
        memcpy(copy, actual.data, actual.size);
    }
    assert_string_equal(copy, expected);
    free(copy);
}

static void assert_contains(struct slice text, const char *part)
{
    if (memmem(text.data, text.size, part, strlen(part)) == NULL) {
        fail_msg("no %s in %.*s", part, SLICE_ARGS(text));
    }
}

/* {"text":"hi","$type":"app.bsky.feed.post"} as the block, and a CAR with it. */
static void make_post(struct fixture *fixture)
{
    cbor_put_head(&fixture->block, 5, 2);
    cbor_put_text(&fixture->block, "text");
    cbor_put_text(&fixture->block, "hi");
    cbor_put_text(&fixture->block, "$type");
    cbor_put_text(&fixture->block, "app.bsky.feed.post");
    struct slice cid = make_cid(buffer_slice(&fixture->block), fixture->cid);
    car_begin(&fixture->car, cid);
    car_add(&fixture->car, cid, buffer_slice(&fixture->block));
}

/* A commit frame with one op, whose block is what `fixture->block` and `car` hold. */
static void put_one_op(struct fixture *fixture, const char *action, const char *path)
{
    struct op_spec op = {action, path, slice_of(fixture->cid, CID_SIZE)};
    struct commit_spec spec = {.ops = &op, .op_count = 1, .blocks = buffer_slice(&fixture->car)};
    put_commit_frame(&fixture->frame, &spec);
}

static void a_commit_becomes_the_json_of_the_contract_key_by_key(void **state)
{
    struct fixture *fixture = *state;
    make_post(fixture);
    put_one_op(fixture, "create", "app.bsky.feed.post/3jui7kd54zh2y");
    assert_int_equal(decode_frame(fixture), PARSE_DONE);
    assert_int_equal(fixture->event.type, FRAME_COMMIT);
    assert_int_equal(fixture->event.sequence, 7);
    assert_int_equal(fixture->event.ops, 1);
    assert_int_equal(fixture->event.invalid_ops, 0);
    assert_text(fixture->event.did, "did:plc:abc");
    assert_text(fixture->event.rev, "3n2yeirm73k2x");
    assert_text(fixture->event.time, "2026-01-31T12:34:56.789Z");
    struct buffer expected = {0};
    buffer_append_string(&expected, "{\"repo\":\"did:plc:abc\",\"ops\":[{\"action\":\"create\","
                                    "\"path\":\"app.bsky.feed.post/3jui7kd54zh2y\",\"cid\":\"");
    cid_append_text(&expected, slice_of(fixture->cid, CID_SIZE));
    buffer_append_string(&expected,
                         "\",\"record\":{\"text\":\"hi\",\"$type\":\"app.bsky.feed.post\"}}],"
                         "\"rev\":\"3n2yeirm73k2x\",\"since\":null" COMMIT_TAIL);
    assert_true(slice_equals(fixture->event.data, buffer_slice(&expected)));
    buffer_deinit(&expected);
}

static void since_and_prev_data_are_told_where_they_were_sent(void **state)
{
    struct fixture *fixture = *state;
    struct commit_spec spec = {.since = "3n2yeirm73k2w", .has_prev_data = true};
    put_commit_frame(&fixture->frame, &spec);
    assert_int_equal(decode_frame(fixture), PARSE_DONE);
    assert_contains(fixture->event.data, "\"since\":\"3n2yeirm73k2w\",\"commit\":\"bafyrei");
    assert_contains(fixture->event.data, "\"prevData\":\"bafyrei");
}

static void a_delete_has_action_and_path_and_nothing_else(void **state)
{
    struct fixture *fixture = *state;
    struct op_spec op = {"delete", "app.bsky.feed.like/abc", {0}};
    struct commit_spec spec = {.ops = &op, .op_count = 1};
    put_commit_frame(&fixture->frame, &spec);
    assert_int_equal(decode_frame(fixture), PARSE_DONE);
    assert_contains(fixture->event.data,
                    "[{\"action\":\"delete\",\"path\":\"app.bsky.feed.like/abc\"}]");
}

static void a_commit_with_a_missing_block_keeps_the_op_and_says_so(void **state)
{
    struct fixture *fixture = *state;
    make_post(fixture);
    buffer_clear(&fixture->car);
    car_begin(&fixture->car, slice_of(fixture->cid, CID_SIZE));
    put_one_op(fixture, "update", "app.bsky.feed.post/a");
    assert_int_equal(decode_frame(fixture), PARSE_DONE);
    assert_int_equal(fixture->event.invalid_ops, 1);
    assert_contains(fixture->event.data, "\",\"record\":null,\"invalid\":\"missing block\"}]");
}

static void a_too_big_commit_without_blocks_keeps_its_ops(void **state)
{
    struct fixture *fixture = *state;
    struct op_spec op = {"create", "app.bsky.feed.post/a", {0}};
    struct commit_spec spec = {.ops = &op, .op_count = 1, .leaves_out_blocks = true};
    put_commit_frame(&fixture->frame, &spec);
    assert_int_equal(decode_frame(fixture), PARSE_DONE);
    assert_contains(fixture->event.data,
                    "\"cid\":null,\"record\":null,\"invalid\":\"missing block\"}]");
}

static void a_bad_path_is_flagged_and_its_sibling_is_not(void **state)
{
    struct fixture *fixture = *state;
    make_post(fixture);
    struct slice cid = slice_of(fixture->cid, CID_SIZE);
    struct op_spec ops[] = {{"create", "no\"nsid/\n", cid},
                            {"delete", "app.bsky.feed.post/a/b", {0}},
                            {"create", "Com.Example.UPPER/ok", cid}};
    struct commit_spec spec = {.ops = ops, .op_count = 3, .blocks = buffer_slice(&fixture->car)};
    put_commit_frame(&fixture->frame, &spec);
    assert_int_equal(decode_frame(fixture), PARSE_DONE);
    assert_int_equal(fixture->event.ops, 3);
    assert_int_equal(fixture->event.invalid_ops, 2);
    assert_contains(fixture->event.data, "\"path\":\"no\\\"nsid/\\n\",\"cid\":\"bafyrei");
    assert_contains(fixture->event.data, "\"app.bsky.feed.post\"},\"invalid\":\"bad path\"},");
    assert_contains(fixture->event.data,
                    "\"path\":\"app.bsky.feed.post/a/b\",\"invalid\":\"bad path\"},");
    assert_contains(fixture->event.data, "\"app.bsky.feed.post\"}}],\"rev\"");
}

static void an_unknown_action_is_kept_and_flagged(void **state)
{
    struct fixture *fixture = *state;
    make_post(fixture);
    put_one_op(fixture, "rename", "app.bsky.feed.post/a");
    assert_int_equal(decode_frame(fixture), PARSE_DONE);
    assert_contains(fixture->event.data, "{\"action\":\"rename\",");
    assert_contains(fixture->event.data, ",\"invalid\":\"unknown action\"}]");
}

static void a_record_that_json_cannot_say_travels_with_its_bytes(void **state)
{
    struct fixture *fixture = *state;
    cbor_put_hex(&fixture->block, "a161616100"); /* {"a": U+0000} */
    struct slice cid = make_cid(buffer_slice(&fixture->block), fixture->cid);
    car_begin(&fixture->car, cid);
    car_add(&fixture->car, cid, buffer_slice(&fixture->block));
    put_one_op(fixture, "create", "com.example.thing/a");
    assert_int_equal(decode_frame(fixture), PARSE_DONE);
    assert_int_equal(fixture->event.invalid_ops, 1);
    assert_contains(fixture->event.data, "\"record\":{\"a\":\"\\u0000\"},\"cbor\":\"oWFhYQA\","
                                         "\"invalid\":\"nul in text\"}]");
}

static void a_block_that_does_not_hash_to_its_cid_refuses_the_commit_with_its_sequence(void **state)
{
    struct fixture *fixture = *state;
    make_post(fixture);
    fixture->car.data[fixture->car.size - 1] ^= 1;
    put_one_op(fixture, "create", "app.bsky.feed.post/a");
    assert_int_equal(decode_frame(fixture), PARSE_BAD);
    assert_int_equal(fixture->fault.reason, FRAME_FAULT_BLOCK_HASH);
    assert_int_equal(fixture->fault.sequence, 7);
}

static void blocks_are_not_hashed_where_that_is_switched_off(void **state)
{
    struct fixture *fixture = *state;
    frame_decoder_destroy(fixture->decoder);
    struct frame_decoder_options options = {.verify_blocks = false};
    fixture->decoder = frame_decoder_create(&options);
    make_post(fixture);
    fixture->car.data[fixture->car.size - 1] = 'x';
    put_one_op(fixture, "create", "app.bsky.feed.post/a");
    assert_int_equal(decode_frame(fixture), PARSE_DONE);
    assert_contains(fixture->event.data, "\"app.bsky.feed.posx\"");
}

static void a_block_under_another_hash_is_passed_over(void **state)
{
    struct fixture *fixture = *state;
    make_post(fixture);
    car_add(&fixture->car, SLICE("\x01\x55\x00\x02hi"), SLICE("data"));
    put_one_op(fixture, "create", "app.bsky.feed.post/a");
    assert_int_equal(decode_frame(fixture), PARSE_DONE);
    assert_int_equal(fixture->event.invalid_ops, 0);
}

static void blocks_that_are_no_car_refuse_the_commit(void **state)
{
    struct fixture *fixture = *state;
    struct commit_spec spec = {.blocks = SLICE("\x05hello")};
    put_commit_frame(&fixture->frame, &spec);
    assert_int_equal(decode_frame(fixture), PARSE_BAD);
    assert_int_equal(fixture->fault.reason, FRAME_FAULT_CAR);
    assert_int_equal(fixture->fault.sequence, 7);
}

static void a_filter_leaves_out_other_collections_and_counts_them(void **state)
{
    struct fixture *fixture = *state;
    frame_decoder_destroy(fixture->decoder);
    const char *patterns[] = {"app.bsky.feed.*"};
    struct frame_decoder_options options = {.filter = {patterns, 1}};
    fixture->decoder = frame_decoder_create(&options);
    struct op_spec ops[] = {{"delete", "app.bsky.graph.follow/a", {0}},
                            {"delete", "app.bsky.feed.like/b", {0}},
                            {"delete", "nonsense", {0}}};
    struct commit_spec spec = {.ops = ops, .op_count = 3};
    put_commit_frame(&fixture->frame, &spec);
    assert_int_equal(decode_frame(fixture), PARSE_DONE);
    assert_int_equal(fixture->event.ops, 1);
    assert_int_equal(fixture->event.filtered_ops, 2);
    assert_contains(fixture->event.data,
                    "\"ops\":[{\"action\":\"delete\",\"path\":\"app.bsky.feed.like/b\"}],");
    size_t index = 0;
    struct slice collection;
    assert_true(frame_decoder_next_collection(fixture->decoder, &index, &collection));
    assert_true(slice_equals(collection, SLICE("app.bsky.feed.like")));
    assert_false(frame_decoder_next_collection(fixture->decoder, &index, &collection));
}

static void refuses_field(struct fixture *fixture, const struct commit_spec *spec, const char *name)
{
    buffer_clear(&fixture->frame);
    put_commit_frame(&fixture->frame, spec);
    assert_int_equal(decode_frame(fixture), PARSE_BAD);
    assert_int_equal(fixture->fault.reason, FRAME_FAULT_FIELD);
    assert_contains(slice_from_string(fixture->fault.text), name);
}

static void a_field_of_wrong_syntax_is_named(void **state)
{
    struct fixture *fixture = *state;
    refuses_field(fixture, &(struct commit_spec){.rev = "3n2yeirm73k2"}, "rev is wrong");
    refuses_field(fixture, &(struct commit_spec){.repo = "did:PLC:abc"}, "repo is wrong");
    refuses_field(fixture, &(struct commit_spec){.time = "yesterday"}, "time is wrong");
    refuses_field(fixture, &(struct commit_spec){.time = "0000-01-01T00:00:00Z"}, "time is wrong");
    refuses_field(fixture, &(struct commit_spec){.sequence = UINT64_C(1) << 53}, "seq is wrong");
    assert_int_equal(fixture->fault.sequence, 0);
}

static void the_largest_sequence_passes(void **state)
{
    struct fixture *fixture = *state;
    struct commit_spec spec = {.sequence = (UINT64_C(1) << 53) - 1};
    put_commit_frame(&fixture->frame, &spec);
    assert_int_equal(decode_frame(fixture), PARSE_DONE);
    assert_contains(fixture->event.data, "\"seq\":9007199254740991}");
}

/* {did, seq, time} and one more field, whose key and value are `extra`. */
static void put_did_frame(struct fixture *fixture, const char *type, struct slice extra)
{
    buffer_clear(&fixture->frame);
    put_frame_head(&fixture->frame, type);
    cbor_put_head(&fixture->frame, 5, extra.size > 0 ? 4 : 3);
    cbor_put_text(&fixture->frame, "did");
    cbor_put_text(&fixture->frame, "did:web:example.com");
    cbor_put_text(&fixture->frame, "seq");
    cbor_put_head(&fixture->frame, 0, 8);
    cbor_put_text(&fixture->frame, "time");
    cbor_put_text(&fixture->frame, "2026-01-31T12:34:56Z");
    buffer_append_slice(&fixture->frame, extra);
}

static void an_identity_without_a_handle_has_the_did_there(void **state)
{
    struct fixture *fixture = *state;
    put_did_frame(fixture, "#identity", (struct slice){0});
    assert_int_equal(decode_frame(fixture), PARSE_DONE);
    assert_int_equal(fixture->event.type, FRAME_IDENTITY);
    assert_text(fixture->event.data,
                "{\"did\":\"did:web:example.com\",\"handle\":\"did:web:example.com\","
                "\"time\":\"2026-01-31T12:34:56Z\",\"seq\":8}");
}

static void an_identity_tells_its_handle_and_refuses_what_is_none(void **state)
{
    struct fixture *fixture = *state;
    put_did_frame(fixture, "#identity",
                  SLICE("\x66handle\x68"
                        "jan.test"));
    assert_int_equal(decode_frame(fixture), PARSE_DONE);
    assert_contains(fixture->event.data, "\"handle\":\"jan.test\",");
    put_did_frame(fixture, "#identity", SLICE("\x66handle\x64j\0hn"));
    assert_int_equal(decode_frame(fixture), PARSE_BAD);
    assert_contains(slice_from_string(fixture->fault.text), "handle is wrong");
    assert_int_equal(fixture->fault.sequence, 8);
}

static void an_account_says_null_where_it_has_no_status(void **state)
{
    struct fixture *fixture = *state;
    put_did_frame(fixture, "#account",
                  SLICE("\x66"
                        "active\xf5"));
    assert_int_equal(decode_frame(fixture), PARSE_DONE);
    assert_text(fixture->event.data,
                "{\"did\":\"did:web:example.com\",\"active\":true,"
                "\"status\":null,\"time\":\"2026-01-31T12:34:56Z\",\"seq\":8}");
}

static void an_account_without_active_is_refused_by_name(void **state)
{
    struct fixture *fixture = *state;
    put_did_frame(fixture, "#account",
                  SLICE("\x66status\x67"
                        "deleted"));
    assert_int_equal(decode_frame(fixture), PARSE_BAD);
    assert_string_equal(fixture->fault.text, "account: active is missing, expected true or false");
}

static void a_sync_has_did_rev_time_and_seq(void **state)
{
    struct fixture *fixture = *state;
    put_frame_head(&fixture->frame, "#sync");
    cbor_put_head(&fixture->frame, 5, 5);
    cbor_put_text(&fixture->frame, "did");
    cbor_put_text(&fixture->frame, "did:plc:abc");
    cbor_put_text(&fixture->frame, "rev");
    cbor_put_text(&fixture->frame, "3n2yeirm73k2x");
    cbor_put_text(&fixture->frame, "seq");
    cbor_put_head(&fixture->frame, 0, 9);
    cbor_put_text(&fixture->frame, "time");
    cbor_put_text(&fixture->frame, "2026-01-31T12:34:56Z");
    cbor_put_text(&fixture->frame, "blocks");
    cbor_put_bytes(&fixture->frame, SLICE("not looked at"));
    assert_int_equal(decode_frame(fixture), PARSE_DONE);
    assert_text(fixture->event.data, "{\"did\":\"did:plc:abc\",\"rev\":\"3n2yeirm73k2x\","
                                     "\"time\":\"2026-01-31T12:34:56Z\",\"seq\":9}");
}

static void an_error_frame_needs_no_t_and_tells_its_name(void **state)
{
    struct fixture *fixture = *state;
    struct slice frame = SLICE("\xa1\x62op\x20\xa1\x65"
                               "error\x6f"
                               "ConsumerTooSlow");
    assert_int_equal(decode(fixture, frame), PARSE_DONE);
    assert_int_equal(fixture->event.type, FRAME_ERROR);
    assert_text(fixture->event.name, "ConsumerTooSlow");
    assert_int_equal(fixture->event.message.size, 0);
    assert_int_equal(fixture->event.data.size, 0);
}

static void an_info_frame_has_no_sequence(void **state)
{
    struct fixture *fixture = *state;
    put_frame_head(&fixture->frame, "#info");
    cbor_put_head(&fixture->frame, 5, 2);
    cbor_put_text(&fixture->frame, "name");
    cbor_put_text(&fixture->frame, "OutdatedCursor");
    cbor_put_text(&fixture->frame, "message");
    cbor_put_text(&fixture->frame, "too old");
    assert_int_equal(decode_frame(fixture), PARSE_DONE);
    assert_int_equal(fixture->event.type, FRAME_INFO);
    assert_int_equal(fixture->event.sequence, 0);
    assert_text(fixture->event.name, "OutdatedCursor");
    assert_text(fixture->event.message, "too old");
}

static void an_unknown_type_is_ignored_with_its_sequence(void **state)
{
    struct fixture *fixture = *state;
    put_did_frame(fixture, "#tombstone", (struct slice){0});
    assert_int_equal(decode_frame(fixture), PARSE_DONE);
    assert_int_equal(fixture->event.type, FRAME_IGNORED);
    assert_int_equal(fixture->event.sequence, 8);
    assert_text(fixture->event.name, "#tombstone");
    assert_int_equal(fixture->event.data.size, 0);
}

static void an_unknown_op_is_ignored(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(decode(fixture, SLICE("\xa1\x62op\x05\x80")), PARSE_DONE);
    assert_int_equal(fixture->event.type, FRAME_IGNORED);
    assert_int_equal(fixture->event.sequence, 0);
}

static void a_header_without_op_or_t_is_refused(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(decode(fixture, SLICE("\xa1\x62op\x01\xa0")), PARSE_BAD);
    assert_int_equal(fixture->fault.reason, FRAME_FAULT_HEADER);
    assert_int_equal(decode(fixture, SLICE("\xa1\x61t\x61x\xa0")), PARSE_BAD);
    assert_int_equal(fixture->fault.reason, FRAME_FAULT_HEADER);
    assert_int_equal(decode(fixture, SLICE("hello")), PARSE_BAD);
    assert_int_equal(fixture->fault.reason, FRAME_FAULT_HEADER);
    assert_int_equal(decode(fixture, (struct slice){0}), PARSE_BAD);
    assert_int_equal(fixture->fault.reason, FRAME_FAULT_EMPTY);
}

static void bytes_after_the_body_are_refused_with_the_sequence(void **state)
{
    struct fixture *fixture = *state;
    put_did_frame(fixture, "#identity", (struct slice){0});
    buffer_append_byte(&fixture->frame, '\0');
    assert_int_equal(decode_frame(fixture), PARSE_BAD);
    assert_int_equal(fixture->fault.reason, FRAME_FAULT_TRAILING);
    assert_int_equal(fixture->fault.sequence, 8);
}

static void a_frame_that_nests_too_deep_is_over_the_limit(void **state)
{
    struct fixture *fixture = *state;
    put_frame_head(&fixture->frame, "#strange");
    for (int i = 0; i < 32; i++) {
        cbor_put_head(&fixture->frame, 4, 1);
    }
    cbor_put_head(&fixture->frame, 0, 1);
    assert_int_equal(decode_frame(fixture), PARSE_DONE);
    buffer_clear(&fixture->frame);
    put_frame_head(&fixture->frame, "#strange");
    for (int i = 0; i < 33; i++) {
        cbor_put_head(&fixture->frame, 4, 1);
    }
    cbor_put_head(&fixture->frame, 0, 1);
    assert_int_equal(decode_frame(fixture), PARSE_BAD);
    assert_int_equal(fixture->fault.reason, FRAME_FAULT_LIMIT);
}

static void more_ops_than_the_bound_are_over_the_limit(void **state)
{
    struct fixture *fixture = *state;
    enum {
        COUNT = 4097
    };
    struct op_spec *ops = memory_allocate(COUNT * sizeof(*ops));
    for (int i = 0; i < COUNT; i++) {
        ops[i] = (struct op_spec){"delete", "app.bsky.feed.post/a", {0}};
    }
    struct commit_spec spec = {.ops = ops, .op_count = COUNT - 1};
    put_commit_frame(&fixture->frame, &spec);
    assert_int_equal(decode_frame(fixture), PARSE_DONE);
    assert_int_equal(fixture->event.ops, COUNT - 1);
    buffer_clear(&fixture->frame);
    spec.op_count = COUNT;
    put_commit_frame(&fixture->frame, &spec);
    assert_int_equal(decode_frame(fixture), PARSE_BAD);
    assert_int_equal(fixture->fault.reason, FRAME_FAULT_LIMIT);
    assert_int_equal(fixture->fault.sequence, 7);
    free(ops);
}

static void one_block_named_by_many_ops_cannot_fill_the_memory(void **state)
{
    struct fixture *fixture = *state;
    enum {
        COUNT = 2000,
        SIZE = 100 * 1000
    };
    struct op_spec *ops = memory_allocate(COUNT * sizeof(*ops));
    char *bytes = memory_allocate(SIZE);
    cbor_put_head(&fixture->block, 5, 1);
    cbor_put_text(&fixture->block, "a");
    cbor_put_bytes(&fixture->block, slice_of(bytes, SIZE));
    struct slice cid = make_cid(buffer_slice(&fixture->block), fixture->cid);
    car_begin(&fixture->car, cid);
    car_add(&fixture->car, cid, buffer_slice(&fixture->block));
    for (int i = 0; i < COUNT; i++) {
        ops[i] = (struct op_spec){"create", "app.bsky.feed.post/a", cid};
    }
    struct commit_spec spec = {
        .ops = ops, .op_count = COUNT, .blocks = buffer_slice(&fixture->car)};
    put_commit_frame(&fixture->frame, &spec);
    assert_int_equal(decode_frame(fixture), PARSE_BAD);
    assert_int_equal(fixture->fault.reason, FRAME_FAULT_LIMIT);
    free(bytes);
    free(ops);
}

static void every_reason_and_type_has_a_name(void **state)
{
    (void)state;
    for (int reason = 0; reason < FRAME_FAULT_COUNT; reason++) {
        assert_non_null(frame_fault_reason_name((enum frame_fault_reason)reason));
    }
    assert_string_equal(frame_fault_reason_name(FRAME_FAULT_BLOCK_HASH), "block_hash");
    assert_string_equal(frame_type_name(FRAME_IGNORED), "ignored");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_commit_becomes_the_json_of_the_contract_key_by_key),
        TEST(since_and_prev_data_are_told_where_they_were_sent),
        TEST(a_delete_has_action_and_path_and_nothing_else),
        TEST(a_commit_with_a_missing_block_keeps_the_op_and_says_so),
        TEST(a_too_big_commit_without_blocks_keeps_its_ops),
        TEST(a_bad_path_is_flagged_and_its_sibling_is_not),
        TEST(an_unknown_action_is_kept_and_flagged),
        TEST(a_record_that_json_cannot_say_travels_with_its_bytes),
        TEST(a_block_that_does_not_hash_to_its_cid_refuses_the_commit_with_its_sequence),
        TEST(blocks_are_not_hashed_where_that_is_switched_off),
        TEST(a_block_under_another_hash_is_passed_over),
        TEST(blocks_that_are_no_car_refuse_the_commit),
        TEST(a_filter_leaves_out_other_collections_and_counts_them),
        TEST(a_field_of_wrong_syntax_is_named),
        TEST(the_largest_sequence_passes),
        TEST(an_identity_without_a_handle_has_the_did_there),
        TEST(an_identity_tells_its_handle_and_refuses_what_is_none),
        TEST(an_account_says_null_where_it_has_no_status),
        TEST(an_account_without_active_is_refused_by_name),
        TEST(a_sync_has_did_rev_time_and_seq),
        TEST(an_error_frame_needs_no_t_and_tells_its_name),
        TEST(an_info_frame_has_no_sequence),
        TEST(an_unknown_type_is_ignored_with_its_sequence),
        TEST(an_unknown_op_is_ignored),
        TEST(a_header_without_op_or_t_is_refused),
        TEST(bytes_after_the_body_are_refused_with_the_sequence),
        TEST(a_frame_that_nests_too_deep_is_over_the_limit),
        TEST(more_ops_than_the_bound_are_over_the_limit),
        TEST(one_block_named_by_many_ops_cannot_fill_the_memory),
        TEST(every_reason_and_type_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
