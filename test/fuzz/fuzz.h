/*
 * Fuzz: what every fuzz target includes. A target is one function that libFuzzer calls with bytes of its own making.
 *
 *   bytes --LLVMFuzzerTestOneInput--> the part under test; a broken promise ends the process (FUZZ_HOLDS)
 *
 * Ownership: the input is libFuzzer's, an allocation of exactly `size` bytes, so that the sanitizer sees a read past its
 * end. Threading: one thread.
 */
#ifndef TEST_FUZZ_FUZZ_H
#define TEST_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/slice.h"

/* libFuzzer's entry; always returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Not assert(): it has to hold in every build type, and a fuzzer has to see it as a crash. */
#define FUZZ_HOLDS(what)                                                                           \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            (void)fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #what);        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* Takes values off the front of an input; of an empty one they are 0 and empty. */
struct fuzz_input {
    const uint8_t *next;
    size_t left;
};

static inline struct fuzz_input fuzz_input_of(const uint8_t *data, size_t size)
{
    return (struct fuzz_input){.next = data, .left = size};
}

static inline uint8_t fuzz_byte(struct fuzz_input *input)
{
    if (input->left == 0) {
        return 0;
    }
    input->left--;
    return *input->next++;
}

/* Up to the next zero byte, which is taken too; all that is left where there is none. */
static inline struct slice fuzz_text(struct fuzz_input *input)
{
    size_t size = 0;
    while (size < input->left && input->next[size] != 0) {
        size++;
    }
    struct slice text = slice_of(input->next, size);
    size_t taken = size < input->left ? size + 1 : size;
    input->next += taken;
    input->left -= taken;
    return text;
}

static inline struct slice fuzz_rest(const struct fuzz_input *input)
{
    return slice_of(input->next, input->left);
}

#endif
