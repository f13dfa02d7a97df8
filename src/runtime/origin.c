#include "runtime/origin.h"

static uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* docs/delivery.md: above every epoch that anybody knows, and not below the clock. */
static uint64_t next_epoch(const struct origin_facts *facts)
{
    uint64_t epoch = max_u64(facts->now_ms, facts->last.epoch + 1);
    if (facts->has_meta) {
        epoch = max_u64(epoch, facts->queued.epoch + 1);
    }
    return max_u64(epoch, facts->highest_epoch + 1);
}

/* An ID that somebody put at the end of all IDs leaves no room for another epoch. */
static bool is_out_of_reach(const struct origin_facts *facts)
{
    return facts->last.epoch >= INT64_MAX ||
           (facts->has_meta && facts->queued.epoch >= INT64_MAX) ||
           facts->highest_epoch >= INT64_MAX;
}

static struct origin open_epoch(const struct origin_facts *facts, int64_t cursor, const char *why)
{
    if (is_out_of_reach(facts)) {
        return (struct origin){
            .queued = facts->queued,
            .why = "the stream's last ID leaves no room for another: remove the stream's key",
            .is_alarming = true,
            .is_impossible = true,
        };
    }
    return (struct origin){
        .queued = {.epoch = next_epoch(facts), .sequence = cursor > 0 ? cursor : 0},
        .cursor = cursor,
        .is_new_epoch = true,
        .why = why,
    };
}

static struct origin open_alarming_epoch(const struct origin_facts *facts, int64_t cursor)
{
    struct origin origin = open_epoch(facts, cursor, "another producer has written to the stream");
    origin.is_alarming = true;
    return origin;
}

static struct origin go_on(uint64_t epoch, int64_t sequence, const char *why)
{
    return (struct origin){
        .queued = {.epoch = epoch, .sequence = sequence},
        .cursor = sequence,
        .why = why,
    };
}

static struct origin decide_without_stream(const struct origin_facts *facts)
{
    if (facts->has_saved && facts->saved.epoch > facts->last.epoch) {
        return go_on(facts->saved.epoch, facts->saved.sequence,
                     "the stream has nothing of this epoch: going on at the mark in PostgreSQL");
    }
    if (facts->has_saved && facts->saved.epoch == facts->last.epoch) {
        return go_on(facts->last.epoch, facts->last.sequence,
                     "the stream's own record is gone: going on at its last entry");
    }
    if (facts->has_saved) {
        struct origin origin =
            open_epoch(facts, facts->saved.sequence, "another producer has written to the stream");
        origin.is_alarming = facts->last.epoch > 0;
        return origin;
    }
    return open_epoch(facts, ORIGIN_LIVE, "no cursor is saved: starting live");
}

static struct origin decide_saved(const struct origin_facts *facts)
{
    if (!facts->has_meta) {
        return decide_without_stream(facts);
    }
    if (!facts->is_meta_host) {
        return open_epoch(facts, facts->has_saved ? facts->saved.sequence : ORIGIN_LIVE,
                          "the relay has changed");
    }
    if (facts->last.epoch > facts->queued.epoch) {
        struct origin origin =
            open_epoch(facts, facts->queued.sequence, "another producer has written to the stream");
        origin.is_alarming = true;
        return origin;
    }
    if (facts->last.epoch == facts->queued.epoch) {
        /* Ours raises mark and stream in one script, so an ID above the mark is somebody else's. */
        return (uint64_t)facts->last.sequence > (uint64_t)facts->queued.sequence
                   ? open_alarming_epoch(facts, facts->queued.sequence)
                   : go_on(facts->queued.epoch, facts->queued.sequence,
                           "going on where the stream ends");
    }
    /* Nothing of this epoch is in the stream: it was just opened, or the stream was deleted. */
    if (facts->has_saved && facts->saved.epoch == facts->queued.epoch) {
        return go_on(facts->saved.epoch, facts->saved.sequence,
                     "the stream has nothing of this epoch: going on at the mark in PostgreSQL");
    }
    return go_on(facts->queued.epoch, facts->queued.sequence, "going on at the queued mark");
}

/* The operator names a sequence: in the same epoch where IDs can only rise, else in a new one. */
static struct origin decide_sequence(const struct origin_facts *facts, struct origin saved,
                                     int64_t sequence)
{
    bool is_free = facts->last.epoch < saved.queued.epoch || facts->last.sequence <= sequence;
    if (saved.is_new_epoch || !is_free) {
        return open_epoch(facts, sequence, "relay.cursor asks for a replay");
    }
    return go_on(saved.queued.epoch, sequence, "relay.cursor names the sequence");
}

static struct origin decide(const struct origin_facts *facts)
{
    if (facts->is_reset) {
        return open_epoch(facts, facts->reset_sequence,
                          facts->reset_why != NULL ? facts->reset_why
                                                   : "the relay's sequence starts anew");
    }
    struct origin saved = decide_saved(facts);
    switch (facts->start) {
    case CURSOR_SAVED:
        return saved;
    case CURSOR_LIVE:
        saved.cursor = ORIGIN_LIVE;
        saved.why = "relay.cursor asks for live events";
        return saved;
    case CURSOR_OLDEST:
        return decide_sequence(facts, saved, 0);
    case CURSOR_SEQUENCE:
        return decide_sequence(facts, saved, facts->start_sequence);
    }
    return saved;
}

/* A row that is missing under a stream of ours with entries: a foreign producer made us open an epoch, or PostgreSQL
 * went back to before it. What the stream holds need not be committed then, so the mark stays where it was. */
static int64_t decide_first_mark(const struct origin_facts *facts, const struct origin *origin)
{
    bool is_asked_for = facts->is_reset || facts->start != CURSOR_SAVED;
    bool has_entries = facts->has_meta && facts->is_meta_host && facts->last.epoch > 0 &&
                       facts->last.epoch >= facts->queued.epoch;
    if (is_asked_for || !has_entries) {
        return origin->queued.sequence;
    }
    int64_t saved = facts->has_saved ? facts->saved.sequence : 0;
    return saved < origin->queued.sequence ? saved : origin->queued.sequence;
}

struct origin origin_decide(const struct origin_facts *facts)
{
    struct origin origin = decide(facts);
    origin.first_mark = decide_first_mark(facts, &origin);
    return origin;
}
