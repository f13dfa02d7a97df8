/*
 * TCP connect: blocking, to whichever address of a name answers first, until a deadline.
 * Threading: any thread; the resolver has its own time. The descriptor is the caller's, non-blocking, closed on exec.
 */
#ifndef RUNTIME_TCP_CONNECT_H
#define RUNTIME_TCP_CONNECT_H

#include <stdint.h>

#include "base/error.h"

/* -1 and ERROR_UNREACHABLE where nothing answers; `advice` ends the sentence. */
int tcp_connect(const char *host, const char *port, uint64_t deadline_ms, const char *advice,
                struct error *error);

#endif
