#include "atproto/utf8.h"

#include <string.h>

#define HIGH_BITS UINT64_C(0x8080808080808080)

/* The length that a lead byte announces; 0 where it may not lead. */
static size_t announced_size(uint8_t lead)
{
    if (lead < 0x80) {
        return 1;
    }
    if (lead < 0xc2 || lead > 0xf4) {
        return 0;
    }
    return lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

/* The second byte is what keeps out overlong forms, surrogates and what is past U+10FFFF. */
static bool second_is_valid(uint8_t lead, uint8_t second)
{
    switch (lead) {
    case 0xe0:
        return second >= 0xa0 && second <= 0xbf;
    case 0xed:
        return second >= 0x80 && second <= 0x9f;
    case 0xf0:
        return second >= 0x90 && second <= 0xbf;
    case 0xf4:
        return second >= 0x80 && second <= 0x8f;
    default: /* a byte, not an enum */
        return second >= 0x80 && second <= 0xbf;
    }
}

size_t utf8_sequence(const uint8_t *at, size_t left)
{
    size_t size = announced_size(at[0]);
    if (size <= 1) {
        return size;
    }
    if (left < size || !second_is_valid(at[0], at[1])) {
        return 0;
    }
    for (size_t i = 2; i < size; i++) {
        if ((at[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return size;
}

/* How many ASCII bytes there are from `at` on, counted in words of eight. */
static size_t ascii_run(const uint8_t *at, size_t left)
{
    size_t size = 0;
    uint64_t word;
    while (left - size >= sizeof(word)) {
        memcpy(&word, at + size, sizeof(word));
        if ((word & HIGH_BITS) != 0) {
            break;
        }
        size += sizeof(word);
    }
    return size;
}

bool utf8_is_valid(struct slice text)
{
    const uint8_t *bytes = (const uint8_t *)text.data;
    size_t at = 0;
    for (;;) {
        at += ascii_run(bytes + at, text.size - at);
        if (at == text.size) {
            return true;
        }
        size_t size = utf8_sequence(bytes + at, text.size - at);
        if (size == 0) {
            return false;
        }
        at += size;
    }
}

size_t utf8_encode(uint32_t code_point, char to[UTF8_SEQUENCE_MAX])
{
    if (code_point < 0x80) {
        to[0] = (char)code_point;
        return 1;
    }
    size_t size = code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;
    static const uint8_t leads[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = size - 1; i > 0; i--) {
        to[i] = (char)(0x80 | (code_point & 0x3f));
        code_point >>= 6;
    }
    to[0] = (char)(leads[size] | code_point);
    return size;
}
