/* Bytes of a relay: any frame is an event or a fault with a reason, and an event is what the sink can read. */
#include "fuzz/fuzz.h"
#include "fuzz/json_walk.h"

#include "atproto/entry.h"
#include "atproto/frame.h"

static void check_event(const struct frame_event *event)
{
    struct arena arena = {0};
    char reason[ENTRY_REASON_SIZE];
    char sequence[24];
    struct event read;
    int size = snprintf(sequence, sizeof(sequence), "%lld", (long long)event->sequence);
    const struct entry entry = {.id = {.epoch = 1, .sequence = event->sequence},
                                .type = slice_from_string(frame_type_name(event->type)),
                                .data = event->data,
                                .sequence = slice_of(sequence, (size_t)size),
                                .time = event->time,
                                .rev = event->rev};
    FUZZ_HOLDS(json_is_one_value(event->data, &arena));
    FUZZ_HOLDS(entry_parse(&entry, &arena, &read, reason) == PARSE_DONE);
    FUZZ_HOLDS(slice_equals(read.did, event->did));
    FUZZ_HOLDS(read.op_count == event->ops);
    arena_deinit(&arena);
}

static void decode(struct frame_decoder *decoder, struct slice frame)
{
    struct frame_event event = {0};
    struct frame_fault fault = {0};
    if (frame_decoder_decode(decoder, frame, &event, &fault) == PARSE_DONE) {
        if (event.data.size > 0) {
            check_event(&event);
        }
    } else {
        FUZZ_HOLDS(fault.reason < FRAME_FAULT_COUNT && fault.text[0] != '\0');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct frame_decoder *decoders[2];
    if (decoders[0] == NULL) {
        static const char *const patterns[] = {"app.bsky.feed.*"};
        decoders[0] = frame_decoder_create(&(struct frame_decoder_options){.verify_blocks = true});
        decoders[1] = frame_decoder_create(
            &(struct frame_decoder_options){.filter = {.patterns = patterns, .count = 1}});
    }
    decode(decoders[0], slice_of(data, size));
    decode(decoders[1], slice_of(data, size));
    return 0;
}
