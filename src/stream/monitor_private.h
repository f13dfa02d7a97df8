/*
 * Between stream_monitor.c, monitor_rewind.c and stream_letters.c only: the monitor's connection, keys and calls.
 */
#ifndef STREAM_MONITOR_PRIVATE_H
#define STREAM_MONITOR_PRIVATE_H

#include "base/slice.h"
#include "stream/scripts.h"
#include "stream/stream_monitor.h"

/* A rewind on its way, in the monitor. */
struct monitor_rewind {
    struct script_call call;
    bool is_out;
};

struct monitor_parts {
    struct redis *redis; /* NULL where it is closed or closing */
    struct stream_keys keys;
    struct slice meta_key, ledger_key;
    struct monitor_rewind *rewind;
    const struct stream_monitor_callbacks *callbacks;
    void *owner;
};

struct monitor_parts stream_monitor_parts(struct stream_monitor *monitor);
/* Sends one step of the recount in `call`, which is free. False: not sent. */
bool monitor_send_recount(struct stream_monitor *monitor, struct script_call *call,
                          redis_reply_callback *on_reply);

/* NULL where it is closed or closing. */
struct redis *stream_monitor_redis(const struct stream_monitor *monitor);
struct slice stream_monitor_dead_letter_key(const struct stream_monitor *monitor);

#endif
