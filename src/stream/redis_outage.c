#include "stream/redis_outage.h"

#include <pthread.h>

#include "base/clock.h"
#include "base/log.h"

static struct {
    pthread_mutex_t lock;
    unsigned away;
    uint64_t since_ms;
    bool is_told;
    struct log_limit limit;
} outage = {.lock = PTHREAD_MUTEX_INITIALIZER};

void redis_outage_note_lost(struct redis_absence *absence, const char *connection,
                            const struct error *error, uint64_t retry_ms)
{
    uint64_t suppressed = 0;
    (void)pthread_mutex_lock(&outage.lock);
    if (!absence->is_away) {
        absence->is_away = true;
        outage.since_ms = outage.away == 0 ? clock_monotonic_ms() : outage.since_ms;
        outage.away++;
    }
    if (log_limit_pass(&outage.limit, &suppressed)) {
        outage.is_told = true;
        log_warning("redis", "connections lost", LOG_INT("connections", outage.away),
                    LOG_TEXT("why", error->text), LOG_TEXT("connection", connection),
                    LOG_INT("retry_ms", retry_ms), LOG_SUPPRESSED(suppressed));
    }
    (void)pthread_mutex_unlock(&outage.lock);
}

static void leave(struct redis_absence *absence, bool is_back)
{
    (void)pthread_mutex_lock(&outage.lock);
    if (absence->is_away) {
        absence->is_away = false;
        outage.away--;
        if (outage.away == 0 && is_back && outage.is_told) {
            log_info("redis", "all connections are back",
                     LOG_INT("after_ms", clock_monotonic_ms() - outage.since_ms));
        }
        outage.is_told = outage.is_told && outage.away > 0;
    }
    (void)pthread_mutex_unlock(&outage.lock);
}

void redis_outage_note_back(struct redis_absence *absence)
{
    leave(absence, true);
}

void redis_outage_forget(struct redis_absence *absence)
{
    leave(absence, false);
}
