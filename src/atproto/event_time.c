#include "atproto/event_time.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* 0001-01-01T00:00:00Z and 10000-01-01T00:00:00Z: clients of PostgreSQL read nothing beyond. */
#define FIRST_SECOND INT64_C(-62135596800)
#define END_SECOND   INT64_C(253402300800)

struct reader {
    const char *at;
    const char *end;
    bool is_bad;
};

static int read_digits(struct reader *reader, int count)
{
    int value = 0;
    for (int i = 0; i < count; i++) {
        if (reader->at == reader->end || *reader->at < '0' || *reader->at > '9') {
            reader->is_bad = true;
            return 0;
        }
        value = value * 10 + (*reader->at++ - '0');
    }
    return value;
}

static char read_one_of(struct reader *reader, const char *allowed)
{
    if (reader->at == reader->end || *reader->at == '\0' || strchr(allowed, *reader->at) == NULL) {
        reader->is_bad = true;
        return '\0';
    }
    return *reader->at++;
}

/* Days since 1970-01-01 in the proleptic Gregorian calendar; years start in March, so that a leap
 * day is a year's last. */
static int64_t days_from_date(int64_t year, int64_t month, int64_t day)
{
    int64_t shifted = month > 2 ? year : year - 1;
    int64_t month_from_march = (month + 9) % 12;
    int64_t day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    return shifted * 365 + shifted / 4 - shifted / 100 + shifted / 400 + day_of_year - 719468;
}

static bool date_is_valid(int year, int month, int day)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (year < 1 || month < 1 || month > 12 || day < 1) {
        return false;
    }
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return day <= days[month - 1] + (month == 2 && is_leap ? 1 : 0);
}

static int64_t read_date(struct reader *reader)
{
    int year = read_digits(reader, 4);
    read_one_of(reader, "-");
    int month = read_digits(reader, 2);
    read_one_of(reader, "-");
    int day = read_digits(reader, 2);
    if (reader->is_bad || !date_is_valid(year, month, day)) {
        reader->is_bad = true;
        return 0;
    }
    return days_from_date(year, month, day) * 86400;
}

static int64_t read_clock(struct reader *reader)
{
    int hour = read_digits(reader, 2);
    read_one_of(reader, ":");
    int minute = read_digits(reader, 2);
    read_one_of(reader, ":");
    int second = read_digits(reader, 2);
    if (hour > 23 || minute > 59 || second > 60) {
        reader->is_bad = true;
    }
    return hour * 3600 + minute * 60 + (second == 60 ? 59 : second);
}

static int64_t read_fraction_us(struct reader *reader)
{
    if (reader->at == reader->end || *reader->at != '.') {
        return 0;
    }
    reader->at++;
    int64_t fraction = 0;
    int64_t unit = 100000;
    const char *start = reader->at;
    for (; reader->at != reader->end && *reader->at >= '0' && *reader->at <= '9'; reader->at++) {
        fraction += unit * (*reader->at - '0');
        unit /= 10;
    }
    if (reader->at == start) {
        reader->is_bad = true;
    }
    return fraction;
}

static int64_t read_offset(struct reader *reader)
{
    char sign = read_one_of(reader, "Zz+-");
    if (sign != '+' && sign != '-') {
        return 0;
    }
    int hours = read_digits(reader, 2);
    read_one_of(reader, ":");
    int minutes = read_digits(reader, 2);
    if (hours > 23 || minutes > 59) {
        reader->is_bad = true;
    }
    int64_t offset = hours * INT64_C(3600) + minutes * INT64_C(60);
    return sign == '+' ? offset : -offset;
}

int64_t event_time_parse(struct slice text)
{
    if (text.size == 0) {
        return TIME_UNKNOWN;
    }
    struct reader reader = {.at = text.data, .end = text.data + text.size};
    int64_t seconds = read_date(&reader);
    read_one_of(&reader, "Tt");
    seconds += read_clock(&reader);
    int64_t fraction = read_fraction_us(&reader);
    seconds -= read_offset(&reader);
    bool is_far = seconds < FIRST_SECOND || seconds >= END_SECOND; /* by its offset */
    if (reader.is_bad || reader.at != reader.end || is_far) {
        return TIME_UNKNOWN;
    }
    return seconds * 1000000 + fraction;
}

void event_time_tid(int64_t time_us, char tid[EVENT_TID_SIZE])
{
    static const char alphabet[] = "234567abcdefghijklmnopqrstuvwxyz";
    /* 53 bits of microseconds, 10 of clock identifier. */
    uint64_t bits = time_us > 0 ? ((uint64_t)time_us & ((UINT64_C(1) << 53) - 1)) << 10 : 0;
    for (int i = EVENT_TID_SIZE - 1; i >= 0; i--) {
        tid[i] = alphabet[bits & 31];
        bits >>= 5;
    }
}
