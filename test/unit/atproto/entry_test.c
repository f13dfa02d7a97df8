#include "unit/test.h"

#include "atproto/entry.h"
#include "base/buffer.h"

#define REV  "3n2yeirm73k2x"
#define TIME "2026-01-31T12:34:56.789Z"

struct fixture {
    struct arena arena;
    struct event event;
    char reason[ENTRY_REASON_SIZE];
};

static struct fixture fixture; /* one program, one test at a time */

static int tear_down(void **state)
{
    (void)state;
    arena_deinit(&fixture.arena);
    fixture = (struct fixture){0};
    return 0;
}

/* An entry of ours of this type and data. */
static struct entry our_entry(const char *type, struct slice data)
{
    return (struct entry){.id = {1700000000000, 7},
                          .type = slice_from_string(type),
                          .data = data,
                          .sequence = SLICE("7"),
                          .time = SLICE(TIME),
                          .rev = strcmp(type, "commit") == 0 ? SLICE(REV) : (struct slice){0}};
}

static enum parse_result parse(struct entry entry)
{
    return entry_parse(&entry, &fixture.arena, &fixture.event, fixture.reason);
}

static void assert_is(struct slice actual, const char *expected)
{
    if (!slice_equals(actual, slice_from_string(expected))) {
        fail_msg("[%.*s] is not [%s]", SLICE_ARGS(actual), expected);
    }
}

static void a_commit_gives_back_what_the_frame_said(void **state)
{
    (void)state;
    struct slice data = SLICE("{\"repo\":\"did:plc:abc\",\"ops\":["
                              "{\"action\":\"create\",\"path\":\"app.bsky.feed.post/a\",\"cid\":"
                              "\"bafy\",\"record\":{\"text\":\"\\u0000\"},\"cbor\":\"oWE\","
                              "\"invalid\":\"nul in text\"},"
                              "{\"action\":\"delete\",\"path\":\"app.bsky.feed.like/b\"}],"
                              "\"rev\":\"" REV "\",\"since\":null,\"commit\":\"bafyc\","
                              "\"prevData\":null,\"time\":\"" TIME "\",\"seq\":7}");
    assert_int_equal(parse(our_entry("commit", data)), PARSE_DONE);
    const struct event *event = &fixture.event;
    assert_int_equal(event->type, FRAME_COMMIT);
    assert_false(event->is_reference);
    assert_int_equal(event->position.epoch, 1700000000000);
    assert_int_equal(event->position.sequence, 7);
    assert_is(event->did, "did:plc:abc");
    assert_is(event->rev, REV);
    assert_is(event->time, TIME);
    assert_is(event->commit, "bafyc");
    assert_int_equal(event->op_count, 2);
    assert_int_equal(event->ops[0].action, OP_CREATE);
    assert_is(event->ops[0].collection, "app.bsky.feed.post");
    assert_is(event->ops[0].rkey, "a");
    assert_is(event->ops[0].cid, "bafy");
    assert_is(event->ops[0].record, "{\"text\":\"\\u0000\"}");
    assert_is(event->ops[0].cbor, "oWE");
    assert_is(event->ops[0].invalid, "nul in text");
    assert_int_equal(event->ops[1].action, OP_DELETE);
    assert_int_equal(event->ops[1].record.size, 0);
}

static void an_op_that_cannot_be_applied_stays_among_the_ops(void **state)
{
    (void)state;
    struct slice data =
        SLICE("{\"repo\":\"did:plc:abc\",\"rev\":\"" REV "\",\"ops\":["
              "{\"action\":\"create\",\"path\":\"no\\\"path\\n\",\"cid\":null,\"record\":null,"
              "\"invalid\":\"bad path\"},"
              "{\"action\":\"rename\",\"path\":\"a.b.c/d\",\"invalid\":\"unknown action\"}]}");
    assert_int_equal(parse(our_entry("commit", data)), PARSE_DONE);
    const struct event_op *ops = fixture.event.ops;
    assert_int_equal(ops[0].collection.size, 0);
    assert_int_equal(ops[0].rkey.size, 0);
    assert_is(ops[0].path, "no\"path\n");
    assert_is(ops[0].record, "null");
    assert_int_equal(ops[0].cid.size, 0);
    assert_int_equal(ops[1].action, OP_UNKNOWN);
    assert_is(ops[1].record, "null");
}

