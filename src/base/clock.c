#include "base/clock.h"

#include <stdbool.h>
#include <stdio.h>
#include <time.h>

enum {
    US_PER_SECOND = 1000000,
    US_PER_MS = 1000,
    NS_PER_US = 1000
};

static bool is_frozen;
static int64_t frozen_wall_us;
static uint64_t frozen_monotonic_us;
static uint64_t frozen_thread_us;
static uint64_t step_us;

static int64_t read_clock_us(clockid_t id)
{
    struct timespec now;
    (void)clock_gettime(id, &now);
    return (int64_t)now.tv_sec * US_PER_SECOND + now.tv_nsec / NS_PER_US;
}

uint64_t clock_monotonic_us(void)
{
    if (!is_frozen) {
        return (uint64_t)read_clock_us(CLOCK_MONOTONIC);
    }
    frozen_monotonic_us += step_us;
    return frozen_monotonic_us;
}

uint64_t clock_thread_cpu_us(void)
{
    return is_frozen ? frozen_thread_us : (uint64_t)read_clock_us(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t clock_monotonic_ms(void)
{
    return clock_monotonic_us() / US_PER_MS;
}

int64_t clock_wall_us(void)
{
    return is_frozen ? frozen_wall_us : read_clock_us(CLOCK_REALTIME);
}

int64_t clock_wall_ms(void)
{
    return clock_wall_us() / US_PER_MS;
}

void clock_format_rfc3339(int64_t wall_us, char *text)
{
    time_t seconds = (time_t)(wall_us / US_PER_SECOND);
    struct tm parts;
    (void)gmtime_r(&seconds, &parts);
    size_t size = strftime(text, CLOCK_RFC3339_SIZE, "%Y-%m-%dT%H:%M:%S", &parts);
    (void)snprintf(text + size, CLOCK_RFC3339_SIZE - size, ".%03dZ",
                   (int)(wall_us % US_PER_SECOND / US_PER_MS));
}

void clock_test_freeze(int64_t wall_us)
{
    is_frozen = true;
    frozen_wall_us = wall_us;
    frozen_monotonic_us = US_PER_SECOND;
    step_us = 0;
}

void clock_test_advance_ms(uint64_t milliseconds)
{
    frozen_wall_us += (int64_t)milliseconds * US_PER_MS;
    frozen_monotonic_us += milliseconds * US_PER_MS;
    frozen_thread_us += milliseconds * US_PER_MS;
}

void clock_test_preempt_ms(uint64_t milliseconds)
{
    clock_test_advance_ms(milliseconds);
    frozen_thread_us -= milliseconds * US_PER_MS;
}

void clock_test_step_us(uint64_t microseconds)
{
    step_us = microseconds;
}

void clock_test_thaw(void)
{
    is_frozen = false;
}
