/*
 * Event time: RFC 3339 (section 5.6) to microseconds since 1970, and to the TID of that instant.
 * Threading: pure functions.
 */
#ifndef ATPROTO_EVENT_TIME_H
#define ATPROTO_EVENT_TIME_H

#include <stdint.h>

#include "base/slice.h"

/* What stands for a time that is absent or garbage. */
#define TIME_UNKNOWN INT64_MIN

enum {
    EVENT_TID_SIZE = 13
};

/* TIME_UNKNOWN where `text` is no valid time of the years 1 to 9999, in UTC too. A leap second counts as the second before;
 * digits after the sixth are dropped. */
int64_t event_time_parse(struct slice text);

/* The lowest TID of an instant (clock identifier 0), so that whatever was written at or after it is
 * not below. Not terminated. Before 1970 it is the lowest of all. (atproto.com/specs/tid) */
void event_time_tid(int64_t time_us, char tid[EVENT_TID_SIZE]);

#endif
