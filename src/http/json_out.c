#include "http/json_out.h"

#include "atproto/json.h"
#include "base/clock.h"

enum {
    US_PER_MS = 1000
};

void json_out_text(struct buffer *out, const char *before, const char *text)
{
    buffer_append_string(out, before);
    if (text == NULL) {
        buffer_append_string(out, "null");
    } else {
        (void)json_append_text(out, slice_from_string(text));
    }
}

void json_out_number(struct buffer *out, const char *before, uint64_t number)
{
    buffer_append_format(out, "%s%" PRIu64, before, number);
}

void json_out_known(struct buffer *out, const char *before, bool is_known, uint64_t number)
{
    if (is_known) {
        json_out_number(out, before, number);
    } else {
        buffer_append_format(out, "%snull", before);
    }
}

void json_out_bool(struct buffer *out, const char *before, bool value)
{
    buffer_append_format(out, "%s%s", before, value ? "true" : "false");
}

void json_out_time(struct buffer *out, const char *before, int64_t wall_us)
{
    char text[CLOCK_RFC3339_SIZE];
    if (wall_us > 0) {
        clock_format_rfc3339(wall_us, text);
    }
    json_out_text(out, before, wall_us > 0 ? text : NULL);
}

void json_out_seconds(struct buffer *out, const char *before, uint64_t microseconds)
{
    uint64_t milliseconds = microseconds / US_PER_MS;
    buffer_append_format(out, "%s%" PRIu64 ".%03" PRIu64, before, milliseconds / 1000,
                         milliseconds % 1000);
}

void json_out_known_seconds(struct buffer *out, const char *before, bool is_known,
                            uint64_t microseconds)
{
    if (is_known) {
        json_out_seconds(out, before, microseconds);
    } else {
        buffer_append_format(out, "%snull", before);
    }
}
