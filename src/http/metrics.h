/*
 * Metrics: one table says every metric; the page and its documentation come from it.
 *
 *   struct metrics_snapshot --metrics_page--> Prometheus text format 0.0.4
 *                  the table --metrics_reference--> docs/metrics.md
 *
 * No label has values that grow with the data: worker numbers, tables of the configuration and closed
 * sets only. A figure that is not known is left out; it is never shown as 0.
 * Ownership: the caller's buffer. Threading: pure functions.
 * Source: the public contract, HTTP; Prometheus, "Exposition formats" and "Metric and label naming".
 */
#ifndef HTTP_METRICS_H
#define HTTP_METRICS_H

#include <stddef.h>

#include "base/buffer.h"
#include "http/snapshot.h"

enum metric_type {
    METRIC_COUNTER,
    METRIC_GAUGE,
    METRIC_HISTOGRAM
};

/* How a figure of the snapshot becomes a sample. */
enum metric_value {
    VALUE_NUMBER,       /* uint64_t */
    VALUE_FLAG,         /* bool: 0 or 1 */
    VALUE_INVERSE_FLAG, /* bool: 1 or 0 */
    VALUE_MICROSECONDS, /* uint64_t; shown as seconds */
    VALUE_MILLISECONDS, /* uint64_t; shown as seconds */
    VALUE_TIME,         /* int64_t, microseconds since 1970; shown as seconds; 0 is left out */
    VALUE_MARK,         /* uint64_t; 0 is left out */
    VALUE_TOTALS,       /* struct histogram_totals */
    VALUE_OWN           /* `write` does it */
};

/* One label over an array of the snapshot. */
struct metric_by {
    const char *label;
    const char *(*name)(unsigned index); /* NULL: the index itself */
    unsigned count;                      /* 0: `count_at` says where the snapshot has it */
    size_t count_at;
    size_t stride; /* bytes from one figure to the next */
};

struct metric {
    const char *name;
    const char *unit;
    const char *help; /* one line without a backslash */
    enum metric_type type;
    enum metric_value value;
    size_t at;                  /* of the figure in the snapshot */
    size_t known_at;            /* of the bool without which nothing is shown; 0: always */
    const struct metric_by *by; /* NULL: one sample */
    const char *labels;         /* for VALUE_OWN, in the documentation */
    void (*write)(struct buffer *out, const struct metric *metric,
                  const struct metrics_snapshot *snapshot);
};

extern const struct metric metrics_table[];
extern const size_t metrics_count;

void metrics_page(struct buffer *out, const struct metrics_snapshot *snapshot);
/* docs/metrics.md. */
void metrics_reference(struct buffer *out);

/* For `write`: appends `name{`; label pairs follow, then `} value`. The value of a label is escaped. */
void metrics_append_label(struct buffer *out, const char *separator, const char *label,
                          const char *value);

#endif
