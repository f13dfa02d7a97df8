/*
 * Alerts: what an operator should look at, each by name with its severity, since when, and why in a sentence.
 * Ownership: part of a snapshot; names are constant. Threading: pure functions.
 */
#ifndef HTTP_SNAPSHOT_ALERT_H
#define HTTP_SNAPSHOT_ALERT_H

#include <stdint.h>

enum {
    SNAPSHOT_ALERTS_MAX = 16,
    SNAPSHOT_ALERT_TEXT_SIZE = 160,
};

enum alert_severity {
    ALERT_NONE, /* it is known, and not active */
    ALERT_WARNING,
    ALERT_CRITICAL,
};

struct snapshot_alert {
    const char *name;
    enum alert_severity severity;
    int64_t since_us; /* of this severity, microseconds since 1970 */
    char text[SNAPSHOT_ALERT_TEXT_SIZE];
};

/* "none", "warning", "critical". */
const char *alert_severity_name(enum alert_severity severity);

#endif
