/* A CAR: every block that it lists is found again under its CID, and lies within the input. */
#include "fuzz/fuzz.h"

#include "atproto/car.h"
#include "atproto/cid.h"

static void check(const struct car *car, struct slice input)
{
    for (size_t i = 0; i < car->count; i++) {
        struct slice found;
        const struct car_block *block = &car->blocks[i];
        FUZZ_HOLDS(block->data.data >= input.data &&
                   block->data.data + block->data.size <= input.data + input.size);
        FUZZ_HOLDS(car_find(car, slice_of(block->cid, CID_SIZE), &found));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct car car;
    static struct dag_stack stack;
    static bool is_begun;
    const char *why = NULL;
    const struct car_block *bad = NULL;
    struct slice input = slice_of(data, size);
    if (!is_begun) {
        car_init(&car);
        is_begun = true;
    }
    if (car_parse(&car, input, &stack, &why) == CAR_DONE) {
        check(&car, input);
        FUZZ_HOLDS(car_verify(&car, &bad) || bad != NULL);
    } else {
        FUZZ_HOLDS(why != NULL);
    }
    car_clear(&car);
    return 0;
}
