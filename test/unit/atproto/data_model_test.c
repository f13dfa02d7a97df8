#include "unit/test.h"

#include <stdio.h>
#include <stdlib.h>

#include "atproto/json.h"
#include "base/encoding.h"
#include "unit/atproto/cbor_writer.h"

enum {
    COLUMNS = 5,
    LINES = 20
};

static void assert_cid(struct slice block, const char *expected)
{
    char cid[CID_SIZE];
    struct buffer text = {0};
    cid_append_text(&text, make_cid(block, cid));
    buffer_append_byte(&text, '\0');
    assert_string_equal(text.data, expected);
    buffer_deinit(&text);
}

/* note, DAG-CBOR, CID, reason, JSON */
static void check_line(char *columns[COLUMNS])
{
    struct buffer block = {0};
    struct buffer out = {0};
    struct dag_stack stack = {0};
    assert_true(base64_decode(&block, slice_from_string(columns[1])));
    if (columns[2][0] != '\0') {
        assert_cid(buffer_slice(&block), columns[2]);
    }
    uint32_t breaks = json_append_record(&out, buffer_slice(&block), &stack);
    buffer_append_byte(&out, '\0');
    assert_string_equal(out.data, columns[4]);
    if (strcmp(invalid_reason_text(invalid_first(breaks)), columns[3]) != 0) {
        fail_msg("%s: told %s", columns[0], invalid_reason_text(invalid_first(breaks)));
    }
    dag_stack_deinit(&stack);
    buffer_deinit(&block);
    buffer_deinit(&out);
}

static void every_fixture_of_the_data_model_has_its_json_cid_and_reason(void **state)
{
    (void)state;
    FILE *file = fopen(FIXTURES "/data_model.tsv", "re");
    assert_non_null(file);
    char *line = NULL;
    size_t capacity = 0;
    int count = 0;
    while (getline(&line, &capacity, file) > 0) {
        char *columns[COLUMNS];
        char *rest = line;
        line[strcspn(line, "\n")] = '\0';
        for (int i = 0; i < COLUMNS; i++) {
            columns[i] = strsep(&rest, "\t");
        }
        assert_non_null(columns[COLUMNS - 1]);
        check_line(columns);
        count++;
    }
    assert_int_equal(count, LINES);
    free(line);
    assert_int_equal(fclose(file), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_fixture_of_the_data_model_has_its_json_cid_and_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
