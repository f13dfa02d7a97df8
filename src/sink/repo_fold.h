/*
 * Repo fold: all events of one repo in a batch become at most one row for each statement on `repos`.
 */
#ifndef SINK_REPO_FOLD_H
#define SINK_REPO_FOLD_H

#include <stddef.h>

struct batch;
struct batch_event;

/* `events`, all of one DID, in the order in which they were added. */
void repo_fold_append(struct batch *batch, const struct batch_event *const *events, size_t count);

#endif
