#include "runtime/pressure.h"

#include "base/clock.h"
#include "stream/stream_monitor.h"

enum {
    LOW_PERCENT = 80,
    MEMORY_PERCENT = 85,
    PERCENT = 100
};

bool pressure_raise(struct pressure *pressure, enum pressure_reason reason)
{
    bool was_raised = pressure->reasons != 0;
    pressure->reasons |= (unsigned)reason;
    if (!was_raised) {
        pressure->since_us = clock_monotonic_us();
    }
    return !was_raised;
}

bool pressure_lower(struct pressure *pressure, enum pressure_reason reason)
{
    bool was_raised = pressure->reasons != 0;
    pressure->reasons &= ~(unsigned)reason;
    bool is_over = was_raised && pressure->reasons == 0;
    if (is_over) {
        pressure->paused_us += clock_monotonic_us() - pressure->since_us;
    }
    return is_over;
}

void pressure_clear(struct pressure *pressure)
{
    (void)pressure_lower(pressure, PRESSURE_WRITER);
    (void)pressure_lower(pressure, PRESSURE_REDIS);
    (void)pressure_lower(pressure, PRESSURE_DEPTH);
    (void)pressure_lower(pressure, PRESSURE_LETTERS);
}

uint64_t pressure_paused_us(const struct pressure *pressure)
{
    uint64_t lasting = pressure->reasons != 0 ? clock_monotonic_us() - pressure->since_us : 0;
    return pressure->paused_us + lasting;
}

bool pressure_is_raised(const struct pressure *pressure)
{
    return pressure->reasons != 0;
}

const char *pressure_name(const struct pressure *pressure)
{
    static const char *const names[] = {
        "none",  "writer",       "redis",       "writer,redis",
        "depth", "writer,depth", "redis,depth", "writer,redis,depth",
    };
    if ((pressure->reasons & PRESSURE_LETTERS) != 0) {
        return "dead letters";
    }
    return names[pressure->reasons & (PRESSURE_WRITER | PRESSURE_REDIS | PRESSURE_DEPTH)];
}

static bool is_over(uint64_t value, uint64_t limit, bool was_over)
{
    return value >= (was_over ? limit / PERCENT * LOW_PERCENT : limit);
}

bool pressure_is_deep(const struct pressure *pressure, const struct pressure_limits *limits,
                      const struct stream_depth *depth)
{
    bool was_deep = (pressure->reasons & PRESSURE_DEPTH) != 0;
    if (is_over(depth->backlog, limits->max_backlog, was_deep)) {
        return true;
    }
    /* All of Redis' memory is taken for the stream's: a bound that errs to the safe side. */
    double share = depth->length > 0 ? (double)depth->backlog / (double)depth->length : 0;
    uint64_t backlog_bytes = (uint64_t)(share * (double)depth->used_memory);
    if (is_over(backlog_bytes, limits->max_backlog_bytes, was_deep)) {
        return true;
    }
    return depth->max_memory > 0 &&
           is_over(depth->used_memory, depth->max_memory / PERCENT * MEMORY_PERCENT, was_deep);
}
