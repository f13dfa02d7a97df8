#include "runtime/alerts.h"

#include <stddef.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/human.h"
#include "base/log.h"

enum {
    REPEAT_MS = 60 * 1000,
    GROWTH_HOLD_MS = 10 * 60 * 1000, /* a counter that stands still for this long has calmed down */
    HYSTERESIS = 10,                 /* one part in ten */
    SECOND_MS = 1000,
    US_PER_MS = 1000,
};

/* ---- figures: false where it is not known now ------------------------------------------------ */

static bool backlog(struct alert_state *state, const struct metrics_snapshot *figures,
                    uint64_t now_ms, uint64_t *figure)
{
    (void)state;
    (void)now_ms;
    *figure = figures->stream.pending + figures->stream.undelivered;
    return figures->stream.is_known;
}

static bool lag(struct alert_state *state, const struct metrics_snapshot *figures, uint64_t now_ms,
                uint64_t *figure)
{
    (void)state;
    (void)now_ms;
    uint64_t behind_us;
    bool is_known = snapshot_behind_us(figures, &behind_us);
    *figure = behind_us / US_PER_MS;
    return is_known;
}

/* How long a relay that we are connected to, and do read, has sent nothing. What it did not send before the connection
 * was an outage, and told as such. */
static bool silence(struct alert_state *state, const struct metrics_snapshot *figures,
                    uint64_t now_ms, uint64_t *figure)
{
    const struct snapshot_relay *relay = &figures->relay;
    struct alert_growth *growth = &state->growth;
    bool is_paused = false;
    for (unsigned i = 0; i < PAUSE_COUNT; i++) {
        is_paused = is_paused || relay->is_paused[i];
    }
    if (!growth->is_begun || relay->frames != growth->last || is_paused || !relay->is_leader) {
        growth->grown_at_ms = now_ms;
    }
    growth->is_begun = true;
    growth->last = relay->frames;
    *figure = now_ms - growth->grown_at_ms;
    if (relay->is_connected && relay->connected_ms < *figure) {
        *figure = relay->connected_ms;
    }
    return relay->is_connected || *figure == 0;
}

/* By how much a counter has grown since it began to, until it stands still for a while. Counters are of this process and
 * begin with it at 0, so what is there at the first check has grown, too. One that went down has begun anew. */
static uint64_t grown(struct alert_growth *growth, uint64_t counter, uint64_t now_ms)
{
    bool is_calm = growth->grown_at_ms == 0 || now_ms - growth->grown_at_ms >= GROWTH_HOLD_MS;
    if (counter > growth->last) {
        growth->grown_at_ms = now_ms;
    } else if (counter < growth->last || is_calm) {
        growth->base = counter;
    }
    growth->last = counter;
    return counter - growth->base;
}

/* Without an ingester, which a reload closes for a moment, nobody counts: that is not 0. */
static bool gaps(struct alert_state *state, const struct metrics_snapshot *figures, uint64_t now_ms,
                 uint64_t *figure)
{
    bool is_known = figures->relay.url != NULL;
    *figure = is_known ? grown(&state->growth, figures->relay.gaps, now_ms) : 0;
    return is_known;
}

static bool dead_letters(struct alert_state *state, const struct metrics_snapshot *figures,
                         uint64_t now_ms, uint64_t *figure)
{
    uint64_t letters = figures->intake.dead;
    for (unsigned i = 0; i < figures->sink.table_count; i++) {
        letters += figures->sink.tables[i].rows[ROW_DEAD];
    }
    *figure = grown(&state->growth, letters, now_ms);
    return true;
}

static bool reload_failed(struct alert_state *state, const struct metrics_snapshot *figures,
                          uint64_t now_ms, uint64_t *figure)
{
    (void)state;
    (void)now_ms;
    *figure = figures->reload.was_refused;
    return true;
}

static bool certificate(struct alert_state *state, const struct metrics_snapshot *figures,
                        uint64_t now_ms, uint64_t *figure)
{
    int64_t left_ms = (figures->relay.certificate_expiry_us - clock_wall_us()) / US_PER_MS;
    (void)state;
    (void)now_ms;
    *figure = left_ms > 0 ? (uint64_t)left_ms : 0;
    return figures->relay.certificate_expiry_us > 0;
}

static bool http_closed(struct alert_state *state, const struct metrics_snapshot *figures,
                        uint64_t now_ms, uint64_t *figure)
{
    (void)state;
    (void)now_ms;
    *figure = figures->server.is_closed;
    return true;
}

/* ---- the table -------------------------------------------------------------------------------- */

