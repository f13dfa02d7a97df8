#include "runtime/marks.h"

void marks_init(struct marks *marks, struct cursor_store *store, const char *host)
{
    *marks = (struct marks){.store = store, .host = host, .saved = -1};
}

void marks_begin(struct marks *marks, struct position queued, int64_t saved)
{
    marks->queued = queued;
    marks->committed = (struct position){.epoch = queued.epoch, .sequence = saved};
    marks->saved = saved;
}

void marks_note_queued(struct marks *marks, struct position queued)
{
    marks->queued = queued;
}

/* Above the stream's last ID only for what made no entry after it in this very stream: where that ID is
 * of the meta hash's epoch. A stream that is gone or empty has 0-0. */
struct position marks_committed(const struct stream_depth *depth)
{
    bool is_drained = position_compare(depth->committed, depth->last) == 0;
    bool is_one_stream = depth->has_meta && depth->last.epoch == depth->queued.epoch;
    if (is_drained && is_one_stream && position_compare(depth->committed, depth->queued) < 0) {
        return depth->queued;
    }
    return depth->committed;
}

/* Some process has found that PostgreSQL went back in time: our own memory of the mark is void too. Redis that was
 * emptied knows of no mark, which says nothing of PostgreSQL. */
static void follow_back(struct marks *marks, const struct stream_depth *depth)
{
    if (depth->rewinds > marks->rewinds && depth->has_saved) {
        marks->committed = depth->saved;
        marks->saved = depth->saved.epoch == marks->queued.epoch ? depth->saved.sequence : -1;
    }
    marks->rewinds = depth->rewinds;
}

/* What PostgreSQL must have for a save in `epoch`: what all processes know, or we alone so far. */
static int64_t expected_mark(const struct marks *marks, const struct stream_depth *depth,
                             uint64_t epoch)
{
    int64_t shared = depth->has_saved && depth->saved.epoch == epoch ? depth->saved.sequence
                                                                     : CURSOR_NO_EXPECTATION;
    int64_t own = marks->committed.epoch == epoch ? marks->saved : CURSOR_NO_EXPECTATION;
    return own > shared ? own : shared;
}

void marks_note_depth(struct marks *marks, const struct stream_depth *depth)
{
    if (!depth->has_committed || !depth->has_meta ||
        !slice_equals(depth->host, slice_from_string(marks->host))) {
        return;
    }
    follow_back(marks, depth);
    struct position committed = marks_committed(depth);
    if (committed.epoch != depth->queued.epoch || depth->postgres_started_us == 0 ||
        position_compare(committed, marks->committed) <= 0) {
        return;
    }
    struct cursor_row row = {
        .host = marks->host,
        .epoch = committed.epoch,
        .queued = depth->queued.sequence,
        .committed = committed.sequence,
        .expected = expected_mark(marks, depth, committed.epoch),
        .started_us = depth->postgres_started_us,
        .tag = depth->rewinds,
    };
    marks->committed = committed;
    cursor_store_save(marks->store, &row);
}

void marks_note_saved(struct marks *marks, const struct cursor_row *row)
{
    if (row->epoch == marks->committed.epoch && row->committed > marks->saved) {
        marks->saved = row->committed;
    }
}

void marks_note_refused(struct marks *marks)
{
    marks->committed.sequence = marks->saved;
}
