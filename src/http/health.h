/*
 * Health: liveness is about the loops only, readiness about each dependency.
 * Ownership: the caller's response. Threading: pure functions.
 * Sources: the public contract, HTTP; /health and /ready have the shapes of the reference system.
 */
#ifndef HTTP_HEALTH_H
#define HTTP_HEALTH_H

#include "http/response.h"
#include "http/snapshot.h"

/* 503 where a loop has not turned for `timeout_ms`. */
void health_livez(struct response *response, const struct metrics_snapshot *snapshot,
                  uint64_t timeout_ms);
/* 503 where a dependency is not fine; each with state, reason and since when. */
void health_readyz(struct response *response, const struct metrics_snapshot *snapshot);
/* As livez, {status,timestamp}. */
void health_health(struct response *response, const struct metrics_snapshot *snapshot,
                   uint64_t timeout_ms);
/* As readyz, {status,timestamp,checks{firehose,database,memory}} and `details` where not ready. */
void health_ready(struct response *response, const struct metrics_snapshot *snapshot);
/* `,"dependencies":{...}`, as readyz has it. */
void health_append_dependencies(struct buffer *out, const struct metrics_snapshot *snapshot);

#endif
