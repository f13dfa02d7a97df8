#include "runtime/mark_watch.h"

#include "base/clock.h"
#include "base/log.h"

enum {
    INTERVAL_MS = 10000,
    REST_MS = 30000 /* between two rewinds of one process */
};

void mark_watch_init(struct mark_watch *watch, struct marks *marks,
                     struct stream_monitor *const *monitor, struct counters *counters)
{
    *watch = (struct mark_watch){.marks = marks, .monitor = monitor, .counters = counters};
}

/* What we saved and nobody was told yet counts too. */
static struct position known_mark(const struct mark_watch *watch)
{
    const struct marks *marks = watch->marks;
    struct position own = {marks->queued.epoch, marks->saved};
    return marks->saved > 0 && position_compare(own, watch->remembered) > 0 ? own
                                                                            : watch->remembered;
}

static bool is_resting(const struct mark_watch *watch)
{
    return watch->rewound_at_ms > 0 && !watch->is_reconnected &&
           clock_monotonic_ms() < watch->rewound_at_ms + REST_MS;
}

static void ask(struct mark_watch *watch)
{
    bool is_known = watch->remembered.epoch != 0 || watch->started_us != 0;
    if (watch->is_asking || !is_known || is_resting(watch)) {
        return;
    }
    watch->is_due = false;
    watch->is_asking = true;
    watch->asked_at_ms = clock_monotonic_ms();
    watch->seen = known_mark(watch);
    watch->seen_started_us = watch->started_us;
    watch->rewind.rewinds = watch->rewinds;
    cursor_store_load(watch->marks->store, watch->marks->host);
}

void mark_watch_note_depth(struct mark_watch *watch, const struct stream_depth *depth)
{
    /* Whatever relay it is of: the ingester holds until PostgreSQL's newest mark, of any relay, is met. */
    watch->remembered = depth->has_meta ? depth->saved : (struct position){0};
    watch->started_us = depth->has_meta ? depth->postgres_started_us : 0;
    watch->rewinds = depth->rewinds;
    if (watch->is_due || clock_monotonic_ms() >= watch->asked_at_ms + INTERVAL_MS) {
        ask(watch);
    }
}

void mark_watch_note_doubt(struct mark_watch *watch)
{
    watch->is_due = true;
    ask(watch);
}

void mark_watch_note_connected(struct mark_watch *watch)
{
    watch->is_reconnected = watch->is_reconnected || watch->was_connected;
    watch->was_connected = true;
    mark_watch_note_doubt(watch);
}

/* Another relay's mark says nothing of what ours is to be asked for. */
static bool is_of_host(const struct cursor_found *found)
{
    return found->has_row && found->row.epoch == found->newest.epoch;
}

void mark_watch_note_loaded(struct mark_watch *watch, const struct cursor_found *found)
{
    if (!watch->is_asking) {
        return; /* the ingester asked */
    }
    watch->is_asking = false;
    watch->is_lower = position_compare(found->newest, watch->seen) < 0;
    bool is_another = watch->seen_started_us != 0 && watch->seen_started_us != found->started_us;
    if (!watch->is_lower && !is_another) {
        watch->is_reconnected = false;
        return;
    }
    if (*watch->monitor == NULL) {
        return;
    }
    watch->is_due = true; /* until it is done, by us or another */
    watch->rewind.target = found->newest;
    watch->rewind.may_refetch = is_of_host(found);
    watch->rewind.postgres_started_us = found->started_us;
    stream_monitor_rewind(*watch->monitor, &watch->rewind);
}

static const char *what_follows(const struct mark_watch *watch,
                                const struct stream_rewound *rewound)
{
    if (!rewound->is_short) {
        return "the stream has all of it";
    }
    return watch->rewind.may_refetch
               ? "the stream may not reach back to it, the relay is asked again"
               : "the stream may not reach back to it, and the mark is not of this relay: see "
                 "`standpipe cursor`";
}

static void log_rewound(const struct mark_watch *watch, const struct stream_rewound *rewound)
{
    const struct position target = watch->rewind.target;
    if (!watch->is_lower) {
        log_info("postgres", "started anew, what was acknowledged since its mark comes again",
                 LOG_INT("mark", target.sequence),
                 LOG_INT("delivered", rewound->delivered.sequence));
        return;
    }
    log_write(LOG_LEVEL_ERROR, "postgres",
              "PostgreSQL went back in time, what is above its mark is delivered again",
              (const struct log_field[]){
                  LOG_INT("epoch", target.epoch), LOG_INT("mark", target.sequence),
                  LOG_INT("had_epoch", watch->seen.epoch), LOG_INT("had", watch->seen.sequence),
                  LOG_TEXT("then", what_follows(watch, rewound))},
              5);
}

void mark_watch_note_rewound(struct mark_watch *watch, const struct stream_rewound *rewound)
{
    if (!rewound->is_done) {
        return; /* another process was first, or Redis refused: asked again at the next look */
    }
    watch->is_due = watch->is_reconnected = false;
    watch->rewound_at_ms = clock_monotonic_ms();
    if (watch->is_lower) {
        counters_add(watch->counters, COUNTER_REWINDS, 1);
    }
    log_rewound(watch, rewound);
}
