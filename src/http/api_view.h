/*
 * API, the view: what the dashboard shows beside the other figures of /api/metrics. Members are only ever
 * added: the counts of this process that rates come from, the state of all in a word, thresholds, ops by
 * collection, dead letters by reason with a sample.
 * Ownership: the caller's buffer. Threading: pure functions.
 */
#ifndef HTTP_API_VIEW_H
#define HTTP_API_VIEW_H

#include "base/buffer.h"
#include "http/snapshot.h"

/* Appends `,"consumer":...` and what follows, inside an open object. */
void api_view(struct buffer *out, const struct metrics_snapshot *snapshot);

#endif
