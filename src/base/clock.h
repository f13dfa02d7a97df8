/*
 * Clock: the one source of time, which tests can move.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

/* Milliseconds that never run backwards; only differences mean something. */
uint64_t clock_monotonic_ms(void);
uint64_t clock_monotonic_us(void);
/* CPU that the calling thread has used; tests move it with the others. */
uint64_t clock_thread_cpu_us(void);
/* Microseconds since 1970-01-01T00:00:00Z, by the machine's clock. */
int64_t clock_wall_us(void);
int64_t clock_wall_ms(void);

enum {
    CLOCK_RFC3339_SIZE = 32
};
/* `2026-01-31T12:34:56.789Z` into `text`, which holds CLOCK_RFC3339_SIZE bytes. Years 1970 to 9999. */
void clock_format_rfc3339(int64_t wall_us, char *text);

/* For tests: from now on both clocks stand still and move only by clock_test_advance_ms(). */
void clock_test_freeze(int64_t wall_us);
void clock_test_advance_ms(uint64_t milliseconds);
/* Time passes in which this thread gets no turn. */
void clock_test_preempt_ms(uint64_t milliseconds);
/* From now on so much of it passes with each look at the monotonic clock. */
void clock_test_step_us(uint64_t microseconds);
void clock_test_thaw(void);

#endif
