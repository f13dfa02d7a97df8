#include "http/snapshot.h"

#include <string.h>

/* PostgreSQL documentation, appendix A: classes that a client of this kind can meet. */
const char *const snapshot_sqlstate_classes[SQLSTATE_CLASS_COUNT] = {
    "none", "08", "0A", "21", "22", "23", "25", "26", "28", "34",    "3D",
    "3F",   "40", "42", "53", "54", "55", "57", "58", "XX", "other",
};

unsigned snapshot_sqlstate_class(const char *sqlstate)
{
    if (sqlstate == NULL || sqlstate[0] == '\0') {
        return 0;
    }
    for (unsigned i = 1; i < SQLSTATE_CLASS_COUNT - 1; i++) {
        if (strncmp(sqlstate, snapshot_sqlstate_classes[i], 2) == 0) {
            return i;
        }
    }
    return SQLSTATE_CLASS_COUNT - 1;
}

const char *pause_reason_name(enum pause_reason reason)
{
    static const char *const names[PAUSE_COUNT] = {[PAUSE_WRITER] = "writer",
                                                   [PAUSE_REDIS] = "redis",
                                                   [PAUSE_DEPTH] = "depth",
                                                   [PAUSE_DEAD_LETTERS] = "dead_letters"};
    return names[reason];
}

const char *dependency_name(enum dependency dependency)
{
    static const char *const names[DEPENDENCY_COUNT] = {
        [DEPENDENCY_RELAY] = "relay",       [DEPENDENCY_REDIS] = "redis",
        [DEPENDENCY_POSTGRES] = "postgres", [DEPENDENCY_SCHEMA] = "schema",
        [DEPENDENCY_BACKLOG] = "backlog",   [DEPENDENCY_DEAD_LETTERS] = "dead_letters",
    };
    return names[dependency];
}

const char *dependency_state_name(enum dependency_state state)
{
    static const char *const names[DEPENDENCY_STATE_COUNT] = {
        [DEPENDENCY_STARTING] = "starting",
        [DEPENDENCY_READY] = "ready",
        [DEPENDENCY_CATCHING_UP] = "catching up",
        [DEPENDENCY_PAUSED] = "paused",
        [DEPENDENCY_DRAINING] = "draining",
        [DEPENDENCY_MISCONFIGURED] = "misconfigured",
        [DEPENDENCY_AWAY] = "away",
    };
    return names[state];
}

bool dependency_is_fine(enum dependency_state state)
{
    return state == DEPENDENCY_READY || state == DEPENDENCY_CATCHING_UP;
}

bool dependencies_are_fine(const struct snapshot_dependency *dependencies)
{
    bool all = true;
    for (unsigned i = 0; i < DEPENDENCY_COUNT; i++) {
        all = all && dependency_is_fine(dependencies[i].state);
    }
    return all;
}

enum dependency dependency_worst(const struct snapshot_dependency *dependencies)
{
    static const unsigned weights[DEPENDENCY_STATE_COUNT] = {
        [DEPENDENCY_READY] = 0,    [DEPENDENCY_CATCHING_UP] = 1, [DEPENDENCY_STARTING] = 2,
        [DEPENDENCY_PAUSED] = 3,   [DEPENDENCY_AWAY] = 4,        [DEPENDENCY_MISCONFIGURED] = 5,
        [DEPENDENCY_DRAINING] = 6,
    };
    enum dependency worst = DEPENDENCY_RELAY;
    for (unsigned i = 1; i < DEPENDENCY_COUNT; i++) {
        enum dependency_state state = dependencies[i].state;
        /* The relay is paused for what stands behind it: that says more. */
        if (weights[state] > weights[dependencies[worst].state] ||
            (state == DEPENDENCY_PAUSED && dependencies[worst].state == state)) {
            worst = (enum dependency)i;
        }
    }
    return worst;
}

int64_t ledger_unexplained_intake(const struct snapshot_ledger *ledger)
{
    return (int64_t)(ledger->received - ledger->appended - ledger->duplicate - ledger->filtered -
                     ledger->ignored - ledger->dead - ledger->waiting);
}

int64_t ledger_unexplained_stream(const struct snapshot_ledger *ledger)
{
    return (int64_t)(ledger->appended - ledger->committed - ledger->dead_entries - ledger->pending -
                     ledger->undelivered);
}

uint64_t snapshot_committed(const struct snapshot_sink *sink)
{
    uint64_t committed = 0;
    for (unsigned i = 0; i < EVENT_TYPE_COUNT; i++) {
        committed += sink->committed_entries[i];
    }
    return committed;
}

/* Up to when PostgreSQL has what happened: to the event that was committed last, and to the one that waits longest. The
 * second is all that is known after a start, and the later one where another process commits, or after a quiet hour; a
 * time that is still to come says nothing. 0: unknown. */
static int64_t reached_us(const struct metrics_snapshot *snapshot)
{
    const struct snapshot_sink *sink = &snapshot->sink;
    int64_t oldest_us = snapshot->stream.oldest_event_us;
    int64_t waits_us = oldest_us <= snapshot->now_us ? oldest_us : 0;
    int64_t newest_us =
        sink->last_commit_us > 0 ? sink->last_commit_us - (int64_t)sink->event_lag_us : 0;
    return newest_us > waits_us ? newest_us : waits_us;
}

bool snapshot_behind_us(const struct metrics_snapshot *snapshot, uint64_t *behind_us)
{
    enum {
        RECENT_US = 10 * 1000 * 1000
    };
    const struct snapshot_sink *sink = &snapshot->sink;
    const struct snapshot_stream *stream = &snapshot->stream;
    int64_t now_us = snapshot->now_us;
    *behind_us = 0;
    if (stream->is_known && stream->pending + stream->undelivered > 0) {
        int64_t until_us = reached_us(snapshot);
        *behind_us = now_us > until_us ? (uint64_t)(now_us - until_us) : 0;
        return until_us > 0;
    }
    if (now_us - sink->last_commit_us < RECENT_US) {
        *behind_us = sink->event_lag_us;
    }
    return stream->is_known;
}

const char *alert_severity_name(enum alert_severity severity)
{
    static const char *const names[] = {
        [ALERT_NONE] = "none", [ALERT_WARNING] = "warning", [ALERT_CRITICAL] = "critical"};
    return names[severity];
}
