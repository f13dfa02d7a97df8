/*
 * History: the last ten minutes of the figures that the dashboard draws, one point a second, so that whoever
 * opens it sees what was, and whoever comes back sees what was missed.
 *
 *   snapshot --history_add--> ring of HISTORY_POINTS --history_append--> [[time, received, committed, backlog, lag], ...]
 *
 * Ownership: embedded, about 29 KB. Threading: one thread.
 */
#ifndef HTTP_HISTORY_H
#define HTTP_HISTORY_H

#include <stdint.h>

#include "base/buffer.h"
#include "http/snapshot.h"

enum {
    HISTORY_POINTS = 600
};

struct history_point {
    int64_t time_us;              /* since 1970 */
    uint64_t received, committed; /* events and entries of this process since its start */
    uint64_t backlog;             /* entries; UINT64_MAX: not known */
    uint64_t lag_us;              /* snapshot_behind_us(); UINT64_MAX: not known */
};

struct history {
    struct history_point points[HISTORY_POINTS];
    uint64_t added; /* in all; the newest is number `added` */
};

void history_add(struct history *history, const struct metrics_snapshot *snapshot);
/* Appends the points after number `after` that are still there, the oldest first. */
void history_append(struct buffer *out, const struct history *history, uint64_t after);

#endif
