/*
 * SQLSTATE: what an error of PostgreSQL means for the batch that met it (docs/delivery.md).
 * Source: PostgreSQL documentation, appendix A. Threading: a pure function.
 */
#ifndef SINK_SQLSTATE_H
#define SINK_SQLSTATE_H

enum sqlstate_class {
    SQLSTATE_DONE,          /* a user's own constraint said no: skipped, not dead */
    SQLSTATE_ROW,           /* the row is bad: isolate it, dead letter */
    SQLSTATE_OUTAGE,        /* away or busy: the batch is retried, never a dead letter */
    SQLSTATE_SLOW,          /* an outage whose retry takes smaller transactions (57014) */
    SQLSTATE_STALE_PLAN,    /* prepare again once; a second time it is a misconfiguration */
    SQLSTATE_MISCONFIGURED, /* the set-up is wrong: wait 30 s */
};

/* `sqlstate` has five characters, or is empty where there was no answer at all (an outage); `message`
 * may be NULL and only tells the two meanings of 0A000 apart. Codes that nobody foresaw are
 * outages: retrying loses nothing, while a dead letter or a skipped row would. */
enum sqlstate_class sqlstate_classify(const char *sqlstate, const char *message);

#endif
