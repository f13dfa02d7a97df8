/*
 * Console sources: what pages and alerts are made of; the daemon keeps it current.
 * Ownership: embedded in the daemon; all pointers are borrowed. Threading: thread 0.
 */
#ifndef RUNTIME_CONSOLE_SOURCES_H
#define RUNTIME_CONSOLE_SOURCES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "config/config.h"
#include "http/snapshot.h"
#include "runtime/worker_stats.h"
#include "sink/dead_letter_store.h"
#include "stream/stream_monitor.h"

struct ingester;
struct marks;
struct relay_totals;
struct reload_report;
struct stream_watch;
struct schema_setup;

struct console_sources {
    const struct config *config;
    const char *process_name;           /* among the consumers of the group */
    const struct worker_stats *workers; /* worker_count of them, then the ingester's */
    unsigned worker_count;
    const struct tables *tables; /* that they count rows by; NULL: none is open yet */
    const struct marks *marks;
    const struct stream_watch *stream_watch;
    const struct reload_report *reload;
    const struct relay_totals *relay_totals; /* of all ingesters that there were */
    const struct ingester *ingester;         /* NULL: this process does not ingest */
    struct stream_monitor *monitor;          /* NULL: not open */
    struct stream_depth depth;               /* of the last look */
    int64_t oldest_event_us;                 /* of the event that waits longest; 0: unknown */
    uint64_t depth_at_ms;             /* clock_monotonic_ms() of the last look; 0: none yet */
    struct error redis_trouble;       /* why there was none since; ERROR_NONE: not known */
    uint64_t undecided_letters;       /* rows of standpipe_dead_letters */
    struct dead_letter_count letters; /* of the last count: why they are there */
    bool are_letters_too_many;
    const struct schema_setup *schema; /* NULL: it does not run, or no longer */
    bool is_schema_ready;
    bool is_draining;
    bool is_http_closed; /* pages are wanted, and nobody listens */
};

/* The last look is young enough to say something of now. */
bool console_look_is_fresh(const struct console_sources *sources);

#endif