static void identity_account_and_sync_are_read(void **state)
{
    (void)state;
    assert_int_equal(
        parse(our_entry("identity", SLICE("{\"did\":\"did:plc:abc\",\"handle\":"
                                          "\"did:plc:abc\",\"time\":\"" TIME "\",\"seq\":7}"))),
        PARSE_DONE);
    assert_int_equal(fixture.event.handle.size, 0);
    assert_int_equal(parse(our_entry("identity", SLICE("{\"did\":\"did:plc:abc\",\"handle\":"
                                                       "\"jan.test\"}"))),
                     PARSE_DONE);
    assert_is(fixture.event.handle, "jan.test");
    assert_is(fixture.event.time, TIME);
    assert_int_equal(parse(our_entry("account", SLICE("{\"did\":\"did:plc:abc\",\"active\":false,"
                                                      "\"status\":\"deleted\"}"))),
                     PARSE_DONE);
    assert_false(fixture.event.active);
    assert_is(fixture.event.status, "deleted");
    assert_int_equal(parse(our_entry("account", SLICE("{\"did\":\"did:plc:abc\",\"active\":true,"
                                                      "\"status\":null}"))),
                     PARSE_DONE);
    assert_true(fixture.event.active);
    assert_int_equal(fixture.event.status.size, 0);
    assert_int_equal(
        parse(our_entry("sync", SLICE("{\"did\":\"did:plc:abc\",\"rev\":\"" REV "\"}"))),
        PARSE_DONE);
    assert_is(fixture.event.rev, REV);
}

static struct entry reference_entry(const char *type, struct slice data, const char *sequence)
{
    return (struct entry){.id = {1700000000000, 3},
                          .type = slice_from_string(type),
                          .data = data,
                          .sequence = slice_from_string(sequence)};
}

static void an_entry_of_three_fields_is_the_reference_systems(void **state)
{
    (void)state;
    struct slice data = SLICE("{\"repo\": \"did:plc:abc\", \"ops\": [ {\"record\" : {\"a\": [1, "
                              "2]} , \"path\": \"a.b.c/d\", \"action\":\"update\"} ] } \n");
    assert_int_equal(parse(reference_entry("commit", data, "12345")), PARSE_DONE);
    assert_true(fixture.event.is_reference);
    assert_int_equal(fixture.event.position.epoch, 0);
    assert_int_equal(fixture.event.position.sequence, 12345);
    assert_int_equal(fixture.event.rev.size, 0);
    assert_int_equal(fixture.event.time.size, 0);
    assert_is(fixture.event.ops[0].record, "{\"a\": [1, 2]}");
    assert_int_equal(fixture.event.ops[0].action, OP_UPDATE);
}

static void a_reference_entry_without_a_sequence_stands_where_it_arrived(void **state)
{
    (void)state;
    assert_int_equal(
        parse(reference_entry("identity", SLICE("{\"did\":\"did:plc:abc\",\"handle\":null}"), "")),
        PARSE_DONE);
    assert_true(fixture.event.is_reference);
    assert_int_equal(fixture.event.position.epoch, 1700000000000);
    assert_int_equal(fixture.event.position.sequence, 3);
}

static void refuses(struct entry entry, const char *reason)
{
    assert_int_equal(parse(entry), PARSE_BAD);
    assert_string_equal(fixture.reason, reason);
}

