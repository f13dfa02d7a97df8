#include "cli/status_view.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/human.h"

enum {
    STATE_COLUMN = 14,
    DETAIL_COLUMN = 29,
    VALUE_COLUMNS = 12, /* behind a sparkline */
    LEDGER_CELL = 26,
    LEDGER_NAME = 13,
    LEDGER_NUMBER = 11,
    US_PER_MS = 1000,
    MS_PER_SECOND = 1000,
    MS_PER_MINUTE = 60 * MS_PER_SECOND,
    RESTART_SHOWN_US = 60 * 1000 * 1000,
};

static const char *separator(const struct screen *screen)
{
    return screen->is_utf8 ? " · " : ", ";
}

static void since(int64_t since_us, int64_t now_us, char *text)
{
    uint64_t age_ms =
        since_us > 0 && now_us > since_us ? (uint64_t)(now_us - since_us) / US_PER_MS : 0;
    if (age_ms < 2 * (uint64_t)MS_PER_MINUTE) {
        (void)snprintf(text, HUMAN_SIZE, "%" PRIu64 " s", age_ms / MS_PER_SECOND);
    } else {
        human_time_ms(age_ms, text);
    }
}

static void human_seconds(double seconds, char *text)
{
    human_time_ms((uint64_t)(seconds * MS_PER_SECOND), text);
}

static enum screen_style style_of_state(const char *state)
{
    static const char *const bad[] = {"away", "misconfigured", "paused"};
    if (strcmp(state, "ready") == 0) {
        return SCREEN_GOOD;
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (strcmp(state, bad[i]) == 0) {
            return SCREEN_BAD;
        }
    }
    return SCREEN_WARN; /* starting, catching up, draining */
}

/* ---- the head: who, how, for how long; and what is wrong ---------------------------------------- */

static void draw_verdict(const struct status_view *view, struct screen *screen)
{
    const struct status_sample *sample = &view->history->last;
    const struct status_dependency *trouble = status_sample_trouble(sample);
    if (view->trouble != NULL) {
        screen_text(screen, SCREEN_BAD, "no answer");
    } else if (trouble != NULL) {
        screen_format(screen, style_of_state(trouble->state), "not ready: %s %s", trouble->name,
                      trouble->state);
    } else {
        screen_text(screen, SCREEN_GOOD, "ready");
    }
}

static void draw_right(struct screen *screen, const char *text)
{
    unsigned size = (unsigned)strlen(text);
    if (screen->width > screen->column + size) {
        screen_go_to(screen, screen->width - size);
        screen_text(screen, SCREEN_DIM, text);
    }
}

static void draw_head(const struct status_view *view, struct screen *screen)
{
    const struct status_sample *sample = &view->history->last;
    char up[HUMAN_SIZE];
    char memory[HUMAN_SIZE];
    char right[STATUS_TEXT_SIZE];
    screen_format(screen, SCREEN_BOLD, "standpipe %s", sample->version);
    screen_go_to(screen, screen->column + 2);
    draw_verdict(view, screen);
    if (view->history->has_last) {
        since(sample->started_us, sample->now_us, up);
        human_bytes(sample->resident_bytes, memory);
        (void)snprintf(right, sizeof(right), "up %s, process %" PRIu64 ", %s", up, sample->pid,
                       memory);
        draw_right(screen, right);
    }
    screen_end_line(screen);
}

static void draw_alert(const struct status_sample *sample, const struct status_alert *alert,
                       struct screen *screen)
{
    char age[HUMAN_SIZE];
    bool is_critical = strcmp(alert->severity, "critical") == 0;
    since(alert->since_us, sample->now_us, age);
    screen_text(screen, is_critical ? SCREEN_BAD : SCREEN_WARN, alert->severity);
    screen_go_to(screen, STATE_COLUMN);
    screen_text(screen, SCREEN_PLAIN, alert->text);
    screen_format(screen, SCREEN_DIM, "%sfor %s", separator(screen), age);
    screen_end_line(screen);
}

/* As many of the parts of "what: why: what to do" as fit. */
static void draw_trouble(const char *trouble, struct screen *screen)
{
    size_t size = strlen(trouble);
    for (const char *at = strstr(trouble, ": "); strlen(trouble) > screen->width && at != NULL;
         at = strstr(at + 1, ": ")) {
        size_t before = (size_t)(at - trouble);
        size = before <= screen->width ? before : size;
    }
    screen_format(screen, SCREEN_BAD, "%.*s", (int)size, trouble);
    screen_end_line(screen);
}

