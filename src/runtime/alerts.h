/*
 * Alerts: one table says what an operator is told of, from which figure, over which threshold.
 *
 *   struct metrics_snapshot --alerts_check, once per alerts.interval_ms--> log, /api/metrics, /metrics
 *
 * A line per change of severity and every minute while one lasts. A severity is left only at 10 % on the
 * good side of its threshold, so a figure that trembles around it says nothing. A figure that is not known
 * (Redis away, no connection) changes nothing: an alert is not over because nobody can look.
 * Ownership: embedded; zero it. Threading: one thread. Pure but for the log and the wall clock.
 * Source: the public contract, alerts and HTTP.
 */
#ifndef RUNTIME_ALERTS_H
#define RUNTIME_ALERTS_H

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"
#include "http/snapshot.h"

enum alert {
    ALERT_BACKLOG,
    ALERT_LAG,
    ALERT_RELAY_STALLED,
    ALERT_RELAY_GAPS,
    ALERT_DEAD_LETTERS,
    ALERT_RELOAD_FAILED,
    ALERT_RELAY_CERTIFICATE,
    ALERT_HTTP_CLOSED,
    ALERT_COUNT
};

/* A figure that only counts up, of which the growth of late matters; for the stalled relay, the other way
 * round: how long it has not grown. */
struct alert_growth {
    bool is_begun;
    uint64_t last;        /* the counter at the last check */
    uint64_t base;        /* the counter before this growth began */
    uint64_t grown_at_ms; /* 0: not yet */
};

struct alert_state {
    enum alert_severity severity;
    int64_t since_us;      /* of this severity, since 1970 */
    uint64_t since_ms;     /* of the alert, monotonic */
    uint64_t next_line_ms; /* of its repetition */
    struct alert_growth growth;
    char text[SNAPSHOT_ALERT_TEXT_SIZE];
};

struct alerts {
    struct alert_state states[ALERT_COUNT];
    uint64_t checked_ms; /* monotonic; 0: not yet. The interval may change before the next check. */
};

/* Checks, at most once per alerts.interval_ms. `figures` is a filled snapshot of now. */
void alerts_check(struct alerts *alerts, const struct config_alerts *limits,
                  const struct metrics_snapshot *figures, uint64_t now_ms);
void alerts_fill(const struct alerts *alerts, struct metrics_snapshot *snapshot);

#endif
