#include "runtime/readiness.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/human.h"
#include "runtime/ingester.h"
#include "runtime/pressure.h"
#include "runtime/schema_setup.h"
#include "runtime/stream_watch.h"

enum {
    REASON_SIZE = SNAPSHOT_REASON_SIZE
};

/* Bytes of `text` up to `limit`, without the half of a character. */
static int whole_characters(const char *text, size_t limit)
{
    size_t size = strnlen(text, limit + 1);
    if (size > limit) {
        size = limit;
        while (size > 0 && ((unsigned char)text[size] & 0xc0) == 0x80) {
            size--;
        }
    }
    return (int)size;
}

/* To `reason`, of REASON_SIZE; nothing where `text` is empty. */
static void append_trouble(char *reason, const char *text)
{
    size_t used = strlen(reason);
    if (text[0] != '\0') {
        size_t room = REASON_SIZE - used - sizeof(": ");
        (void)snprintf(reason + used, REASON_SIZE - used, ": %.*s", whole_characters(text, room),
                       text);
    }
}

static bool is_refusal(const struct error *error)
{
    return error->kind == ERROR_REFUSED || error->kind == ERROR_USAGE;
}

static void set_dependency(struct readiness *readiness, struct metrics_snapshot *snapshot,
                           enum dependency which, enum dependency_state state, const char *reason)
{
    struct snapshot_dependency *dependency = &snapshot->dependencies[which];
    if (readiness->is_draining) {
        state = DEPENDENCY_DRAINING;
        reason = "the process is stopping";
    }
    if (readiness->states[which] != state || readiness->since_us[which] == 0) {
        readiness->states[which] = state;
        readiness->since_us[which] = clock_wall_us();
    }
    dependency->state = state;
    dependency->since_us = readiness->since_us[which];
    (void)snprintf(dependency->reason, REASON_SIZE, "%.*s",
                   whole_characters(reason, REASON_SIZE - 1), reason);
}

/* The one that lasts longest comes first. */
static const char *why_paused(unsigned reasons)
{
    if ((reasons & PRESSURE_LETTERS) != 0) {
        return "reading waits: too many dead letters are undecided";
    }
    if ((reasons & PRESSURE_DEPTH) != 0) {
        return "reading waits: the backlog or Redis' memory is at its limit";
    }
    return "reading waits: Redis takes no writes";
}

static void judge_reading(struct readiness *readiness, const struct ingester_figures *figures,
                          struct metrics_snapshot *snapshot)
{
    bool was_tried = figures->connects + figures->failures > 0;
    if (figures->paused_for == PRESSURE_WRITER) { /* a burst: gone within moments */
        set_dependency(readiness, snapshot, DEPENDENCY_RELAY, DEPENDENCY_CATCHING_UP,
                       "events wait for their append");
    } else if (figures->paused_for != 0) {
        set_dependency(readiness, snapshot, DEPENDENCY_RELAY, DEPENDENCY_PAUSED,
                       why_paused(figures->paused_for));
    } else if (figures->is_connected) {
        set_dependency(readiness, snapshot, DEPENDENCY_RELAY, DEPENDENCY_READY, "");
    } else {
        char reason[REASON_SIZE] = "the relay is not connected";
        append_trouble(reason, figures->relay_trouble);
        set_dependency(readiness, snapshot, DEPENDENCY_RELAY,
                       was_tried ? DEPENDENCY_AWAY : DEPENDENCY_STARTING, reason);
    }
}

/* No ingester: it never ingests, or waits for PostgreSQL's schema. */
static void judge_no_ingester(struct readiness *readiness, const struct console_sources *sources,
                              struct metrics_snapshot *snapshot)
{
    bool never_ingests = sources->config->ingest.mode == INGEST_NEVER;
    set_dependency(readiness, snapshot, DEPENDENCY_RELAY,
                   never_ingests ? DEPENDENCY_READY : DEPENDENCY_STARTING,
                   never_ingests
                       ? "this process does not ingest"
                       : "reading has not started: it waits for PostgreSQL, or for a reload");
}

