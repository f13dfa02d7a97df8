#include "base/roff.h"

#include "unit/test.h"

static void expect(struct buffer *got, const char *want)
{
    buffer_append_byte(got, '\0');
    assert_string_equal(got->data, want);
    buffer_deinit(got);
}

static void nothing_in_a_text_is_taken_for_a_request_or_an_escape(void **state)
{
    (void)state;
    struct buffer out = {0};
    roff_append_line(&out, ".TH is no request, \\n no escape, -c a minus\n'ts neither");
    expect(&out, "\\&.TH is no request, \\en no escape, \\-c a minus\n\\&'ts neither\n");
}

static void a_point_within_a_line_stays_as_it_is(void **state)
{
    (void)state;
    struct buffer out = {0};
    roff_append_text(&out, ".conf", false);
    expect(&out, ".conf");
}

static void verbatim_text_ends_its_last_line_once(void **state)
{
    (void)state;
    struct buffer out = {0};
    roff_append_verbatim(&out, "a\n");
    roff_append_verbatim(&out, "b");
    expect(&out, ".nf\na\n.fi\n.nf\nb\n.fi\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_in_a_text_is_taken_for_a_request_or_an_escape),
        cmocka_unit_test(a_point_within_a_line_stays_as_it_is),
        cmocka_unit_test(verbatim_text_ends_its_last_line_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
