/* Where the description of the tables comes from: the program itself, a file, or nowhere. */
#include <string.h>

#include "config/sources.h"
#include "config/tables_private.h"

static struct tables *read_tables_file(const char *path, struct error *error)
{
    struct buffer text = {0};
    struct error why;
    struct tables *tables = NULL;
    if (config_read_whole(path, TABLES_FILE_BYTES_MAX, &text, &why)) {
        tables = tables_parse(buffer_slice(&text), path, error);
    } else {
        error_set(error, ERROR_USAGE, "postgres.tables_file = %s: give a readable file, or none",
                  why.text);
    }
    buffer_deinit(&text);
    return tables;
}

bool config_read_tables(struct config *config, struct error *error)
{
    const char *path = config->postgres.tables_file;
    if (path == NULL) {
        config->tables =
            tables_parse(slice_from_string(tables_built_in), "conf/tables.conf (built in)", error);
    } else if (strcmp(path, "none") == 0) {
        config->tables = tables_parse(SLICE(""), path, error);
    } else {
        config->tables = read_tables_file(path, error);
    }
    return config->tables != NULL;
}

static void describe_all(const struct tables *tables, struct buffer *out)
{
    for (size_t i = 0; i < tables->count; i++) {
        const struct table *table = &tables->items[i];
        buffer_append_format(out, "[%s] %d\n", table->name, (int)table->is_users);
        tables_describe(table, out);
        for (size_t n = 0; n < table->index_count; n++) {
            buffer_append_format(out, "%s\n", table->indexes[n].name);
        }
    }
    for (size_t i = 0; i < tables->count_table_count; i++) {
        buffer_append_format(out, "%s\n", tables->count_tables[i].name);
        tables_describe_counts(tables, &tables->count_tables[i], out);
    }
}

bool config_same_tables(const struct tables *a, const struct tables *b)
{
    struct buffer left = {0};
    struct buffer right = {0};
    describe_all(a, &left);
    describe_all(b, &right);
    bool is_same = slice_equals(buffer_slice(&left), buffer_slice(&right));
    buffer_deinit(&left);
    buffer_deinit(&right);
    return is_same;
}
