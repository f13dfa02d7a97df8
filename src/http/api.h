/*
 * API: /api/metrics and /api/config, what the dashboard and the reference system's clients read.
 * Ownership: the caller's buffer. Threading: pure functions. Source: the public contract, HTTP.
 */
#ifndef HTTP_API_H
#define HTTP_API_H

#include "base/buffer.h"
#include "config/config.h"
#include "http/snapshot.h"

/* Figures of the whole stream where the ledger is known, else of this process; what is not known is
 * null. `errorRate` is percent of eventsProcessed. */
void api_metrics(struct buffer *out, const struct metrics_snapshot *snapshot);
/* {"items":[{"key":"relay.url","value":...,"origin":...,"reload":"reconnect"}]}, secrets masked. */
void api_config(struct buffer *out, const struct config *config);

#endif
