/*
 * Status sample: what the running daemon told of itself at one moment.
 *
 *   body of /api/metrics --status_sample_read--> struct status_sample
 *
 * Ownership: embedded; texts are copied, cut, and free of control characters, so a terminal may have them.
 * Threading: pure but for the clock.
 */
#ifndef CLI_STATUS_SAMPLE_H
#define CLI_STATUS_SAMPLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

enum {
    STATUS_TEXT_SIZE = 200,
    STATUS_NAME_SIZE = 32,
    STATUS_DEPENDENCIES_MAX = 8,
    STATUS_ALERTS_MAX = 16,
    STATUS_WORKERS_MAX = 64, /* that are kept one by one; all are counted */
    STATUS_FIGURES_MAX = 8,  /* of one column of the ledger */
};

struct status_dependency {
    char name[STATUS_NAME_SIZE], state[STATUS_NAME_SIZE], reason[STATUS_TEXT_SIZE];
    int64_t since_us; /* since 1970; 0: unknown */
    bool is_ready;
};

struct status_alert {
    char name[STATUS_NAME_SIZE], severity[STATUS_NAME_SIZE], text[STATUS_TEXT_SIZE];
    int64_t since_us;
};

struct status_worker {
    char postgres[STATUS_NAME_SIZE];
    uint64_t committed, in_flight;
    double loop_lag_s, heartbeat_age_s;
};

struct status_relay {
    char url[STATUS_TEXT_SIZE];
    bool ingests;                                /* this process does */
    uint64_t frames, reconnects, gaps, sequence; /* sequence 0: not known */
};

/* null in the page: `is_known` is false. */
struct status_stream {
    bool is_known;
    uint64_t length, pending, undelivered, dead_letters, memory_bytes, memory_limit_bytes;
};

struct status_rates {
    double frames, bytes, appended, committed, ops_written; /* per second */
};

/* Each in the order of its names. */
struct status_ledger {
    bool is_known;
    uint64_t intake[STATUS_FIGURES_MAX], stream[STATUS_FIGURES_MAX], ops[STATUS_FIGURES_MAX];
    int64_t unexplained;
};
extern const char *const status_intake_names[STATUS_FIGURES_MAX];
extern const char *const status_stream_names[STATUS_FIGURES_MAX];
extern const char *const status_op_names[STATUS_FIGURES_MAX];

struct status_sample {
    uint64_t at_ms; /* monotonic, ours */
    int64_t now_us, started_us;
    char version[STATUS_NAME_SIZE];
    uint64_t pid, resident_bytes;
    double behind_s;
    bool is_behind_known;
    uint64_t committed; /* entries, of this process */
    bool is_ready;
    struct status_relay relay;
    struct status_stream stream;
    struct status_rates rates;
    struct status_ledger ledger;
    unsigned dependency_count, alert_count, worker_count;
    struct status_dependency dependencies[STATUS_DEPENDENCIES_MAX];
    struct status_alert alerts[STATUS_ALERTS_MAX];
    struct status_worker workers[STATUS_WORKERS_MAX];
};

/* False where it is no page of a daemon that we understand. */
bool status_sample_read(struct status_sample *sample, struct slice body, struct error *error)
    __attribute__((warn_unused_result));
/* The dependency of that name; NULL: there is none. */
const struct status_dependency *status_sample_dependency(const struct status_sample *sample,
                                                         const char *name);
/* One that is not ready, and that the others may wait for; NULL: all are ready. */
const struct status_dependency *status_sample_trouble(const struct status_sample *sample);

#endif
