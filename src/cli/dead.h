/*
 * Dead: the parts of `standpipe dead`, one function a word.
 *
 *   dead.c: words, filters -> dead_list.c: list, show;  dead_change.c: drop, retry
 *
 * Ownership: a job is on the stack of cli_dead() and owns its connection. Threading: the main thread.
 */
#ifndef CLI_DEAD_H
#define CLI_DEAD_H

#include <stdbool.h>

#include "base/error.h"
#include "cli/dead_store.h"
#include "config/config.h"

struct dead_job {
    const struct config *config;
    struct dead_store store;
    struct dead_filter filter;
    size_t id_count; /* given; 0: none */
    bool is_json, is_dry_run;
    bool is_failed; /* something was said on stderr: exit code 1 */
};

/* Each prints what it finds or did. False with `error` where it could not. */
bool dead_list(struct dead_job *job, struct error *error) __attribute__((warn_unused_result));
bool dead_show(struct dead_job *job, struct error *error) __attribute__((warn_unused_result));
bool dead_drop(struct dead_job *job, struct error *error) __attribute__((warn_unused_result));
bool dead_retry(struct dead_job *job, struct error *error) __attribute__((warn_unused_result));

#endif
