/*
 * Human: figures as a person reads them, with their unit.
 *
 *   1234567 -> "1,234,567"   75400 ms -> "75.4 s"   190000 ms -> "3 min"   5368709120 -> "5.0 GiB"
 *
 * Ownership: the caller's text of HUMAN_SIZE bytes, always terminated. Threading: pure functions.
 */
#ifndef BASE_HUMAN_H
#define BASE_HUMAN_H

#include <stdint.h>

enum {
    HUMAN_SIZE = 32
};

void human_count(uint64_t count, char *text);
/* Short: 999, 12.3k, 4.5M, 1.2G; at most 5 characters up to 999G. */
void human_short(double count, char *text);
/* In the largest unit of which there are at least two: ms, s, min, h, days. */
void human_time_ms(uint64_t time_ms, char *text);
void human_bytes(uint64_t bytes, char *text);

#endif
