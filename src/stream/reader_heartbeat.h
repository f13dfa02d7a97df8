/*
 * Reader heartbeat: tells Redis, while a batch is written, that its entries are still worked on, so that nobody claims
 * them (docs/delivery.md). Each beat asks first whose they are: what others have taken over is not stolen back.
 *
 *   start --every third of the idle time after which others may claim--> one script, never two in flight --> stop
 *
 * Ownership: embedded; names and Redis are borrowed. Threading: one loop.
 */
#ifndef STREAM_READER_HEARTBEAT_H
#define STREAM_READER_HEARTBEAT_H

#include <stdint.h>

#include "stream/reader_commands.h"
#include "stream/reader_entries.h"
#include "stream/redis.h"
#include "stream/scripts.h"
#include <uv.h>

enum {
    READER_ID_SIZE = 96
};

struct reader_heartbeat {
    const struct reader_names *names;
    const char *object; /* of the log */
    struct redis *redis;
    uv_timer_t timer;
    struct script_call call;
    char first_id[READER_ID_SIZE], last_id[READER_ID_SIZE]; /* of the batch, terminated */
    size_t count;                                           /* its entries; 0: none is held */
};

void reader_heartbeat_init(struct reader_heartbeat *heartbeat, struct uv_loop_s *loop,
                           const struct reader_names *names, const char *object);
/* `entries` has at least one. `claim_idle_ms`: after so long without a sign others may claim. */
void reader_heartbeat_start(struct reader_heartbeat *heartbeat, struct redis *redis,
                            const struct reader_entries *entries, uint64_t claim_idle_ms);
/* Safe twice. */
void reader_heartbeat_stop(struct reader_heartbeat *heartbeat);
/* `on_closed` gets the timer, whose data is `owner` then. */
void reader_heartbeat_close(struct reader_heartbeat *heartbeat, uv_close_cb on_closed, void *owner);
/* After that. */
void reader_heartbeat_deinit(struct reader_heartbeat *heartbeat);

#endif
