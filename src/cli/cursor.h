/*
 * Cursor: the parts of `standpipe cursor`, one function a word.
 *
 *   Redis: last ID, meta hash, lease -\
 *   PostgreSQL: standpipe_cursor ------> cursor_job.facts --runtime/origin--> where the next start goes on
 *
 * cursor.c: words, facts -> cursor_show.c: show;  cursor_set.c: set, import
 *
 * Ownership: a job is on the stack of cli_cursor() and owns its connections. Threading: the main thread.
 */
#ifndef CLI_CURSOR_H
#define CLI_CURSOR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "cli/sql_client.h"
#include "config/config.h"
#include "runtime/origin.h"
#include "stream/redis_caller.h"

struct cursor_job {
    const struct config *config;
    struct buffer host; /* of relay.url, terminated */
    char *meta_key, *ledger_key, *lease_key;
    struct redis_caller redis;
    struct sql_client postgres;
    bool is_json, is_dry_run;
    int64_t sequence; /* to set */

    /* What was found, by cursor_look(). */
    struct redisReply *found; /* of SCRIPT_FIND: last ID, host, epoch, queued */
    struct pg_result *rows;   /* of standpipe_cursor: enum cursor_column, the newest epoch first */
    uint64_t length;          /* entries of the stream */
    bool is_leased;
    int64_t lease_ms; /* left; below 0: it never ends */
    struct origin_facts facts;
};

enum cursor_column {
    CURSOR_HOST,
    CURSOR_EPOCH,
    CURSOR_QUEUED,
    CURSOR_COMMITTED,
    CURSOR_UPDATED_AT
};

/* Looks, once more too. */
bool cursor_look(struct cursor_job *job, struct error *error) __attribute__((warn_unused_result));
void cursor_forget(struct cursor_job *job);
/* Where the next start goes on, by what was found and by relay.cursor. */
struct origin cursor_next(const struct cursor_job *job);

bool cursor_show(struct cursor_job *job, struct error *error) __attribute__((warn_unused_result));
bool cursor_set(struct cursor_job *job, struct error *error) __attribute__((warn_unused_result));
bool cursor_import(struct cursor_job *job, struct error *error) __attribute__((warn_unused_result));

#endif
