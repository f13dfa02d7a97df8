/*
 * Daemon: builds every stage, joins them by callbacks, stops them in order.
 *
 *   schema -> cursor store -> workers -> monitor -> ingester      (start)
 *   ingester -> workers -> monitor -> cursor store                (stop: SIGTERM, SIGINT)
 *   check -> close what a change concerns, in that order -> open  (reload: SIGHUP)
 *
 * Threading: runs on the calling thread, which is thread 0: it ingests and is worker 0 too.
 */
#ifndef RUNTIME_DAEMON_H
#define RUNTIME_DAEMON_H

#include "base/error.h"
#include "config/config.h"

/* `config` is taken over; `arguments` say where SIGHUP reads it again (borrowed). Runs until it is told to stop. True: drained and stopped. False: `error` says what could not be
 * set up, or that the drain time was not enough. */
bool daemon_run(struct config *config, const struct config_arguments *arguments,
                struct error *error);

#endif