static void what_is_neither_ours_nor_the_reference_systems_is_refused_in_words(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        struct slice data;
        const char *reason;
    } cases[] = {
        {"", SLICE("{}"), "type is not commit, identity, account or sync"},
        {"info", SLICE("{}"), "type is not commit, identity, account or sync"},
        {"commit", SLICE(""), "data is empty"},
        {"commit", SLICE("\xff"), "data is not UTF-8"},
        {"commit", SLICE("[]"), "data is not as expected: expected an object"},
        {"commit", SLICE("{} x"), "data goes on after its object"},
        {"commit", SLICE("{}"), "repo is not a DID"},
        {"commit", SLICE("{\"repo\":\"did:plc:abc\"}"), "ops is missing"},
        {"commit", SLICE("{\"repo\":1}"), "data is not as expected: expected a string"},
        {"commit", SLICE("{\"ops\":[{}]}"),
         "data is not as expected: an op without action or path"},
        {"commit", SLICE("{\"ops\":{}}"), "data is not as expected: expected an array"},
        {"commit", SLICE("{\"ops\":[],\"ops\":[]}"),
         "data is not as expected: a key is there twice"},
        {"commit", SLICE("{\"repo\":\"did:plc:abc\",\"ops\":[],\"rev\":\"x\"}"),
         "rev is not a TID"},
        {"account", SLICE("{\"did\":\"did:plc:abc\"}"), "active is missing"},
        {"identity", SLICE("{\"did\":\"did:plc:abc\",\"time\":\"now\"}"), "time is not a datetime"},
        {"identity", SLICE("{\"did\":\"did:plc:\\ud800\"}"),
         "data is not as expected: half a surrogate pair"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        refuses(our_entry(cases[i].type, cases[i].data), cases[i].reason);
    }
    struct entry entry = our_entry("identity", SLICE("{\"did\":\"did:plc:abc\"}"));
    entry.sequence = SLICE("9007199254740992");
    refuses(entry, "seq is not a number up to 2^53-1");
    entry.sequence = SLICE("");
    refuses(entry, "seq is empty");
}

static void a_record_may_nest_as_deep_as_it_likes(void **state)
{
    (void)state;
    enum {
        DEPTH = 100 * 1000
    };
    struct buffer data = {0};
    buffer_append_string(&data, "{\"repo\":\"did:plc:abc\",\"ops\":[{\"action\":\"create\","
                                "\"path\":\"a.b.c/d\",\"record\":");
    size_t before = data.size;
    for (int i = 0; i < DEPTH; i++) {
        buffer_append_string(&data, i % 3 == 0 ? "{\"a\":" : "[");
    }
    buffer_append_byte(&data, '1');
    for (int i = DEPTH; i-- > 0;) {
        buffer_append_byte(&data, i % 3 == 0 ? '}' : ']');
    }
    size_t record_size = data.size - before;
    buffer_append_string(&data, "}],\"rev\":\"" REV "\"}");
    assert_int_equal(parse(our_entry("commit", buffer_slice(&data))), PARSE_DONE);
    assert_int_equal(fixture.event.ops[0].record.size, record_size);
    data.data[before + record_size - 1] = ']'; /* where a brace has to be */
    assert_int_equal(parse(our_entry("commit", buffer_slice(&data))), PARSE_BAD);
    buffer_deinit(&data);
}

static void every_prefix_of_data_is_refused(void **state)
{
    (void)state;
    struct slice data = SLICE("{\"repo\":\"did:plc:abc\",\"ops\":[{\"action\":\"create\",\"path\":"
                              "\"a.b.c/d\",\"record\":{\"a\":[-1.5e+3,true,\"\\u00e9\"]}}],"
                              "\"rev\":\"" REV "\"}");
    assert_int_equal(parse(our_entry("commit", data)), PARSE_DONE);
    for (size_t size = 0; size < data.size; size++) {
        struct slice copy = arena_copy(&fixture.arena, slice_of(data.data, size));
        assert_int_equal(parse(our_entry("commit", copy)), PARSE_BAD);
    }
}

static void positions_are_compared_by_epoch_first(void **state)
{
    (void)state;
    assert_true(position_compare((struct position){1, 9}, (struct position){2, 1}) < 0);
    assert_true(position_compare((struct position){2, 9}, (struct position){2, 1}) > 0);
    assert_int_equal(position_compare((struct position){2, 1}, (struct position){2, 1}), 0);
}

#define TEST(name) cmocka_unit_test_teardown(name, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_commit_gives_back_what_the_frame_said),
        TEST(an_op_that_cannot_be_applied_stays_among_the_ops),
        TEST(identity_account_and_sync_are_read),
        TEST(an_entry_of_three_fields_is_the_reference_systems),
        TEST(a_reference_entry_without_a_sequence_stands_where_it_arrived),
        TEST(what_is_neither_ours_nor_the_reference_systems_is_refused_in_words),
        TEST(a_record_may_nest_as_deep_as_it_likes),
        TEST(every_prefix_of_data_is_refused),
        TEST(positions_are_compared_by_epoch_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
