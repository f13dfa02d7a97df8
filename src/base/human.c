#include "base/human.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    SECOND_MS = 1000,
    MINUTE_MS = 60 * SECOND_MS,
    HOUR_MS = 60 * MINUTE_MS,
    DAY_MS = 24 * HOUR_MS,
};

void human_count(uint64_t count, char *text)
{
    char digits[HUMAN_SIZE];
    int size = snprintf(digits, sizeof(digits), "%" PRIu64, count);
    for (int i = 0; i < size; i++) {
        if (i > 0 && (size - i) % 3 == 0) {
            *text++ = ',';
        }
        *text++ = digits[i];
    }
    *text = '\0';
}

void human_short(double count, char *text)
{
    static const char units[] = {'\0', 'k', 'M', 'G', 'T', 'P'};
    unsigned unit = 0;
    while (count >= 999.5 && unit + 1 < sizeof(units)) {
        count /= 1000;
        unit++;
    }
    int decimals = unit > 0 && count < 99.95 ? 1 : 0;
    (void)snprintf(text, HUMAN_SIZE, "%.*f%.1s", decimals, count, &units[unit]);
}

void human_time_ms(uint64_t time_ms, char *text)
{
    if (time_ms < SECOND_MS) {
        (void)snprintf(text, HUMAN_SIZE, "%" PRIu64 " ms", time_ms);
    } else if (time_ms < 2 * (uint64_t)MINUTE_MS) {
        (void)snprintf(text, HUMAN_SIZE, "%" PRIu64 ".%" PRIu64 " s", time_ms / SECOND_MS,
                       time_ms % SECOND_MS / 100);
    } else if (time_ms < 2 * (uint64_t)HOUR_MS) {
        (void)snprintf(text, HUMAN_SIZE, "%" PRIu64 " min", time_ms / MINUTE_MS);
    } else if (time_ms < 2 * (uint64_t)DAY_MS) {
        (void)snprintf(text, HUMAN_SIZE, "%" PRIu64 " h", time_ms / HOUR_MS);
    } else {
        (void)snprintf(text, HUMAN_SIZE, "%" PRIu64 " days", time_ms / DAY_MS);
    }
}

void human_bytes(uint64_t bytes, char *text)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes;
    unsigned unit = 0;
    while (value >= 1023.95 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        value /= 1024;
        unit++;
    }
    (void)snprintf(text, HUMAN_SIZE, "%.*f %s", unit > 0 ? 1 : 0, value, units[unit]);
}
