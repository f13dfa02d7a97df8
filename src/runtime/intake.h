/*
 * Intake: a frame of the relay becomes an entry to append, a dead letter, or a count.
 *
 *   frame --> decode --> sequence check --> stream writer (append | dead | count)
 *
 * Ownership: the intake owns its decoder and borrows the writer. Threading: the loop's thread only.
 */
#ifndef RUNTIME_INTAKE_H
#define RUNTIME_INTAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "atproto/frame.h"
#include "base/error.h"
#include "base/log.h"
#include "base/slice.h"
#include "config/config.h"
#include "ingest/sequence.h"
#include "runtime/counters.h"
#include "runtime/relay_totals.h"

struct stream_writer;

enum intake_verdict {
    INTAKE_GO_ON,
    INTAKE_FULL,      /* taken; the writer is full now */
    INTAKE_RECONNECT, /* the connection is no good, `intake->error` says why: reconnect at the cursor */
    INTAKE_RESET, /* the relay's sequence runs backwards and that is accepted: open a new epoch */
    INTAKE_STOP,  /* only an operator can go on: the sequence ran backwards, FutureCursor */
};

struct intake {
    struct frame_decoder *decoder;
    struct stream_writer *writer;
    struct counters *counters;
    char object[160];         /* relay[host], for the log */
    struct sequence sequence; /* `last`: appended, counted or dead */
    bool accepts_reset;
    unsigned undecodable_in_row;
    unsigned undecodable_since_last; /* since the last event that was taken */
    int64_t
        undecodable_reconnected_at; /* the last sequence at which 20 in a row reconnected, else -1 */
    struct relay_totals *totals;
    int64_t last_event_us; /* time of the newest event taken, since 1970; 0: none */
    struct log_limit bad_limit;
    struct log_limit gap_limit;
    struct log_limit words_limit;
    struct error error;
};

void intake_init(struct intake *intake, const struct config *config, const char *host,
                 struct counters *counters, struct relay_totals *totals);
void intake_deinit(struct intake *intake);
/* From now on events after `sequence` go to `writer`. */
void intake_begin(struct intake *intake, struct stream_writer *writer, int64_t sequence);
/* A connection was opened; `is_live`: without a cursor. */
void intake_connected(struct intake *intake, bool is_live);
enum intake_verdict intake_take(struct intake *intake, struct slice frame, bool is_binary);

#endif
