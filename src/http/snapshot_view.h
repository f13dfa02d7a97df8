/*
 * View: what a dashboard shows beside the figures of the metrics page: ops by collection, dead letters by
 * reason, and the thresholds that the figures are judged by.
 * Ownership: part of a snapshot; strings are borrowed until the end of the request's handler.
 */
#ifndef HTTP_SNAPSHOT_VIEW_H
#define HTTP_SNAPSHOT_VIEW_H

#include <stdbool.h>
#include <stdint.h>

enum {
    SNAPSHOT_COLLECTIONS_MAX = 64,
    SNAPSHOT_LETTER_KINDS_MAX = 12
};

/* Ops of events that this process took from the relay, since its start, the commonest first. */
struct snapshot_collections {
    unsigned count;
    struct {
        const char *name;
        uint64_t ops;
    } items[SNAPSHOT_COLLECTIONS_MAX];
    uint64_t other; /* of all that have no place */
};

/* A reason for dead letters, and the newest letter that has it. */
struct snapshot_letter_kind {
    uint64_t letters;
    const char *reason;
    const char *id, *seq, *time, *type, *collection, *error, *data;
};

struct snapshot_letters {
    unsigned count;
    struct snapshot_letter_kind kinds[SNAPSHOT_LETTER_KINDS_MAX]; /* the commonest first */
};

struct snapshot_thresholds {
    uint64_t depth_warning, depth_critical, max_backlog; /* entries */
    uint64_t lag_warning_us;
    uint64_t max_letters;
};

struct snapshot_view {
    const char *process; /* its name among the consumers; NULL: unknown */
    struct snapshot_thresholds thresholds;
    struct snapshot_collections collections;
    struct snapshot_letters letters;
};

#endif
