#include <stddef.h>

#include "atproto/syntax.h"

enum {
    DATETIME_SIZE_MAX = 64,
    DATETIME_SECONDS_SIZE = 19,
    ZONE_SIZE = 6
};

struct datetime {
    unsigned year, month, day, hour, minute, second;
    unsigned zone_hour, zone_minute;
    bool is_ahead; /* the zone is east of UTC */
};

/* `pattern` has 0 for a digit and anything else for itself. */
static bool matches(struct slice text, const char *pattern, size_t size)
{
    if (text.size < size) {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        bool is_digit = text.data[i] >= '0' && text.data[i] <= '9';
        if (pattern[i] == '0' ? !is_digit : text.data[i] != pattern[i]) {
            return false;
        }
    }
    return true;
}

static unsigned number_at(struct slice text, size_t at, size_t size)
{
    unsigned number = 0;
    for (size_t i = at; i < at + size; i++) {
        number = number * 10 + (unsigned)(text.data[i] - '0');
    }
    return number;
}

static bool parse_zone(struct slice zone, struct datetime *datetime)
{
    if (slice_equals(zone, SLICE("Z"))) {
        return true;
    }
    if (zone.size != ZONE_SIZE || slice_equals(zone, SLICE("-00:00"))) {
        return false;
    }
    if (!matches(zone, zone.data[0] == '+' ? "+00:00" : "-00:00", ZONE_SIZE)) {
        return false;
    }
    datetime->is_ahead = zone.data[0] == '+';
    datetime->zone_hour = number_at(zone, 1, 2);
    datetime->zone_minute = number_at(zone, 4, 2);
    return true;
}

/* `.` and at least one digit, or nothing. */
static bool skip_fraction(struct slice *text)
{
    if (text->size == 0 || text->data[0] != '.') {
        return true;
    }
    size_t size = 1;
    while (size < text->size && text->data[size] >= '0' && text->data[size] <= '9') {
        size++;
    }
    *text = slice_skip(*text, size);
    return size > 1;
}

static bool parse(struct slice text, struct datetime *datetime)
{
    if (text.size > DATETIME_SIZE_MAX ||
        !matches(text, "0000-00-00T00:00:00", DATETIME_SECONDS_SIZE)) {
        return false;
    }
    *datetime = (struct datetime){
        .year = number_at(text, 0, 4),
        .month = number_at(text, 5, 2),
        .day = number_at(text, 8, 2),
        .hour = number_at(text, 11, 2),
        .minute = number_at(text, 14, 2),
        .second = number_at(text, 17, 2),
    };
    struct slice rest = slice_skip(text, DATETIME_SECONDS_SIZE);
    return skip_fraction(&rest) && parse_zone(rest, datetime);
}

bool datetime_has_syntax(struct slice text)
{
    struct datetime datetime;
    return parse(text, &datetime);
}

static unsigned days_in(unsigned year, unsigned month)
{
    static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return month == 2 && is_leap ? 29 : days[month - 1];
}

static bool is_before_year_zero(const struct datetime *datetime)
{
    if (!datetime->is_ahead || datetime->year > 0 || datetime->month > 1 || datetime->day > 1) {
        return false;
    }
    return datetime->hour * 60 + datetime->minute <
           datetime->zone_hour * 60 + datetime->zone_minute;
}

bool datetime_is_valid(struct slice text)
{
    struct datetime datetime;
    if (!parse(text, &datetime) || datetime.month < 1 || datetime.month > 12 || datetime.day < 1) {
        return false;
    }
    /* A leap second is 60. */
    return datetime.day <= days_in(datetime.year, datetime.month) && datetime.hour <= 23 &&
           datetime.minute <= 59 && datetime.second <= 60 && datetime.zone_hour <= 23 &&
           datetime.zone_minute <= 59 && !is_before_year_zero(&datetime);
}
