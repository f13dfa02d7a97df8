/*
 * Log: one line a fact on stderr, the object in front, numbers with units; text, json and logfmt
 * carry the same fields.
 *
 *   log_info("relay[bsky.network]", "connected", LOG_INT("cursor", 123), LOG_TEXT("address", a));
 *   2026-01-31T12:34:56.789Z info relay[bsky.network] connected cursor=123 address=1.2.3.4
 *
 * Threading: any thread; a line is one write(2), so lines never mix. A line is cut at 4 KiB.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

enum log_level {
    LOG_LEVEL_DEBUG,
    LOG_LEVEL_INFO,
    LOG_LEVEL_WARNING,
    LOG_LEVEL_ERROR
};
enum log_format {
    LOG_FORMAT_TEXT,
    LOG_FORMAT_JSON,
    LOG_FORMAT_LOGFMT
};

struct log_field {
    const char *name;
    enum {
        LOG_FIELD_INT,
        LOG_FIELD_TEXT,
        LOG_FIELD_REAL,
        LOG_FIELD_BOOL,
        LOG_FIELD_SUPPRESSED
    } type;
    int64_t number;
    double real;
    struct slice text;
};

#define LOG_INT(field_name, value)                                                                 \
    ((struct log_field){.name = (field_name), .type = LOG_FIELD_INT, .number = (int64_t)(value)})
#define LOG_REAL(field_name, value)                                                                \
    ((struct log_field){.name = (field_name), .type = LOG_FIELD_REAL, .real = (value)})
#define LOG_BOOL(field_name, value)                                                                \
    ((struct log_field){.name = (field_name), .type = LOG_FIELD_BOOL, .number = (value) ? 1 : 0})
/* `suppressed=N`, what log_limit_pass() counted; left out where that is nothing, as it mostly is. */
#define LOG_SUPPRESSED(value)                                                                      \
    ((struct log_field){                                                                           \
        .name = "suppressed", .type = LOG_FIELD_SUPPRESSED, .number = (int64_t)(value)})
#define LOG_SLICE(field_name, value)                                                               \
    ((struct log_field){.name = (field_name), .type = LOG_FIELD_TEXT, .text = (value)})
#define LOG_TEXT(field_name, value) LOG_SLICE(field_name, slice_from_string(value))

/* Before threads start, and at a reload. */
void log_configure(enum log_level level, enum log_format format);
bool log_is_enabled(enum log_level level);
/* Writes nothing below the configured level. `object` and `message` are constant phrases or names; figures go into `fields`. */
void log_write(enum log_level level, const char *object, const char *message,
               const struct log_field *fields, size_t field_count);
struct log_line {
    enum log_level level;
    int64_t wall_us;
    const char *object;
    const char *message;
    const struct log_field *fields;
    size_t field_count;
};
/* Formats a line into `text` (cut at `size`, always terminated) and returns its length. */
size_t log_format_line(char *text, size_t size, enum log_format format,
                       const struct log_line *what);

/* One line a `interval_ms` for a message that may repeat; what is left out is counted and told with
 * the next line as suppressed=N. One per place and object; zero it at the start. */
struct log_limit {
    uint64_t interval_ms; /* 0: 10,000 */
    uint64_t next_ms;
    uint64_t suppressed;
};
/* True where the line may be written now; `*suppressed` is how many were not since the last. */
bool log_limit_pass(struct log_limit *limit, uint64_t *suppressed);

/* In lower case because they are called like functions. */
/* NOLINTBEGIN(readability-identifier-naming) */
#define LOG_WRITE_FIELDS(level, object, message, ...)                                              \
    log_write((level), (object), (message), (const struct log_field[]){__VA_ARGS__},               \
              sizeof((const struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field))
#define log_debug(object, message, ...)                                                            \
    LOG_WRITE_FIELDS(LOG_LEVEL_DEBUG, object, message, __VA_ARGS__)
#define log_info(object, message, ...)                                                             \
    LOG_WRITE_FIELDS(LOG_LEVEL_INFO, object, message, __VA_ARGS__)
#define log_warning(object, message, ...)                                                          \
    LOG_WRITE_FIELDS(LOG_LEVEL_WARNING, object, message, __VA_ARGS__)
#define log_error(object, message, ...)                                                            \
    LOG_WRITE_FIELDS(LOG_LEVEL_ERROR, object, message, __VA_ARGS__)
/* NOLINTEND(readability-identifier-naming) */

#endif
