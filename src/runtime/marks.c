#include "runtime/marks.h"

void marks_init(struct marks *marks, struct cursor_store *store, const char *host)
{
    *marks = (struct marks){.store = store, .host = host, .committed = -1, .saved = -1};
}

void marks_begin(struct marks *marks, struct position queued, int64_t saved)
{
    marks->is_active = true;
    marks->queued = queued;
    marks->queued_before = queued;
    marks->committed = saved;
    marks->saved = saved;
}

void marks_note_queued(struct marks *marks, struct position queued)
{
    marks->queued = queued;
}

void marks_before_look(struct marks *marks)
{
    marks->queued_before = marks->queued;
}

struct position marks_committed(struct position queued_before, const struct stream_depth *depth)
{
    bool is_drained = position_compare(depth->committed, depth->last) == 0;
    if (is_drained && position_compare(depth->committed, queued_before) < 0) {
        return queued_before;
    }
    return depth->committed;
}

void marks_note_depth(struct marks *marks, const struct stream_depth *depth)
{
    if (!depth->has_committed || !marks->is_active) {
        return;
    }
    struct position committed = marks_committed(marks->queued_before, depth);
    if (committed.epoch != marks->queued.epoch || committed.sequence <= marks->committed) {
        return;
    }
    marks->committed = committed.sequence;
    struct cursor_row row = {
        .host = marks->host,
        .epoch = committed.epoch,
        .queued = marks->queued.sequence,
        .committed = committed.sequence,
    };
    cursor_store_save(marks->store, &row);
}

void marks_note_saved(struct marks *marks, const struct cursor_row *row)
{
    if (marks->is_active && row->epoch == marks->queued.epoch && row->committed > marks->saved) {
        marks->saved = row->committed;
    }
}