/* Without the lease: because another has it, or because Redis does not give it to anybody. */
static void judge_standby(struct readiness *readiness, const struct console_sources *sources,
                          const struct ingester_figures *figures, struct metrics_snapshot *snapshot)
{
    const struct error *trouble = figures->lease_trouble;
    char reason[REASON_SIZE] = "the ingest lease cannot be taken";
    if (trouble->kind != ERROR_NONE) {
        append_trouble(reason, trouble->text);
        set_dependency(readiness, snapshot, DEPENDENCY_RELAY,
                       is_refusal(trouble) ? DEPENDENCY_MISCONFIGURED : DEPENDENCY_PAUSED, reason);
    } else if (figures->is_lease_elsewhere && console_look_is_fresh(sources)) {
        set_dependency(readiness, snapshot, DEPENDENCY_RELAY, DEPENDENCY_READY,
                       "another process holds the ingest lease");
    } else {
        set_dependency(readiness, snapshot, DEPENDENCY_RELAY, DEPENDENCY_STARTING,
                       "the ingest lease could not be asked for yet");
    }
}

static void judge_relay(struct readiness *readiness, const struct console_sources *sources,
                        struct metrics_snapshot *snapshot)
{
    struct ingester_figures figures = {0};
    if (sources->ingester == NULL) {
        judge_no_ingester(readiness, sources, snapshot);
        return;
    }
    ingester_figures(sources->ingester, &figures);
    if (figures.is_stopped) {
        char reason[REASON_SIZE];
        (void)snprintf(reason, sizeof(reason), "stopped until an operator decides: %s",
                       figures.why);
        set_dependency(readiness, snapshot, DEPENDENCY_RELAY, DEPENDENCY_MISCONFIGURED, reason);
    } else if (!figures.is_leader) {
        judge_standby(readiness, sources, &figures, snapshot);
    } else {
        judge_reading(readiness, &figures, snapshot);
    }
}

/* Each reader has a connection and commands of its own: what the look at the stream gets may be refused to them. */
static enum reader_state worst_reader(const struct console_sources *sources)
{
    enum reader_state worst = READER_READY;
    for (unsigned i = 0; i < sources->worker_count; i++) {
        enum reader_state state =
            (enum reader_state)worker_stats_get(&sources->workers[i], GAUGE_READER_STATE);
        worst = state > worst ? state : worst;
    }
    return worst;
}

enum dependency_state readiness_of_reader(enum reader_state state)
{
    switch (state) {
    case READER_READY:
        return DEPENDENCY_READY;
    case READER_AWAY:
        return DEPENDENCY_AWAY;
    case READER_REFUSED:
        return DEPENDENCY_MISCONFIGURED;
    }
    return DEPENDENCY_STARTING;
}

static void judge_redis(struct readiness *readiness, const struct console_sources *sources,
                        struct metrics_snapshot *snapshot)
{
    const struct error *trouble = &sources->redis_trouble;
    bool has_reason = trouble->kind != ERROR_NONE;
    if (is_refusal(trouble)) {
        set_dependency(readiness, snapshot, DEPENDENCY_REDIS, DEPENDENCY_MISCONFIGURED,
                       trouble->text);
    } else if (sources->depth_at_ms == 0 && !has_reason) {
        set_dependency(readiness, snapshot, DEPENDENCY_REDIS, DEPENDENCY_STARTING,
                       "Redis has not answered yet");
    } else if (console_look_is_fresh(sources)) {
        static const char *const reasons[] = {
            [READER_AWAY] = "Redis lets a worker's reader wait: see the log",
            [READER_REFUSED] = "Redis refuses what a worker's reader asks: see the log",
        };
        enum reader_state worst = worst_reader(sources);
        set_dependency(readiness, snapshot, DEPENDENCY_REDIS, readiness_of_reader(worst),
                       worst == READER_READY ? sources->stream_watch->eviction : reasons[worst]);
    } else {
        char reason[REASON_SIZE] = "Redis does not answer";
        append_trouble(reason, trouble->text);
        set_dependency(readiness, snapshot, DEPENDENCY_REDIS, DEPENDENCY_AWAY, reason);
    }
}

/* The worst state of all sinks; SINK_READY where each is. */
static enum sink_state worst_sink(const struct console_sources *sources)
{
    enum sink_state worst = SINK_READY;
    for (unsigned i = 0; i < sources->worker_count; i++) {
        enum sink_state state =
            (enum sink_state)worker_stats_get(&sources->workers[i], GAUGE_SINK_STATE);
        if (state == SINK_MISCONFIGURED) {
            return state;
        }
        if (state != SINK_READY && worst != SINK_AWAY) {
            worst = state;
        }
    }
    return worst;
}

