/* How long a text may be: PostgreSQL refuses a row whose index entry is beyond a third of a page (54000). */
#include "config/tables_private.h"
#include "config/text.h"

enum {
    ENTRY_BYTES = 2704, /* of a B-tree; those of the others are no smaller */
    ENTRY_HEAD = 24,    /* with what the whole is rounded to */
    COLUMN_HEAD = 16,   /* with what it is aligned to; a number or a time as a whole */
    URI_WORDS = 7,      /* at:// and two slashes */
    CID_BYTES = 128,
    REV_BYTES = 16
};

static bool is_text(const struct table_column *column)
{
    return column->type == COLUMN_TEXT || column->type == COLUMN_CID ||
           column->type == COLUMN_TEXT_ARRAY;
}

/* jsonb is none: only GIN and hash indexes have it, and those hold hashes or what is short. */
static bool is_of_any_length(const struct table_column *column)
{
    return column->source == COLUMN_PATH && is_text(column);
}

/* What one entry of an index holds. */
struct entry {
    size_t sharing; /* texts of records */
    size_t fixed;   /* bytes of all else */
    uint32_t own;   /* DIDs and rkeys */
};

static void add_column(struct entry *entry, const struct table *table,
                       const struct table_column *column)
{
    switch (column->source) {
    case COLUMN_PATH:
        entry->sharing += is_of_any_length(column) ? 1 : 0;
        return;
    case COLUMN_LITERAL:
        entry->fixed += strlen(column->fallback);
        return;
    case COLUMN_URI:
        entry->fixed += URI_WORDS + strlen(table->collection);
        entry->own++;
        return;
    case COLUMN_DID:
    case COLUMN_RKEY:
        entry->own++;
        return;
    case COLUMN_RECORD_CID:
        entry->fixed += CID_BYTES;
        return;
    case COLUMN_REV:
        entry->fixed += REV_BYTES;
        return;
    case COLUMN_INDEXED_AT:
    case COLUMN_SEQ:
    case COLUMN_EVENT_TIME:
    case COLUMN_RECORD:
        return;
    }
}

/* NULL: sort_at. */
static struct table_column *column_of(const struct table *table, const char *name)
{
    for (size_t i = 0; i < table->column_count; i++) {
        if (strcmp(table->columns[i].name, name) == 0) {
            return &table->columns[i];
        }
    }
    return NULL;
}

static void limit_bytes(struct table_column *column, size_t bytes)
{
    if (is_of_any_length(column) && (column->bytes_max == 0 || column->bytes_max > bytes)) {
        column->bytes_max = (uint32_t)bytes;
    }
}

/* The texts of an entry share what all else leaves them. */
static bool limit_index(struct tables_parser *parser, const struct table_index *index)
{
    struct table *table = &parser->now.table;
    struct entry entry = {.fixed = ENTRY_HEAD + COLUMN_HEAD * index->column_count};
    for (size_t i = 0; i < index->column_count; i++) {
        const struct table_column *column = column_of(table, index->columns[i]);
        if (column != NULL) {
            add_column(&entry, table, column);
        }
    }
    size_t fixed = entry.fixed + (size_t)entry.own * TABLE_OWN_BYTES;
    if (fixed + entry.sharing > ENTRY_BYTES) {
        return tables_fail(parser,
                           "%s: %s: its constants are too long: an entry of an index has "
                           "%d bytes",
                           table->name, index->name, ENTRY_BYTES);
    }
    if (entry.sharing == 0) {
        return true;
    }
    size_t room = ENTRY_BYTES - fixed;
    size_t bytes = (room < TABLE_KEY_BYTES_MAX ? room : TABLE_KEY_BYTES_MAX) / entry.sharing;
    for (size_t i = 0; i < index->column_count; i++) {
        struct table_column *column = column_of(table, index->columns[i]);
        if (column != NULL) {
            limit_bytes(column, bytes);
        }
    }
    table->own_max = entry.own > table->own_max ? entry.own : table->own_max;
    return true;
}

/* A default, or a constant by which a count goes. */
static bool check_constant(struct tables_parser *parser, const struct table_column *column,
                           size_t bytes)
{
    if (column->fallback == NULL || !is_text(column) || strlen(column->fallback) <= bytes) {
        return true;
    }
    (void)tables_find_described(parser, column->name); /* for its line */
    return tables_fail(parser,
                       "%s.%s: its constant has %zu bytes, its index or count takes %zu: shorten "
                       "it",
                       parser->now.table.name, column->name, strlen(column->fallback), bytes);
}

static bool limit_count(struct tables_parser *parser, const struct table_count *count)
{
    struct table_column *by = &parser->now.table.columns[count->by];
    limit_bytes(by, TABLE_KEY_BYTES_MAX);
    return check_constant(parser, by, TABLE_KEY_BYTES_MAX);
}

/* A hash index holds hashes. */
bool tables_limit_values(struct tables_parser *parser)
{
    struct table *table = &parser->now.table;
    bool is_good = true;
    for (size_t i = 0; i < table->index_count && is_good; i++) {
        is_good = strcmp(table->indexes[i].method, "hash") == 0 ||
                  limit_index(parser, &table->indexes[i]);
    }
    for (size_t i = 0; i < table->count_count && is_good; i++) {
        is_good = limit_count(parser, &table->counts[i]);
    }
    for (size_t i = 0; i < table->column_count && is_good; i++) {
        const struct table_column *column = &table->columns[i];
        is_good = column->bytes_max == 0 || check_constant(parser, column, column->bytes_max);
    }
    return is_good;
}
