#include "runtime/worker_stats.h"

#include <string.h>

#include "unit/test.h"

static struct worker_stats stats;

static struct tables *parse(const char *text)
{
    struct error error;
    struct tables *tables = tables_parse(slice_from_string(text), "test", &error);
    if (tables == NULL) {
        fail_msg("%s", error.text);
    }
    return tables;
}

static uint64_t written(size_t table)
{
    struct worker_rows sum = {0};
    worker_stats_collect_rows(&stats, table, &sum);
    return sum.values[ROW_WRITTEN];
}

static void rows_go_with_the_name_of_their_table_when_tables_are_described_anew(void **state)
{
    (void)state;
    struct tables *before = parse(
        "[middles]\ncollection = b.b.b\nx = text x\n[lasts]\ncollection = c.c.c\nx = text x\n");
    struct tables *after = parse(
        "[firsts]\ncollection = a.a.a\nx = text x\n[lasts]\ncollection = c.c.c\nx = text x\n");
    worker_stats_init(&stats);
    worker_stats_add_rows(&stats, 0, &(struct sink_rows){.written = 5});
    worker_stats_add_rows(&stats, 1, &(struct sink_rows){.written = 7, .dead = 2});
    worker_stats_move_rows(&stats, before, after);
    assert_int_equal(written(0), 0); /* `firsts`, which is new */
    assert_int_equal(written(1), 7);
    assert_int_equal(stats.rows[1].values[ROW_DEAD], 2);
    worker_stats_add_rows(&stats, 1, &(struct sink_rows){.written = 1});
    worker_stats_move_rows(&stats, after, before);
    assert_int_equal(written(0), 0); /* `middles` was no table in between */
    assert_int_equal(written(1), 8);
    worker_stats_move_rows(&stats, before, before);
    assert_int_equal(written(1), 8);
    tables_free(before);
    tables_free(after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_go_with_the_name_of_their_table_when_tables_are_described_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
