/*
 * Between stream_monitor.c and stream_letters.c only: the monitor's connection and key.
 */
#ifndef STREAM_MONITOR_PRIVATE_H
#define STREAM_MONITOR_PRIVATE_H

#include "base/slice.h"
#include "stream/stream_monitor.h"

/* NULL where it is closed or closing. */
struct redis *stream_monitor_redis(const struct stream_monitor *monitor);
struct slice stream_monitor_dead_letter_key(const struct stream_monitor *monitor);

#endif
