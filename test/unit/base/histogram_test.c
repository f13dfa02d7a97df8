/* Histograms: buckets, sums, several writers collected, and a reader beside a writer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <pthread.h>
#include <stdbool.h>

#include <cmocka.h>

#include "base/histogram.h"

static void bounds_rise_and_a_figure_equal_to_a_bound_is_under_it(void **state)
{
    (void)state;
    static const struct histogram_scale *const scales[] = {
        &histogram_scale_rows, &histogram_scale_short, &histogram_scale_long};
    for (unsigned s = 0; s < 3; s++) {
        const struct histogram_scale *scale = scales[s];
        struct histogram histogram;
        struct histogram_totals totals = {0};
        histogram_init(&histogram, scale);
        assert_true(scale->count > 0 && scale->count <= HISTOGRAM_BOUNDS_MAX);
        for (unsigned i = 0; i < scale->count; i++) {
            assert_true(i == 0 || scale->bounds[i] > scale->bounds[i - 1]);
            histogram_record(&histogram, scale->bounds[i]);
            histogram_record(&histogram, scale->bounds[i] + 1);
        }
        histogram_collect(&totals, &histogram);
        assert_int_equal(histogram_count(&totals), 2 * scale->count);
        assert_true(totals.counts[0] >= 1 && totals.counts[scale->count] == 1);
    }
}

static void zero_and_the_largest_figure_have_a_bucket(void **state)
{
    (void)state;
    struct histogram histogram;
    struct histogram_totals totals = {0};
    histogram_init(&histogram, &histogram_scale_rows);
    histogram_record(&histogram, 0);
    histogram_record(&histogram, UINT64_MAX / 2);
    histogram_collect(&totals, &histogram);
    assert_int_equal(totals.counts[0], 1);
    assert_int_equal(totals.counts[histogram_scale_rows.count], 1);
    assert_true(totals.sum == UINT64_MAX / 2);
}

static void several_histograms_are_collected_into_one(void **state)
{
    (void)state;
    struct histogram first;
    struct histogram second;
    struct histogram_totals totals = {0};
    histogram_init(&first, &histogram_scale_rows);
    histogram_init(&second, &histogram_scale_rows);
    histogram_record(&first, 3);
    histogram_record(&second, 4);
    histogram_record(&second, 400);
    histogram_collect(&totals, &first);
    histogram_collect(&totals, &second);
    assert_int_equal(totals.counts[2], 2); /* 2 < figure <= 5 */
    assert_int_equal(totals.sum, 407);
    assert_int_equal(histogram_count(&totals), 3);
}

enum {
    RECORDS = 200000
};

static void *record_many(void *histogram)
{
    for (unsigned i = 0; i < RECORDS; i++) {
        histogram_record(histogram, i % 7000);
    }
    return NULL;
}

static void a_reader_beside_the_writer_never_sees_a_count_fall(void **state)
{
    (void)state;
    struct histogram histogram;
    pthread_t writer;
    uint64_t before = 0;
    histogram_init(&histogram, &histogram_scale_rows);
    assert_int_equal(pthread_create(&writer, NULL, record_many, &histogram), 0);
    while (before < RECORDS) {
        struct histogram_totals totals = {0};
        histogram_collect(&totals, &histogram);
        assert_true(histogram_count(&totals) >= before);
        before = histogram_count(&totals);
    }
    assert_int_equal(pthread_join(writer, NULL), 0);
    assert_int_equal(before, RECORDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bounds_rise_and_a_figure_equal_to_a_bound_is_under_it),
        cmocka_unit_test(zero_and_the_largest_figure_have_a_bucket),
        cmocka_unit_test(several_histograms_are_collected_into_one),
        cmocka_unit_test(a_reader_beside_the_writer_never_sees_a_count_fall),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
