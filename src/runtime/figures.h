/*
 * Figures: the numbers of a snapshot, out of what the stages leave behind; no page waits for a stage.
 *
 *   worker statistics, marks, depth, ingester --figures_fill--> struct metrics_snapshot
 *
 * Ownership: the caller's snapshot; its strings are borrowed from the sources. Threading: thread 0.
 */
#ifndef RUNTIME_FIGURES_H
#define RUNTIME_FIGURES_H

#include "http/snapshot.h"
#include "runtime/console_sources.h"

/* All but dependencies, reload, and what the server fills itself. */
void figures_fill(const struct console_sources *sources, struct metrics_snapshot *snapshot);

#endif