/* What an operator is to see before all else. */
static void draw_notices(const struct status_view *view, struct screen *screen)
{
    const struct status_history *history = view->history;
    const struct status_sample *sample = &history->last;
    if (view->trouble != NULL) {
        draw_trouble(view->trouble, screen);
    }
    if (view->trouble != NULL && history->has_last) {
        char age[HUMAN_SIZE];
        since(sample->now_us, clock_wall_us(), age);
        screen_format(screen, SCREEN_DIM, "What follows is from %s ago; asked again every second.",
                      age);
        screen_end_line(screen);
    }
    if (history->restarts > 0 && sample->now_us - history->restarted_us < RESTART_SHOWN_US) {
        char age[HUMAN_SIZE];
        since(history->restarted_us, sample->now_us, age);
        screen_format(screen, SCREEN_WARN, "restarted %s ago", age);
        screen_format(screen, SCREEN_DIM, "%s%u since this screen is open", separator(screen),
                      history->restarts);
        screen_end_line(screen);
    }
    for (unsigned i = 0; i < sample->alert_count; i++) {
        draw_alert(sample, &sample->alerts[i], screen);
    }
    screen_end_line(screen);
}

/* ---- each part with its state -------------------------------------------------------------------- */

static void draw_relay(const struct status_sample *sample, struct screen *screen)
{
    const struct status_relay *relay = &sample->relay;
    const char *path = strstr(relay->url, "/xrpc/"); /* says nothing new */
    char sequence[HUMAN_SIZE] = "-";
    char bytes[HUMAN_SIZE];
    if (relay->sequence > 0) {
        human_count(relay->sequence, sequence);
    }
    screen_format(screen, SCREEN_PLAIN, "%.*s",
                  (int)(path != NULL ? (size_t)(path - relay->url) : strlen(relay->url)),
                  relay->url);
    if (!relay->ingests) {
        return;
    }
    human_bytes((uint64_t)sample->rates.bytes, bytes);
    screen_format(screen, SCREEN_DIM, "%s%s/s%ssequence %s", separator(screen), bytes,
                  separator(screen), sequence);
    if (relay->gaps > 0) {
        screen_format(screen, SCREEN_WARN, "%s%" PRIu64 " left out", separator(screen),
                      relay->gaps);
    }
    if (relay->reconnects > 0) {
        screen_format(screen, SCREEN_DIM, "%s%" PRIu64 " reconnects", separator(screen),
                      relay->reconnects);
    }
}

static void draw_redis(const struct status_sample *sample, struct screen *screen)
{
    char length[HUMAN_SIZE];
    char used[HUMAN_SIZE];
    char limit[HUMAN_SIZE];
    const struct status_stream *stream = &sample->stream;
    if (!stream->is_known) {
        return;
    }
    human_count(stream->length, length);
    human_bytes(stream->memory_bytes, used);
    human_bytes(stream->memory_limit_bytes, limit);
    screen_format(screen, SCREEN_PLAIN, "%s entries", length);
    screen_format(screen, SCREEN_DIM, "%s%s%s%s", separator(screen), used,
                  stream->memory_limit_bytes > 0 ? " of " : "",
                  stream->memory_limit_bytes > 0 ? limit : "");
}

static void draw_postgres(const struct status_sample *sample, struct screen *screen)
{
    char rows[HUMAN_SIZE];
    char behind[HUMAN_SIZE];
    human_short(sample->rates.ops_written, rows);
    screen_format(screen, SCREEN_PLAIN, "%s rows/s", rows);
    if (!sample->is_behind_known) {
        return;
    }
    human_seconds(sample->behind_s, behind);
    screen_format(screen, SCREEN_DIM, "%s%s behind the relay", separator(screen), behind);
}

static void draw_backlog(const struct status_sample *sample, struct screen *screen)
{
    char pending[HUMAN_SIZE];
    char undelivered[HUMAN_SIZE];
    if (!sample->stream.is_known) {
        return;
    }
    human_count(sample->stream.pending, pending);
    human_count(sample->stream.undelivered, undelivered);
    screen_format(screen, SCREEN_PLAIN, "%s in work", pending);
    screen_format(screen, SCREEN_DIM, "%s%s not yet delivered", separator(screen), undelivered);
}

static void draw_letters(const struct status_sample *sample, struct screen *screen)
{
    char letters[HUMAN_SIZE];
    human_count(sample->stream.dead_letters, letters);
    if (sample->stream.is_known) {
        screen_format(screen, SCREEN_PLAIN, "%s undecided", letters);
    }
}

