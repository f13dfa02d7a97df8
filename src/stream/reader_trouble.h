/*
 * Reader trouble: which steps of a reader Redis does not let it take, and when it tries again. Each step stands for
 * itself: where XREADGROUP is refused, an XAUTOCLAIM that works says nothing about it.
 *
 *   note(step) --backoff--> on_retry ; clear(step) when it has worked ; on_change when the worst of all is another
 *
 * Ownership: embedded; the strings are borrowed. Threading: one loop.
 */
#ifndef STREAM_READER_TROUBLE_H
#define STREAM_READER_TROUBLE_H

#include <stdbool.h>

#include "base/backoff.h"
#include "base/error.h"
#include "base/log.h"
#include "stream/stream_reader.h"
#include <uv.h>

struct redisReply;

enum reader_step {
    READER_STEP_CONNECT,
    READER_STEP_GROUP,
    READER_STEP_READ,
    READER_STEP_CLAIM,
    READER_STEP_ACKNOWLEDGE,
    READER_STEP_COUNT
};

struct reader_trouble {
    const char *object; /* of the log */
    uv_timer_t timer;
    struct backoff backoff;
    struct log_limit limit;
    enum reader_state steps[READER_STEP_COUNT];
    enum reader_state worst;
    void (*on_retry)(void *owner);
    void (*on_change)(void *owner, enum reader_state worst);
    void *owner;
};

/* Fill `object`, the callbacks and the owner first. */
void reader_trouble_init(struct reader_trouble *trouble, struct uv_loop_s *loop);
/* The step came back with an error of Redis: said in the log, made again after a while. */
void reader_trouble_note(struct reader_trouble *trouble, enum reader_step step,
                         const struct redisReply *reply);
/* The connection is gone or could not be made; it comes back by itself, and is logged by its owner. */
void reader_trouble_note_lost(struct reader_trouble *trouble, const struct error *error);
void reader_trouble_clear(struct reader_trouble *trouble, enum reader_step step);
/* True until `on_retry`. */
bool reader_trouble_waits(const struct reader_trouble *trouble);
/* A new connection does not wait for the old one's refusals. */
void reader_trouble_stop_waiting(struct reader_trouble *trouble);
/* `on_closed` gets the timer, whose data is `owner` then. */
void reader_trouble_close(struct reader_trouble *trouble, uv_close_cb on_closed, void *owner);

#endif
