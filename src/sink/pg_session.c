#include "sink/pg_session.h"

#include <stdio.h>
#include <string.h>

#include "sink/pg_encoding.h"

/* A parameter that older servers do not have. */
#define WITHOUT_TIMEOUT(name, is_local)                                                            \
    " CASE WHEN current_setting('" name "', true) IS NOT NULL"                                     \
    " THEN set_config('" name "', '0', " is_local ") END"

/* Every table is met by key, hundreds to thousands at a time. A plan that is made while a table is new and small
 * would read it whole, and is kept until somebody analyzes the table, however large it has grown: so the
 * ways to do that are off.
 * And a plan is not made five times over before it is kept: no value would make another one better.
 * $1: search_path, $2: milliseconds. A role or a database may have other defaults for any of these. The
 * level of isolation is missing in the preamble, because it cannot be set once a query has run: a stricter
 * one costs retries (40001), not rows. */
#define SETTINGS(is_local)                                                                         \
    "SELECT set_config('synchronous_commit', 'on', " is_local "),"                                 \
    " set_config('search_path', $1, " is_local "),"                                                \
    " set_config('statement_timeout', $2, " is_local "),"                                          \
    " set_config('lock_timeout', $2, " is_local "),"                                               \
    " set_config('idle_in_transaction_session_timeout', $2, " is_local "),"                        \
    " set_config('enable_seqscan', 'off', " is_local "),"                                          \
    " set_config('enable_hashjoin', 'off', " is_local "),"                                         \
    " set_config('enable_mergejoin', 'off', " is_local "),"                                        \
    " set_config('jit', 'off', " is_local "),"                                                     \
    " set_config('plan_cache_mode', 'force_generic_plan', " is_local "),"                          \
    " set_config('client_min_messages', 'warning', " is_local "),"                                 \
    " set_config('TimeZone', 'UTC', " is_local                                                     \
    ")," WITHOUT_TIMEOUT("transaction_timeout", is_local)

static const uint32_t value_types[PG_SESSION_VALUES] = {25, 25};

static const struct pg_statement set_session = {
    .sql =
        SETTINGS("false") ", set_config('default_transaction_isolation', 'read committed', false)"
                          "," WITHOUT_TIMEOUT("idle_session_timeout", "false"),
    .types = value_types,
    .count = PG_SESSION_VALUES};
static const struct pg_statement set_transaction = {
    .sql = SETTINGS("true"), .types = value_types, .count = PG_SESSION_VALUES};

/* docs/delivery.md: what is in force is asked for. */
static const struct pg_statement verify = {
    .sql = "SELECT current_setting('synchronous_commit'), current_setting('server_encoding')"};

static void append_identifier(struct buffer *out, const char *name)
{
    buffer_append_byte(out, '"');
    for (const char *c = name; *c != '\0'; c++) {
        if (*c == '"') {
            buffer_append_byte(out, '"');
        }
        buffer_append_byte(out, *c);
    }
    buffer_append_byte(out, '"');
}

void pg_session_init(struct pg_session *session, const struct pg_session_options *options)
{
    *session = (struct pg_session){.prepared = options->prepared,
                                   .statements = options->statements,
                                   .statement_count = options->statement_count};
    append_identifier(&session->search_path, options->schema);
    session->values[0] = buffer_slice(&session->search_path);
    pg_session_set_timeout(session, options->statement_timeout_ms);
}

void pg_session_set_timeout(struct pg_session *session, uint64_t statement_timeout_ms)
{
    (void)snprintf(session->timeout_ms, sizeof(session->timeout_ms), "%llu",
                   (unsigned long long)statement_timeout_ms);
    session->values[1] = slice_from_string(session->timeout_ms);
}

void pg_session_deinit(struct pg_session *session)
{
    buffer_deinit(&session->search_path);
}

const struct pg_statement *pg_session_preamble(const struct pg_session *session)
{
    return session->prepared ? NULL : &set_transaction;
}

void pg_session_send(struct pg_session *session, struct pg_pipeline *pipeline)
{
    session->verify_query = 0;
    if (session->prepared) {
        pg_pipeline_query(pipeline, &set_session, session->values);
        session->verify_query = 1;
    }
    pg_pipeline_query(pipeline, &verify, NULL);
    for (unsigned i = 0; session->prepared && i < session->statement_count; i++) {
        pg_pipeline_prepare(pipeline, &session->statements[i]);
    }
}

bool pg_session_verify(const struct pg_session *session, unsigned query,
                       const struct pg_answer *answer, struct pg_failure *failure)
{
    char why[PG_TEXT_SIZE];
    if (query != session->verify_query) {
        return true;
    }
    bool is_utf8 = pg_encoding_check(pg_answer_text(answer, 0, 1), why);
    if (is_utf8 && strcmp(pg_answer_text(answer, 0, 0), "on") == 0) {
        return true;
    }
    pg_failure_set(failure,
                   is_utf8 ? "synchronous_commit cannot be set to on: a commit would not be one"
                           : why);
    failure->class = SQLSTATE_MISCONFIGURED;
    failure->query = query;
    return false;
}
