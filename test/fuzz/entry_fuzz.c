/* An entry of the stream, written by whoever can reach Redis: five texts, apart by zero bytes. It is an event, or bad with
 * a reason; what an event says of its ops can be looked at. */
#include "fuzz/fuzz.h"

#include "atproto/entry.h"

static void check(const struct event *event)
{
    for (size_t i = 0; i < event->op_count; i++) {
        const struct event_op *op = &event->ops[i];
        struct slice collection;
        struct slice rkey;
        FUZZ_HOLDS(op->action <= OP_UNKNOWN);
        if (op->collection.size > 0) {
            FUZZ_HOLDS(entry_path_split(op->path, &collection, &rkey));
            FUZZ_HOLDS(slice_equals(collection, op->collection) && slice_equals(rkey, op->rkey));
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = fuzz_input_of(data, size);
    struct arena arena = {0};
    struct event event;
    char reason[ENTRY_REASON_SIZE] = "";
    struct entry entry = {.id = {.epoch = 1700000000000, .sequence = 7}};
    entry.type = fuzz_text(&input);
    entry.sequence = fuzz_text(&input);
    entry.time = fuzz_text(&input);
    entry.rev = fuzz_text(&input);
    entry.data = fuzz_rest(&input);
    if (entry_parse(&entry, &arena, &event, reason) == PARSE_DONE) {
        check(&event);
    } else {
        FUZZ_HOLDS(reason[0] != '\0');
    }
    arena_deinit(&arena);
    return 0;
}
