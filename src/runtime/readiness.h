/*
 * Readiness: the state of each dependency in a word, with the reason and since when.
 * Ownership: embedded; zero it. Threading: thread 0.
 */
#ifndef RUNTIME_READINESS_H
#define RUNTIME_READINESS_H

#include "http/snapshot.h"
#include "runtime/console_sources.h"
#include "sink/sink.h"
#include "stream/stream_reader.h"

struct readiness {
    enum dependency_state states[DEPENDENCY_COUNT];
    int64_t since_us[DEPENDENCY_COUNT]; /* since 1970; 0: never judged */
    bool is_draining;
};

/* Judges now and fills the snapshot's dependencies. */
void readiness_judge(struct readiness *readiness, const struct console_sources *sources,
                     struct metrics_snapshot *snapshot);
enum dependency_state readiness_of_sink(enum sink_state state);
enum dependency_state readiness_of_reader(enum reader_state state);

#endif
