/*
 * Dead letter store: what the courier does with standpipe_dead_letters, one request at a time.
 *
 *   keep: frames of the dead-letter stream --> rows, once each by their hash
 *   load: rows that are not mirrored yet   --> on_loaded, in the order of their ids, bounded in bytes
 *   note: where the mirror of a row is     --> mirror_id; tells which rows are gone by now
 *   count: how many letters nobody has decided on, their bytes, and the commonest reasons with a sample of each
 *
 * Nothing is retried here: whoever asked asks again, and every request may run twice.
 * Ownership: heap; owns a PostgreSQL connection that reconnects by itself; freed after `on_closed`. What a request
 * points to is copied; what a callback gets is borrowed for it. Threading: the loop's thread only.
 */
#ifndef SINK_DEAD_LETTER_STORE_H
#define SINK_DEAD_LETTER_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "atproto/entry.h"
#include "base/slice.h"
#include "sink/pg_failure.h"

struct uv_loop_s;
struct dead_letter_store;

enum {
    DEAD_LETTER_LOAD_MAX = 64, /* rows of one on_loaded */
    DEAD_LETTER_KINDS_MAX = 12 /* reasons that are told apart */
};

/* A frame that could not be decoded, as it stands in the dead-letter stream. Anything in it may be garbage. */
struct dead_letter_frame {
    struct slice mirror_id;   /* of its entry there */
    struct position position; /* the mark when it came; its epoch says which relay */
    int64_t sequence;         /* what it says itself; 0: nothing */
    struct slice reason, error;
    struct slice frame; /* base64 */
};

struct dead_letter_row {
    int64_t id;
    struct slice type, data, sequence, origin, deliveries, reason, error;
    struct slice frame; /* base64 */
    struct slice time;  /* RFC 3339, of the row */
};

/* Why letters are there: one reason, how many have it, and the newest of them; texts are cut to fit. */
struct dead_letter_kind {
    uint64_t letters;
    char reason[256];
    char id[24], seq[24], time[32];
    char type[64], collection[320];
    char error[512];
    char data[1024]; /* the start of it */
};

struct dead_letter_count {
    uint64_t letters, bytes; /* of all */
    unsigned kind_count;
    struct dead_letter_kind kinds[DEAD_LETTER_KINDS_MAX]; /* the commonest first */
};

struct dead_letter_store_options {
    const char *conninfo; /* copied */
    const char *schema;   /* copied */
    bool prepared;        /* false behind a transaction pooler */
};

struct dead_letter_store_callbacks {
    /* Requests may begin. */
    void (*on_ready)(void *owner);
    /* Ends of requests; the next may begin inside. */
    void (*on_kept)(void *owner);
    void (*on_loaded)(void *owner, const struct dead_letter_row *rows, size_t count);
    void (*on_noted)(void *owner, const int64_t *gone, size_t count);
    void (*on_counted)(void *owner, const struct dead_letter_count *count);
    void (*on_failed)(void *owner, const struct pg_failure *failure);
    void (*on_closed)(void *owner);
};

struct dead_letter_store *dead_letter_store_open(
    struct uv_loop_s *loop, const struct dead_letter_store_options *options,
    const struct dead_letter_store_callbacks *callbacks, void *owner);
/* Each: false, and nothing follows, where PostgreSQL is away. Not while another is running. */
bool dead_letter_store_keep(struct dead_letter_store *store, const struct dead_letter_frame *frames,
                            size_t count) __attribute__((warn_unused_result));
/* Rows up to `max_bytes` of data, at least one. */
bool dead_letter_store_load(struct dead_letter_store *store, uint64_t max_bytes)
    __attribute__((warn_unused_result));
/* At most DEAD_LETTER_LOAD_MAX. */
bool dead_letter_store_note(struct dead_letter_store *store, const int64_t *ids,
                            const struct slice *mirror_ids, size_t count)
    __attribute__((warn_unused_result));
bool dead_letter_store_count(struct dead_letter_store *store) __attribute__((warn_unused_result));
/* A request that is running is given up without a callback. Safe twice. */
void dead_letter_store_close(struct dead_letter_store *store);

#endif
