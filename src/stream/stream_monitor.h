/*
 * Stream monitor: looks at stream, group and memory, tells the marks, and trims.
 *
 *   one script: XINFO, per group last-delivered and first pending --> struct stream_depth --> XTRIM MINID
 *
 * Trims only entries that every (wanted) group has acknowledged, keeps `max_length` of them for replay
 * while memory allows, gives the window up at 85 % of maxmemory. XTRIM is never in MULTI, so a full Redis
 * can always empty itself. Needs no lease: any process may run it.
 * Ownership: heap; freed after `on_closed`. Threading: the loop's thread only.
 */
#ifndef STREAM_STREAM_MONITOR_H
#define STREAM_STREAM_MONITOR_H

#include <stdbool.h>
#include <stdint.h>

#include "atproto/entry.h"
#include "stream/redis.h"
#include "stream/stream_writer.h"

struct stream_monitor;

struct stream_monitor_options {
    struct redis_options redis;
    struct stream_keys keys;
    uint64_t interval_ms; /* 0: looks only when it is asked to */
    uint64_t max_length;
    const char *const *trim_groups; /* borrowed; none: all */
    size_t trim_group_count;
    /* Consumers of our group that asked for nothing for so long and have nothing pending are deleted. 0: never. */
    uint64_t consumer_idle_ms;
};

/* Counters that outlive processes (<stream key>:ledger and cluster:metrics). */
struct stream_ledger {
    uint64_t received, appended, duplicate, filtered, ignored, dead_frames; /* events, at intake */
    uint64_t committed, dead_entries;                                       /* entries */
    uint64_t written, unchanged, skipped, dead_ops;                         /* ops */
    uint64_t syncs, commits, identities, accounts; /* entries acknowledged, by type */
};

enum {
    STREAM_GROUPS_MAX = 16, /* other groups that one look tells of */
    STREAM_POLICY_SIZE = 24
};

/* Another group whose acknowledgement trimming waits for. */
struct stream_group {
    struct slice name;
    bool
        is_behind; /* something is not delivered to it or not acknowledged; also where it is missing */
    int64_t
        idle_ms; /* since any of its consumers asked for entries; -1: it has none, or is not behind */
};

struct stream_depth {
    uint64_t length;  /* XLEN */
    uint64_t pending; /* delivered to our group, not acknowledged */
    uint64_t
        undelivered;   /* not yet delivered to our group, from our own counts or a bounded XRANGE */
    bool is_lag_known; /* XINFO's lag was there and agrees */
    uint64_t backlog;  /* pending + undelivered: queueDepth */
    uint64_t oldest_pending_ms; /* idle time of the oldest pending entry, 0 without */
    struct slice
        oldest_time; /* `time` of the oldest entry of the backlog; borrowed; empty: unknown */
    struct position first, last; /* of the stream */
    struct position committed;   /* all at or below it is acknowledged by every group */
    bool has_committed;
    uint64_t dead_letters;                    /* XLEN of the mirror */
    uint64_t used_memory, max_memory;         /* bytes; max 0: no limit */
    char eviction_policy[STREAM_POLICY_SIZE]; /* Redis' maxmemory-policy; "": unknown */
    uint64_t trimmed;                         /* entries since the last call */
    struct stream_ledger ledger;
    bool has_meta;          /* the meta hash is there, read in the same moment as `last` */
    struct position queued; /* of the meta hash */
    struct slice host;      /* of the meta hash; borrowed for the callback */
    const struct stream_group *groups; /* borrowed for the callback */
    size_t group_count;
    bool has_saved;
    struct position saved; /* the highest mark that any process knows PostgreSQL to have had */
    uint64_t rewinds;      /* how often the group was set back: what was known before is void */
    int64_t
        postgres_started_us; /* start of the PostgreSQL that what is acknowledged is in; 0: not known */
    /* The relay has to be asked again from here: PostgreSQL went back to where the stream does not reach. {0, 0}: no */
    struct position refetch;
};

struct stream_rewind {
    uint64_t rewinds;            /* as a look showed them; another process may be first */
    struct position target;      /* what PostgreSQL has; all above is delivered again */
    bool may_refetch;            /* the relay of `target` is the one that we ask */
    int64_t postgres_started_us; /* of the PostgreSQL that `target` is from */
};

struct stream_rewound {
    bool is_done;              /* false: somebody else did, or Redis refused */
    bool is_short;             /* the stream may not reach back to the target */
    struct position delivered; /* up to here entries had been delivered */
};

/* An entry of the dead-letter stream; all borrowed for the call. */
struct stream_letter {
    struct slice id, type, data, sequence, origin, deliveries, reason;
};

struct stream_letters_callbacks {
    void (*on_letter)(void *owner, const struct stream_letter *letter);
    /* Once, last, whatever has happened. */
    void (*on_end)(void *owner, const struct error *error);
};

struct stream_monitor_callbacks {
    void (*on_depth)(void *owner, const struct stream_depth *depth);
    /* Why there is no look: the connection is gone or could not be made, or Redis refuses. ERROR_REFUSED and
     * ERROR_USAGE: only the set-up can mend it. Until the next on_depth; may be NULL. */
    void (*on_trouble)(void *owner, const struct error *error);
    /* The answer to stream_monitor_rewind(); may be NULL. Not where the connection was lost. */
    void (*on_rewound)(void *owner, const struct stream_rewound *rewound);
    void (*on_closed)(void *owner);
};

struct stream_monitor *stream_monitor_open(struct uv_loop_s *loop,
                                           const struct stream_monitor_options *options,
                                           const struct stream_monitor_callbacks *callbacks,
                                           void *owner);
/* Looks now (once a running look has ended). */
void stream_monitor_look(struct stream_monitor *monitor);
/* PostgreSQL has confirmed this mark: looks at once, which tells the other processes (`saved` of the depth). `rewinds` as
 * they were when the save was made; where the group was set back since, nobody is told. */
void stream_monitor_note_saved(struct stream_monitor *monitor, struct position saved,
                               uint64_t rewinds);
/* PostgreSQL went back: sets the group back. Lets a rewind that is running end; the same may be asked again. */
void stream_monitor_rewind(struct stream_monitor *monitor, const struct stream_rewind *rewind);
/* The newest `limit` dead letters, newest first; may call back at once. */
void stream_monitor_letters(struct stream_monitor *monitor, unsigned limit,
                            const struct stream_letters_callbacks *callbacks, void *owner);
/* Sets firehose:status to `json` for ten seconds, for programs beside us. False: not sent. */
bool stream_monitor_announce(struct stream_monitor *monitor, struct slice json);
void stream_monitor_close(struct stream_monitor *monitor);

#endif
