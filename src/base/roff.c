#include "base/roff.h"

void roff_append_text(struct buffer *out, const char *text, bool at_line_start)
{
    bool is_first = at_line_start;
    for (const char *next = text; *next != '\0'; next++) {
        if (is_first && (*next == '.' || *next == '\'')) {
            buffer_append_string(out, "\\&");
        }
        if (*next == '\\') {
            buffer_append_string(out, "\\e");
        } else if (*next == '-') {
            buffer_append_string(out, "\\-"); /* a minus, as one types it, and no hyphen */
        } else {
            buffer_append_byte(out, *next);
        }
        is_first = *next == '\n';
    }
}

void roff_append_line(struct buffer *out, const char *text)
{
    roff_append_text(out, text, true);
    buffer_append_byte(out, '\n');
}

void roff_append_verbatim(struct buffer *out, const char *text)
{
    buffer_append_string(out, ".nf\n");
    roff_append_text(out, text, true);
    size_t size = out->size;
    buffer_append_string(out, size > 0 && out->data[size - 1] == '\n' ? ".fi\n" : "\n.fi\n");
}
