#include "config/tables.h"

#include <stdlib.h>
#include <string.h>

#include "config/tables_private.h"

/* The first of them: another table of the collection may stand before what a search meets. */
const struct table *tables_find(const struct tables *tables, struct slice collection, size_t *count)
{
    size_t low = 0;
    size_t high = tables->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (slice_compare(slice_from_string(tables->items[middle].collection), collection) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *count = 0;
    while (low + *count < tables->count &&
           slice_equals(slice_from_string(tables->items[low + *count].collection), collection)) {
        ++*count;
    }
    return *count > 0 ? &tables->items[low] : NULL;
}

/* --- in words --- */

static void describe_path(const struct column_path *path, struct buffer *out)
{
    for (size_t i = 0; i < path->step_count; i++) {
        const struct path_step *step = &path->steps[i];
        switch (step->kind) {
        case PATH_KEY:
            buffer_append_format(out, i > 0 ? ".\"%s\"" : "\"%s\"", step->name);
            break;
        case PATH_EACH:
            buffer_append_string(out, "[]");
            break;
        case PATH_TYPE:
            buffer_append_format(out, "<%s>", step->name);
            break;
        }
    }
}

static void describe_source(const struct table_column *column, struct buffer *out)
{
    static const char *const sources[] = {
        [COLUMN_PATH] = "",          [COLUMN_LITERAL] = "",
        [COLUMN_URI] = "@uri",       [COLUMN_DID] = "@did",
        [COLUMN_RKEY] = "@rkey",     [COLUMN_RECORD_CID] = "@cid",
        [COLUMN_REV] = "@rev",       [COLUMN_INDEXED_AT] = "@indexed_at",
        [COLUMN_SEQ] = "@seq",       [COLUMN_EVENT_TIME] = "@event_time",
        [COLUMN_RECORD] = "@record",
    };
    buffer_append_string(out, sources[column->source]);
    for (size_t i = 0; i < column->path_count; i++) {
        buffer_append_string(out, i > 0 ? " | " : "");
        describe_path(&column->paths[i], out);
    }
}

static void describe_column(const struct table_column *column, struct buffer *out)
{
    buffer_append_format(out, "%s = %s ", column->name, tables_type_name(column->type));
    describe_source(column, out);
    if (column->fallback != NULL) {
        buffer_append_format(out, " default='%s'", column->fallback);
    }
    buffer_append_string(out, column->is_required ? " required" : "");
    buffer_append_string(out,
                         column->bad_value == BAD_VALUE_DEAD_LETTER ? " bad=dead_letter\n" : "\n");
}

static int compare_names(const void *left, const void *right)
{
    const struct table_column *const *a = left;
    const struct table_column *const *b = right;
    return strcmp((*a)->name, (*b)->name);
}

void tables_describe(const struct table *table, struct buffer *out)
{
    const struct table_column *sorted[TABLE_COLUMNS_MAX] = {NULL};
    for (size_t i = 0; i < table->column_count; i++) {
        sorted[i] = &table->columns[i];
    }
    qsort(sorted, table->column_count, sizeof(void *), compare_names);
    buffer_append_format(out, "collection = %s\n", table->collection);
    for (size_t i = 0; i < table->column_count; i++) {
        describe_column(sorted[i], out);
    }
}

static void describe_counts_of(const struct table *table, const char *counts, struct buffer *out)
{
    for (size_t i = 0; i < table->count_count; i++) {
        const struct table_count *count = &table->counts[i];
        if (strcmp(count->counts, counts) == 0) {
            buffer_append_format(out, "%s = %s by %s\n", count->column, table->name,
                                 table->columns[count->by].name);
        }
    }
}

void tables_describe_counts(const struct tables *tables, const struct count_table *counts,
                            struct buffer *out)
{
    buffer_append_format(out, "key = %s\n", counts->key);
    for (size_t i = 0; i < tables->count; i++) {
        describe_counts_of(&tables->items[i], counts->name, out);
    }
}
