#include "sink/sql_words.h"

#include <string.h>

void sql_append_name(struct buffer *out, const char *name)
{
    buffer_append_byte(out, '"');
    for (; *name != '\0'; name++) {
        if (*name == '.') {
            buffer_append_string(out, "\".\"");
        } else {
            buffer_append_byte(out, *name);
        }
    }
    buffer_append_byte(out, '"');
}

void sql_append_literal(struct buffer *out, const char *text)
{
    if (strchr(text, '\\') != NULL) {
        buffer_append_byte(out, 'E');
    }
    buffer_append_byte(out, '\'');
    for (; *text != '\0'; text++) {
        if (*text == '\'' || *text == '\\') {
            buffer_append_byte(out, *text);
        }
        buffer_append_byte(out, *text);
    }
    buffer_append_byte(out, '\'');
}

const char *sql_type_name(enum column_type type)
{
    static const char *const names[] = {
        [COLUMN_TEXT] = "text",       [COLUMN_INTEGER] = "bigint",
        [COLUMN_BOOLEAN] = "boolean", [COLUMN_TIMESTAMPTZ] = "timestamp with time zone",
        [COLUMN_JSONB] = "jsonb",     [COLUMN_TEXT_ARRAY] = "text[]",
        [COLUMN_CID] = "text",
    };
    return names[type];
}
