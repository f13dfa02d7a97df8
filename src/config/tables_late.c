/* Lines that speak of columns: index, unique, count. They are read when the section ends and all columns are known. */
#include <inttypes.h>
#include <stdio.h>

#include "base/hash.h"
#include "config/tables_private.h"
#include "config/text.h"

enum {
    HASH_DIGITS = 8
};

enum {
    INDEX_COLUMNS_MAX = 32 /* PostgreSQL's */
};

/* Types by the bit 1 << type. What PostgreSQL has an operator class for, less what a B-tree cannot hold when it is long.
 * GiST has none for our types. */
#define BIT(type)  (1U << (type))
#define TEXTS      (BIT(COLUMN_TEXT) | BIT(COLUMN_CID))
#define SCALARS    (TEXTS | BIT(COLUMN_INTEGER) | BIT(COLUMN_TIMESTAMPTZ))
#define CONTAINERS (BIT(COLUMN_JSONB) | BIT(COLUMN_TEXT_ARRAY))

static const struct {
    const char *name;
    unsigned types;
    bool takes_several;
} methods[] = {
    {"btree", SCALARS | BIT(COLUMN_BOOLEAN), true},
    {"gin", CONTAINERS, true},
    {"gist", 0, true},
    {"brin", SCALARS, true},
    {"hash", SCALARS | BIT(COLUMN_BOOLEAN) | CONTAINERS, false},
    {"spgist", TEXTS, false},
};

static const char *table_name(const struct tables_parser *parser)
{
    return parser->now.table.name;
}

#define FAIL(parser, key, format, ...)                                                             \
    tables_fail((parser), "%s: %s: " format, table_name(parser), (key), __VA_ARGS__)

static const struct table_column *find_column(const struct tables_parser *parser, struct slice name)
{
    const struct table *table = &parser->now.table;
    for (size_t i = 0; i < table->column_count; i++) {
        if (slice_equals(slice_from_string(table->columns[i].name), name)) {
            return &table->columns[i];
        }
    }
    return NULL;
}

/* The name says all that the index is: <table>_<columns>[_method][_unique][_hash of the condition]. */
static char *index_name(struct tables_parser *parser, const struct table_index *index)
{
    struct buffer name = {0};
    buffer_append_string(&name, parser->now.table.rows_name);
    for (size_t i = 0; i < index->column_count; i++) {
        buffer_append_format(&name, "_%s", index->columns[i]);
    }
    if (strcmp(index->method, "btree") != 0) {
        buffer_append_format(&name, "_%s", index->method);
    }
    buffer_append_string(&name, index->is_unique ? "_unique" : "");
    if (index->where != NULL) {
        buffer_append_format(&name, "_%08" PRIx32, hash_32(slice_from_string(index->where)));
    }
    if (name.size > IDENTIFIER_MAX) {
        uint32_t hash = hash_32(buffer_slice(&name));
        name.size = IDENTIFIER_MAX - HASH_DIGITS - 1;
        buffer_append_format(&name, "_%08" PRIx32, hash);
    }
    char *copy = tables_copy(parser, buffer_slice(&name));
    buffer_deinit(&name);
    return copy;
}

/* Cuts `*text` at the word and returns what follows it; empty where the word is not there. */
static struct slice cut_at_word(struct slice *text, struct slice word)
{
    for (size_t i = 1; i + word.size < text->size; i++) {
        bool is_word = text->data[i - 1] == ' ' && text->data[i + word.size] == ' ';
        if (is_word && slice_equals(slice_of(text->data + i, word.size), word)) {
            struct slice rest = text_trim(slice_skip(*text, i + word.size));
            *text = text_trim(slice_of(text->data, i));
            return rest;
        }
    }
    return SLICE("");
}

static bool read_index_columns(struct tables_parser *parser, const struct late_line *line,
                               struct slice names, struct table_index *index)
{
    char *columns[TABLE_COLUMNS_MAX];
    while (names.size > 0) {
        size_t comma = text_find(names, ',');
        struct slice name = text_trim(slice_of(names.data, comma));
        names = slice_skip(names, comma < names.size ? comma + 1 : comma);
        if (find_column(parser, name) == NULL &&
            !slice_equals(name, slice_from_string(TABLE_SORT_COLUMN))) {
            return FAIL(parser, line->key,
                        "%.*s is no column of it: write `column, column [using method] "
                        "[where condition]`",
                        SLICE_ARGS(name));
        }
        if (index->column_count == TABLE_COLUMNS_MAX) {
            return FAIL(parser, line->key, "it has too many columns: allowed are %d",
                        TABLE_COLUMNS_MAX);
        }
        columns[index->column_count++] = tables_copy(parser, name);
    }
    index->columns = tables_copy_items(parser, columns, index->column_count, sizeof(columns[0]));
    return index->column_count > 0 || FAIL(parser, line->key, "it is empty: name a %s", "column");
}

