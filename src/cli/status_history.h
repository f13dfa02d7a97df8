/*
 * Status history: what each sparkline is made of, one value a sample, the newest last.
 *
 *   samples --status_history_note--> rates by difference, backlog, lag --> status_history_line
 *
 * A sample that could not be had is a gap; the first of a process has the rates that the process tells. Ownership: embedded; zero it.
 * Threading: pure functions.
 */
#ifndef CLI_STATUS_HISTORY_H
#define CLI_STATUS_HISTORY_H

#include "cli/screen.h"
#include "cli/status_sample.h"

enum status_series {
    SERIES_RECEIVED,
    SERIES_COMMITTED,
    SERIES_BACKLOG,
    SERIES_BEHIND,
    SERIES_COUNT
};

enum {
    STATUS_HISTORY = 512
};

struct status_history {
    double values[SERIES_COUNT][STATUS_HISTORY]; /* a ring; below 0: a gap */
    unsigned count, next;
    struct status_sample last; /* that was had */
    bool has_last;
    bool is_last_missing; /* the newest try had none */
    unsigned restarts;    /* seen while we looked */
    int64_t restarted_us; /* the last of them, since 1970 */
};

/* NULL: the daemon could not be asked. */
void status_history_note(struct status_history *history, const struct status_sample *sample);
/* The newest value; below 0: a gap. */
double status_history_newest(const struct status_history *history, enum status_series series);
/* `columns` of blocks, from 0 to the largest value among them (or to what is worth a look); the newest at the right. */
void status_history_line(const struct status_history *history, enum status_series series,
                         unsigned columns, struct screen *screen);

#endif
