#include "sink/repo_fold.h"

#include "atproto/event_time.h"
#include "base/panic.h"
#include "sink/batch.h"

enum {
    RECENT_REVS = 4
};

struct repo_fold {
    const struct batch_event *commit; /* of the highest rev */
    const struct batch_event *identity;
    const struct batch_event *account;
    const struct batch_event *deletion; /* the latest whose time can be believed */
    struct slice owed;                  /* the highest rev that a #sync or a missing block names */
    struct slice recent[RECENT_REVS];   /* commits that came whole, highest first */
    unsigned recent_count;
};

/* The order of identity and account events, the same as in the statements: within an epoch by
 * sequence; across epochs by time, and a time that is not after is a replay. Where a time says
 * nothing the higher epoch wins. */
static bool is_newer(const struct batch_event *event, const struct batch_event *than)
{
    if (than == NULL) {
        return true;
    }
    struct position a = event->event.position;
    struct position b = than->event.position;
    if (a.epoch == b.epoch) {
        return a.sequence > b.sequence;
    }
    if (event->guard_us == TIME_UNKNOWN || than->guard_us == TIME_UNKNOWN) {
        return a.epoch > b.epoch;
    }
    return event->guard_us > than->guard_us;
}

static void add_recent(struct repo_fold *fold, struct slice rev)
{
    unsigned at = 0;
    while (at < fold->recent_count && slice_compare(fold->recent[at], rev) > 0) {
        at++;
    }
    if (at == RECENT_REVS || (at < fold->recent_count && slice_equals(fold->recent[at], rev))) {
        return;
    }
    if (fold->recent_count < RECENT_REVS) {
        fold->recent_count++;
    }
    for (unsigned i = fold->recent_count - 1; i > at; i--) {
        fold->recent[i] = fold->recent[i - 1];
    }
    fold->recent[at] = rev;
}

static void owe(struct repo_fold *fold, struct slice rev)
{
    if (slice_compare(rev, fold->owed) > 0) {
        fold->owed = rev;
    }
}

/* As in the statement on repos. */
static bool is_higher(const struct event *a, const struct event *b)
{
    int order = slice_compare(a->rev, b->rev);
    return order > 0 || (order == 0 && slice_compare(a->commit, b->commit) > 0);
}

static void fold_commit(struct repo_fold *fold, const struct batch_event *event)
{
    if (event->event.rev.size == 0) {
        return; /* of the reference system: the repo has no rev by it */
    }
    if (fold->commit == NULL || is_higher(&event->event, &fold->commit->event)) {
        fold->commit = event;
    }
    if (event->lacks_block) {
        owe(fold, event->event.rev);
    } else {
        add_recent(fold, event->event.rev);
    }
}

static bool is_deletion(const struct batch_event *event)
{
    return !event->event.active && slice_equals(event->event.status, SLICE("deleted"));
}

static void fold_account(struct repo_fold *fold, const struct batch_event *event)
{
    if (is_newer(event, fold->account)) {
        fold->account = event;
    }
    if (is_deletion(event) && event->guard_us != TIME_UNKNOWN &&
        (fold->deletion == NULL || event->guard_us > fold->deletion->guard_us)) {
        fold->deletion = event;
    }
}

static void fold_event(struct repo_fold *fold, const struct batch_event *event)
{
    switch (event->event.type) {
    case FRAME_COMMIT:
        fold_commit(fold, event);
        return;
    case FRAME_IDENTITY:
        /* Without a handle it says nothing that we keep, and must not stand before one that does. */
        if (event->event.handle.size > 0 && is_newer(event, fold->identity)) {
            fold->identity = event;
        }
        return;
    case FRAME_ACCOUNT:
        fold_account(fold, event);
        return;
    case FRAME_SYNC:
        owe(fold, event->event.rev);
        return;
    case FRAME_INFO:
    case FRAME_ERROR:
    case FRAME_IGNORED:
        break;
    }
    PANIC("entry_parse gives events only");
}