static const struct part {
    const char *name; /* of the dependency */
    const char *label;
    bool is_hidden_when_ready;
    void (*draw)(const struct status_sample *sample, struct screen *screen);
} parts[] = {
    {"relay", "relay", false, draw_relay},
    {"redis", "redis", false, draw_redis},
    {"schema", "schema", true, NULL},
    {"postgres", "postgres", false, draw_postgres},
    {"backlog", "backlog", false, draw_backlog},
    {"dead_letters", "dead letters", false, draw_letters},
};

/* The reason takes the place of the figures: it is what one looks for. */
static void draw_part(const struct part *part, const struct status_sample *sample,
                      struct screen *screen)
{
    char age[HUMAN_SIZE];
    const struct status_dependency *found = status_sample_dependency(sample, part->name);
    if (found == NULL || (part->is_hidden_when_ready && found->is_ready)) {
        return;
    }
    screen_text(screen, SCREEN_DIM, part->label);
    screen_go_to(screen, STATE_COLUMN);
    screen_text(screen, style_of_state(found->state), found->state);
    screen_go_to(screen, DETAIL_COLUMN);
    if (strcmp(found->state, "ready") == 0 && part->draw != NULL && found->reason[0] == '\0') {
        part->draw(sample, screen);
    } else {
        since(found->since_us, sample->now_us, age);
        screen_text(screen, SCREEN_PLAIN, found->reason);
        screen_format(screen, SCREEN_DIM, "%sfor %s",
                      found->reason[0] != '\0' ? separator(screen) : "", age);
    }
    screen_end_line(screen);
}

static void draw_workers(const struct status_sample *sample, struct screen *screen)
{
    uint64_t in_flight = 0;
    double lag_s = 0;
    double age_s = 0;
    char count[HUMAN_SIZE];
    char lag[HUMAN_SIZE];
    for (unsigned i = 0; i < sample->worker_count && i < STATUS_WORKERS_MAX; i++) {
        const struct status_worker *worker = &sample->workers[i];
        in_flight += worker->in_flight;
        lag_s = worker->loop_lag_s > lag_s ? worker->loop_lag_s : lag_s;
        age_s = worker->heartbeat_age_s > age_s ? worker->heartbeat_age_s : age_s;
    }
    human_count(in_flight, count);
    human_time_ms((uint64_t)(lag_s * MS_PER_SECOND), lag);
    bool is_stuck = age_s > 5; /* a heartbeat comes twice a second */
    screen_text(screen, SCREEN_DIM, "workers");
    screen_go_to(screen, STATE_COLUMN);
    screen_format(screen, is_stuck ? SCREEN_BAD : SCREEN_GOOD, "%u %s", sample->worker_count,
                  is_stuck ? "one stuck" : "alive");
    screen_go_to(screen, DETAIL_COLUMN);
    screen_format(screen, SCREEN_PLAIN, "%s in flight", count);
    screen_format(screen, SCREEN_DIM, "%sslowest loop %s late", separator(screen), lag);
    screen_end_line(screen);
}

static void draw_parts(const struct status_sample *sample, struct screen *screen)
{
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        draw_part(&parts[i], sample, screen);
    }
    draw_workers(sample, screen);
    screen_end_line(screen);
}

/* ---- of late -------------------------------------------------------------------------------------- */

static void format_series(enum status_series series, double value, char *text)
{
    char number[HUMAN_SIZE];
    if (value < 0) {
        (void)snprintf(text, HUMAN_SIZE, "-");
        return;
    }
    switch (series) {
    case SERIES_RECEIVED:
    case SERIES_COMMITTED:
        human_short(value, number);
        (void)snprintf(text, HUMAN_SIZE, "%.24s/s", number);
        return;
    case SERIES_BACKLOG:
        human_short(value, text);
        return;
    case SERIES_BEHIND:
        human_seconds(value, text);
        return;
    case SERIES_COUNT:
        text[0] = '\0';
        return;
    }
}

