/*
 * Replay range: which entries are meant by --from and --to, both included.
 *
 *   ID, sequence or time, as words --> struct replay_range --replay_range_takes()--> of each entry, in the stream's order
 *
 * IDs rise from entry to entry, so reading starts and ends at them. Sequences start anew with an epoch that asks the
 * relay again, and times run back by a little, so of those every entry of the stream is looked at; one without a
 * sequence or a time is meant: too much changes nothing.
 * Ownership: embedded, plain values. Threading: pure functions.
 */
#ifndef CLI_REPLAY_RANGE_H
#define CLI_REPLAY_RANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "atproto/entry.h"
#include "base/error.h"

enum replay_bound_kind {
    BOUND_NONE,
    BOUND_ID,
    BOUND_SEQUENCE,
    BOUND_TIME
};

struct replay_bound {
    enum replay_bound_kind kind;
    const char *text; /* as given */
    struct position id;
    int64_t sequence;
    int64_t time_us;
};

struct replay_range {
    struct replay_bound from, to;
    bool
        is_reached; /* the stream has an entry at or before `from`: nothing of the range was trimmed */
    bool is_over; /* no later entry is meant */
};

/* ERROR_USAGE where the words say nothing, or `to` lies before `from`. `to` may be NULL. */
bool replay_range_parse(struct replay_range *range, const char *from, const char *to,
                        struct error *error) __attribute__((warn_unused_result));
/* Whether the entry is meant. */
bool replay_range_takes(struct replay_range *range, const struct entry *entry);

#endif