static void append_repo(struct batch *batch, const struct repo_fold *fold, struct slice did)
{
    struct pg_array *column = batch->tables[BATCH_REPOS].columns;
    const struct slice nothing = {0};
    buffer_clear(&batch->scratch);
    for (unsigned i = 0; i < fold->recent_count; i++) {
        if (i > 0) {
            buffer_append_byte(&batch->scratch, ',');
        }
        buffer_append_slice(&batch->scratch, fold->recent[i]);
    }
    pg_array_append(&column[0], did);
    pg_array_append_or_null(&column[1], fold->commit != NULL ? fold->commit->event.rev : nothing);
    pg_array_append_or_null(&column[2],
                            fold->commit != NULL ? fold->commit->event.commit : nothing);
    pg_array_append_or_null(&column[3], buffer_slice(&batch->scratch));
    batch->tables[BATCH_REPOS].rows++;
}

static void append_position(struct pg_array *column, const struct batch_event *event)
{
    pg_array_append(&column[0], event->event.did);
    pg_array_append_int64(&column[1], (int64_t)event->event.position.epoch);
    pg_array_append_int64(&column[2], event->event.position.sequence);
    pg_array_append_time(&column[3], event->guard_us);
}

static void append_identity(struct batch *batch, const struct batch_event *event)
{
    struct pg_array *column = batch->tables[BATCH_IDENTITIES].columns;
    append_position(column, event);
    pg_array_append_or_null(&column[4], event->event.handle);
    batch->tables[BATCH_IDENTITIES].rows++;
}

/* A deletion whose time cannot be believed counts as of now, and only where it is news. */
static void append_floor_of_now(struct batch *batch, struct pg_array *column, bool is_wanted)
{
    char tid[EVENT_TID_SIZE];
    if (!is_wanted) {
        pg_array_append_null(&column[0]);
        pg_array_append_null(&column[1]);
        return;
    }
    event_time_tid(batch->now_us, tid);
    pg_array_append(&column[0], slice_of(tid, sizeof(tid)));
    pg_array_append_time(&column[1], batch->now_us);
}

static void append_account(struct batch *batch, const struct batch_event *event)
{
    struct pg_array *column = batch->tables[BATCH_ACCOUNTS].columns;
    struct slice status = event->event.status;
    if (status.size == 0) {
        status = event->event.active ? SLICE("active") : SLICE("inactive");
    }
    append_position(column, event);
    pg_array_append_bool(&column[4], event->event.active);
    pg_array_append(&column[5], status);
    append_floor_of_now(batch, &column[6], is_deletion(event) && event->guard_us == TIME_UNKNOWN);
    batch->tables[BATCH_ACCOUNTS].rows++;
}

static void append_floor(struct batch *batch, const struct batch_event *event)
{
    char tid[EVENT_TID_SIZE];
    struct pg_array *column = batch->tables[BATCH_FLOORS].columns;
    event_time_tid(event->guard_us, tid);
    pg_array_append(&column[0], event->event.did);
    pg_array_append(&column[1], slice_of(tid, sizeof(tid)));
    pg_array_append_time(&column[2], event->guard_us);
    batch->tables[BATCH_FLOORS].rows++;
}

void repo_fold_append(struct batch *batch, const struct batch_event *const *events, size_t count)
{
    struct repo_fold fold = {0};
    struct slice did = events[0]->event.did;
    for (size_t i = 0; i < count; i++) {
        fold_event(&fold, events[i]);
    }
    append_repo(batch, &fold, did);
    if (fold.identity != NULL) {
        append_identity(batch, fold.identity);
    }
    if (fold.account != NULL) {
        append_account(batch, fold.account);
    }
    if (fold.deletion != NULL) {
        append_floor(batch, fold.deletion);
    }
    if (fold.deletion != NULL || (fold.account != NULL && is_deletion(fold.account))) {
        pg_array_append(&batch->tables[BATCH_CLEARED].columns[0], did);
        batch->tables[BATCH_CLEARED].rows++;
    }
    if (fold.owed.size > 0) {
        pg_array_append(&batch->tables[BATCH_OWED].columns[0], did);
        pg_array_append(&batch->tables[BATCH_OWED].columns[1], fold.owed);
        batch->tables[BATCH_OWED].rows++;
    }
}
