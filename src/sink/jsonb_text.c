#include "sink/jsonb_text.h"

#include <string.h>

static const char escaped_nul[] = "\\u0000";
static const char replacement[] = {'\xef', '\xbf', '\xbd'}; /* U+FFFD */
enum {
    ESCAPE_SIZE = sizeof(escaped_nul) - 1
};

struct slice jsonb_text_without_nul(struct slice json, struct arena *arena)
{
    if (json.size == 0 || memmem(json.data, json.size, escaped_nul, ESCAPE_SIZE) == NULL) {
        return json;
    }
    /* The same length or shorter: six bytes become three. */
    char *copy = arena_allocate(arena, json.size);
    size_t to = 0;
    for (size_t from = 0; from < json.size;) {
        if (json.data[from] != '\\' || from + 1 == json.size) {
            copy[to++] = json.data[from++];
        } else if (slice_starts_with(slice_skip(json, from), slice_of(escaped_nul, ESCAPE_SIZE))) {
            memcpy(copy + to, replacement, sizeof(replacement));
            to += sizeof(replacement);
            from += ESCAPE_SIZE;
        } else { /* any other escape goes over in one, so that its second byte starts none */
            memcpy(copy + to, json.data + from, 2);
            to += 2;
            from += 2;
        }
    }
    return slice_of(copy, to);
}

void json_append_string(struct buffer *out, struct slice text)
{
    buffer_append_byte(out, '"');
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c == '"' || c == '\\') {
            buffer_append_byte(out, '\\');
        }
        if (c < 0x20) {
            buffer_append_format(out, "\\u%04x", c);
        } else {
            buffer_append_byte(out, (char)c);
        }
    }
    buffer_append_byte(out, '"');
}
