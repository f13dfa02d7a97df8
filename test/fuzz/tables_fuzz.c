/* tables.conf, and behind the first zero byte a record: a description is taken whole or one line says what is wrong; what
 * is taken gives the same SQL and the same columns each time. */
#include "fuzz/fuzz.h"
#include "fuzz/json_walk.h"

#include "config/tables.h"
#include "sink/extraction.h"
#include "sink/jsonb_text.h"
#include "sink/table_sql.h"
#include "sink/typed_sql.h"

enum {
    NAME_MAX_BYTES = 63 /* of PostgreSQL; a longer one is cut there, and may then be another's */
};

/* `schema.name` of a user's own table is two names. */
static void check_name(const char *name, bool may_have_schema)
{
    size_t size = 0;
    FUZZ_HOLDS(name[0] != '\0');
    for (const char *next = name; *next != '\0'; next++, size++) {
        bool is_plain =
            (*next >= 'a' && *next <= 'z') || (*next >= '0' && *next <= '9') || *next == '_';
        FUZZ_HOLDS(is_plain || (may_have_schema && *next == '.'));
    }
    FUZZ_HOLDS(size <= NAME_MAX_BYTES || (may_have_schema && size <= 2 * NAME_MAX_BYTES + 1));
}

static void check_table(const struct table *table)
{
    FUZZ_HOLDS(table->column_count <= TABLE_COLUMNS_MAX && table->index_count <= TABLE_INDEXES_MAX);
    FUZZ_HOLDS(table->key < table->column_count && table->columns[table->key].source == COLUMN_URI);
    check_name(table->name, table->is_users);
    for (size_t i = 0; i < table->column_count; i++) {
        const struct table_column *column = &table->columns[i];
        check_name(column->name, false);
        FUZZ_HOLDS((column->source == COLUMN_PATH) == (column->path_count > 0));
        for (size_t path = 0; path < column->path_count; path++) {
            FUZZ_HOLDS(column->paths[path].step_count <= TABLES_STEPS_MAX);
        }
    }
    for (size_t i = 0; i < table->index_count; i++) {
        check_name(table->indexes[i].name, false);
    }
    for (size_t i = 0; i < table->count_count; i++) {
        check_name(table->counts[i].counts, false);
        FUZZ_HOLDS(table->counts[i].by < table->column_count);
    }
}

/* Everything that PostgreSQL is ever told because of a description. */
static void append_sql(const struct tables *tables, struct buffer *out)
{
    for (size_t i = 0; i < tables->count; i++) {
        const struct table *table = &tables->items[i];
        tables_describe(table, out);
        for (int form = 0; form < TABLE_FORM_COUNT; form++) {
            table_sql_append(tables, i, (enum table_form)form, out);
        }
        if (!table->is_users) {
            table_sql_append_reset(tables, i, out);
            table_sql_append_sweep(tables, i, out);
            typed_create_table(table, out);
        }
        for (size_t index = 0; index < table->index_count; index++) {
            typed_create_index(table, &table->indexes[index], "", "", out);
        }
    }
    for (size_t i = 0; i < tables->count_table_count; i++) {
        tables_describe_counts(tables, &tables->count_tables[i], out);
        typed_create_counts(&tables->count_tables[i], out);
        table_sql_append_counts(tables, i, out);
    }
}

static void append_values(const struct table *table, struct slice record, struct buffer *out)
{
    struct arena arena = {0};
    struct extraction *extraction = extraction_create(table);
    enum extraction_result result = extraction_run(extraction, record, 0, &arena);
    buffer_append_format(out, "%d", (int)result);
    for (size_t i = 0; i < table->column_count && result == EXTRACTION_ROW; i++) {
        const struct column_value *value = extraction_value(extraction, i);
        if (value->has_value && table->columns[i].type == COLUMN_TEXT_ARRAY) {
            column_value_append_array(value, out);
        } else if (value->has_value) {
            buffer_append_format(out, "%lld", (long long)value->number);
            buffer_append(out, value->text.data, value->text.size);
        }
    }
    if (result == EXTRACTION_BAD) {
        FUZZ_HOLDS(extraction_bad_column(extraction) < table->column_count);
    }
    extraction_destroy(extraction);
    arena_deinit(&arena);
}

static void append_all(const struct tables *tables, struct slice record, struct buffer *out)
{
    append_sql(tables, out);
    for (size_t i = 0; i < tables->count && record.size > 0; i++) {
        append_values(&tables->items[i], record, out);
    }
}

static void check(const struct tables *tables, struct slice text, struct slice record)
{
    struct error error = {0};
    struct buffer once = {0};
    struct buffer again = {0};
    FUZZ_HOLDS(tables->count <= TABLES_MAX);
    for (size_t i = 0; i < tables->count; i++) {
        check_table(&tables->items[i]);
    }
    append_all(tables, record, &once);
    struct tables *same = tables_parse(text, "t.conf", &error);
    FUZZ_HOLDS(same != NULL);
    append_all(same, record, &again);
    FUZZ_HOLDS(slice_equals(buffer_slice(&once), buffer_slice(&again)));
    tables_free(same);
    buffer_deinit(&once);
    buffer_deinit(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = fuzz_input_of(data, size);
    struct slice text = fuzz_text(&input);
    struct slice record = fuzz_rest(&input);
    struct arena arena = {0};
    struct error error = {0};
    record = json_is_one_value(record, &arena) ? jsonb_text_without_nul(record, &arena) : SLICE("");
    struct tables *tables = tables_parse(text, "t.conf", &error);
    if (tables != NULL) {
        check(tables, text, record);
        tables_free(tables);
    } else {
        FUZZ_HOLDS(error.kind == ERROR_USAGE && error.text[0] != '\0');
    }
    arena_deinit(&arena);
    return 0;
}
