/*
 * Dead sink: letters once more through the code that refused them, on a small loop.
 *
 *   letter of a frame --decode as run does--> entry --\
 *   letter of an entry or op ------------------------> sink --> applied, or why not
 *
 * What is refused again leaves no second letter. Nothing of a letter is written where the command ends before the
 * commit; what is written twice changes nothing.
 * Ownership: embedded; letters are borrowed for a run. Threading: the main thread.
 */
#ifndef CLI_DEAD_SINK_H
#define CLI_DEAD_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "atproto/entry.h"
#include "base/arena.h"
#include "base/error.h"
#include "cli/sink_runner.h"
#include "config/config.h"
#include "sink/sink.h"

struct frame_decoder;

/* A letter, and what became of it. */
struct dead_try {
    int64_t id;
    struct position position;
    bool is_reference; /* of the reference system: the relay is not known */
    bool is_whole;     /* false: a summary, or cut */
    struct slice type, data, sequence, time, reason;
    struct slice frame; /* bytes */

    bool is_applied; /* after a run */
    char why[200];   /* else */

    struct sink_batch batch; /* private from here */
    struct entry entry;
    struct dead_sink *sink;
};

struct dead_sink {
    struct sink_runner runner;
    struct frame_decoder *decoder;
    struct arena arena;
};

void dead_sink_init(struct dead_sink *sink, const struct config *config);
void dead_sink_deinit(struct dead_sink *sink);
/* Until all are committed or known to fail again. False where PostgreSQL is away or set up wrong: some may have
 * committed, and say so. */
bool dead_sink_run(struct dead_sink *sink, struct dead_try *tries, size_t count,
                   struct error *error) __attribute__((warn_unused_result));

#endif
