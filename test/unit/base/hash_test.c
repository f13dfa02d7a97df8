#include "base/hash.h"
#include "unit/test.h"

/* The vectors that were published with the algorithm: names that are made of it must not move. */
static void hashes_are_those_of_fnv_1a(void **state)
{
    (void)state;
    static const struct {
        struct slice bytes;
        uint32_t hash;
        uint64_t wide;
    } cases[] = {{SLICE(""), UINT32_C(0x811C9DC5), UINT64_C(0xCBF29CE484222325)},
                 {SLICE("a"), UINT32_C(0xE40C292C), UINT64_C(0xAF63DC4C8601EC8C)},
                 {SLICE("foobar"), UINT32_C(0xBF9CF968), UINT64_C(0x85944171F73967E8)}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(hash_32(cases[i].bytes), cases[i].hash);
        assert_true(hash_64(cases[i].bytes) == cases[i].wide);
    }
    assert_true(hash_32(slice_of(NULL, 0)) == UINT32_C(0x811C9DC5));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes_are_those_of_fnv_1a),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
