/*
 * Reload report: what became of the last reload, for pages and `standpipe reload --wait`.
 * Ownership: embedded in the daemon, which writes it. Threading: thread 0.
 */
#ifndef RUNTIME_RELOAD_REPORT_H
#define RUNTIME_RELOAD_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

struct reload_report {
    uint64_t number;    /* verdicts since the start */
    bool is_running;    /* one more is on its way */
    bool was_refused;   /* the last one changed nothing */
    int64_t success_us; /* when a configuration was taken last; the start counts */
    int64_t verdict_us; /* since 1970; 0: no reload yet */
    char why[sizeof(((struct error *)0)->text)]; /* it was refused; else empty */
    struct buffer changes;                       /* JSON, as reload_plan.h says; empty: none */
};

#endif
