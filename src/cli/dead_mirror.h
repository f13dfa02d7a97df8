/*
 * Dead mirror: takes entries out of the dead-letter stream, blocking: a small loop is run until Redis has answered.
 *
 * Ownership: embedded; the connection is opened by the first removal. Threading: the main thread.
 */
#ifndef CLI_DEAD_MIRROR_H
#define CLI_DEAD_MIRROR_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "base/error.h"

#include <uv.h>

struct redis;

struct dead_mirror {
    const char *url; /* borrowed, as the key */
    const char *key;
    uv_loop_t loop;
    struct redis *redis; /* NULL: not opened yet */
    bool is_ready, is_answered, is_failed;
    struct error error;
    struct buffer ids; /* RESP of those to remove */
    size_t count;
};

void dead_mirror_init(struct dead_mirror *mirror, const char *url, const char *dead_letter_key);
void dead_mirror_deinit(struct dead_mirror *mirror);
/* For the next removal. */
void dead_mirror_add(struct dead_mirror *mirror, const char *entry_id);
/* XDEL of what was added, which is forgotten then; nothing added: nothing is asked. */
bool dead_mirror_remove(struct dead_mirror *mirror, struct error *error)
    __attribute__((warn_unused_result));

#endif
