/*
 * Origin: decides where ingestion goes on, from what Redis and PostgreSQL know. Pure.
 *
 *   stream's last ID + meta hash + row of standpipe_cursor + relay.cursor --> epoch, mark, cursor
 *
 * Rules (docs/delivery.md): the stream's last ID counts; where the stream is gone, PostgreSQL's mark;
 * each change of relay host, and a last ID that is not ours, opens a new epoch; epochs only rise.
 */
#ifndef RUNTIME_ORIGIN_H
#define RUNTIME_ORIGIN_H

#include <stdbool.h>
#include <stdint.h>

#include "atproto/entry.h"
#include "config/config.h"

enum {
    ORIGIN_LIVE = -1
};

struct origin_facts {
    const char *host; /* the relay's, as configured */
    /* The first origin of this process obeys relay.cursor; later ones go on at the mark. */
    enum cursor_start start;
    int64_t start_sequence; /* with CURSOR_SEQUENCE */
    /* Go on after `reset_sequence` in a new epoch, whatever is there: the relay's sequence ran backwards and that is
     * accepted, or PostgreSQL lost what the stream no longer has. */
    bool is_reset;
    int64_t reset_sequence;
    const char *reset_why; /* NULL: the relay's sequence starts anew */
    /* Redis */
    struct position last; /* last-generated-id; {0, 0}: nothing was ever appended */
    bool has_meta;
    bool is_meta_host; /* the meta hash names `host` */
    struct position queued;
    /* PostgreSQL */
    bool has_saved;        /* a row for `host` */
    struct position saved; /* its epoch and committed sequence */
    uint64_t highest_epoch;
    uint64_t now_ms;
};

struct origin {
    struct position queued; /* epoch, and the sequence before the first new event */
    int64_t first_mark;     /* committed, for a row that is not there yet */
    int64_t cursor;         /* to ask the relay with; ORIGIN_LIVE: without a cursor */
    bool is_new_epoch;
    const char *why;    /* one phrase for the log */
    bool is_alarming;   /* somebody else wrote to the stream */
    bool is_impossible; /* no room for another epoch: an operator has to decide */
};

struct origin origin_decide(const struct origin_facts *facts);

#endif
