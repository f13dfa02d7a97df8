#include "sink/table_moves.h"

#include <stdlib.h>

#include "base/panic.h"
#include "sink/table_sql.h"

enum {
    MOVES_MINIMUM = 256
};

static struct table_place *find_places(const struct tables *tables, size_t table)
{
    size_t count = tables->items[table].count_count;
    struct table_place *places = memory_allocate((count + 1) * sizeof(*places));
    for (size_t i = 0; i < count; i++) {
        places[i].place = table_sql_place(tables, table, i, &places[i].count_table);
    }
    return places;
}

void table_moves_init(struct table_moves *moves, const struct tables *tables)
{
    moves->tables = tables;
    moves->places = memory_allocate((tables->count + 1) * sizeof(struct table_place *));
    for (size_t i = 0; i < tables->count; i++) {
        moves->places[i] = find_places(tables, i);
    }
    moves->counts = memory_allocate((tables->count_table_count + 1) * sizeof(*moves->counts));
    for (size_t i = 0; i < tables->count_table_count; i++) {
        struct count_moves *counts = &moves->counts[i];
        counts->column_count = 1 + table_sql_place_count(tables, i);
        counts->columns = memory_allocate(counts->column_count * sizeof(*counts->columns));
        counts->numbers = memory_allocate(counts->column_count * sizeof(*counts->numbers));
    }
}

void table_moves_deinit(struct table_moves *moves)
{
    for (size_t i = 0; i < moves->tables->count_table_count; i++) {
        struct count_moves *counts = &moves->counts[i];
        for (unsigned c = 0; c < counts->column_count; c++) {
            pg_array_deinit(&counts->columns[c]);
        }
        free(counts->columns);
        free(counts->numbers);
        free(counts->items);
    }
    for (size_t i = 0; i < moves->tables->count; i++) {
        free(moves->places[i]);
    }
    free(moves->places);
    free(moves->counts);
}

void table_moves_begin(struct table_moves *moves)
{
    for (size_t i = 0; i < moves->tables->count_table_count; i++) {
        moves->counts[i].count = 0;
    }
}

void table_moves_add(struct table_moves *moves, size_t table, size_t count, struct slice key)
{
    const struct table_place *place = &moves->places[table][count];
    struct count_moves *counts = &moves->counts[place->count_table];
    if (place->place == TABLE_NO_PLACE || key.size > TABLE_KEY_BYTES_MAX) {
        return;
    }
    if (counts->count == counts->capacity) {
        counts->capacity = counts->capacity > 0 ? counts->capacity * 2 : MOVES_MINIMUM;
        counts->items = memory_resize(counts->items, counts->capacity * sizeof(*counts->items));
    }
    counts->items[counts->count++] =
        (struct table_move){.key = key, .place = (unsigned)place->place};
}

static int compare_moves(const void *left, const void *right)
{
    const struct table_move *a = left;
    const struct table_move *b = right;
    return slice_compare(a->key, b->key);
}

/* One key: its moves, which lie together, become a number in each place. */
static void append_key(struct count_moves *counts, const struct table_move *moves, size_t count)
{
    for (unsigned place = 0; place + 1 < counts->column_count; place++) {
        counts->numbers[place] = 0;
    }
    for (size_t i = 0; i < count; i++) {
        counts->numbers[moves[i].place]++;
    }
    pg_array_append(&counts->columns[0], moves[0].key);
    for (unsigned place = 0; place + 1 < counts->column_count; place++) {
        pg_array_append_int64(&counts->columns[place + 1], counts->numbers[place]);
    }
}

struct pg_array *table_moves_columns(struct table_moves *moves, size_t count_table)
{
    struct count_moves *counts = &moves->counts[count_table];
    for (unsigned c = 0; c < counts->column_count; c++) {
        pg_array_begin(&counts->columns[c], c == 0 ? PG_TEXT : PG_INT8);
    }
    if (counts->count > 0) {
        qsort(counts->items, counts->count, sizeof(*counts->items), compare_moves);
    }
    for (size_t i = 0, next; i < counts->count; i = next) {
        for (next = i + 1;
             next < counts->count && slice_equals(counts->items[i].key, counts->items[next].key);) {
            next++;
        }
        append_key(counts, &counts->items[i], next - i);
    }
    return counts->columns;
}
