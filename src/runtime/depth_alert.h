/*
 * Depth alert: says when the backlog crosses its thresholds, once per change and every minute after.
 * Threading: one thread. Pure but for the log.
 */
#ifndef RUNTIME_DEPTH_ALERT_H
#define RUNTIME_DEPTH_ALERT_H

#include <stdint.h>

#include "config/config.h"

enum depth_level {
    DEPTH_FINE,
    DEPTH_WARNING,
    DEPTH_CRITICAL
};

struct depth_alert {
    enum depth_level level;
    uint64_t next_check_ms;
    uint64_t next_repeat_ms;
};

/* Checks at most once per alerts.interval_ms; `backlog` is every entry not yet acknowledged. */
void depth_alert_note(struct depth_alert *alert, const struct config_alerts *limits,
                      uint64_t backlog, uint64_t now_ms);
enum depth_level depth_level_of(const struct config_alerts *limits, uint64_t backlog);

#endif
