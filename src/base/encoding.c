#include "base/encoding.h"

#include <stdint.h>

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char base32_digits[] = "abcdefghijklmnopqrstuvwxyz234567";

/* Appends `bytes` in digits of `width` bits, most significant first, the last filled with zeros. */
static void append_digits(struct buffer *out, struct slice bytes, const char *digits,
                          unsigned width)
{
    char *to = buffer_reserve(out, (bytes.size * 8 + width - 1) / width);
    size_t count = 0;
    uint32_t bits = 0;
    unsigned held = 0;
    for (size_t i = 0; i < bytes.size; i++) {
        bits = bits << 8 | (uint8_t)bytes.data[i];
        held += 8;
        while (held >= width) {
            held -= width;
            to[count++] = digits[bits >> held & ((1U << width) - 1)];
        }
    }
    if (held > 0) {
        to[count++] = digits[bits << (width - held) & ((1U << width) - 1)];
    }
    out->size += count;
}

void base64_append(struct buffer *out, struct slice bytes)
{
    append_digits(out, bytes, base64_digits, 6);
}

void base32_append(struct buffer *out, struct slice bytes)
{
    append_digits(out, bytes, base32_digits, 5);
}

static int base32_value(char digit)
{
    if (digit >= 'a' && digit <= 'z') {
        return digit - 'a';
    }
    return digit >= '2' && digit <= '7' ? digit - '2' + 26 : -1;
}

/* False where the digits are not those of whole bytes and zeros. */
static bool take_base32(struct slice text, char *bytes, size_t capacity, size_t *size)
{
    uint32_t bits = 0;
    unsigned held = 0;
    for (size_t i = 0; i < text.size; i++) {
        bits = bits << 5 | (uint32_t)base32_value(text.data[i]);
        held += 5;
        if (held < 8) {
            continue;
        }
        if (*size == capacity) {
            return false;
        }
        held -= 8;
        bytes[(*size)++] = (char)(bits >> held);
    }
    return held < 5 && (bits & ((1U << held) - 1)) == 0;
}

bool base32_decode(struct slice text, char *bytes, size_t capacity, size_t *size)
{
    *size = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (base32_value(text.data[i]) < 0) {
            return false;
        }
    }
    return take_base32(text, bytes, capacity, size);
}

static int base64_value(char digit)
{
    if (digit >= 'A' && digit <= 'Z') {
        return digit - 'A';
    }
    if (digit >= 'a' && digit <= 'z') {
        return digit - 'a' + 26;
    }
    if (digit >= '0' && digit <= '9') {
        return digit - '0' + 52;
    }
    if (digit == '+') {
        return 62;
    }
    return digit == '/' ? 63 : -1;
}

bool base64_decode(struct buffer *out, struct slice text)
{
    while (text.size > 0 && text.data[text.size - 1] == '=') {
        text.size--;
    }
    if (text.size % 4 == 1) {
        return false;
    }
    char *to = buffer_reserve(out, text.size / 4 * 3 + 3);
    size_t count = 0;
    uint32_t bits = 0;
    unsigned held = 0;
    for (size_t i = 0; i < text.size; i++) {
        int value = base64_value(text.data[i]);
        if (value < 0) {
            return false;
        }
        bits = bits << 6 | (uint32_t)value;
        held += 6;
        if (held >= 8) {
            held -= 8;
            to[count++] = (char)(bits >> held);
        }
    }
    out->size += count;
    return true;
}
