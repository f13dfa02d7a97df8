/*
 * Status view: one screen that says how the daemon does: what is wrong first, then each part with its state in a
 * word, then how it went of late, then where every event went.
 *
 *   struct status_history --status_view_draw--> struct screen
 *
 * Fits 80 columns and 24 lines; what does not fit is left out from the bottom. Ownership: borrows all.
 * Threading: pure functions.
 */
#ifndef CLI_STATUS_VIEW_H
#define CLI_STATUS_VIEW_H

#include "cli/screen.h"
#include "cli/status_history.h"

struct status_view {
    const struct status_history *history; /* with one sample at least, or with `trouble` */
    const char *trouble;                  /* NULL: the daemon was asked just now; else why not */
    bool has_sparklines;
};

void status_view_draw(const struct status_view *view, struct screen *screen);

#endif