/* sort_at is no item of the columns. */
static enum column_type type_of(const struct tables_parser *parser, const char *name)
{
    const struct table_column *column = find_column(parser, slice_from_string(name));
    return column != NULL ? column->type : COLUMN_TIMESTAMPTZ;
}

static bool check_method(struct tables_parser *parser, const struct late_line *line,
                         const struct table_index *index, size_t method)
{
    for (size_t i = 0; i < index->column_count; i++) {
        enum column_type type = type_of(parser, index->columns[i]);
        if ((methods[method].types & BIT(type)) == 0) {
            bool is_container = (CONTAINERS & BIT(type)) != 0;
            return FAIL(parser, line->key, "%s: %s is no method for %s: write using %s",
                        index->columns[i], methods[method].name, tables_type_name(type),
                        is_container ? "gin" : "btree, or nothing");
        }
    }
    if (index->column_count > (methods[method].takes_several ? INDEX_COLUMNS_MAX : 1)) {
        return FAIL(parser, line->key, "%s takes %d: make several of it", methods[method].name,
                    methods[method].takes_several ? INDEX_COLUMNS_MAX : 1);
    }
    return !index->is_unique || method == 0 ||
           FAIL(parser, line->key, "%s cannot be unique: take it out", methods[method].name);
}

static bool read_method(struct tables_parser *parser, const struct late_line *line,
                        struct slice method, struct table_index *index)
{
    struct slice name = method.size > 0 ? method : SLICE("btree");
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        if (slice_equals(slice_from_string(methods[i].name), name)) {
            index->method = tables_copy(parser, name);
            return check_method(parser, line, index, i);
        }
    }
    return FAIL(parser, line->key,
                "%.*s is no method: there are btree, gin, gist, brin, hash and spgist",
                SLICE_ARGS(name));
}

/* Of those that have one name; what differs and has one is told by tables_check_names(). */
static bool is_same_index(const struct table_index *a, const struct table_index *b)
{
    bool is_same = strcmp(a->name, b->name) == 0 && a->column_count == b->column_count;
    for (size_t i = 0; i < a->column_count && is_same; i++) {
        is_same = strcmp(a->columns[i], b->columns[i]) == 0;
    }
    return is_same;
}

/* Whether a `;` stands in it that no quote holds. */
static bool ends_statement(struct slice sql)
{
    char quote = '\0';
    for (size_t i = 0; i < sql.size; i++) {
        char byte = sql.data[i];
        if (quote == '\0' && byte == ';') {
            return true;
        }
        if (quote == '\0' && (byte == '\'' || byte == '"')) {
            quote = byte;
        } else if (byte == quote) {
            quote = '\0';
        }
    }
    return false;
}

static bool read_index(struct tables_parser *parser, const struct late_line *line)
{
    struct table_builder *now = &parser->now;
    struct slice text = line->value;
    struct table_index index = {.is_unique = strcmp(line->key, "unique") == 0};
    struct slice where = cut_at_word(&text, SLICE("where"));
    struct slice method = cut_at_word(&text, SLICE("using"));
    if (!read_index_columns(parser, line, text, &index) ||
        !read_method(parser, line, method, &index)) {
        return false;
    }
    if (ends_statement(where)) {
        return FAIL(parser, line->key, "%s: a ; ends the statement: take it out", "where");
    }
    index.where = where.size > 0 ? tables_copy(parser, where) : NULL;
    index.name = index_name(parser, &index);
    index.line = line->line;
    for (size_t i = 0; i < now->table.index_count; i++) {
        if (is_same_index(&now->indexes[i], &index)) {
            return FAIL(parser, line->key, "%s stands twice: take one out", index.name);
        }
    }
    if (now->table.index_count == TABLE_INDEXES_MAX) {
        return FAIL(parser, line->key, "there are too many: allowed are %d", TABLE_INDEXES_MAX);
    }
    now->indexes[now->table.index_count++] = index;
    return true;
}

static struct count_table *count_table_of(struct tables_parser *parser, struct slice name)
{
    for (size_t i = 0; i < parser->count_table_count; i++) {
        if (slice_equals(slice_from_string(parser->count_tables[i].name), name)) {
            return &parser->count_tables[i];
        }
    }
    if (parser->count_table_count == COUNT_TABLES_MAX) {
        return NULL;
    }
    parser->count_table_lines[parser->count_table_count] = parser->line;
    struct count_table *table = &parser->count_tables[parser->count_table_count++];
    char *none[COUNT_COLUMNS_MAX] = {NULL};
    *table = (struct count_table){
        .name = tables_copy(parser, name),
        .columns = tables_copy_items(parser, none, COUNT_COLUMNS_MAX, sizeof(none[0]))};
    return table;
}

