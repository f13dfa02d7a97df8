/*
 * Sequence: what one more sequence of the relay means, given the last one that we took.
 *
 *   last 100:   100 DUPLICATE   101 NEXT   105 GAP (4 missing)   60, 61, 62 ... DUPLICATE or REGRESSION
 *
 * A sequence at or below the last is one of two things, and the relay does not say which (indigo
 * joins a subscriber with a cursor from the future silently at the live end; others replay from an
 * inclusive, older or ignored cursor):
 *   replay      the same events once more. They were sent before the last one we took, so their
 *               `time` is not later than those of the last ones we took.
 *   regression  the relay counts anew, from 1 or from a backup. These are new events, sent now, so
 *               their `time` is later than anything we took, although their sequence is lower.
 * The rule, for each connection on its own:
 *   - The reference is the median `time` of the last 20 events taken, so that one server with a wrong
 *     clock decides nothing. Before 20 were taken, it is our clock at the time of connecting.
 *   - A frame at or below the last is newer where its `time` is over a minute past the reference,
 *     else older. Only sequences that rise within the connection are judged: a repeat proves nothing.
 *     Without a readable `time`, a frame counts as newer once the connection is 10 minutes old.
 *   - 16 newer among the last 20 judged: REGRESSION, for this and every such frame until a sequence
 *     over the last comes or the connection ends.
 * So an alarm comes after 16 to 20 live events (and, where the reset came within a minute of our last
 * event, a minute later); a replay of any length never raises one. Frames before the alarm are
 * reported as duplicates: whoever accepts the reset asks again from sequence_lowest() - 1.
 *
 * Ownership: a value. Threading: pure; the caller brings the clock.
 * Sources: com.atproto.sync.subscribeRepos; docs of the event stream ("sequence numbers").
 */
#ifndef INGEST_SEQUENCE_H
#define INGEST_SEQUENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

enum {
    SEQUENCE_WINDOW = 20,
    SEQUENCE_NEWER_LIMIT = 16
};

enum sequence_verdict {
    SEQUENCE_DUPLICATE,  /* taken before: drop */
    SEQUENCE_NEXT,       /* take */
    SEQUENCE_GAP,        /* take; `missing` sequences lie between, which the relay did not offer */
    SEQUENCE_REGRESSION, /* the relay's newest sequence is below ours: alarm, take nothing */
};

struct sequence {
    int64_t last;    /* taken; 0: none yet, then any sequence is NEXT */
    int64_t missing; /* of the last GAP */
    bool is_first;   /* the last GAP or NEXT was the first of its connection: a gap is then what the
                        relay no longer keeps, later ones are holes in its numbering */
    /* Private. */
    bool expects_first;
    bool accepts_any_first;
    bool has_regressed;
    int64_t connected_us;
    int64_t highest_below;
    int64_t lowest;
    unsigned judged; /* below `last` on this connection */
    uint32_t newer;  /* one bit for each of the last SEQUENCE_WINDOW judged */
    unsigned taken;  /* with a time */
    int64_t times_us[SEQUENCE_WINDOW];
};

/* `last` is the sequence to go on after, 0 where there is none. */
void sequence_init(struct sequence *sequence, int64_t last);
/* A connection was opened, with or without (`is_live`) a cursor; live, any first sequence above the
 * last is NEXT. `now_us`: microseconds since 1970. */
void sequence_connected(struct sequence *sequence, bool is_live, int64_t now_us);
/* `number` is at least 1; `time_us` is that of the event, 0 where it cannot be read. NEXT and GAP
 * move `last`. */
enum sequence_verdict sequence_observe(struct sequence *sequence, int64_t number, int64_t time_us,
                                       int64_t now_us);
/* The lowest sequence of this connection at or below the last; 0 where there was none. */
int64_t sequence_lowest(const struct sequence *sequence);
/* Microseconds since 1970 of an event's `time` (RFC 3339); 0 where it cannot be read. */
int64_t sequence_parse_time(struct slice time);

#endif
