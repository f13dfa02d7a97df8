/*
 * Between the files of the daemon: daemon.c (its whole life), daemon_stages.c (wiring), daemon_parts.c (parts by
 * bits), daemon_reload.c, daemon_stop.c, daemon_signals.c and daemon_supervise.c only.
 */
#ifndef RUNTIME_DAEMON_PRIVATE_H
#define RUNTIME_DAEMON_PRIVATE_H

#include <uv.h>

#include "base/buffer.h"
#include "runtime/console.h"
#include "runtime/consumer_slot.h"
#include "runtime/daemon.h"
#include "runtime/dead_letter_courier.h"
#include "runtime/generation.h"
#include "runtime/ingester.h"
#include "runtime/mark_watch.h"
#include "runtime/marks.h"
#include "runtime/progress.h"
#include "runtime/relay_totals.h"
#include "runtime/reload_check.h"
#include "runtime/reload_plan.h"
#include "runtime/reload_report.h"
#include "runtime/schema_setup.h"
#include "runtime/stream_watch.h"
#include "runtime/supervisor.h"
#include "runtime/watch.h"
#include "runtime/workforce.h"
#include "sink/cursor_store.h"
#include "stream/stream_monitor.h"

enum {
    DAEMON_SIGNAL_COUNT = 4,
    DAEMON_NAME_SIZE = 600, /* workers.consumer_id has up to 512 bytes */
};

enum daemon_state {
    DAEMON_STARTING,
    DAEMON_RUNNING,
    DAEMON_DRAINING,
    DAEMON_SAVING,
    DAEMON_CLOSING
};

enum reload_state {
    RELOAD_IDLE,
    RELOAD_CHECKING,        /* the next configuration is tried, nothing has changed */
    RELOAD_CLOSING_READERS, /* what reads and writes drains; then what it relied on closes */
    RELOAD_CLOSING_REST
};

struct reload {
    enum reload_state state;
    bool is_asked_again; /* SIGHUP came in the meantime */
    struct generation *next;
    struct reload_plan plan;
    struct reload_check check;
    uint64_t begun_ms;
    struct reload_report report;
};

struct daemon {
    struct generation *generation;            /* the newest */
    const struct config *config;              /* of it */
    const struct config_arguments *arguments; /* where it is read from again; borrowed */
    struct generation *held[PART_COUNT];      /* what each part was opened with, by its bit */
    struct reload reload;
    uv_loop_t loop;
    uv_signal_t signals[DAEMON_SIGNAL_COUNT];
    uv_timer_t look_timer;
    uv_timer_t watch_timer;
    uv_timer_t progress_timer;
    uv_timer_t deadline_timer;
    uv_timer_t supervise_timer;
    struct supervisor supervisor;
    enum daemon_state state;
    uint64_t drain_until_ms;

    struct consumer_slot slot;
    char process_name[DAEMON_NAME_SIZE];
    struct buffer host; /* of the relay, zero-terminated */
    bool has_started;   /* relay.cursor was obeyed */
    struct schema_setup schema;
    bool is_schema_open;
    bool is_ready_told; /* to the init system */
    struct cursor_store *cursor_store;
    struct marks marks;
    struct mark_watch mark_watch;
    struct workforce workforce;
    struct stream_monitor *monitor;
    struct dead_letter_courier *courier; /* NULL: not open */
    struct ingester *ingester;
    struct relay_totals relay_totals; /* of all ingesters */
    struct stream_watch stream_watch;
    struct watch watch;
    struct progress progress;
    struct worker_stats *stats; /* one a worker, then the ingester's */
    struct console *console;    /* NULL: not open */
    struct console_sources console_sources;
    uint64_t next_console_ms; /* when its address is tried again */
    unsigned looks;
};

void daemon_log_stopped(const struct daemon *daemon);
unsigned daemon_thread_count(const struct daemon *daemon);
struct counters *daemon_ingest_counters(struct daemon *daemon);
void daemon_open_signals(struct daemon *daemon);
/* Opens the console and, once the schema is there, every stage. */
void daemon_start(struct daemon *daemon);
/* The migrations where they are wanted, then every stage. */
void daemon_start_schema(struct daemon *daemon);
/* Opens stages (not schema and console), in order; each holds the newest generation. */
void daemon_open_stages(struct daemon *daemon, unsigned parts);
/* False and `error` where it cannot listen as `config` says. */
bool daemon_open_console(struct daemon *daemon, const struct config *config, struct error *error);
/* What the dead letters' count means by the newest limits. */
void daemon_note_letters(struct daemon *daemon);
void daemon_take_host(struct daemon *daemon);
/* Consumer names for the newest Redis; the old ones stay where there are none, and `error` says why. */
bool daemon_take_slot(struct daemon *daemon, struct error *error);

/* Those of `parts` that are not gone yet. */
unsigned daemon_open_parts(const struct daemon *daemon, unsigned parts);
/* Closes those of `parts` that are open; daemon_proceed() follows for each. */
void daemon_close_parts(struct daemon *daemon, unsigned parts, uint64_t drain_ms);
void daemon_hold(struct daemon *daemon, enum daemon_part part);

/* Tells the init system what is so; the first from daemon_run(), then by a timer. */
void daemon_supervise_open(struct daemon *daemon);
void daemon_supervise_reloading(struct daemon *daemon);
void daemon_supervise_reloaded(struct daemon *daemon);
void daemon_supervise_stopping(struct daemon *daemon);

/* SIGHUP. One that comes while another is served is served after it. */
void daemon_reload(struct daemon *daemon);
/* A part has closed. */
void daemon_reload_proceed(struct daemon *daemon);
void daemon_reload_deinit(struct daemon *daemon);
void daemon_start_draining(struct daemon *daemon, const char *signal_name);
/* The one function that moves the state; every stage that has closed calls it. */
void daemon_proceed(struct daemon *daemon);

#endif
