#include "cli/dead_sink.h"

#include <stdio.h>

#include "atproto/frame.h"
#include "base/buffer.h"

static void refuse(struct dead_try *letter, const char *why, struct slice detail)
{
    (void)snprintf(letter->why, sizeof(letter->why), "%s%.*s", why, SLICE_ARGS(detail));
}

/* ---- what to apply ---- */

static void copy_event(struct dead_sink *sink, struct dead_try *letter,
                       const struct frame_event *event)
{
    struct buffer number = {0};
    bool has_rev = event->type == FRAME_COMMIT || event->type == FRAME_SYNC;
    buffer_append_int64(&number, event->sequence);
    letter->entry = (struct entry){
        .id = {.epoch = letter->position.epoch, .sequence = event->sequence},
        .type = slice_from_string(frame_type_name(event->type)),
        .data = arena_copy(&sink->arena, event->data),
        .sequence = arena_copy(&sink->arena, buffer_slice(&number)),
        .time = arena_copy(&sink->arena, event->time),
        .rev = has_rev ? arena_copy(&sink->arena, event->rev) : slice_of(NULL, 0),
    };
    buffer_deinit(&number);
}

/* True where there is an entry to submit. A frame that is good by now and says nothing that run would append (an
 * info frame, only unwanted collections) is applied as it is. */
static bool decode(struct dead_sink *sink, struct dead_try *letter)
{
    struct frame_event event;
    struct frame_fault fault;
    if (frame_decoder_decode(sink->decoder, letter->frame, &event, &fault) != PARSE_DONE) {
        refuse(letter, "the frame is still refused: ", slice_from_string(fault.text));
        return false;
    }
    bool is_event = event.type == FRAME_COMMIT || event.type == FRAME_IDENTITY ||
                    event.type == FRAME_ACCOUNT || event.type == FRAME_SYNC;
    letter->is_applied =
        !is_event || (event.type == FRAME_COMMIT && event.ops == 0 && event.filtered_ops > 0);
    if (!letter->is_applied) {
        copy_event(sink, letter, &event);
    }
    return !letter->is_applied;
}

/* Revision and time of ours stand in the data; the row's time only says that the entry is one of ours. */
static bool make_entry(struct dead_sink *sink, struct dead_try *letter)
{
    if (!letter->is_whole) {
        refuse(letter, "it was not kept whole: `standpipe dead show` says how much", SLICE(""));
        return false;
    }
    if (slice_equals(letter->type, SLICE("frame"))) {
        return decode(sink, letter);
    }
    letter->entry = (struct entry){
        .id = letter->position,
        .type = letter->type,
        .data = letter->data.size > 0 ? letter->data : letter->frame,
        .sequence = letter->sequence,
        .time = letter->is_reference ? slice_of(NULL, 0) : letter->time,
    };
    return true;
}

/* ---- the sink ---- */

static void on_done(struct sink_batch *batch, const struct sink_outcome *outcome,
                    const struct error *error)
{
    struct dead_try *letter = LIST_ENTRY(batch, struct dead_try, batch);
    bool is_dead = outcome->dead > 0 || outcome->refused_rows > 0;
    sink_runner_note_done(&letter->sink->runner);
    letter->is_applied = error == NULL && !is_dead;
    if (error != NULL) {
        refuse(letter, "not tried: ", slice_from_string(error->text));
    } else if (is_dead) {
        refuse(letter, "still cannot be applied: ", letter->reason);
    }
}

bool dead_sink_run(struct dead_sink *sink, struct dead_try *tries, size_t count,
                   struct error *error)
{
    arena_reset(&sink->arena);
    for (size_t i = 0; i < count; i++) {
        struct dead_try *letter = &tries[i];
        letter->sink = sink;
        letter->is_applied = false;
        if (!make_entry(sink, letter)) {
            continue;
        }
        letter->batch = (struct sink_batch){.entries = &letter->entry,
                                            .count = 1,
                                            .bytes = letter->entry.data.size,
                                            .on_done = on_done};
        sink_runner_submit(&sink->runner, &letter->batch);
    }
    return sink_runner_wait(&sink->runner, error);
}

void dead_sink_init(struct dead_sink *sink, const struct config *config)
{
    *sink = (struct dead_sink){0};
    sink_runner_init(&sink->runner, config, "dead", RUN_LETTERS);
    const struct frame_decoder_options decoder = {
        .verify_blocks = config->relay.verify == RELAY_VERIFY_BLOCKS,
        .filter = {.patterns = (const char *const *)config->relay.collections.items,
                   .count = config->relay.collections.count},
    };
    sink->decoder = frame_decoder_create(&decoder);
}

void dead_sink_deinit(struct dead_sink *sink)
{
    sink_runner_deinit(&sink->runner);
    frame_decoder_destroy(sink->decoder);
    arena_deinit(&sink->arena);
}
