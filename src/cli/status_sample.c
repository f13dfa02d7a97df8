#include "cli/status_sample.h"

#include <stdlib.h>
#include <string.h>

#include "atproto/json_scan.h"
#include "base/clock.h"
#include "cli/json_find.h"

const char *const status_intake_names[STATUS_FIGURES_MAX] = {
    "received", "appended", "duplicate", "filtered", "ignored", "dead", "waiting"};
const char *const status_stream_names[STATUS_FIGURES_MAX] = {"committed", "deadEntries", "pending",
                                                             "undelivered"};
const char *const status_op_names[STATUS_FIGURES_MAX] = {"written", "unchanged", "skipped", "dead"};

/* ---- values ------------------------------------------------------------------------------------ */

static struct slice member(struct slice object, const char *name)
{
    struct slice value = {0};
    return json_find(object, name, &value) ? value : (struct slice){0};
}

static double real(struct slice object, const char *name)
{
    char text[STATUS_NAME_SIZE];
    struct slice value = member(object, name);
    if (value.size == 0 || value.size >= sizeof(text)) {
        return 0;
    }
    memcpy(text, value.data, value.size);
    text[value.size] = '\0';
    return strtod(text, NULL);
}

static bool is_control(struct slice text)
{
    unsigned char byte = (unsigned char)text.data[0];
    return byte < ' ' || byte == 0x7f ||
           (byte == 0xc2 && text.size > 1 && (unsigned char)text.data[1] < 0xa0);
}

/* A terminal takes orders from control characters, also from those that UTF-8 says in two bytes. */
static void copy_text(char *to, size_t size, struct slice from)
{
    size_t used = 0;
    bool is_cut = from.size >= size;
    while (from.size > 0 && used + 1 < size) {
        bool is_order = is_control(from);
        bool is_long = is_order && (unsigned char)from.data[0] == 0xc2;
        to[used++] = ' ';
        if (!is_order) {
            to[used - 1] = from.data[0];
        }
        from = slice_skip(from, is_long ? 2 : 1);
    }
    while (is_cut && used > 0 && ((unsigned char)to[used - 1] & 0x80) != 0) {
        used--; /* not the half of a character */
    }
    to[used] = '\0';
}

static void text(struct slice object, const char *name, char *to, size_t size)
{
    struct arena arena = {0};
    copy_text(to, size, json_find_text(object, name, &arena));
    arena_deinit(&arena);
}

#define TEXT(object, name, field) text(object, name, field, sizeof(field))

static int64_t digits(const char *at, unsigned count)
{
    int64_t number = 0;
    for (unsigned i = 0; i < count; i++) {
        number = number * 10 + (at[i] - '0');
    }
    return number;
}

/* Microseconds since 1970 of what the page writes, `2026-01-31T12:34:56.789Z`; 0 where it is null. */
static int64_t moment(struct slice object, const char *name)
{
    char at[STATUS_NAME_SIZE] = "";
    TEXT(object, name, at);
    if (strlen(at) != sizeof("2026-01-31T12:34:56.789Z") - 1) {
        return 0;
    }
    int64_t year = digits(at, 4);
    int64_t month = digits(at + 5, 2);
    /* Days from civil, with March as the first month. */
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t m = (month + 9) % 12;
    int64_t days =
        365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + digits(at + 8, 2) - 1 - 719468;
    int64_t seconds =
        days * 86400 + digits(at + 11, 2) * 3600 + digits(at + 14, 2) * 60 + digits(at + 17, 2);
    return seconds * 1000000 + digits(at + 20, 3) * 1000;
}

/* ---- parts of the page --------------------------------------------------------------------------- */

static void read_relay(struct status_sample *sample, struct slice body)
{
    struct status_relay *relay = &sample->relay;
    struct slice status = member(body, "firehoseStatus");
    struct slice object = member(body, "relay");
    TEXT(status, "url", relay->url);
    relay->ingests = json_find_is_true(object, "ingests");
    relay->frames = json_find_number(object, "frames");
    relay->reconnects = json_find_number(object, "reconnects");
    relay->gaps = json_find_number(object, "gaps");
    relay->sequence = json_find_number(member(body, "lag"), "sequence");
}

static void read_stream(struct status_sample *sample, struct slice body)
{
    struct status_stream *stream = &sample->stream;
    struct slice status = member(body, "firehoseStatus");
    struct slice lag = member(body, "lag");
    struct slice redis = member(body, "redis");
    stream->is_known = !slice_equals(member(status, "queueDepth"), SLICE("null"));
    stream->length = json_find_number(status, "streamLength");
    stream->dead_letters = json_find_number(status, "deadLetterLength");
    stream->pending = json_find_number(lag, "pending");
    stream->undelivered = json_find_number(lag, "undelivered");
    stream->memory_bytes = json_find_number(redis, "memoryBytes");
    stream->memory_limit_bytes = json_find_number(redis, "memoryLimitBytes");
    sample->behind_s = real(lag, "behindSeconds");
    sample->is_behind_known = !slice_equals(member(lag, "behindSeconds"), SLICE("null"));
}

