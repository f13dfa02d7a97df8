/*
 * Stream reader: one consumer of the group, on a blocking connection of its own.
 *
 *   XREADGROUP (own pending first, then the claimed, then new) --> on_batch --> acknowledge --> next
 *
 * One batch is out at a time; reading goes on when it is acknowledged or released, right behind its XACK. While a batch is
 * out, a heartbeat (XCLAIM JUSTID in a script that checks the owner, docs/delivery.md) keeps it ours.
 *
 *   CONNECTING -> OWN_PENDING -> READING <-> WAITING (batch out) ; close -> CLOSED
 *
 * Ownership: heap; a batch and the reply under its entries stay alive until stream_reader_acknowledge()
 * or _release(). Freed after `on_closed`. Threading: the loop's thread only.
 */
#ifndef STREAM_STREAM_READER_H
#define STREAM_STREAM_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "atproto/entry.h"
#include "stream/redis.h"
#include "stream/stream_writer.h"

struct stream_reader;

struct stream_reader_options {
    struct redis_options redis;
    struct stream_keys keys;
    const char *consumer; /* copied; must be unique in the group and survive a restart */
    uint32_t batch_size;  /* XREADGROUP COUNT, stretched while it is behind (batch_size.h) */
    uint32_t block_ms;    /* BLOCK */
    size_t batch_bytes;   /* COUNT adapts so that a reply stays near this; an entry may exceed it */
    uint64_t claim_interval_ms; /* between sweeps, see reader_claim.h */
    uint64_t claim_min_idle_ms;
    bool claims; /* this reader takes over from dead consumers */
};

struct stream_batch {
    const struct entry *entries;
    size_t count;
    size_t bytes;    /* of all fields */
    bool is_claimed; /* taken over from another consumer, or our own of an earlier run */
    void *reply;     /* private */
};

/* What became of a batch, for the ledger: moved in the script that acknowledges, only for entries
 * that XACK really took. */
struct stream_verdict {
    uint32_t dead_entries; /* entries all of whose ops are dead letters, or that are none of ours */
    uint32_t written, unchanged, skipped, dead; /* ops */
    /* Entries by type; what is none of ours has none. */
    uint32_t commits, identities, accounts, syncs;
};

/* Whether Redis lets the reader work, from best to worst. */
enum reader_state {
    READER_READY,   /* or not connected yet */
    READER_AWAY,    /* waiting mends it: no connection, LOADING, OOM, READONLY */
    READER_REFUSED, /* only the set-up mends it: NOPERM, WRONGPASS; see the log */
};

struct stream_reader_callbacks {
    void (*on_batch)(void *owner, const struct stream_batch *batch);
    /* The XACK of a batch came back: `acknowledged` of its entries moved. */
    void (*on_acknowledged)(void *owner, uint32_t acknowledged);
    /* Instead, where the group was set back since the batch was read: nothing was acknowledged (docs/delivery.md). */
    void (*on_late)(void *owner);
    /* Entries of our group that were deleted before anyone saw them (nil or in XAUTOCLAIM's third
     * element): counted, acknowledged. */
    void (*on_deleted)(void *owner, uint32_t count);
    /* It is another than before; READER_READY is where a reader begins. */
    void (*on_state)(void *owner, enum reader_state state);
    /* Last call. */
    void (*on_closed)(void *owner);
};

struct stream_reader *stream_reader_open(struct uv_loop_s *loop,
                                         const struct stream_reader_options *options,
                                         const struct stream_reader_callbacks *callbacks,
                                         void *owner);
/* The batch is in PostgreSQL: XACK (retried until Redis answers), ledger, then read on. */
void stream_reader_acknowledge(struct stream_reader *reader, const struct stream_verdict *verdict);
/* The batch is given up, also where its XACK waits for Redis, and stays pending; nothing more is read until
 * close. For shutdown. */
void stream_reader_release(struct stream_reader *reader);
/* Nobody claims while PostgreSQL is away, and nothing new is read. */
void stream_reader_pause(struct stream_reader *reader);
void stream_reader_resume(struct stream_reader *reader);
/* Stops reading; ends after the batch that is out was acknowledged or released, and the XACK came
 * back. Deletes its consumer only where nothing is pending on it (one script). Safe twice. */
void stream_reader_close(struct stream_reader *reader);

#endif
