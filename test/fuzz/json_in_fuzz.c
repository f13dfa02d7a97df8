/* JSON in: a text that the scanner takes whole, jsonb_text_without_nul keeps one value, without any U+0000. */
#include "fuzz/fuzz.h"
#include "fuzz/json_walk.h"

#include "sink/jsonb_text.h"

static bool has_nul(struct slice json)
{
    for (size_t i = 0; i + 5 < json.size; i++) {
        if (json.data[i] == '\\') {
            if (memcmp(json.data + i, "\\u0000", 6) == 0) {
                return true;
            }
            i++; /* what it escapes */
        }
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = {0};
    struct slice text = slice_of(data, size);
    if (json_is_one_value(text, &arena)) {
        struct slice kept = jsonb_text_without_nul(text, &arena);
        FUZZ_HOLDS(json_is_one_value(kept, &arena));
        FUZZ_HOLDS(!has_nul(kept));
    }
    arena_deinit(&arena);
    return 0;
}
