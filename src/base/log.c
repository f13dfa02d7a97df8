#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

enum {
    LOG_LINE_MAX = 4096,
    LOG_TEXT_MAX = 900, /* of one value */
    LOG_LIMIT_DEFAULT_MS = 10000,
    ASCII_PRINTABLE = 0x20,
    ASCII_DEL = 0x7f
};

static enum log_level current_level = LOG_LEVEL_INFO;
static enum log_format current_format = LOG_FORMAT_TEXT;

/* A line under construction: writes past the end are dropped, so the line is cut, never overrun. */
struct line {
    char *text;
    size_t size;
    size_t used;
};

static void line_append(struct line *line, const char *data, size_t size)
{
    size_t room = line->size - line->used;
    size_t count = size < room ? size : room;
    if (count == 0) {
        return;
    }
    memcpy(line->text + line->used, data, count);
    line->used += count;
}

static void line_append_string(struct line *line, const char *text)
{
    line_append(line, text, strlen(text));
}

static void line_append_format(struct line *line, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void line_append_format(struct line *line, const char *format, ...)
{
    char text[128];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    line_append_string(line, text);
}

/* How many bytes the UTF-8 sequence at the start of `text` has (RFC 3629); 0: it is none. Surrogates and
 * overlong forms of three and four bytes pass: this is for a log, and JSON readers take them. */
static size_t utf8_sequence_size(struct slice text)
{
    unsigned char lead = (unsigned char)text.data[0];
    size_t size = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (lead > 0xf4 || size > text.size) {
        return 0;
    }
    for (size_t i = 1; i < size; i++) {
        if (((unsigned char)text.data[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return size;
}

static void line_append_character(struct line *line, struct slice character)
{
    unsigned char byte = (unsigned char)character.data[0];
    if (character.size > 1) {
        line_append(line, character.data, character.size);
    } else if (byte == '"' || byte == '\\') {
        line_append_format(line, "\\%c", byte);
    } else if (byte < ASCII_PRINTABLE || byte == ASCII_DEL) {
        line_append_format(line, "\\u%04x", byte);
    } else {
        line_append(line, character.data, 1);
    }
}

/* Cut at LOG_TEXT_MAX, so that one long value does not cost the end of the line, which JSON needs. */
static void line_append_quoted(struct line *line, struct slice text)
{
    size_t start = line->used;
    line_append(line, "\"", 1);
    while (text.size > 0 && line->used - start < LOG_TEXT_MAX) {
        size_t size = utf8_sequence_size(text);
        if (size == 0) {
            line_append_string(line, "\\ufffd");
            size = 1;
        } else {
            line_append_character(line, slice_of(text.data, size));
        }
        text = slice_skip(text, size);
    }
    line_append_string(line, text.size > 0 ? "...\"" : "\"");
}

static bool needs_quotes(struct slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        unsigned char byte = (unsigned char)text.data[i];
        if (byte <= ' ' || byte == '"' || byte == '=' || byte == '\\' || byte >= ASCII_DEL) {
            return true;
        }
    }
    return text.size == 0 || text.size > LOG_TEXT_MAX;
}

static void line_append_word(struct line *line, struct slice text)
{
    if (needs_quotes(text)) {
        line_append_quoted(line, text);
    } else {
        line_append(line, text.data, text.size);
    }
}

static void append_value(struct line *line, const struct log_field *field, bool is_json)
{
    switch (field->type) {
    case LOG_FIELD_INT:
    case LOG_FIELD_SUPPRESSED:
        line_append_format(line, "%lld", (long long)field->number);
        return;
    case LOG_FIELD_REAL:
        line_append_format(line, "%.3f", field->real);
        return;
    case LOG_FIELD_BOOL:
        line_append_string(line, field->number != 0 ? "true" : "false");
        return;
    case LOG_FIELD_TEXT:
        if (is_json) {
            line_append_quoted(line, field->text);
        } else {
            line_append_word(line, field->text);
        }
        return;
    }
}

static void append_json_pair(struct line *line, const char *name, const char *value)
{
    line_append_format(line, "\"%s\":", name);
    line_append_quoted(line, slice_from_string(value));
}

static void append_json_head(struct line *line, const char *time, const char *level,
                             const char *object, const char *message)
{
    line_append_string(line, "{");
    append_json_pair(line, "time", time);
    line_append_string(line, ",");
    append_json_pair(line, "level", level);
    line_append_string(line, ",");
    append_json_pair(line, "object", object);
    line_append_string(line, ",");
    append_json_pair(line, "message", message);
}

static void append_fields(struct line *line, enum log_format format, const struct log_field *fields,
                          size_t field_count)
{
    bool is_json = format == LOG_FORMAT_JSON;
    for (size_t i = 0; i < field_count; i++) {
        if (fields[i].type == LOG_FIELD_SUPPRESSED && fields[i].number == 0) {
            continue;
        }
        line_append_format(line, is_json ? ",\"%s\":" : " %s=", fields[i].name);
        append_value(line, &fields[i], is_json);
    }
}

static void append_head(struct line *line, enum log_format format, const struct log_line *what)
{
    static const char *const levels[] = {"debug", "info", "warning", "error"};
    char time[CLOCK_RFC3339_SIZE];
    clock_format_rfc3339(what->wall_us, time);
    switch (format) {
    case LOG_FORMAT_TEXT:
        line_append_format(line, "%s %s ", time, levels[what->level]);
        line_append_string(line, what->object);
        line_append_string(line, " ");
        line_append_string(line, what->message);
        return;
    case LOG_FORMAT_JSON:
        append_json_head(line, time, levels[what->level], what->object, what->message);
        return;
    case LOG_FORMAT_LOGFMT:
        line_append_format(line, "time=%s level=%s object=", time, levels[what->level]);
        line_append_word(line, slice_from_string(what->object));
        line_append_string(line, " message=");
        line_append_word(line, slice_from_string(what->message));
        return;
    }
}

size_t log_format_line(char *text, size_t size, enum log_format format, const struct log_line *what)
{
    struct line line = {.text = text, .size = size - 1};
    append_head(&line, format, what);
    append_fields(&line, format, what->fields, what->field_count);
    if (format == LOG_FORMAT_JSON) {
        line_append_string(&line, "}");
    }
    text[line.used] = '\0';
    return line.used;
}

void log_configure(enum log_level level, enum log_format format)
{
    __atomic_store_n(&current_level, level, __ATOMIC_RELAXED);
    __atomic_store_n(&current_format, format, __ATOMIC_RELAXED);
}

bool log_is_enabled(enum log_level level)
{
    return level >= __atomic_load_n(&current_level, __ATOMIC_RELAXED);
}

void log_write(enum log_level level, const char *object, const char *message,
               const struct log_field *fields, size_t field_count)
{
    if (!log_is_enabled(level)) {
        return;
    }
    const struct log_line line = {
        .level = level,
        .wall_us = clock_wall_us(),
        .object = object,
        .message = message,
        .fields = fields,
        .field_count = field_count,
    };
    char text[LOG_LINE_MAX];
    enum log_format format = __atomic_load_n(&current_format, __ATOMIC_RELAXED);
    size_t size = log_format_line(text, sizeof(text), format, &line);
    text[size] = '\n';
    ssize_t written = write(STDERR_FILENO, text, size + 1);
    (void)written; /* nowhere left to say that the log is gone */
}

bool log_limit_pass(struct log_limit *limit, uint64_t *suppressed)
{
    uint64_t now = clock_monotonic_ms();
    if (now < limit->next_ms) {
        limit->suppressed++;
        return false;
    }
    *suppressed = limit->suppressed;
    limit->suppressed = 0;
    limit->next_ms = now + (limit->interval_ms > 0 ? limit->interval_ms : LOG_LIMIT_DEFAULT_MS);
    return true;
}
