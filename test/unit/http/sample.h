/*
 * Sample: a snapshot in which every figure is known and different, for the tests of pages.
 */
#ifndef TEST_UNIT_HTTP_SAMPLE_H
#define TEST_UNIT_HTTP_SAMPLE_H

#include "http/snapshot.h"

/* Large, so static; good until the next call. */
struct metrics_snapshot *sample_snapshot(void);
/* The same with nothing known. */
struct metrics_snapshot *sample_empty(void);

#endif
