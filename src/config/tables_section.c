/* What must hold once a section is whole: its name, the columns that every table has, its key. */
#include "config/tables_private.h"
#include "config/text.h"

/* Of every table that we make, in this order. */
static const struct {
    const char *name;
    enum column_type type;
    enum column_source source;
} standard[] = {
    {"uri", COLUMN_TEXT, COLUMN_URI},
    {"did", COLUMN_TEXT, COLUMN_DID},
    {"rkey", COLUMN_TEXT, COLUMN_RKEY},
    {"cid", COLUMN_CID, COLUMN_RECORD_CID},
    {"rev", COLUMN_TEXT, COLUMN_REV},
    {"created_at", COLUMN_TIMESTAMPTZ, COLUMN_PATH},
    {"indexed_at", COLUMN_TIMESTAMPTZ, COLUMN_INDEXED_AT},
};
enum {
    STANDARD_COLUMNS = sizeof(standard) / sizeof(standard[0])
};

static struct table_column make_standard(struct tables_parser *parser, size_t i)
{
    struct path_step step = {.kind = PATH_KEY, .name = tables_copy(parser, SLICE("createdAt"))};
    struct column_path path = {.step_count = 1};
    struct table_column column = {
        .name = tables_copy(parser, slice_from_string(standard[i].name)),
        .type = standard[i].type,
        .source = standard[i].source,
    };
    if (column.source == COLUMN_PATH) {
        path.steps = tables_copy_items(parser, &step, 1, sizeof(step));
        column.paths = tables_copy_items(parser, &path, 1, sizeof(path));
        column.path_count = 1;
    }
    return column;
}

const struct table_column *tables_find_described(struct tables_parser *parser, const char *name)
{
    const struct table_builder *now = &parser->now;
    for (size_t i = 0; i < now->column_count; i++) {
        if (strcmp(now->columns[i].name, name) == 0) {
            parser->line = now->column_lines[i];
            return &now->columns[i];
        }
    }
    return NULL;
}

static bool refuse_described(struct tables_parser *parser, const char *name, const char *why)
{
    return tables_fail(parser, "%s.%s: %s", parser->now.table.name, name, why);
}

/* created_at may come from elsewhere in a record; the others are what they are. */
static bool add_standard_columns(struct tables_parser *parser, struct table_column *columns)
{
    static const char ours[] = "every table has that column: take it out";
    for (size_t i = 0; i < STANDARD_COLUMNS; i++) {
        const char *name = standard[i].name;
        const struct table_column *described = tables_find_described(parser, name);
        if (described == NULL) {
            columns[i] = make_standard(parser, i);
            continue;
        }
        if (standard[i].source != COLUMN_PATH) {
            return refuse_described(parser, name, ours);
        }
        if (described->type != standard[i].type) {
            return refuse_described(parser, name,
                                    "it is timestamptz in every table: give it that type");
        }
        columns[i] = *described;
    }
    return tables_find_described(parser, TABLE_SORT_COLUMN) == NULL ||
           refuse_described(parser, TABLE_SORT_COLUMN, ours);
}

static bool is_standard(const char *name)
{
    for (size_t i = 0; i < STANDARD_COLUMNS; i++) {
        if (strcmp(standard[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static bool collect_columns(struct tables_parser *parser)
{
    struct table_builder *now = &parser->now;
    struct table_column columns[STANDARD_COLUMNS + TABLE_COLUMNS_MAX];
    size_t count = now->table.is_users ? 0 : STANDARD_COLUMNS;
    if (!now->table.is_users && !add_standard_columns(parser, columns)) {
        return false;
    }
    parser->line = now->line;
    for (size_t i = 0; i < now->column_count; i++) {
        struct table_column *column = &now->columns[i];
        column->bad_value = now->says_bad[i] ? column->bad_value : now->bad_value;
        if (now->table.is_users || !is_standard(column->name)) {
            columns[count++] = *column;
        }
    }
    if (count > TABLE_COLUMNS_MAX) {
        return tables_fail(parser, "%s: it has %zu columns: allowed are %d", now->table.name, count,
                           TABLE_COLUMNS_MAX);
    }
    now->table.columns = tables_copy_items(parser, columns, count, sizeof(columns[0]));
    now->table.column_count = count;
    return true;
}

static bool find_key(struct tables_parser *parser)
{
    struct table *table = &parser->now.table;
    size_t found = 0;
    for (size_t i = 0; i < table->column_count; i++) {
        if (table->columns[i].source == COLUMN_URI) {
            table->key = found == 0 ? i : table->key;
            found++;
        }
    }
    if (found == 1 || !table->is_users) {
        return true;
    }
    return tables_fail(parser,
                       "%s: an existing table needs one column that says which record a row is: "
                       "write `name = text @uri`",
                       table->name);
}

const char *tables_own_name_fault(const char *name)
{
    static const char *const taken[] = {"records",    "repos",        "cursor",
                                        "migrations", "dead_letters", "tables"};
    const char *fault = tables_name_fault(slice_from_string(name));
    if (fault != NULL) {
        return fault;
    }
    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
        if (strcmp(taken[i], name) == 0) {
            return "standpipe has that name itself: use another";
        }
    }
    if (strncmp(name, ROWS_PREFIX, sizeof(ROWS_PREFIX) - 1) == 0) {
        return "names that begin with standpipe_ are its own: use another";
    }
    return strlen(name) > IDENTIFIER_MAX - (sizeof(ROWS_PREFIX) - 1) ? "it is too long" : NULL;
}

/* `table` or `schema.table` */
static const char *users_name_fault(const char *name)
{
    struct slice text = slice_from_string(name);
    size_t dot = text_find(text, '.');
    const char *fault = dot < text.size ? tables_name_fault(slice_of(text.data, dot)) : NULL;
    struct slice table = dot < text.size ? slice_skip(text, dot + 1) : text;
    if (fault == NULL) {
        fault = tables_name_fault(table);
    }
    return fault != NULL || dot < text.size ? fault : tables_own_name_fault(name);
}

static bool check_name(struct tables_parser *parser)
{
    const struct table *table = &parser->now.table;
    const char *fault =
        table->is_users ? users_name_fault(table->name) : tables_own_name_fault(table->name);
    return fault == NULL || tables_fail(parser, "[%s]: %s", table->name, fault);
}

static void name_rows(struct tables_parser *parser)
{
    struct table *table = &parser->now.table;
    struct buffer name = {0};
    buffer_append_string(&name, table->is_users ? "" : ROWS_PREFIX);
    buffer_append_string(&name, table->name);
    table->rows_name = tables_copy(parser, buffer_slice(&name));
    buffer_deinit(&name);
}

bool tables_end_section(struct tables_parser *parser)
{
    struct table_builder *now = &parser->now;
    if (!parser->has_section) {
        return true;
    }
    parser->line = now->line;
    if (now->table.collection == NULL) {
        return tables_fail(parser,
                           "[%s]: it says no collection: write `collection = com.example.thing`",
                           now->table.name);
    }
    name_rows(parser);
    if (!check_name(parser) || !collect_columns(parser) || !find_key(parser) ||
        !tables_read_late(parser)) {
        return false;
    }
    now->table.indexes =
        tables_copy_items(parser, now->indexes, now->table.index_count, sizeof(now->indexes[0]));
    now->table.counts =
        tables_copy_items(parser, now->counts, now->table.count_count, sizeof(now->counts[0]));
    if (!tables_limit_values(parser)) {
        return false;
    }
    parser->tables[parser->count++] = now->table;
    parser->has_section = false;
    return true;
}
