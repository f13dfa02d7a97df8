/*
 * Stream writer: appends events to the Redis Stream by compare-and-append (docs/delivery.md).
 *
 *   on_found --stream_writer_begin--> [pending, bounded] --one EVALSHA in flight--> stream, meta, ledger
 *
 * One script appends a batch only where the stream's last ID and its meta hash (host, epoch) are what
 * the writer expects; else it writes nothing and the writer finds the position again: `on_fenced`.
 * A batch whose outcome is unknown is sent again: our own last ID then means that it is stored.
 * OOM, LOADING, READONLY, MISCONF and the like are waited out with the batch kept; none drops.
 *
 *   FINDING --on_found/begin--> APPENDING --mismatch/on_fenced--> FINDING;  close -> CLOSED
 *
 * Ownership: heap; owns its Redis connection and copies of what is pending. Freed after `on_closed`.
 * Threading: the loop's thread only.
 */
#ifndef STREAM_STREAM_WRITER_H
#define STREAM_STREAM_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "atproto/entry.h"
#include "base/error.h"
#include "stream/redis.h"

struct stream_writer;

struct stream_keys {
    const char *key;             /* firehose:events; meta and ledger are <key>:meta, <key>:ledger */
    const char *group;           /* firehose-processors */
    const char *dead_letter_key; /* firehose:dead-letters */
};

struct stream_writer_options {
    struct redis_options redis;
    struct stream_keys keys;    /* borrowed, must outlive the writer */
    size_t max_pending_entries; /* high watermark; `on_room` at half of it */
    size_t max_pending_bytes;
};

/* What Redis says about the stream. Borrowed for the callback. */
struct stream_found {
    bool has_entries_id;  /* the key exists and has generated an ID */
    struct position last; /* last-generated-id, {0, 0} without one */
    bool has_meta;        /* the meta hash has host, epoch and queued */
    struct slice host;    /* of the meta hash */
    struct position
        queued; /* of the meta hash: epoch, and the sequence up to which all was handled */
    struct position
        saved; /* of the meta hash: what PostgreSQL is known to have had; {0, 0}: nothing */
    int64_t
        postgres_started_us; /* of the meta hash: when that PostgreSQL was started; 0: not known */
    uint64_t rewinds;        /* of the meta hash */
};

/* Where the writer shall go on. */
struct stream_origin {
    const char *host;       /* the relay's host, the name of its sequence space */
    struct position queued; /* epoch of new IDs; the sequence before the first new event */
    int64_t
        postgres_started_us; /* of the PostgreSQL whose mark that is; remembered where none is yet */
};

struct stream_event {
    struct slice type, data, time, rev;
    int64_t sequence;
};

struct stream_dead_frame {
    int64_t sequence; /* its own where it could be read, else 0 */
    struct slice frame;
    const char *reason; /* frame_fault_reason_name() */
    const char *text;
};

/* Ledger counters that ingest moves; received is their sum plus appended. */
enum stream_count {
    STREAM_COUNT_DUPLICATE,
    STREAM_COUNT_FILTERED,
    STREAM_COUNT_IGNORED
};

struct stream_writer_callbacks {
    /* The stream was looked at (at the start, after a loss that left a doubt, after on_fenced). The
     * owner answers with stream_writer_begin(), now or later. */
    void (*on_found)(void *owner, const struct stream_found *found);
    /* Stored and counted up to and including `queued`. */
    void (*on_appended)(void *owner, struct position queued, uint32_t entries);
    /* Pending fell under half after an append returned false. */
    void (*on_room)(void *owner);
    /* Somebody else wrote, or the stream is not what it was: all pending events are dropped (the relay
     * has them); stop reading. `on_found` follows. */
    void (*on_fenced)(void *owner, const struct error *error);
    /* Redis cannot take writes now (`error`), or can again (NULL). For logs, readiness, metrics. */
    void (*on_paused)(void *owner, const struct error *error);
    /* Last call. `drained` is true where nothing was pending. */
    void (*on_closed)(void *owner, bool drained);
};

struct stream_writer *stream_writer_open(struct uv_loop_s *loop,
                                         const struct stream_writer_options *options,
                                         const struct stream_writer_callbacks *callbacks,
                                         void *owner);
/* Writes host, epoch and the first mark (compare-and-set against what was found) and creates the
 * group at 0 with MKSTREAM (ENTRIESREAD 0 where known); then appends flow. */
void stream_writer_begin(struct stream_writer *writer, const struct stream_origin *origin);
/* Takes a copy, always, in order of rising sequence. False: full now, stop until `on_room`. Only
 * after stream_writer_begin(). */
bool stream_writer_append(struct stream_writer *writer, const struct stream_event *event)
    __attribute__((warn_unused_result));
/* A frame that could not be decoded: goes to the dead-letter stream once, by its SHA-256. Same result.
 * It does not move the mark: what it says of its sequence cannot be trusted. */
bool stream_writer_append_dead(struct stream_writer *writer, const struct stream_dead_frame *frame)
    __attribute__((warn_unused_result));
/* An event that makes no entry: counted with the next batch (or within a second); a `sequence` over
 * the mark moves the mark. */
void stream_writer_count(struct stream_writer *writer, enum stream_count what, int64_t sequence);
/* Events taken and not yet known to be stored. */
size_t stream_writer_pending(const struct stream_writer *writer);
/* Those of them that are dead frames. */
size_t stream_writer_pending_frames(const struct stream_writer *writer);
/* Sends what is pending, waits up to `drain_ms` for it, then closes. Safe in any callback, safe twice
 * (the shorter wait counts). */
void stream_writer_close(struct stream_writer *writer, uint64_t drain_ms);

#endif
