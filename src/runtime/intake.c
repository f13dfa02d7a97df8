#include "runtime/intake.h"

#include <stdio.h>

#include "atproto/frame.h"
#include "atproto/syntax.h"
#include "base/clock.h"
#include "stream/stream_writer.h"

enum {
    UNDECODABLE_LIMIT = 20, /* in a row: the connection is out of step */
};

void intake_init(struct intake *intake, const struct config *config, const char *host,
                 struct counters *counters, struct relay_totals *totals)
{
    struct frame_decoder_options options = {
        .verify_blocks = config->relay.verify == RELAY_VERIFY_BLOCKS,
        .filter = {.patterns = (const char *const *)config->relay.collections.items,
                   .count = config->relay.collections.count},
    };
    *intake = (struct intake){
        .decoder = frame_decoder_create(&options),
        .counters = counters,
        .totals = totals,
        .accepts_reset = config->relay.accept_sequence_reset,
        .undecodable_reconnected_at = -1,
    };
    (void)snprintf(intake->object, sizeof(intake->object), "relay[%s]", host);
}

void intake_deinit(struct intake *intake)
{
    frame_decoder_destroy(intake->decoder);
    intake->decoder = NULL;
}

void intake_begin(struct intake *intake, struct stream_writer *writer, int64_t sequence)
{
    intake->writer = writer;
    sequence_init(&intake->sequence, sequence);
}

void intake_connected(struct intake *intake, bool is_live)
{
    sequence_connected(&intake->sequence, is_live, clock_wall_us());
    intake->undecodable_in_row = 0;
}

static enum intake_verdict room(bool has_room)
{
    return has_room ? INTAKE_GO_ON : INTAKE_FULL;
}

/* ---- frames that cannot be decoded ----------------------------------------------------------- */

static void log_bad_frame(struct intake *intake, const struct frame_fault *fault, size_t size)
{
    uint64_t suppressed;
    if (!log_limit_pass(&intake->bad_limit, &suppressed)) {
        return;
    }
    log_warning(intake->object, "frame refused, kept as a dead letter",
                LOG_TEXT("reason", frame_fault_reason_name(fault->reason)),
                LOG_TEXT("text", fault->text), LOG_INT("sequence", fault->sequence),
                LOG_INT("bytes", size), LOG_SUPPRESSED(suppressed));
}

/* Twenty in a row: reconnect, once per position, or a poison run would loop for ever. */
static bool is_out_of_step(struct intake *intake)
{
    if (++intake->undecodable_in_row < UNDECODABLE_LIMIT ||
        intake->undecodable_reconnected_at == intake->sequence.last) {
        return false;
    }
    intake->undecodable_reconnected_at = intake->sequence.last;
    error_set(&intake->error, ERROR_PROTOCOL, "%d frames in a row could not be decoded",
              UNDECODABLE_LIMIT);
    return true;
}

static enum intake_verdict count_duplicate(struct intake *intake)
{
    counters_add(intake->counters, COUNTER_DUPLICATE, 1);
    stream_writer_count(intake->writer, STREAM_COUNT_DUPLICATE, 0);
    return INTAKE_GO_ON;
}

/* The position does not move: what a broken frame says of its sequence cannot be trusted, and a good frame
 * of the same sequence may follow. Its hash keeps it from being a dead letter twice. */
static enum intake_verdict take_bad(struct intake *intake, struct slice frame,
                                    const struct frame_fault *fault)
{
    if (fault->sequence > 0 && fault->sequence <= intake->sequence.last) {
        return count_duplicate(intake);
    }
    log_bad_frame(intake, fault, frame.size);
    counters_add(intake->counters, COUNTER_DECODE_DEAD, 1);
    intake->totals->decode_errors[fault->reason]++;
    struct stream_dead_frame dead = {
        .sequence = fault->sequence,
        .frame = frame,
        .reason = frame_fault_reason_name(fault->reason),
        .text = fault->text,
    };
    intake->undecodable_since_last++;
    bool has_room = stream_writer_append_dead(intake->writer, &dead);
    return is_out_of_step(intake) ? INTAKE_RECONNECT : room(has_room);
}

/* ---- frames without an event ------------------------------------------------------------------ */

static void count_ignored(struct intake *intake, int64_t sequence)
{
    counters_add(intake->counters, COUNTER_IGNORED, 1);
    stream_writer_count(intake->writer, STREAM_COUNT_IGNORED, sequence);
}

/* What the relay says in words is told at most once in ten seconds. */
static void log_words(struct intake *intake, const char *what, const struct frame_event *event)
{
    uint64_t suppressed;
    if (log_limit_pass(&intake->words_limit, &suppressed)) {
        log_warning(intake->object, what, LOG_SLICE("name", event->name),
                    LOG_SLICE("message", event->message), LOG_SUPPRESSED(suppressed));
    }
}

/* The relay's newest sequence is below our cursor: its sequence runs backwards, said in one word. */
static enum intake_verdict take_future_cursor(const struct intake *intake)
{
    return intake->accepts_reset && intake->sequence.last > 0 ? INTAKE_RESET : INTAKE_STOP;
}

static enum intake_verdict take_error(struct intake *intake, const struct frame_event *event)
{
    log_words(intake, "error frame", event);
    count_ignored(intake, 0);
    error_set(&intake->error, ERROR_PROTOCOL, "the relay says %.*s", SLICE_ARGS(event->name));
    return slice_equals(event->name, SLICE("FutureCursor")) ? take_future_cursor(intake)
                                                            : INTAKE_RECONNECT;
}

