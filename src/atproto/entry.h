/*
 * Entry: one entry of the Redis Stream, and the event that its `data` says. The inverse of what
 * frame.h writes; it also reads the three-field entries of the reference system.
 *
 *   [Redis reply] --> struct entry --entry_parse--> struct event --> sink
 *
 * Ownership: an entry borrows from the reply it came in; an event borrows from the entry and from
 * the arena. Threading: pure functions.
 */
#ifndef ATPROTO_ENTRY_H
#define ATPROTO_ENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "atproto/frame.h"
#include "base/arena.h"
#include "base/slice.h"

/* Where an event stands among all: (epoch, sequence), compared in this order. */
struct position {
    uint64_t epoch; /* milliseconds; opened anew per relay host or sequence space */
    int64_t sequence;
};

static inline int position_compare(struct position a, struct position b)
{
    if (a.epoch != b.epoch) {
        return a.epoch < b.epoch ? -1 : 1;
    }
    return a.sequence < b.sequence ? -1 : a.sequence > b.sequence;
}

struct entry {
    struct position id; /* the entry ID `<ms>-<n>` as it stands in Redis */
    struct slice type;  /* commit, identity, account, sync; empty where the entry is none of ours */
    struct slice data;  /* JSON */
    struct slice sequence; /* decimal; may be empty in the reference system's entries */
    struct slice time;     /* RFC 3339; empty in the reference system's */
    struct slice rev;      /* TID; empty in the reference system's, and for identity and account */
    uint32_t deliveries;   /* how often it was delivered before, 0 where that is not known */
};

enum op_action {
    OP_CREATE,
    OP_UPDATE,
    OP_DELETE,
    OP_UNKNOWN
};

struct event_op {
    enum op_action action;
    struct slice collection; /* the path's first segment; empty where the path is bad */
    struct slice rkey;
    struct slice path;
    struct slice cid; /* empty for a delete, or where none was sent */
    struct slice
        record; /* JSON text, never re-printed; empty for a delete; `null` where there is none */
    struct slice cbor;    /* base64 of the record's block, only where JSON cannot say it */
    struct slice invalid; /* why; empty: the record is fine */
};

struct event {
    enum frame_type type; /* FRAME_COMMIT, FRAME_IDENTITY, FRAME_ACCOUNT or FRAME_SYNC */
    struct position position;
    bool is_reference; /* an entry of the reference system: rev is empty, any rev wins over it */
    struct slice did;
    struct slice time; /* RFC 3339 or empty */
    struct slice rev;
    struct slice commit; /* commit CID */
    struct slice handle; /* identity; empty where the relay sent none (data has the DID then) */
    struct slice status; /* account; empty where none was sent */
    bool active;         /* account */
    const struct event_op *ops;
    size_t op_count;
};

enum {
    ENTRY_REASON_SIZE = 96
};
/* PARSE_DONE fills `event`. PARSE_BAD: neither ours nor the reference system's; `reason`, which
 * holds ENTRY_REASON_SIZE bytes, says why. JSON nests without limit and without recursion. */
enum parse_result entry_parse(const struct entry *entry, struct arena *arena, struct event *event,
                              char *reason) __attribute__((warn_unused_result));

/* The valid rule for op paths: exactly `<nsid>/<record key>`; splits it. */
bool entry_path_split(struct slice path, struct slice *collection, struct slice *rkey);

#endif
