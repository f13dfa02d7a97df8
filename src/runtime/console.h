/*
 * Console: what an operator looks at. Fills the pages of the HTTP server from figures that the stages
 * leave behind; no page waits for a stage.
 *
 *   worker statistics, marks, depth, ingester --> struct metrics_snapshot --> http
 *
 * Ownership: heap; freed right after `on_closed`. Borrows all its sources. Threading: thread 0's loop.
 */
#ifndef RUNTIME_CONSOLE_H
#define RUNTIME_CONSOLE_H

#include <stdbool.h>

#include "base/error.h"

struct uv_loop_s;
struct config;
struct console;
struct watch;

struct console_callbacks {
    /* Last call. */
    void (*on_closed)(void *owner);
};

/* NULL where it cannot listen as `config` says; `error` says why. `watch` is borrowed. */
struct console *console_open(struct uv_loop_s *loop, struct watch *watch,
                             const struct config *config, const struct console_callbacks *callbacks,
                             void *owner, struct error *error);
/* Listens where `config` says from now on. False: it listens where it did, and nothing has changed. */
bool console_move(struct console *console, const struct config *config, struct error *error)
    __attribute__((warn_unused_result));
/* Reads the token's file again. False: the token stays as it was. */
bool console_reload_token(struct console *console, const char *token_file, struct error *error)
    __attribute__((warn_unused_result));
void console_close(struct console *console);

#endif
