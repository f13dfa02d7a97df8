/*
 * Stream proxy: stands between a client and the private redis-server (fault_proxy.h), and answers the command that the
 * test names with a fault of the test's choice. What it lets through is Redis' own. A step is a command.
 */
#ifndef FLOW_STREAM_PROXY_H
#define FLOW_STREAM_PROXY_H

#include <stdbool.h>
#include <stddef.h>

enum stream_fault_kind {
    FAULT_ERROR,      /* the command is not executed; `text` is its answer */
    FAULT_CUT_BEFORE, /* not executed, and the connection ends */
    FAULT_CUT_AFTER, /* executed, and the connection ends instead of the answer: the outcome is unknown */
    FAULT_CUT_WITHIN, /* executed, and the connection ends in the middle of the answer */
};

struct stream_fault {
    const char *name; /* in the message of a test that fails */
    const char *text; /* of FAULT_ERROR */
    enum stream_fault_kind kind;
    bool is_lasting; /* only a human can mend it */
};

/* What Redis may say or do to any command: the errors that the contract names, and each way to cut. */
extern const struct stream_fault stream_faults[];
extern const size_t stream_fault_count;

void stream_proxy_start(void);
/* Static. */
const char *stream_proxy_url(void);

#endif
