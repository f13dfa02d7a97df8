/*
 * Sink runner: the daemon's sink for the command line: batches go in, and the call waits until they have committed.
 *
 *   sink_runner_submit... --> sink_runner_wait --on_done of each batch--> sink_runner_note_done
 *
 * PostgreSQL away or set up wrong ends it for good: a command says so instead of waiting.
 * Ownership: embedded; batches are borrowed until their on_done. Threading: the main thread; a loop of its own.
 */
#ifndef CLI_SINK_RUNNER_H
#define CLI_SINK_RUNNER_H

#include <stdbool.h>

#include "base/error.h"
#include "config/config.h"
#include "sink/sink.h"

#include <uv.h>

struct sink_runner {
    uv_loop_t loop;
    struct sink *sink; /* NULL: closed */
    unsigned out;
    bool is_failed;
    struct error error;
};

enum sink_runner_work {
    RUN_RANGE,  /* retained entries up to one of them */
    RUN_TO_END, /* and all after them: what was deleted since is deleted again, so rows come back from below the horizon */
    RUN_LETTERS, /* what is refused again is only counted; the tombstones of their repos are there */
};

void sink_runner_init(struct sink_runner *runner, const struct config *config, const char *name,
                      enum sink_runner_work work);
void sink_runner_deinit(struct sink_runner *runner);
void sink_runner_submit(struct sink_runner *runner, struct sink_batch *batch);
/* Every on_done calls it. */
void sink_runner_note_done(struct sink_runner *runner);
/* Until nothing is out. False, with every batch done, where PostgreSQL is away or set up wrong. */
bool sink_runner_wait(struct sink_runner *runner, struct error *error)
    __attribute__((warn_unused_result));

#endif