static void draw_series(const struct status_view *view, struct screen *screen)
{
    static const char *const labels[SERIES_COUNT] = {
        [SERIES_RECEIVED] = "received",
        [SERIES_COMMITTED] = "committed",
        [SERIES_BACKLOG] = "backlog",
        [SERIES_BEHIND] = "behind",
    };
    char text[HUMAN_SIZE];
    for (unsigned i = 0; i < SERIES_COUNT; i++) {
        enum status_series series = (enum status_series)i;
        format_series(series, status_history_newest(view->history, series), text);
        screen_text(screen, SCREEN_DIM, labels[i]);
        screen_go_to(screen, STATE_COLUMN);
        if (view->has_sparklines && screen->width > STATE_COLUMN + 2 * VALUE_COLUMNS) {
            status_history_line(view->history, series, screen->width - STATE_COLUMN - VALUE_COLUMNS,
                                screen);
            screen_go_to(screen, screen->width - (unsigned)strlen(text));
        }
        screen_text(screen, SCREEN_PLAIN, text);
        screen_end_line(screen);
    }
    screen_end_line(screen);
}

/* ---- where every event went ------------------------------------------------------------------------ */

static void draw_cell(const char *name, uint64_t figure, unsigned at, struct screen *screen)
{
    char number[HUMAN_SIZE];
    human_count(figure, number);
    if (strlen(number) > LEDGER_NUMBER) {
        human_short((double)figure, number);
    }
    screen_go_to(screen, at);
    screen_text(screen, SCREEN_DIM, name);
    screen_go_to(screen, at + LEDGER_NAME);
    screen_format(screen, SCREEN_PLAIN, "%*s", LEDGER_NUMBER, number);
}

struct column {
    const char *title;
    const char *const *names;
    const uint64_t *figures;
};
enum {
    LEDGER_COLUMNS = 3
};

static void draw_row(const struct column *columns, unsigned row, struct screen *screen)
{
    for (unsigned i = 0; i < LEDGER_COLUMNS; i++) {
        const struct column *column = &columns[i];
        if (column->names[row] != NULL) {
            draw_cell(column->names[row], column->figures[row], i * (LEDGER_CELL + 1), screen);
        }
    }
    screen_end_line(screen);
}

static void draw_ledger(const struct status_ledger *ledger, struct screen *screen)
{
    static const char *const stream_labels[STATUS_FIGURES_MAX] = {"committed", "dead", "in work",
                                                                  "undelivered"};
    const struct column columns[LEDGER_COLUMNS] = {{"events", status_intake_names, ledger->intake},
                                                   {"entries", stream_labels, ledger->stream},
                                                   {"ops", status_op_names, ledger->ops}};
    for (unsigned i = 0; i < LEDGER_COLUMNS; i++) {
        screen_go_to(screen, i * (LEDGER_CELL + 1));
        screen_text(screen, SCREEN_BOLD, columns[i].title);
    }
    screen_end_line(screen);
    for (unsigned row = 0; row < STATUS_FIGURES_MAX && status_intake_names[row] != NULL; row++) {
        draw_row(columns, row, screen);
    }
}

static void draw_balance(const struct status_ledger *ledger, struct screen *screen)
{
    if (ledger->unexplained == 0) {
        screen_text(screen, SCREEN_DIM, "The ledger balances.");
    } else {
        screen_format(screen, SCREEN_WARN, "The ledger cannot explain %" PRId64 " events.",
                      ledger->unexplained);
    }
    screen_end_line(screen);
}

/* ---- each worker, where there is room --------------------------------------------------------------- */

static void draw_each_worker(const struct status_sample *sample, struct screen *screen)
{
    unsigned count =
        sample->worker_count < STATUS_WORKERS_MAX ? sample->worker_count : STATUS_WORKERS_MAX;
    if (screen_lines_left(screen) < count + 2) {
        return;
    }
    screen_end_line(screen);
    for (unsigned i = 0; i < count; i++) {
        const struct status_worker *worker = &sample->workers[i];
        char committed[HUMAN_SIZE];
        char flight[HUMAN_SIZE];
        human_count(worker->committed, committed);
        human_count(worker->in_flight, flight);
        screen_format(screen, SCREEN_DIM, "worker %u", i);
        screen_go_to(screen, STATE_COLUMN);
        screen_text(screen, style_of_state(worker->postgres), worker->postgres);
        screen_go_to(screen, DETAIL_COLUMN);
        screen_format(screen, SCREEN_PLAIN, "%13s committed %6s in flight", committed, flight);
        screen_end_line(screen);
    }
}

void status_view_draw(const struct status_view *view, struct screen *screen)
{
    const struct status_sample *sample = &view->history->last;
    draw_head(view, screen);
    draw_notices(view, screen);
    if (!view->history->has_last) {
        return;
    }
    draw_parts(sample, screen);
    draw_series(view, screen);
    if (sample->ledger.is_known) {
        draw_ledger(&sample->ledger, screen);
        draw_balance(&sample->ledger, screen);
    }
    draw_each_worker(sample, screen);
}