static const struct rule {
    const char *name;
    const char *object; /* in the log */
    bool (*figure)(struct alert_state *state, const struct metrics_snapshot *figures,
                   uint64_t now_ms, uint64_t *figure);
    enum {
        RULE_ABOVE,
        RULE_BELOW,
        RULE_ANY /* anything but 0 warns; no threshold */
    } kind;
    enum {
        FIGURE_COUNT,
        FIGURE_TIME_MS,
        FIGURE_FLAG /* not told: the sentence says it */
    } unit;
    size_t warning_key, critical_key; /* in struct config_alerts; 0: the constants below */
    uint64_t warning, critical;       /* 0: never */
    const char *field;                /* of the figure in the log */
    const char *before, *after;       /* the sentence around the figure */
    const char *calm;                 /* the sentence where a flag is down */
} rules[ALERT_COUNT] = {
    [ALERT_BACKLOG] = {.name = "backlog",
                       .object = "alert[backlog]",
                       .figure = backlog,
                       .kind = RULE_ABOVE,
                       .unit = FIGURE_COUNT,
                       .warning_key = offsetof(struct config_alerts, depth_warning),
                       .critical_key = offsetof(struct config_alerts, depth_critical),
                       .field = "backlog_entries",
                       .before = "",
                       .after = " entries are not yet acknowledged"},
    [ALERT_LAG] = {.name = "lag",
                   .object = "alert[lag]",
                   .figure = lag,
                   .kind = RULE_ABOVE,
                   .unit = FIGURE_TIME_MS,
                   .warning_key = offsetof(struct config_alerts, lag_warning_ms),
                   .field = "lag_ms",
                   .before = "PostgreSQL is ",
                   .after = " behind the relay"},
    [ALERT_RELAY_STALLED] = {.name = "relay_stalled",
                             .object = "alert[relay_stalled]",
                             .figure = silence,
                             .kind = RULE_ABOVE,
                             .unit = FIGURE_TIME_MS,
                             .warning_key = offsetof(struct config_alerts, stall_warning_ms),
                             .field = "silent_ms",
                             .before = "the relay is connected and has sent nothing for ",
                             .after = ""},
    [ALERT_RELAY_GAPS] = {.name = "relay_gaps",
                          .object = "alert[relay_gaps]",
                          .figure = gaps,
                          .kind = RULE_ANY,
                          .unit = FIGURE_COUNT,
                          .field = "missing_sequences",
                          .before = "the relay left out ",
                          .after = " sequences"},
    [ALERT_DEAD_LETTERS] = {.name = "dead_letters",
                            .object = "alert[dead_letters]",
                            .figure = dead_letters,
                            .kind = RULE_ANY,
                            .unit = FIGURE_COUNT,
                            .field = "new_letters",
                            .before = "",
                            .after = " new dead letters: see `standpipe dead list`"},
    [ALERT_RELOAD_FAILED] = {.name = "reload_failed",
                             .object = "alert[reload_failed]",
                             .figure = reload_failed,
                             .kind = RULE_ANY,
                             .unit = FIGURE_FLAG,
                             .field = "refused",
                             .before = "the last reload was refused, what ran before it still runs",
                             .after = "",
                             .calm = "the configuration was reloaded"},
    [ALERT_RELAY_CERTIFICATE] = {.name = "relay_certificate",
                                 .object = "alert[relay_certificate]",
                                 .figure = certificate,
                                 .kind = RULE_BELOW,
                                 .unit = FIGURE_TIME_MS,
                                 .warning = 7 * UINT64_C(86400000), /* days */
                                 .critical = UINT64_C(86400000),
                                 .field = "left_ms",
                                 .before = "the relay's certificate ends in ",
                                 .after = ""},
    [ALERT_HTTP_CLOSED] = {.name = "http_closed",
                           .object = "alert[http_closed]",
                           .figure = http_closed,
                           .kind = RULE_ANY,
                           .unit = FIGURE_FLAG,
                           .critical = 1, /* nothing else can tell: it is only in the log */
                           .field = "closed",
                           .before = "no page is served: http.listen is in use or refused, it is "
                                     "tried again",
                           .after = "",
                           .calm = "pages are served"},
};

/* ---- deciding --------------------------------------------------------------------------------- */

static uint64_t limit_of(const struct rule *rule, const struct config_alerts *limits,
                         enum alert_severity severity)
{
    size_t key = severity == ALERT_CRITICAL ? rule->critical_key : rule->warning_key;
    uint64_t constant = severity == ALERT_CRITICAL ? rule->critical : rule->warning;
    return key == 0 ? constant : *(const uint64_t *)(const void *)((const char *)limits + key);
}

static bool is_reached(const struct rule *rule, uint64_t figure, uint64_t limit, bool was_reached)
{
    uint64_t slack = was_reached ? limit / HYSTERESIS : 0;
    switch (rule->kind) {
    case RULE_ABOVE:
        return limit > 0 && figure > limit - slack;
    case RULE_BELOW:
        return limit > 0 && figure < limit + slack;
    case RULE_ANY:
        return figure > 0;
    }
    return false;
}