static enum intake_verdict take_info(struct intake *intake, const struct frame_event *event)
{
    log_words(intake, "info frame", event);
    count_ignored(intake, 0);
    return INTAKE_GO_ON;
}

/* ---- events ----------------------------------------------------------------------------------- */

/* Sequences that went by in frames that could not be decoded are not missing. */
static void note_gap(struct intake *intake, int64_t sequence)
{
    int64_t missing = intake->sequence.missing - intake->undecodable_since_last;
    if (missing <= 0) {
        return;
    }
    counters_add(intake->counters, COUNTER_GAPS, (uint64_t)missing);
    uint64_t suppressed;
    if (log_limit_pass(&intake->gap_limit, &suppressed)) {
        log_warning(intake->object,
                    intake->sequence.is_first ? "sequence gap: the relay no longer has these events"
                                              : "sequence gap: the relay left out numbers",
                    LOG_INT("missing", missing), LOG_INT("sequence", sequence),
                    LOG_SUPPRESSED(suppressed));
    }
}

static enum intake_verdict note_regression(struct intake *intake, int64_t sequence)
{
    error_set(&intake->error, ERROR_PROTOCOL,
              "the relay's sequence runs backwards: %lld comes after %lld; relay.cursor or "
              "relay.accept_sequence_reset says how to go on",
              (long long)sequence, (long long)intake->sequence.last);
    return intake->accepts_reset ? INTAKE_RESET : INTAKE_STOP;
}

/* Only what is a collection may take a place of its own. */
static void count_collections(struct intake *intake)
{
    struct tally *tally = &intake->totals->collections;
    struct slice name;
    size_t index = 0;
    while (frame_decoder_next_collection(intake->decoder, &index, &name)) {
        if (!tally_add(tally, name)) {
            tally_learn(tally, nsid_is_valid(name) ? name : SLICE(""));
        }
    }
}

static enum intake_verdict append_event(struct intake *intake, const struct frame_event *event)
{
    struct stream_event appended = {
        .type = slice_from_string(frame_type_name(event->type)),
        .data = event->data,
        .time = event->time,
        .rev = event->type == FRAME_COMMIT || event->type == FRAME_SYNC ? event->rev
                                                                        : slice_of(NULL, 0),
        .sequence = event->sequence,
    };
    counters_add(intake->counters, COUNTER_APPENDED, 1);
    if (event->type == FRAME_COMMIT) {
        count_collections(intake);
    }
    return room(stream_writer_append(intake->writer, &appended));
}

static bool is_filtered(const struct frame_event *event)
{
    return event->type == FRAME_COMMIT && event->ops == 0 && event->filtered_ops > 0;
}

static enum intake_verdict take_new(struct intake *intake, const struct frame_event *event)
{
    intake->undecodable_since_last = 0;
    if (!is_filtered(event)) {
        return append_event(intake, event);
    }
    counters_add(intake->counters, COUNTER_FILTERED, 1);
    stream_writer_count(intake->writer, STREAM_COUNT_FILTERED, event->sequence);
    return INTAKE_GO_ON;
}

static enum intake_verdict take_event(struct intake *intake, const struct frame_event *event)
{
    int64_t event_us = sequence_parse_time(event->time);
    enum sequence_verdict verdict =
        sequence_observe(&intake->sequence, event->sequence, event_us, clock_wall_us());
    if (verdict == SEQUENCE_NEXT || verdict == SEQUENCE_GAP) {
        intake->last_event_us = event_us;
    }
    switch (verdict) {
    case SEQUENCE_DUPLICATE:
        return count_duplicate(intake);
    case SEQUENCE_REGRESSION:
        return note_regression(intake, event->sequence);
    case SEQUENCE_GAP:
        note_gap(intake, event->sequence);
        return take_new(intake, event);
    case SEQUENCE_NEXT:
        return take_new(intake, event);
    }
    return INTAKE_GO_ON;
}

/* An unknown kind of event, or of frame: the cursor moves where it has a sequence. */
static enum intake_verdict take_ignored(struct intake *intake, const struct frame_event *event)
{
    bool is_new = event->sequence > intake->sequence.last;
    count_ignored(intake, is_new ? event->sequence : 0);
    if (is_new) {
        (void)sequence_observe(&intake->sequence, event->sequence, 0, clock_wall_us());
    }
    return INTAKE_GO_ON;
}

enum intake_verdict intake_take(struct intake *intake, struct slice frame, bool is_binary)
{
    struct frame_event event;
    struct frame_fault fault = {.reason = FRAME_FAULT_EMPTY, .text = "a text message"};
    counters_add(intake->counters, COUNTER_FRAMES, 1);
    if (!is_binary || frame_decoder_decode(intake->decoder, frame, &event, &fault) != PARSE_DONE) {
        return take_bad(intake, frame, &fault);
    }
    intake->undecodable_in_row = 0;
    switch (event.type) {
    case FRAME_COMMIT:
    case FRAME_IDENTITY:
    case FRAME_ACCOUNT:
    case FRAME_SYNC:
        return take_event(intake, &event);
    case FRAME_INFO:
        return take_info(intake, &event);
    case FRAME_ERROR:
        return take_error(intake, &event);
    case FRAME_IGNORED:
        return take_ignored(intake, &event);
    }
    return INTAKE_GO_ON;
}
