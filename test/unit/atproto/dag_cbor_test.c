#include "unit/test.h"

#include "atproto/dag_cbor.h"
#include "unit/atproto/cbor_writer.h"

/* Reads one item strictly, whole; INVALID_NONE where it is fine. */
static enum invalid_reason read_strictly(const char *hex)
{
    struct buffer bytes = {0};
    struct dag_stack stack = {0};
    struct dag_item item;
    cbor_put_hex(&bytes, hex);
    struct dag_reader reader = dag_reader_strict(buffer_slice(&bytes), &stack);
    bool is_read = dag_reader_next(&reader, &item) && dag_reader_skip(&reader, &item);
    enum invalid_reason fault = reader.fault;
    assert_int_equal(is_read, fault == INVALID_NONE);
    if (is_read) {
        assert_int_equal(dag_reader_rest(&reader).size, 0);
    }
    dag_stack_deinit(&stack);
    buffer_deinit(&bytes);
    return fault;
}

static void assert_told(const char *hex, enum invalid_reason expected)
{
    enum invalid_reason reason = read_strictly(hex);
    if (reason != expected) {
        fail_msg("%s: told %s", hex, invalid_reason_text(reason));
    }
}

static void what_dag_cbor_allows_is_read(void **state)
{
    (void)state;
    static const char *const good[] = {"00",
                                       "17",
                                       "1818",
                                       "190100",
                                       "20",
                                       "f4",
                                       "f6",
                                       "fb3ff8000000000000",
                                       "a0",
                                       "80",
                                       "6161",
                                       "41ff",
                                       "a3616100616201626161f5",
                                       "d82a4700015500026869"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(read_strictly(good[i]), INVALID_NONE);
    }
}

static void what_dag_cbor_forbids_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        enum invalid_reason reason;
    } cases[] = {
        {"1800", INVALID_NOT_MINIMAL},
        {"1900ff", INVALID_NOT_MINIMAL},
        {"1a0000ffff", INVALID_NOT_MINIMAL},
        {"1b00000000ffffffff", INVALID_NOT_MINIMAL},
        {"3817", INVALID_NOT_MINIMAL},
        {"780161", INVALID_NOT_MINIMAL},
        {"5801ff", INVALID_NOT_MINIMAL},
        {"b800", INVALID_NOT_MINIMAL},
        {"d9002a4700015500026869", INVALID_NOT_MINIMAL},
        {"9fff", INVALID_INDEFINITE},
        {"bfff", INVALID_INDEFINITE},
        {"5fff", INVALID_INDEFINITE},
        {"7fff", INVALID_INDEFINITE},
        {"f93e00", INVALID_FLOAT},
        {"fa3fc00000", INVALID_FLOAT},
        {"fb7ff8000000000000", INVALID_FLOAT},
        {"f7", INVALID_UNDEFINED},
        {"e0", INVALID_UNDEFINED},
        {"f8ff", INVALID_UNDEFINED},
        {"f81f", INVALID_MALFORMED},
        {"1c", INVALID_MALFORMED},
        {"c000", INVALID_TAG},
        {"d82b00", INVALID_TAG},
        {"d82a00", INVALID_LINK},
        {"d82a4101", INVALID_LINK},
        {"d82a4100", INVALID_LINK},
        {"a2616200616100", INVALID_UNSORTED_KEYS},
        {"a262616100616200", INVALID_UNSORTED_KEYS},
        {"a2616100616100", INVALID_DUPLICATE_KEY},
        {"a10000", INVALID_KEY_NOT_TEXT},
        {"61ff", INVALID_UTF8},
        {"63eda080", INVALID_UTF8},
        {"8200", INVALID_TRUNCATED},
        {"a16161", INVALID_TRUNCATED},
        {"9a10000000", INVALID_TRUNCATED},
        {"62", INVALID_TRUNCATED},
        {"", INVALID_TRUNCATED},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_told(cases[i].hex, cases[i].reason);
    }
}

static void a_container_ends_with_end_and_its_keys_are_marked(void **state)
{
    (void)state;
    static const struct {
        enum dag_kind kind;
        bool is_key;
    } expected[] = {{DAG_MAP, false}, {DAG_TEXT, true}, {DAG_ARRAY, false}, {DAG_UNSIGNED, false},
                    {DAG_END, false}, {DAG_TEXT, true}, {DAG_TEXT, false},  {DAG_END, false}};
    struct dag_stack stack = {0};
    struct dag_reader reader = dag_reader_strict(SLICE("\xa2\x61"
                                                       "a\x81\x01\x61"
                                                       "b\x61"
                                                       "c"),
                                                 &stack);
    struct dag_item item;
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        assert_true(dag_reader_next(&reader, &item));
        assert_int_equal(item.kind, expected[i].kind);
        assert_int_equal(item.is_key, expected[i].is_key);
    }
    assert_int_equal(reader.depth, 0);
    dag_stack_deinit(&stack);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_dag_cbor_allows_is_read),
        cmocka_unit_test(what_dag_cbor_forbids_is_named),
        cmocka_unit_test(a_container_ends_with_end_and_its_keys_are_marked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
