/* One DAG-CBOR item: what the strict reader takes, the lenient one takes without a complaint, item for item. */
#include "fuzz/fuzz.h"

#include "atproto/dag_cbor.h"

static bool is_same(const struct dag_item *a, const struct dag_item *b)
{
    return a->kind == b->kind && a->number == b->number && slice_equals(a->bytes, b->bytes);
}

/* To the end of one item; false where it is none. */
static bool read_strict(struct slice input, struct dag_stack *stack)
{
    struct dag_reader reader = dag_reader_strict(input, stack);
    struct dag_item item;
    do {
        if (!dag_reader_next(&reader, &item)) {
            FUZZ_HOLDS(reader.fault != 0);
            return false;
        }
        FUZZ_HOLDS(reader.depth <= FRAME_DEPTH_MAX);
    } while (reader.depth > 0);
    return true;
}

static void read_both(struct slice input, struct dag_stack *stacks)
{
    struct dag_reader strict = dag_reader_strict(input, &stacks[0]);
    struct dag_reader lenient = dag_reader_lenient(input, &stacks[1]);
    struct dag_item a;
    struct dag_item b;
    do {
        FUZZ_HOLDS(dag_reader_next(&strict, &a) && dag_reader_next(&lenient, &b));
        FUZZ_HOLDS(is_same(&a, &b) && strict.depth == lenient.depth);
    } while (strict.depth > 0);
    FUZZ_HOLDS(dag_reader_rest(&strict).size == dag_reader_rest(&lenient).size);
}

static void read_lenient(struct slice input, struct dag_stack *stack)
{
    struct dag_reader reader = dag_reader_lenient(input, stack);
    struct dag_item item;
    while (dag_reader_next(&reader, &item) && reader.depth > 0) {
        FUZZ_HOLDS(reader.depth <= RECORD_DEPTH_MAX);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct dag_stack stacks[2];
    struct slice input = slice_of(data, size);
    if (read_strict(input, &stacks[0])) {
        read_both(input, stacks);
    }
    read_lenient(input, &stacks[1]);
    return 0;
}
