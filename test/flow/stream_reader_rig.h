/*
 * A reader on a loop of its own, with what it has been given and has told, for the stream's flow tests.
 * Ownership: embedded in the test; closed by rig_close(). Threading: one loop.
 */
#ifndef FLOW_STREAM_READER_RIG_H
#define FLOW_STREAM_READER_RIG_H

#include <stdbool.h>
#include <stdint.h>

#include "stream/stream_reader.h"
#include <uv.h>

enum {
    RIG_MIN_IDLE_MS = 120, /* before a claim */
    RIG_SEQUENCES = 4096
};

struct rig {
    uv_loop_t *loop;
    struct stream_reader *reader;
    bool keeps_batches; /* until the test acknowledges */
    bool has_batch;
    struct stream_batch batch;
    unsigned batches, closed;
    uint64_t entries, acknowledged, late, deleted;
    enum reader_state state;
    unsigned states_seen; /* a bit each */
    uint32_t dead_entries;
    uint32_t max_deliveries; /* seen */
    bool saw_claimed;
    struct position last;
    size_t max_count;
    uint8_t *seen; /* how often each sequence was delivered; shared by readers */
};

/* How often each sequence was delivered, since rig_prepare(). */
extern uint8_t rig_seen[RIG_SEQUENCES];

/* An empty Redis with the group, and the loop. */
void rig_prepare(uv_loop_t *loop);
/* Sequences `first` to `last` of epoch 7. */
void rig_add_entries(int first, int last);
/* Set what the rig starts with before; the rest is zeroed by the test. */
void rig_open(struct rig *rig, uv_loop_t *loop, const char *consumer);
/* For stream_wait(). */
bool rig_has_batch(void *data);
/* Runs the loop until the figure is reached. */
void rig_wait_count(uv_loop_t *loop, const uint64_t *count, uint64_t wanted);
void rig_acknowledge(struct rig *rig);
/* Entries that are delivered and not acknowledged. */
int64_t rig_pending(void);
void rig_assert_seen_once(int first, int last);
void rig_close(struct rig *rig);

#endif
