/*
 * Schema steps: the SQL of each numbered migration. A step that has been released is never changed;
 * the next change is a new step, and keeps what the version before still uses.
 */
#ifndef SINK_SCHEMA_STEPS_H
#define SINK_SCHEMA_STEPS_H

struct schema_step {
    const char *name;
    const char *sql; /* several statements, unqualified names: search_path says where */
};

/* Step n is at index n - 1. */
extern const struct schema_step schema_steps[];
extern const int schema_step_count;

#endif
