/*
 * Dead letter mirror: the courier's hands in Redis, one request at a time.
 *
 *   <key>            the dead-letter stream: frames start there, rows of PostgreSQL are mirrored into it
 *   <key>:mirrored   hash: `holder`, and row ID -> entry ID of what is mirrored but not yet noted in the row
 *
 *   hold    this courier is the one that mirrors; tells what another has left un-noted
 *   read    frames, through a consumer group of our own: pending ones first, so what was read and not acknowledged
 *           before a crash comes again
 *   add     XADD of rows, each only while <key>:mirrored does not know it, only while we are the holder
 *   forget  what is noted by now; removes the entries of rows that are gone
 *
 * Nothing is retried here: whoever asked asks again, and every request may run twice.
 * Ownership: heap; owns its Redis connection; freed after `on_closed`. What a callback gets is borrowed for it.
 * Threading: the loop's thread only.
 */
#ifndef STREAM_DEAD_LETTER_MIRROR_H
#define STREAM_DEAD_LETTER_MIRROR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "atproto/entry.h"
#include "base/error.h"
#include "base/slice.h"
#include "stream/redis.h"

/* The consumer group that reads frames out of the dead-letter stream. */
#define DEAD_LETTER_GROUP "standpipe-courier"

struct dead_letter_mirror;

enum {
    MIRROR_READ_MAX = 64,        /* frames of one on_frames */
    MIRROR_READ_BYTES = 1 << 20, /* of their fields; at least one frame */
    MIRROR_LEFT_MAX = 64         /* entries of one on_held; the next hold tells the others */
};

struct mirror_frame {
    struct slice id; /* of its entry */
    struct position position;
    int64_t sequence;                  /* 0: it says none */
    struct slice reason, error, frame; /* base64 */
};

/* A row on its way into the stream. */
struct mirror_letter {
    int64_t row;
    struct slice type, data, sequence, origin, deliveries, reason, error, frame, time;
};

struct mirror_left {
    int64_t row;
    struct slice id; /* of its entry */
};

struct dead_letter_mirror_callbacks {
    void (*on_ready)(void *owner);
    void (*on_held)(void *owner, const struct mirror_left *left, size_t count);
    /* None: all is read. */
    void (*on_frames)(void *owner, const struct mirror_frame *frames, size_t count);
    void (*on_acknowledged)(void *owner);
    /* Entry IDs in the order of the letters. */
    void (*on_added)(void *owner, const struct slice *ids, size_t count);
    void (*on_forgotten)(void *owner);
    /* Redis refuses or is away: what was asked for may or may not have happened. */
    void (*on_failed)(void *owner, const struct error *error);
    void (*on_closed)(void *owner);
};

struct dead_letter_mirror *dead_letter_mirror_open(
    struct uv_loop_s *loop, const struct redis_options *options, const char *dead_letter_key,
    const struct dead_letter_mirror_callbacks *callbacks, void *owner);
/* Each: false, and nothing follows, where Redis is away. Not while another is running. */
bool dead_letter_mirror_hold(struct dead_letter_mirror *mirror) __attribute__((warn_unused_result));
bool dead_letter_mirror_read(struct dead_letter_mirror *mirror) __attribute__((warn_unused_result));
/* The frames of the last on_frames. */
bool dead_letter_mirror_acknowledge(struct dead_letter_mirror *mirror)
    __attribute__((warn_unused_result));
bool dead_letter_mirror_add(struct dead_letter_mirror *mirror, const struct mirror_letter *letters,
                            size_t count) __attribute__((warn_unused_result));
/* `gone` are entry IDs. */
bool dead_letter_mirror_forget(struct dead_letter_mirror *mirror, const int64_t *rows, size_t count,
                               const struct slice *gone, size_t gone_count)
    __attribute__((warn_unused_result));
/* A request that is running is given up without a callback. Safe twice. */
void dead_letter_mirror_close(struct dead_letter_mirror *mirror);

#endif
