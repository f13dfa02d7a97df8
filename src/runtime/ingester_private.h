/*
 * Between ingester.c (which moves the state) and ingester_watch.c (which looks on) only.
 */
#ifndef RUNTIME_INGESTER_PRIVATE_H
#define RUNTIME_INGESTER_PRIVATE_H

#include "base/log.h"
#include "runtime/ingester.h"
#include "runtime/intake.h"
#include "runtime/marks.h"
#include "runtime/origin.h"
#include "runtime/pressure.h"

struct stream_lease;
struct stream_writer;
struct subscription;

enum {
    INGESTER_NAME_SIZE = 640
};

enum ingester_state {
    INGESTER_STANDBY,
    INGESTER_FINDING,
    INGESTER_LOADING,
    INGESTER_SAVING,
    INGESTER_INGESTING,
    INGESTER_RESETTING,
    INGESTER_STOPPED,
    INGESTER_DRAINING,
};

struct ingester {
    struct uv_loop_s *loop;
    const struct config *config;
    struct ingester_callbacks callbacks;
    void *owner;
    struct cursor_store *cursor_store;
    struct marks *marks;
    struct counters *counters;
    struct relay_totals *totals;
    bool *has_started; /* relay.cursor was obeyed */
    struct stream_lease *lease;
    struct stream_writer *writer;
    struct subscription *subscription;
    uint64_t drain_until_ms;
    uint64_t connects, failures, bytes; /* of subscriptions that are closed */
    int64_t reset_sequence;
    const char *reset_why;         /* NULL: the relay's own doing */
    struct position remembered;    /* what PostgreSQL is known to have had, as of the find */
    int64_t remembered_started_us; /* and which PostgreSQL that is, 0: not known */
    uint64_t remembered_rewinds;
    int64_t loaded_started_us;     /* of the PostgreSQL that the origin was decided by */
    struct position surely_queued; /* before the monitor's last look */
    struct origin_facts facts;
    struct origin origin;
    struct intake intake;
    struct pressure pressure;
    struct log_limit pause_limit;
    enum ingester_state state;
    bool has_lease;
    bool has_entries;        /* of our epoch in the stream */
    bool surely_has_entries; /* the same before the monitor's last look */
    bool
        is_held; /* in LOADING: PostgreSQL is not the one that is remembered, or went back in time */
    bool is_pause_told;
    bool is_writer_closing;
    bool is_subscription_closing;
    bool is_reset; /* a new sequence space was accepted: the next origin opens its epoch */
    char writer_name[INGESTER_NAME_SIZE];
    char lease_name[INGESTER_NAME_SIZE];
};

/* The one function that moves the state; says so at level debug. */
void ingester_enter_state(struct ingester *ingester, enum ingester_state next);
/* Whatever was known of stream and marks is void. */
void ingester_find_anew(struct ingester *ingester);
/* Opens and closes what the state asks for. */
void ingester_proceed(struct ingester *ingester);
void ingester_raise_pressure(struct ingester *ingester, enum pressure_reason reason);
void ingester_lower_pressure(struct ingester *ingester, enum pressure_reason reason);

#endif
