/*
 * Ingester: joins lease, writer, cursor and subscription into one intake of the relay.
 *
 *   STANDBY --lease--> FINDING --position known--> LOADING --cursor row--> SAVING --first mark--> INGESTING
 *      ^                  ^                                                                     |
 *      +---- lease lost --+--------------------- fenced by the stream -------------------------+
 *   INGESTING --the relay's sequence ran backwards--> STOPPED (an operator decides)
 *   any --ingester_close--> DRAINING --> closed
 *
 * Ownership: heap; freed right after `on_closed`. Owns lease, writer and subscription; borrows the
 * cursor store. Threading: thread 0's loop.
 */
#ifndef RUNTIME_INGESTER_H
#define RUNTIME_INGESTER_H

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"
#include "runtime/counters.h"
#include "sink/cursor_store.h"
#include "stream/stream_monitor.h"

struct uv_loop_s;
struct ingester;
struct marks;
struct pressure_limits;
struct relay_totals;

struct ingester_options {
    const struct config *config;       /* borrowed */
    struct cursor_store *cursor_store; /* borrowed; the owner routes its callbacks to us */
    struct marks *marks;               /* borrowed; its host is the relay's */
    struct counters *counters;         /* borrowed */
    struct relay_totals *totals;       /* borrowed, outlives ingesters */
    const char *process_name;          /* borrowed; for the names of our Redis connections */
    bool *
        has_started; /* borrowed, outlives ingesters: relay.cursor was obeyed, which it is once a process */
};

struct ingester_callbacks {
    /* Last call. */
    void (*on_closed)(void *owner);
};

/* For the console; counters are of this ingester. What it counts beyond them is in the relay totals. */
struct ingester_figures {
    bool is_leader;          /* this process holds the lease */
    bool is_lease_elsewhere; /* another process held it when we asked last */
    /* What Redis refused it with when we asked last, borrowed; ERROR_NONE: it did not. */
    const struct error *lease_trouble;
    bool is_ingesting; /* position known, the relay is read or tried */
    bool is_stopped;   /* an operator has to decide: `why` */
    const char *why;   /* borrowed from the ingester; empty unless stopped */
    bool is_connected;
    uint64_t connected_ms;     /* since the connection came; 0: none */
    const char *relay_trouble; /* borrowed; why the relay is not connected; empty: not known */
    unsigned paused_for;       /* enum pressure_reason bits */
    uint64_t paused_us;        /* in all */
    uint64_t connects, failures,
        bytes;               /* failures: connections, or tries, that ended by themselves */
    uint64_t waiting;        /* events taken, not yet known to be stored */
    uint64_t waiting_frames; /* of them: frames for the dead letters */
    int64_t sequence;        /* newest taken; 0: none */
    int64_t last_event_us;
    int64_t certificate_expiry; /* seconds since 1970; 0: none */
};

struct ingester *ingester_open(struct uv_loop_s *loop, const struct ingester_options *options,
                               const struct ingester_callbacks *callbacks, void *owner);
/* The cursor store's answers. */
void ingester_on_cursor_loaded(struct ingester *ingester, const struct cursor_found *found);
void ingester_on_cursor_refused(struct ingester *ingester);
void ingester_on_cursor_saved(struct ingester *ingester, const struct cursor_row *row);
/* Before the monitor looks: remembers what is surely in the stream by now. */
void ingester_before_look(struct ingester *ingester);
/* What it saw: decides on back-pressure; a stream that lost what was in it is found anew, also while the relay
 * has nothing to say. */
void ingester_on_depth(struct ingester *ingester, const struct pressure_limits *limits,
                       const struct stream_depth *depth);
/* Too many dead letters are undecided, or no longer. */
void ingester_on_letters(struct ingester *ingester, bool are_too_many);
/* Stops the relay, drains the writer for at most `drain_ms`, saves the mark, releases the lease. */
void ingester_close(struct ingester *ingester, uint64_t drain_ms);
void ingester_figures(const struct ingester *ingester, struct ingester_figures *figures);
void ingester_log_state(const struct ingester *ingester);

#endif