enum dependency_state readiness_of_sink(enum sink_state state)
{
    switch (state) {
    case SINK_CONNECTING:
        return DEPENDENCY_STARTING;
    case SINK_READY:
        return DEPENDENCY_READY;
    case SINK_AWAY:
        return DEPENDENCY_AWAY;
    case SINK_MISCONFIGURED:
        return DEPENDENCY_MISCONFIGURED;
    }
    return DEPENDENCY_STARTING;
}

/* Before the stages are open, the migrations are all that talks to PostgreSQL. */
static void judge_schema_setup(struct readiness *readiness, const struct schema_setup *setup,
                               struct metrics_snapshot *snapshot)
{
    enum dependency_state state = DEPENDENCY_STARTING;
    if (setup != NULL && setup->has_failed) {
        state = setup->is_refused ? DEPENDENCY_MISCONFIGURED : DEPENDENCY_AWAY;
    }
    set_dependency(readiness, snapshot, DEPENDENCY_POSTGRES, state,
                   state == DEPENDENCY_STARTING ? "not connected yet" : setup->why);
    set_dependency(readiness, snapshot, DEPENDENCY_SCHEMA, DEPENDENCY_STARTING,
                   "the migrations have not run yet");
}

static void judge_postgres(struct readiness *readiness, const struct console_sources *sources,
                           struct metrics_snapshot *snapshot)
{
    static const char *const reasons[] = {
        [SINK_CONNECTING] = "not connected yet",
        [SINK_READY] = "",
        [SINK_AWAY] = "PostgreSQL is away or busy: batches are retried",
        [SINK_MISCONFIGURED] = "PostgreSQL refuses the set-up: see the log",
    };
    if (!sources->is_schema_ready) {
        judge_schema_setup(readiness, sources->schema, snapshot);
        return;
    }
    enum sink_state worst = worst_sink(sources);
    set_dependency(readiness, snapshot, DEPENDENCY_SCHEMA, DEPENDENCY_READY, "");
    set_dependency(readiness, snapshot, DEPENDENCY_POSTGRES, readiness_of_sink(worst),
                   reasons[worst]);
}

static void judge_stream(struct readiness *readiness, const struct console_sources *sources,
                         struct metrics_snapshot *snapshot)
{
    const struct config_stream *limits = &sources->config->stream;
    const struct stream_depth *depth = &sources->depth;
    if (sources->depth_at_ms == 0) {
        set_dependency(readiness, snapshot, DEPENDENCY_BACKLOG, DEPENDENCY_STARTING, "");
        set_dependency(readiness, snapshot, DEPENDENCY_DEAD_LETTERS, DEPENDENCY_STARTING, "");
        return;
    }
    char reason[REASON_SIZE] = "";
    enum dependency_state state = DEPENDENCY_READY;
    if (depth->backlog >= limits->max_backlog) {
        state = DEPENDENCY_PAUSED;
    } else if (depth->backlog > sources->config->alerts.depth_warning) {
        state = DEPENDENCY_CATCHING_UP;
    }
    if (state != DEPENDENCY_READY) {
        char entries[HUMAN_SIZE]; /* as the alert on the same figure says it */
        human_count(depth->backlog, entries);
        (void)snprintf(reason, sizeof(reason), "%s entries are not yet acknowledged", entries);
    } else if (sources->stream_watch->unread[0] != '\0') {
        state = DEPENDENCY_CATCHING_UP; /* until Redis is full of what that group has not read */
        (void)snprintf(reason, sizeof(reason), "%s", sources->stream_watch->unread);
    }
    set_dependency(readiness, snapshot, DEPENDENCY_BACKLOG, state, reason);
    bool is_full = sources->are_letters_too_many;
    set_dependency(readiness, snapshot, DEPENDENCY_DEAD_LETTERS,
                   is_full ? DEPENDENCY_PAUSED : DEPENDENCY_READY,
                   is_full ? "too many dead letters are undecided" : "");
}

void readiness_judge(struct readiness *readiness, const struct console_sources *sources,
                     struct metrics_snapshot *snapshot)
{
    readiness->is_draining = sources->is_draining;
    judge_relay(readiness, sources, snapshot);
    judge_redis(readiness, sources, snapshot);
    judge_postgres(readiness, sources, snapshot);
    judge_stream(readiness, sources, snapshot);
}
