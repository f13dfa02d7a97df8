/*
 * Sink proxy: stands between libpq and the private PostgreSQL (fault_proxy.h), and lets the server itself raise an error
 * of the test's choice at the step that the test names, or cuts the connection there.
 *
 * A step is an Execute (a statement of a transaction, or of the session's set-up) or a Sync (the COMMIT).
 */
#ifndef FLOW_SINK_PROXY_H
#define FLOW_SINK_PROXY_H

enum sink_fault_kind {
    SINK_FAULT_RAISE, /* the server raises `sqlstate` instead of running the statement, or at the commit */
    SINK_FAULT_TERMINATE,  /* the server ends the session with FATAL 57P01 */
    SINK_FAULT_CUT_BEFORE, /* the connection ends, the step does not reach the server */
    SINK_FAULT_CUT_AFTER, /* the step reaches the server, its answer is lost: of a commit the outcome is unknown */
};

struct sink_fault {
    const char *sqlstate; /* its name, too */
    const char *message;  /* of SINK_FAULT_RAISE; NULL: any */
    enum sink_fault_kind kind;
};

/* Needs sink_postgres_start(). */
void sink_proxy_start(void);
void sink_proxy_stop(void);
/* Static. */
const char *sink_proxy_conninfo(void);

#endif
