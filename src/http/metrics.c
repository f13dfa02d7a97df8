#include "http/metrics.h"

#include <inttypes.h>
#include <stdio.h>

static const char *type_name(enum metric_type type)
{
    switch (type) {
    case METRIC_COUNTER:
        return "counter";
    case METRIC_GAUGE:
        return "gauge";
    case METRIC_HISTOGRAM:
        return "histogram";
    }
    return "untyped";
}

/* --- the page --------------------------------------------------------------------------------- */

void metrics_append_label(struct buffer *out, const char *separator, const char *label,
                          const char *value)
{
    buffer_append_format(out, "%s%s=\"", separator, label);
    for (const char *next = value; *next != '\0'; next++) {
        if (*next == '\n') {
            buffer_append_string(out, "\\n");
            continue;
        }
        if (*next == '"' || *next == '\\') {
            buffer_append_byte(out, '\\');
        }
        buffer_append_byte(out, *next);
    }
    buffer_append_byte(out, '"');
}

static const void *field(const struct metrics_snapshot *snapshot, size_t at)
{
    return (const char *)snapshot + at;
}

static uint64_t number_at(const void *figure)
{
    return *(const uint64_t *)figure;
}

/* Exact, whatever the locale: `whole` and `part` of `per_unit`. */
static void append_fraction(struct buffer *out, uint64_t figure, uint64_t per_unit)
{
    uint64_t part = figure % per_unit;
    buffer_append_format(out, "%" PRIu64, figure / per_unit);
    if (part == 0) {
        return;
    }
    buffer_append_byte(out, '.');
    do {
        part *= 10;
        buffer_append_byte(out, (char)('0' + part / per_unit));
        part %= per_unit;
    } while (part != 0);
}

static bool is_left_out(const struct metric *metric, const void *figure)
{
    if (metric->value == VALUE_TIME) {
        return *(const int64_t *)figure <= 0;
    }
    return metric->value == VALUE_MARK && number_at(figure) == 0;
}

static void append_value(struct buffer *out, enum metric_value value, const void *figure)
{
    switch (value) {
    case VALUE_FLAG:
        buffer_append_byte(out, *(const bool *)figure ? '1' : '0');
        break;
    case VALUE_INVERSE_FLAG:
        buffer_append_byte(out, *(const bool *)figure ? '0' : '1');
        break;
    case VALUE_MICROSECONDS:
        append_fraction(out, number_at(figure), 1000000);
        break;
    case VALUE_MILLISECONDS:
        append_fraction(out, number_at(figure), 1000);
        break;
    case VALUE_TIME:
        append_fraction(out, (uint64_t) * (const int64_t *)figure, 1000000);
        break;
    case VALUE_NUMBER:
    case VALUE_MARK:
        append_fraction(out, number_at(figure), 1);
        break;
    case VALUE_TOTALS:
    case VALUE_OWN:
        break;
    }
    buffer_append_byte(out, '\n');
}

static void append_totals(struct buffer *out, const char *name,
                          const struct histogram_totals *totals)
{
    uint64_t count = 0;
    if (totals->scale == NULL) {
        return;
    }
    for (unsigned i = 0; i < totals->scale->count; i++) {
        count += totals->counts[i];
        buffer_append_format(out, "%s_bucket{le=\"", name);
        append_fraction(out, totals->scale->bounds[i], totals->scale->per_unit);
        buffer_append_format(out, "\"} %" PRIu64 "\n", count);
    }
    count += totals->counts[totals->scale->count];
    buffer_append_format(out, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n%s_sum ", name, count, name);
    append_fraction(out, totals->sum, totals->scale->per_unit);
    buffer_append_format(out, "\n%s_count %" PRIu64 "\n", name, count);
}

static void append_array(struct buffer *out, const struct metric *metric,
                         const struct metrics_snapshot *snapshot)
{
    const struct metric_by *by = metric->by;
    unsigned count = by->count;
    if (count == 0) {
        count = *(const unsigned *)field(snapshot, by->count_at);
    }
    for (unsigned i = 0; i < count; i++) {
        const void *figure = field(snapshot, metric->at + i * by->stride);
        char number[16] = "";
        (void)snprintf(number, sizeof(number), "%u", i);
        buffer_append_string(out, metric->name);
        metrics_append_label(out, "{", by->label, by->name != NULL ? by->name(i) : number);
        buffer_append_string(out, "} ");
        append_value(out, metric->value, figure);
    }
}

static void append_samples(struct buffer *out, const struct metric *metric,
                           const struct metrics_snapshot *snapshot)
{
    const void *figure = field(snapshot, metric->at);
    if (metric->write != NULL) {
        metric->write(out, metric, snapshot);
    } else if (metric->by != NULL) {
        append_array(out, metric, snapshot);
    } else if (metric->value == VALUE_TOTALS) {
        append_totals(out, metric->name, figure);
    } else if (!is_left_out(metric, figure)) {
        buffer_append_format(out, "%s ", metric->name);
        append_value(out, metric->value, figure);
    }
}

void metrics_page(struct buffer *out, const struct metrics_snapshot *snapshot)
{
    for (size_t i = 0; i < metrics_count; i++) {
        const struct metric *metric = &metrics_table[i];
        buffer_append_format(out, "# HELP %s %s\n# TYPE %s %s\n", metric->name, metric->help,
                             metric->name, type_name(metric->type));
        if (metric->known_at == 0 || *(const bool *)field(snapshot, metric->known_at)) {
            append_samples(out, metric, snapshot);
        }
    }
}

/* --- the documentation ------------------------------------------------------------------------ */

static const char *label_text(const struct metric *metric)
{
    if (metric->by != NULL) {
        return metric->by->label;
    }
    return metric->labels != NULL ? metric->labels : "";
}

void metrics_reference(struct buffer *out)
{
    buffer_append_string(
        out,
        "# Metrics\n\n"
        "Written from the table that the page `/metrics` itself is made of "
        "(`src/http/metrics_table.c`).\n\n"
        "Figures are those of one process and start at 0 with it; those of the ledger are of the\n"
        "whole stream, so take their `max`, not their `sum`, over processes. Times are seconds.\n"
        "A figure that is not known (Redis away, no TLS, nothing committed yet) is left out, so\n"
        "that an alert with `absent()` sees it; it is never shown as 0.\n\n"
        "| metric | type | unit | labels | |\n|---|---|---|---|---|\n");
    for (size_t i = 0; i < metrics_count; i++) {
        const struct metric *metric = &metrics_table[i];
        buffer_append_format(out, "| `%s` | %s | %s | %s | %s |\n", metric->name,
                             type_name(metric->type), metric->unit, label_text(metric),
                             metric->help);
    }
}