/* A column that several tables add to is one column. */
static bool add_count_column(struct tables_parser *parser, const struct late_line *line,
                             struct count_table *table, struct slice name)
{
    for (size_t i = 0; i < table->column_count; i++) {
        if (slice_equals(slice_from_string(table->columns[i]), name)) {
            return true;
        }
    }
    if (table->column_count == COUNT_COLUMNS_MAX) {
        return FAIL(parser, line->key, "%s has too many columns: allowed are %d", table->name,
                    COUNT_COLUMNS_MAX);
    }
    table->columns[table->column_count++] = tables_copy(parser, name);
    return true;
}

/* counts(key).column by column */
struct count_words {
    struct slice counts;
    struct slice key;
    struct slice column;
    struct slice by;
};

static bool split_count(struct slice text, struct count_words *words)
{
    words->by = cut_at_word(&text, SLICE("by"));
    size_t dot = text_find(text, '.');
    struct slice head = slice_of(text.data, dot);
    words->column = text_trim(slice_skip(text, dot < text.size ? dot + 1 : dot));
    size_t open = text_find(head, '(');
    words->counts = text_trim(slice_of(head.data, open));
    words->key = SLICE("uri");
    if (open < head.size) {
        struct slice inner = text_trim(slice_skip(head, open + 1));
        if (inner.size == 0 || inner.data[inner.size - 1] != ')') {
            return false;
        }
        words->key = text_trim(slice_of(inner.data, inner.size - 1));
    }
    return dot < text.size && words->by.size > 0;
}

static bool check_count_names(struct tables_parser *parser, const struct late_line *line,
                              const struct count_words *words)
{
    const struct slice names[] = {words->counts, words->key, words->column};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *fault = tables_name_fault(names[i]);
        if (fault != NULL) {
            return FAIL(parser, line->key, "%.*s: %s", SLICE_ARGS(names[i]), fault);
        }
    }
    return !slice_equals(words->key, words->column) ||
           FAIL(parser, line->key, "%.*s is the key and cannot be the number: name another",
                SLICE_ARGS(words->key));
}

static bool check_by(struct tables_parser *parser, const struct late_line *line, struct slice by,
                     size_t *place)
{
    const struct table_column *column = find_column(parser, by);
    if (column == NULL || (column->type != COLUMN_TEXT && column->type != COLUMN_CID)) {
        return FAIL(parser, line->key, "by %.*s: that is no text column of it: name one",
                    SLICE_ARGS(by));
    }
    *place = (size_t)(column - parser->now.table.columns);
    return true;
}

static bool read_count(struct tables_parser *parser, const struct late_line *line)
{
    struct table_builder *now = &parser->now;
    struct count_words words;
    struct table_count count = {0};
    if (now->table.is_users) {
        return FAIL(parser, line->key, "%s: count in a table of ours",
                    "rows of an existing table are not counted");
    }
    if (!split_count(line->value, &words)) {
        return FAIL(parser, line->key, "%.*s: write `counts(key).number by column`",
                    SLICE_ARGS(line->value));
    }
    if (!check_count_names(parser, line, &words) || !check_by(parser, line, words.by, &count.by)) {
        return false;
    }
    struct count_table *table = count_table_of(parser, words.counts);
    if (table == NULL || now->table.count_count == TABLE_COUNTS_MAX) {
        return FAIL(parser, line->key,
                    "there are too many: allowed are %d tables of counts, %d in "
                    "a section",
                    COUNT_TABLES_MAX, TABLE_COUNTS_MAX);
    }
    if (table->key != NULL && !slice_equals(slice_from_string(table->key), words.key)) {
        return FAIL(parser, line->key, "%s has the key %s elsewhere: write %s(%s) here too",
                    table->name, table->key, table->name, table->key);
    }
    table->key = tables_copy(parser, words.key);
    count.counts = table->name;
    count.column = tables_copy(parser, words.column);
    for (size_t i = 0; i < now->table.count_count; i++) {
        const struct table_count *other = &now->counts[i];
        if (other->counts == count.counts && other->by == count.by &&
            strcmp(other->column, count.column) == 0) {
            return FAIL(parser, line->key, "%s.%s by %.*s stands twice: take one out", table->name,
                        count.column, SLICE_ARGS(words.by));
        }
    }
    now->counts[now->table.count_count++] = count;
    return add_count_column(parser, line, table, words.column);
}

bool tables_read_late(struct tables_parser *parser)
{
    struct table_builder *now = &parser->now;
    for (size_t i = 0; i < now->late_count; i++) {
        const struct late_line *line = &now->late[i];
        parser->line = line->line;
        bool is_count = strcmp(line->key, "count") == 0;
        if (!is_count && now->table.is_users) {
            return FAIL(parser, line->key, "%s: create it yourself, and take the line out",
                        "an existing table is never changed");
        }
        if (!(is_count ? read_count(parser, line) : read_index(parser, line))) {
            return false;
        }
    }
    return true;
}
