/*
 * Batch: the entries of one transaction as the columns of its statements.
 *
 *   entries --batch_add--> [parsed events] --batch_build--> columns sorted by key, one row a key
 *
 * What a sequential reader would end with is folded here, so that a statement meets each key once:
 *   - records: of one key the highest rev wins; within one commit the last op of a path; of two
 *     commits with one rev what is live, then the higher CID; entries of the reference system (empty rev) lose to any rev, among themselves the higher sequence wins.
 *   - a dead op (no block, refused by PostgreSQL) silences what its own commit did to its key, and
 *     leaves what older revs did
 *   - identity and account: the newest position; floor: the highest deletion
 *
 * Ownership: embedded; borrows the entries until the next batch_begin(); all else is in its arena and
 * its columns, which are reused. Threading: none of its own.
 */
#ifndef SINK_BATCH_H
#define SINK_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "atproto/entry.h"
#include "base/arena.h"
#include "sink/dead_letter.h"
#include "sink/pg_array.h"
#include "sink/sink.h"
#include "sink/table_rows.h"

/* Which statements of `statements.h` have rows. */
enum batch_table {
    BATCH_REPOS,
    BATCH_IDENTITIES,
    BATCH_ACCOUNTS,
    BATCH_FLOORS,
    BATCH_CLEARED, /* repos whose records below the floor go */
    BATCH_OWED,
    BATCH_RECORDS,
    BATCH_DEAD_LETTERS,
    BATCH_TABLE_COUNT
};

enum {
    BATCH_COLUMNS_MAX = 14,
    BATCH_OP_ENTRY = -1,
    BATCH_NO_TABLE = -1
};

struct batch_columns {
    struct pg_array columns[BATCH_COLUMNS_MAX];
    unsigned column_count;
    unsigned rows;
};

/* PostgreSQL has refused an op, or the entry where `op` is BATCH_OP_ENTRY: next time it is a dead
 * letter, or skipped. One on a typed table keeps nothing but the row out of that table. */
struct batch_verdict {
    int op;
    int table;       /* whose row was refused, by its place in the tables; or BATCH_NO_TABLE */
    bool is_skipped; /* a user's own constraint: acknowledged without a letter */
    bool is_removal; /* of a typed table: it refuses to give the row up as well */
    char sqlstate[6];
    char detail[256];
};

/* An entry that could be read. */
struct batch_event {
    const struct entry *entry;
    struct event event;
    int64_t time_us;  /* TIME_UNKNOWN where it is absent or garbage */
    int64_t guard_us; /* the same, but unknown too where it lies over five minutes ahead: such a
                         time orders nothing across epochs, or it would shut later events out */
    bool lacks_block;
    struct sink_outcome *outcome; /* until batch_build() */
};

struct batch_row;

struct batch {
    struct arena arena;
    struct batch_columns tables[BATCH_TABLE_COUNT];
    struct table_rows *rows_of_tables; /* NULL: no typed tables; the batch's own */
    struct batch_event *events;
    size_t event_count, event_capacity;
    struct batch_row *rows; /* after batch_build() the winners, one a key */
    size_t row_count, row_capacity;
    const struct batch_verdict *verdicts; /* of the one entry, borrowed; see batch_begin_one() */
    size_t verdict_count;
    int only_op;   /* BATCH_OP_ENTRY: all */
    bool is_whole; /* not an entry that is looked at because something was refused */
    enum dead_letter_form form;
    bool ignores_horizon;  /* rows may come back from below it */
    bool keeps_no_letters; /* what is dead is only counted: a retry of letters */
    int64_t now_us;
    struct buffer scratch;
};

/* Starts zeroed; `plan` is borrowed, NULL: no typed tables. */
void batch_init(struct batch *batch, const struct table_plan *plan);
void batch_deinit(struct batch *batch);
/* Forgets the last one. */
void batch_begin(struct batch *batch);
/* For a transaction of one entry: its verdicts so far, how much its letters hold, and the one op to try, or
 * BATCH_OP_ENTRY. */
void batch_begin_one(struct batch *batch, const struct batch_verdict *verdicts, size_t count,
                     enum dead_letter_form form, int only_op);
/* Adds to `outcome` what the entry counts for; its live ops count as unchanged until the commit says
 * how many were written. */
void batch_add(struct batch *batch, const struct entry *entry, struct sink_outcome *outcome);
/* Fills the columns, and adds to the outcomes what typed tables cannot hold. Once, after the last batch_add(). */
void batch_build(struct batch *batch);
/* The op, of the one entry added, that would write the `index`th row; -1 past the last. */
int batch_winner_op(const struct batch *batch, size_t index);

/* For batch_tables.c. */
const struct batch_verdict *batch_find_verdict(const struct batch *batch, int op, int table);
void batch_add_letter(struct batch *batch, const struct dead_letter *letter);

#endif
