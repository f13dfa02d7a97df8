/* A record inside a commit that is right in all else: hash, CAR, ops. Bytes alone would never get past the hashes. */
#include "fuzz/fuzz.h"
#include "fuzz/json_walk.h"

#include "atproto/entry.h"
#include "atproto/frame.h"
#include "unit/atproto/cbor_writer.h"

static void put_commit(struct buffer *frame, struct slice record)
{
    struct buffer car = {0};
    char cid[CID_SIZE];
    struct slice link = make_cid(record, cid);
    car_begin(&car, link);
    car_add(&car, link, record);
    const struct op_spec ops[] = {{"create", "app.bsky.feed.post/3kdgeujwlq32y", link}};
    const struct commit_spec spec = {.ops = ops, .op_count = 1, .blocks = buffer_slice(&car)};
    put_commit_frame(frame, &spec);
    buffer_deinit(&car);
}

/* Whatever the record is made of, the commit is kept, and says why where JSON cannot hold it. */
static void check(const struct frame_event *event)
{
    struct arena arena = {0};
    struct event read;
    char reason[ENTRY_REASON_SIZE];
    const struct entry entry = {.id = {.epoch = 1, .sequence = event->sequence},
                                .type = SLICE("commit"),
                                .data = event->data,
                                .sequence = SLICE("7"),
                                .time = event->time,
                                .rev = event->rev};
    FUZZ_HOLDS(event->type == FRAME_COMMIT && event->ops == 1);
    FUZZ_HOLDS(json_is_one_value(event->data, &arena));
    FUZZ_HOLDS(entry_parse(&entry, &arena, &read, reason) == PARSE_DONE);
    FUZZ_HOLDS(read.op_count == 1 && read.ops[0].record.size > 0);
    FUZZ_HOLDS((event->invalid_ops == 1) == (read.ops[0].invalid.size > 0));
    arena_deinit(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct frame_decoder *decoder;
    struct frame_event event = {0};
    struct frame_fault fault = {0};
    struct buffer frame = {0};
    if (decoder == NULL) {
        decoder = frame_decoder_create(&(struct frame_decoder_options){.verify_blocks = true});
    }
    put_commit(&frame, slice_of(data, size));
    FUZZ_HOLDS(frame_decoder_decode(decoder, buffer_slice(&frame), &event, &fault) == PARSE_DONE);
    check(&event);
    buffer_deinit(&frame);
    return 0;
}
