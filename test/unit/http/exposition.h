/*
 * Exposition: a small, strict checker of Prometheus' text format 0.0.4.
 * Source: Prometheus, "Exposition formats: text-based format" and "Metric and label naming".
 */
#ifndef TEST_UNIT_HTTP_EXPOSITION_H
#define TEST_UNIT_HTTP_EXPOSITION_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

/* False with `problem` filled where `page` breaks the format: each metric has HELP and TYPE once and
 * before its samples, names and labels are well formed, no sample comes twice, counters end in _total,
 * histograms have rising buckets up to +Inf, which equals _count. */
bool exposition_check(struct slice page, char *problem, size_t size);

#endif
