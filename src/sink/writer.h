/*
 * Writer: one connection and the batches of the transaction that it is running.
 *
 *   writer_give(batches) --> one transaction for all
 *       done        -> on_done of each batch, on_idle
 *       row error   -> each entry in a transaction of its own; of the one that fails, each op alone; then
 *                      the entry again with what was refused as dead letters; a typed table that refuses costs no
 *                      more than its own row
 *       outage      -> the same again after a wait (backoff with jitter)
 *       too long    -> the same entry by entry; an entry that takes too long alone gets more time, step by step
 *       set-up      -> the same again after 30 s on a new session
 *
 * Ownership: heap; freed after `on_closed`; owns batches from writer_give() to their on_done.
 * Threading: the loop's thread only.
 */
#ifndef SINK_WRITER_H
#define SINK_WRITER_H

#include "sink/pg_connection.h"
#include "sink/sink.h"
#include "sink/table_plan.h"

struct writer;

struct writer_callbacks {
    /* It may be given batches now. */
    void (*on_idle)(void *owner, struct writer *writer);
    /* writer_state() has changed, or the reason for it. */
    void (*on_state)(void *owner, struct writer *writer, const struct error *error);
    /* Its batches have ended, or something holds them up: others may have what it kept for them. */
    void (*on_yield)(void *owner, struct writer *writer);
    /* As in sink_callbacks. */
    void (*on_rows)(void *owner, size_t table, const struct sink_rows *rows);
    void (*on_error)(void *owner, const char *sqlstate);
    void (*on_closed)(void *owner, struct writer *writer);
};

/* `plan` is borrowed; NULL: no typed tables. */
struct writer *writer_open(struct uv_loop_s *loop, const struct sink_options *options,
                           const struct table_plan *plan, const struct writer_callbacks *callbacks,
                           void *owner);
enum sink_state writer_state(const struct writer *writer);
bool writer_is_idle(const struct writer *writer);
/* A transaction is out. */
bool writer_is_running(const struct writer *writer);
bool writer_has_batches(const struct writer *writer);
/* Takes all of `batches`; only where it is idle. */
void writer_give(struct writer *writer, struct list *batches);
/* Finishes what it has, for as long as that takes, then closes. */
void writer_drain(struct writer *writer);
/* Gives up what it has with ERROR_CLOSED, and closes. Safe twice, and after writer_drain(). */
void writer_close(struct writer *writer);

#endif
