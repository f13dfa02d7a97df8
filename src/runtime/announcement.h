/*
 * Announcement: firehose:status, the JSON that programs of the reference system look at.
 * Threading: thread 0's loop.
 */
#ifndef RUNTIME_ANNOUNCEMENT_H
#define RUNTIME_ANNOUNCEMENT_H

struct ingester;
struct stream_monitor;

/* {"connected":bool,"url":text,"currentCursor":text|null}, kept for ten seconds; only where this process
 * ingests. */
void announce(struct stream_monitor *monitor, const struct ingester *ingester, const char *url);

#endif
