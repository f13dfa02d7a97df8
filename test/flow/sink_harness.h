/*
 * A sink on a loop of its own, and entries made of text, for the sink's flow tests.
 */
#ifndef FLOW_SINK_HARNESS_H
#define FLOW_SINK_HARNESS_H

#include "flow/harness_log.h"
#include "sink/sink.h"

enum {
    HARNESS_ENTRIES = 512
};

/* Entries live until harness_reset() or harness_forget(). */
struct harness_batch {
    struct sink_batch batch;
    struct entry entries[HARNESS_ENTRIES];
    struct sink_outcome outcome;
    int done; /* how often */
    int failed;
};

/* What the sinks have told since harness_open(). */
struct harness_lanes {
    uint64_t waited_us;
    unsigned bypasses;
};
struct harness_lanes harness_lanes(void);

/* Drops and makes the schema anew. */
void harness_reset(void);
/* Forgets the batches so far, none of which may be out. */
void harness_forget(void);
/* What harness_open() uses; strings are static. */
struct sink_options harness_options(unsigned connections, bool prepared);
void harness_open(unsigned connections, bool prepared);
void harness_open_with(const struct sink_options *options);
/* A second sink on the same loop; harness_close() is for both. */
void harness_open_beside(const struct sink_options *options);
/* Begins to close; batches end while the loop is run. */
void harness_begin_close(uint64_t drain_ms);
/* Waits for the end of closing. */
void harness_close(void);
/* For cmocka, around each test: harness_reset(), with a sink of one connection or with none; harness_close(). */
int harness_setup(void **state);
int harness_setup_open(void **state);
int harness_teardown(void **state);
struct harness_batch *harness_batch(void);
/* Formats an entry of `type`; time in seconds since 2026-01-01, rev "" or a TID made of `rev`. */
void harness_entry(struct harness_batch *batch, uint64_t epoch, int64_t seq, const char *type,
                   const char *data, int64_t second);
/* One op on app.test.thing/`key`; a delete where `record` is NULL. `rev` 0: of the reference system. */
void harness_commit(struct harness_batch *batch, uint64_t epoch, int64_t seq, const char *did,
                    int64_t rev_second, const char *key, const char *record);
/* ops: the JSON of the array's inside. */
void harness_ops(struct harness_batch *batch, uint64_t epoch, int64_t seq, const char *did,
                 int64_t rev_second, const char *ops);
void harness_account(struct harness_batch *batch, uint64_t epoch, int64_t seq, const char *did,
                     const char *status, int64_t second);
void harness_identity(struct harness_batch *batch, uint64_t epoch, int64_t seq, const char *did,
                      const char *handle, int64_t second);
void harness_sync(struct harness_batch *batch, uint64_t epoch, int64_t seq, const char *did,
                  int64_t rev_second);
void harness_submit(struct harness_batch *batch);
void harness_submit_beside(struct harness_batch *batch);
/* Runs the loop until all submitted batches are done; a deadline fails the test. */
void harness_wait(void);
void harness_run(struct harness_batch *batch);
bool harness_wait_state(enum sink_state state);
/* Runs the loop until the query says `expected`; a deadline fails the test. */
void harness_wait_sql(const char *sql, const char *expected);
/* Runs the loop once, for a millisecond or so. */
void harness_turn(void);
/* The TID of a second, static (four of them). */
const char *harness_tid(int64_t second);

#endif
