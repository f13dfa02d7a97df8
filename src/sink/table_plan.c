#include "sink/table_plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/panic.h"
#include "sink/pg_array.h"
#include "sink/table_rows.h"

/* --- statements --- */

static char *finish_sql(struct buffer *sql)
{
    buffer_append_byte(sql, '\0');
    return sql->data;
}

static char *make_name(const char *what, size_t index)
{
    struct buffer name = {0};
    buffer_append_format(&name, "standpipe_%s_%zu", what, index);
    return finish_sql(&name);
}

static struct pg_statement make_live(const struct table *table)
{
    uint32_t *types =
        memory_allocate((TABLE_KEY_PARAMETERS + table->column_count) * sizeof(*types));
    unsigned count = 0;
    for (; count < TABLE_KEY_PARAMETERS; count++) {
        types[count] = pg_array_type(table_key_elements[count]);
    }
    for (size_t i = 0; i < table->column_count; i++) {
        if (table_column_is_sent(&table->columns[i])) {
            types[count++] = pg_array_type(table_column_element(table->columns[i].type));
        }
    }
    ASSERT(count <= PG_PARAMETERS_MAX);
    return (struct pg_statement){.types = types, .count = count};
}

static struct pg_statement make_removal(unsigned count)
{
    uint32_t *types = memory_allocate(count * sizeof(*types));
    for (unsigned i = 0; i < count; i++) {
        types[i] = pg_array_type(PG_TEXT);
    }
    return (struct pg_statement){.types = types, .count = count};
}

static void add_table(struct table_plan *plan, size_t index, enum table_form form)
{
    static const char *const names[] = {
        [TABLE_CLEAR] = "clear", [TABLE_GONE] = "gone", [TABLE_LIVE] = "live"};
    struct pg_statement *statement = &plan->statements[plan->statement_count++];
    struct buffer sql = {0};
    if (form == TABLE_LIVE) {
        *statement = make_live(&plan->tables->items[index]);
    } else {
        *statement = make_removal(form == TABLE_GONE ? TABLE_KEY_PARAMETERS - 1 : 1);
    }
    table_sql_append(plan->tables, index, form, &sql);
    statement->sql = finish_sql(&sql);
    statement->name = make_name(names[form], index);
}

static void add_counts(struct table_plan *plan, size_t index)
{
    struct buffer sql = {0};
    struct pg_statement *statement = &plan->statements[plan->statement_count++];
    unsigned count = 1 + table_sql_place_count(plan->tables, index);
    uint32_t *types = memory_allocate(count * sizeof(*types));
    for (unsigned i = 0; i < count; i++) {
        types[i] = pg_array_type(i == 0 ? PG_TEXT : PG_INT8);
    }
    table_sql_append_counts(plan->tables, index, &sql);
    *statement = (struct pg_statement){.sql = finish_sql(&sql),
                                       .name = make_name("counts", index),
                                       .types = types,
                                       .count = count};
}

/* --- the plan --- */

static int compare_lines(const void *left, const void *right, void *context)
{
    const struct tables *tables = context;
    const struct table *a = &tables->items[*(const size_t *)left];
    const struct table *b = &tables->items[*(const size_t *)right];
    return a->line != b->line ? (a->line > b->line) - (a->line < b->line) : (a > b) - (a < b);
}

static size_t *order_tables(const struct tables *tables)
{
    size_t *order = memory_allocate(tables->count * sizeof(*order));
    for (size_t i = 0; i < tables->count; i++) {
        order[i] = i;
    }
    qsort_r(order, tables->count, sizeof(*order), compare_lines, (void *)(uintptr_t)tables);
    return order;
}

struct table_plan *table_plan_create(const struct tables *tables)
{
    if (tables == NULL || tables->count == 0) {
        return NULL;
    }
    struct table_plan *plan = memory_allocate(sizeof(*plan));
    size_t most = tables->count * TABLE_FORM_COUNT + tables->count_table_count;
    plan->tables = tables;
    plan->order = order_tables(tables);
    plan->statements = memory_allocate(most * sizeof(*plan->statements));
    for (size_t i = 0; i < tables->count; i++) {
        for (int form = 0; form < TABLE_FORM_COUNT; form++) {
            add_table(plan, i, (enum table_form)form);
        }
    }
    for (size_t i = 0; i < tables->count_table_count; i++) {
        add_counts(plan, i);
    }
    return plan;
}

void table_plan_destroy(struct table_plan *plan)
{
    if (plan == NULL) {
        return;
    }
    for (unsigned i = 0; i < plan->statement_count; i++) {
        const struct pg_statement *statement = &plan->statements[i];
        free((void *)(uintptr_t)statement->name);
        free((void *)(uintptr_t)statement->sql);
        free((void *)(uintptr_t)statement->types);
    }
    free(plan->statements);
    free(plan->order);
    free(plan);
}

const struct pg_statement *table_plan_statement(const struct table_plan *plan, size_t table,
                                                enum table_form form)
{
    return &plan->statements[table * TABLE_FORM_COUNT + form];
}

const struct pg_statement *table_plan_counts(const struct table_plan *plan, size_t count_table)
{
    return &plan->statements[plan->tables->count * TABLE_FORM_COUNT + count_table];
}

size_t table_plan_find(const struct table_plan *plan, struct slice collection, size_t *count)
{
    const struct tables *tables = plan->tables;
    size_t low = 0;
    for (size_t high = tables->count; low < high;) {
        size_t middle = low + (high - low) / 2;
        if (slice_compare(slice_from_string(tables->items[middle].collection), collection) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    size_t end = low;
    while (end < tables->count &&
           slice_equals(slice_from_string(tables->items[end].collection), collection)) {
        end++;
    }
    *count = end - low;
    return low;
}

bool table_plan_feeds(const struct table_plan *plan, size_t table, size_t count_table)
{
    const struct table *from = &plan->tables->items[table];
    for (size_t i = 0; i < from->count_count; i++) {
        if (strcmp(from->counts[i].counts, plan->tables->count_tables[count_table].name) == 0) {
            return true;
        }
    }
    return false;
}
