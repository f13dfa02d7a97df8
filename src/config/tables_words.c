/* Words and names of tables.conf. */
#include <ctype.h>

#include "base/panic.h"
#include "config/tables_private.h"
#include "config/text.h"

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t';
}

/* Where the quote that begins at `at` ends; a quote within is written twice. */
static size_t skip_quoted(struct slice text, size_t at)
{
    char quote = text.data[at++];
    for (; at < text.size; at++) {
        if (text.data[at] != quote) {
            continue;
        }
        if (at + 1 == text.size || text.data[at + 1] != quote) {
            return at + 1;
        }
        at++;
    }
    return text.size;
}

bool tables_next_word(struct slice *rest, struct slice *word)
{
    struct slice text = text_trim(*rest);
    size_t at = 0;
    if (text.size > 0 && text.data[0] == '|') {
        at = 1;
    }
    while (at != 1 || text.data[0] != '|') {
        if (at == text.size || is_blank(text.data[at]) || text.data[at] == '|') {
            break;
        }
        bool is_quote = text.data[at] == '\'' || text.data[at] == '"';
        at = is_quote ? skip_quoted(text, at) : at + 1;
    }
    *word = slice_of(text.data, at);
    *rest = slice_skip(text, at);
    return at > 0;
}

/* Of PostgreSQL 12 to 18: what may be no column's or table's name without quotes. A test asks the server. */
static const char *const reserved[] = {
    "all",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "asymmetric",
    "authorization",
    "binary",
    "both",
    "case",
    "cast",
    "check",
    "collate",
    "collation",
    "column",
    "concurrently",
    "constraint",
    "create",
    "cross",
    "current_catalog",
    "current_date",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "default",
    "deferrable",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "false",
    "fetch",
    "for",
    "foreign",
    "freeze",
    "from",
    "full",
    "grant",
    "group",
    "having",
    "ilike",
    "in",
    "initially",
    "inner",
    "intersect",
    "into",
    "is",
    "isnull",
    "join",
    "lateral",
    "leading",
    "left",
    "like",
    "limit",
    "localtime",
    "localtimestamp",
    "natural",
    "not",
    "notnull",
    "null",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "outer",
    "overlaps",
    "placing",
    "primary",
    "references",
    "returning",
    "right",
    "select",
    "session_user",
    "similar",
    "some",
    "symmetric",
    "system_user",
    "table",
    "tablesample",
    "then",
    "to",
    "trailing",
    "true",
    "union",
    "unique",
    "user",
    "using",
    "variadic",
    "verbose",
    "when",
    "where",
    "window",
    "with",
    /* columns that each table has */
    "cmax",
    "cmin",
    "ctid",
    "tableoid",
    "xmax",
    "xmin",
};

static bool is_reserved(struct slice name)
{
    for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
        if (slice_equals(slice_from_string(reserved[i]), name)) {
            return true;
        }
    }
    return false;
}

const char *tables_name_fault(struct slice name)
{
    bool is_plain = name.size > 0 && !isdigit((unsigned char)name.data[0]);
    for (size_t i = 0; i < name.size && is_plain; i++) {
        char byte = name.data[i];
        is_plain = (byte >= 'a' && byte <= 'z') || isdigit((unsigned char)byte) || byte == '_';
    }
    if (!is_plain) {
        return "it is no plain name: use lower case letters, digits and _";
    }
    if (name.size > IDENTIFIER_MAX) {
        return "it is too long: PostgreSQL keeps 63 bytes";
    }
    return is_reserved(name) ? "PostgreSQL reserves that word: use another" : NULL;
}