static void read_rates(struct status_rates *rates, struct slice object)
{
    rates->frames = real(object, "frames");
    rates->bytes = real(object, "bytes");
    rates->appended = real(object, "appended");
    rates->committed = real(object, "committed");
    rates->ops_written = real(object, "opsWritten");
}

static void read_figures(uint64_t *figures, const char *const *names, struct slice object)
{
    for (unsigned i = 0; i < STATUS_FIGURES_MAX && names[i] != NULL; i++) {
        figures[i] = json_find_number(object, names[i]);
    }
}

static void read_ledger(struct status_ledger *ledger, struct slice object)
{
    struct slice unexplained = member(object, "unexplained");
    ledger->is_known = unexplained.size > 0;
    read_figures(ledger->intake, status_intake_names, object);
    read_figures(ledger->stream, status_stream_names, object);
    read_figures(ledger->ops, status_op_names, member(object, "ops"));
    ledger->unexplained =
        (int64_t)real(unexplained, "intake") + (int64_t)real(unexplained, "stream");
}

static void read_dependencies(struct status_sample *sample, struct slice object)
{
    struct arena arena = {0};
    struct json_scan scan = json_scan_over(object, &arena);
    struct slice name;
    struct slice value;
    bool is_first = true;
    bool is_open = json_scan_open(&scan, '{');
    while (is_open && sample->dependency_count < STATUS_DEPENDENCIES_MAX &&
           json_scan_object_next(&scan, &is_first, &name) && json_scan_value(&scan, &value)) {
        struct status_dependency *one = &sample->dependencies[sample->dependency_count++];
        copy_text(one->name, sizeof(one->name), name);
        TEXT(value, "state", one->state);
        TEXT(value, "reason", one->reason);
        one->since_us = moment(value, "since");
        one->is_ready = json_find_is_true(value, "ready");
    }
    arena_deinit(&arena);
}

/* Calls `take` for each item; those over what it keeps are its business. */
static void read_items(struct status_sample *sample, struct slice array,
                       void (*take)(struct status_sample *sample, struct slice item))
{
    struct arena arena = {0};
    struct json_scan scan = json_scan_over(array, &arena);
    struct slice item;
    bool is_first = true;
    bool is_open = json_scan_open(&scan, '[');
    while (is_open && json_scan_array_next(&scan, &is_first) && json_scan_value(&scan, &item)) {
        take(sample, item);
    }
    arena_deinit(&arena);
}

static void take_alert(struct status_sample *sample, struct slice item)
{
    if (sample->alert_count < STATUS_ALERTS_MAX) {
        struct status_alert *alert = &sample->alerts[sample->alert_count++];
        TEXT(item, "name", alert->name);
        TEXT(item, "severity", alert->severity);
        TEXT(item, "text", alert->text);
        alert->since_us = moment(item, "since");
    }
}

static void take_worker(struct status_sample *sample, struct slice item)
{
    struct status_worker worker = {
        .committed = json_find_number(item, "committed"),
        .in_flight = json_find_number(item, "inFlight"),
        .loop_lag_s = real(item, "loopLagSeconds"),
        .heartbeat_age_s = real(item, "heartbeatAgeSeconds"),
    };
    TEXT(item, "postgres", worker.postgres);
    sample->committed += worker.committed;
    if (sample->worker_count < STATUS_WORKERS_MAX) {
        sample->workers[sample->worker_count] = worker;
    }
    sample->worker_count++;
}

bool status_sample_read(struct status_sample *sample, struct slice body, struct error *error)
{
    struct slice process = member(body, "process");
    *sample = (struct status_sample){.at_ms = clock_monotonic_ms()};
    if (member(body, "dependencies").size == 0 || process.size == 0) {
        error_set(error, ERROR_PROTOCOL,
                  "what answers there is no standpipe, or one of another version");
        return false;
    }
    TEXT(body, "version", sample->version);
    sample->now_us = moment(body, "lastUpdate");
    sample->started_us = moment(body, "startTime");
    sample->is_ready = json_find_is_true(body, "ready");
    sample->pid = json_find_number(process, "pid");
    sample->resident_bytes = json_find_number(process, "residentBytes");
    read_relay(sample, body);
    read_stream(sample, body);
    read_rates(&sample->rates, member(body, "rates"));
    read_ledger(&sample->ledger, member(body, "ledger"));
    read_dependencies(sample, member(body, "dependencies"));
    read_items(sample, member(body, "alerts"), take_alert);
    read_items(sample, member(body, "workers"), take_worker);
    return true;
}

const struct status_dependency *status_sample_dependency(const struct status_sample *sample,
                                                         const char *name)
{
    for (unsigned i = 0; i < sample->dependency_count; i++) {
        if (strcmp(sample->dependencies[i].name, name) == 0) {
            return &sample->dependencies[i];
        }
    }
    return NULL;
}

const struct status_dependency *status_sample_trouble(const struct status_sample *sample)
{
    const struct status_dependency *waiting = NULL;
    for (unsigned i = sample->dependency_count; i-- > 0;) {
        const struct status_dependency *one = &sample->dependencies[i];
        if (strcmp(one->state, "away") == 0 || strcmp(one->state, "misconfigured") == 0) {
            return one;
        }
        waiting = one->is_ready ? waiting : one;
    }
    return waiting;
}
