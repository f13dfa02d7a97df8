/*
 * Dead letters between a private Redis and a private PostgreSQL (stream_server.h, sink_postgres.h), and the courier
 * that carries them. Threading: the test's thread.
 */
#ifndef FLOW_LETTERS_HARNESS_H
#define FLOW_LETTERS_HARNESS_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/dead_letter_courier.h"
#include <uv.h>

#define KEY    "letters"
#define HASH   KEY ":mirrored"
#define GROUP  "standpipe-courier"
#define HOST   "relay.test"
#define ORIGIN "7-40"

enum {
    LETTERS_LEASE_MS = 1000
};

struct rig {
    uv_loop_t loop; /* of a test that has no other */
    struct config config;
    struct dead_letter_courier *courier;
    struct dead_letter_depth depth;
    struct dead_letter_count count;
    bool is_closed;
};

/* An empty Redis, an empty migrated schema, one row of the cursor. A fixture. */
int letters_reset(void **state);
void letters_open(struct rig *rig, uv_loop_t *loop, const char *redis_url, const char *name);
/* `frame` is base64. */
void letters_add_frame(const char *frame, const char *sequence);
void letters_add_rows(int first, int last);
int64_t letters_query(const char *sql);
int64_t letters_unmirrored(void);
/* In the courier's group. */
int64_t letters_pending(void);
/* For stream_wait(): `data` is a rig. */
bool letters_are_carried(void *data);
/* Every row names an entry of its own, and every entry but those of frames belongs to a row. */
void letters_check_each_once(int64_t rows, int64_t frames);

#endif