static enum alert_severity decide(const struct rule *rule, const struct config_alerts *limits,
                                  uint64_t figure, enum alert_severity was)
{
    uint64_t critical = limit_of(rule, limits, ALERT_CRITICAL);
    uint64_t warning = limit_of(rule, limits, ALERT_WARNING);
    if (critical > 0 && is_reached(rule, figure, critical, was == ALERT_CRITICAL)) {
        return ALERT_CRITICAL;
    }
    return is_reached(rule, figure, warning, was != ALERT_NONE) ? ALERT_WARNING : ALERT_NONE;
}

/* ---- saying ----------------------------------------------------------------------------------- */

static void format_figure(const struct rule *rule, uint64_t figure, char *text)
{
    switch (rule->unit) {
    case FIGURE_COUNT:
        human_count(figure, text);
        return;
    case FIGURE_TIME_MS:
        human_time_ms(figure, text);
        return;
    case FIGURE_FLAG:
        text[0] = '\0';
        return;
    }
}

/* `limit` is 0 where none is reached. */
static void describe(const struct rule *rule, struct alert_state *state, uint64_t figure,
                     uint64_t limit)
{
    char now[HUMAN_SIZE];
    char threshold[HUMAN_SIZE] = "";
    const char *joint = rule->kind == RULE_BELOW ? ", under " : ", over ";
    if (rule->calm != NULL && figure == 0) {
        (void)snprintf(state->text, sizeof(state->text), "%s", rule->calm);
        return;
    }
    format_figure(rule, figure, now);
    if (limit > 0) {
        format_figure(rule, limit, threshold);
    }
    (void)snprintf(state->text, sizeof(state->text), "%s%s%s%s%s", rule->before, now, rule->after,
                   threshold[0] != '\0' ? joint : "", threshold);
}

static void say(const struct rule *rule, const struct alert_state *state, const char *what,
                uint64_t figure, uint64_t now_ms)
{
    static const enum log_level levels[] = {
        [ALERT_NONE] = LOG_LEVEL_INFO,
        [ALERT_WARNING] = LOG_LEVEL_WARNING,
        [ALERT_CRITICAL] = LOG_LEVEL_ERROR,
    };
    const struct log_field fields[] = {
        LOG_TEXT("severity", alert_severity_name(state->severity)),
        LOG_TEXT("why", state->text),
        LOG_INT(rule->field, figure),
        LOG_INT("for_s", (now_ms - state->since_ms) / SECOND_MS),
    };
    log_write(levels[state->severity], rule->object, what, fields,
              sizeof(fields) / sizeof(fields[0]));
}

/* ---- one check -------------------------------------------------------------------------------- */

static const char *word_of(enum alert_severity was, enum alert_severity is)
{
    if (is == ALERT_NONE) {
        return "over";
    }
    return is > was ? "raised" : "lowered";
}

static void check_one(const struct rule *rule, struct alert_state *state,
                      const struct config_alerts *limits, const struct metrics_snapshot *figures,
                      uint64_t now_ms)
{
    uint64_t figure = 0;
    if (!rule->figure(state, figures, now_ms, &figure)) {
        return;
    }
    enum alert_severity was = state->severity;
    enum alert_severity is = decide(rule, limits, figure, was);
    describe(rule, state, figure, is == ALERT_NONE ? 0 : limit_of(rule, limits, is));
    if (is != was) {
        state->severity = is;
        state->since_us = clock_wall_us();
        state->since_ms = was == ALERT_NONE ? now_ms : state->since_ms;
    } else if (is == ALERT_NONE || now_ms < state->next_line_ms) {
        return;
    }
    state->next_line_ms = now_ms + REPEAT_MS;
    say(rule, state, is != was ? word_of(was, is) : "still active", figure, now_ms);
}

void alerts_check(struct alerts *alerts, const struct config_alerts *limits,
                  const struct metrics_snapshot *figures, uint64_t now_ms)
{
    bool is_first = alerts->checked_ms == 0;
    if (!is_first && now_ms - alerts->checked_ms < limits->interval_ms) {
        return;
    }
    alerts->checked_ms = now_ms;
    for (unsigned i = 0; i < ALERT_COUNT; i++) {
        check_one(&rules[i], &alerts->states[i], limits, figures, now_ms);
    }
}

void alerts_fill(const struct alerts *alerts, struct metrics_snapshot *snapshot)
{
    _Static_assert((int)ALERT_COUNT <= (int)SNAPSHOT_ALERTS_MAX, "each alert has its place");
    snapshot->alert_count = ALERT_COUNT;
    for (unsigned i = 0; i < ALERT_COUNT; i++) {
        const struct alert_state *state = &alerts->states[i];
        struct snapshot_alert *alert = &snapshot->alerts[i];
        alert->name = rules[i].name;
        alert->severity = state->severity;
        alert->since_us = state->since_us;
        (void)snprintf(alert->text, sizeof(alert->text), "%s", state->text);
    }
}
