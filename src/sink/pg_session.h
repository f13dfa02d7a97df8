/*
 * PostgreSQL session: what must be in force before a batch may be trusted to a connection.
 *
 * Prepared: the settings are made once for the session, what is in force is asked for, and the statements
 * are prepared. Otherwise (behind a transaction pooler, where the next transaction may run in another
 * client's session) nothing is left behind: a preamble sets the same for each transaction alone.
 *
 * Ownership: embedded. Threading: the loop's thread only.
 */
#ifndef SINK_PG_SESSION_H
#define SINK_PG_SESSION_H

#include "base/buffer.h"
#include "sink/pg_pipeline.h"

enum {
    PG_SESSION_VALUES = 2
};

struct pg_session_options {
    const char *schema; /* read by pg_session_init() only */
    uint64_t statement_timeout_ms;
    bool prepared;
    const struct pg_statement *statements; /* borrowed */
    unsigned statement_count;
};

/* Private. */
struct pg_session {
    bool prepared;
    const struct pg_statement *statements;
    unsigned statement_count;
    struct buffer search_path;
    char timeout_ms[24];
    struct slice values[PG_SESSION_VALUES]; /* the settings that are no constants */
    unsigned verify_query;
};

void pg_session_init(struct pg_session *session, const struct pg_session_options *options);
void pg_session_deinit(struct pg_session *session);
/* For sessions to come, and behind a pooler for the next transaction. */
void pg_session_set_timeout(struct pg_session *session, uint64_t statement_timeout_ms);
/* What each transaction begins with; NULL where the session keeps its settings. Lives as long as the
 * session; its values are `session->values`. */
const struct pg_statement *pg_session_preamble(const struct pg_session *session);
/* Sends the set-up, between begin and end. */
void pg_session_send(struct pg_session *session, struct pg_pipeline *pipeline);
/* For the on_result of that request. False where a commit would not be one, or the database cannot hold
 * every text; `failure` says so. */
bool pg_session_verify(const struct pg_session *session, unsigned query,
                       const struct pg_answer *answer, struct pg_failure *failure)
    __attribute__((warn_unused_result));

#endif
