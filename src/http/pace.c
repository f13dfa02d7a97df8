#include "http/pace.h"

#include "base/clock.h"

enum {
    PERCENT = 100
};

static void run_off(struct pace *pace, uint64_t now_us)
{
    uint64_t off_us = (now_us - pace->seen_us) * PACE_PERCENT / PERCENT;
    pace->level_us = pace->level_us > off_us ? pace->level_us - off_us : 0;
    pace->seen_us = now_us;
}

void pace_begin(struct pace *pace)
{
    if (pace->depth++ == 0) {
        pace->begun_us = clock_thread_cpu_us();
    }
}

void pace_end(struct pace *pace)
{
    if (--pace->depth > 0) {
        return;
    }
    uint64_t worked_us = clock_thread_cpu_us() - pace->begun_us;
    run_off(pace, clock_monotonic_us());
    pace->level_us += worked_us;
    pace->busy_us += worked_us;
}

bool pace_is_over(struct pace *pace)
{
    /* Time is lost to rounding where the level is looked at more often than it moves. */
    uint64_t now_us = clock_monotonic_us();
    if (now_us - pace->seen_us >= PERCENT) {
        run_off(pace, now_us);
    }
    return pace->level_us > PACE_BRIM_US;
}
