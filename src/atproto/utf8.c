#include "atproto/utf8.h"

#define HIGH_BITS UINT64_C(0x8080808080808080)

bool utf8_is_valid(struct slice text)
{
    const uint8_t *bytes = (const uint8_t *)text.data;
    size_t at = 0;
    while (at < text.size) {
        uint64_t word;
        if (text.size - at >= sizeof(word)) {
            memcpy(&word, bytes + at, sizeof(word));
            if ((word & HIGH_BITS) == 0) {
                at += sizeof(word);
                continue;
            }
        }
        size_t size = utf8_sequence(bytes + at, text.size - at);
        if (size == 0)
            return false;
        at += size;
    }
    return true;
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
