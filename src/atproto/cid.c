#include "atproto/cid.h"

#include <string.h>

#include "base/encoding.h"

enum {
    CID_V0_SIZE = 34,
    MULTIHASH_SHA256 = 0x12,
    BASE58_SIZE = 46, /* characters of 34 bytes that start with 0x12 0x20 */
    VARINT_BYTES_MAX = 9
};

bool varint_take(struct slice *bytes, uint64_t *number)
{
    uint64_t value = 0;
    size_t limit = bytes->size < VARINT_BYTES_MAX ? bytes->size : VARINT_BYTES_MAX;
    for (size_t i = 0; i < limit; i++) {
        uint8_t byte = (uint8_t)bytes->data[i];
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte >= 0x80) {
            continue;
        }
        if (byte == 0 && i > 0) {
            return false; /* not minimal */
        }
        *number = value;
        *bytes = slice_skip(*bytes, i + 1);
        return true;
    }
    return false;
}

static bool is_v0(struct slice bytes)
{
    return bytes.size >= CID_V0_SIZE && bytes.data[0] == MULTIHASH_SHA256 &&
           bytes.data[1] == CID_DIGEST_SIZE;
}

/* The blessed head: version 1, codec dag-cbor or raw, SHA-256, 32 bytes. */
static bool has_blessed_head(struct slice bytes)
{
    return bytes.size >= CID_SIZE && (memcmp(bytes.data, "\x01\x71\x12\x20", 4) == 0 ||
                                      memcmp(bytes.data, "\x01\x55\x12\x20", 4) == 0);
}

size_t cid_prefix_size(struct slice bytes)
{
    if (has_blessed_head(bytes)) {
        return CID_SIZE;
    }
    if (is_v0(bytes)) {
        return CID_V0_SIZE;
    }
    struct slice rest = bytes;
    uint64_t version;
    uint64_t codec;
    uint64_t hash;
    uint64_t digest_size;
    if (!varint_take(&rest, &version) || version != 1 || !varint_take(&rest, &codec) ||
        !varint_take(&rest, &hash) || !varint_take(&rest, &digest_size)) {
        return 0;
    }
    size_t head = bytes.size - rest.size;
    if (digest_size > rest.size || head + digest_size > CID_SIZE_MAX) {
        return 0;
    }
    return head + (size_t)digest_size;
}

bool cid_is_well_formed(struct slice cid)
{
    return cid.size > 0 && cid_prefix_size(cid) == cid.size;
}

bool cid_is_blessed(struct slice cid)
{
    return cid.size == CID_SIZE && has_blessed_head(cid);
}

/* The number that `cid` is, in base 58: quadratic, but over 34 bytes always. */
static void append_base58(struct buffer *out, struct slice cid)
{
    static const char alphabet[] = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    uint8_t digits[BASE58_SIZE] = {0};
    for (size_t i = 0; i < cid.size; i++) {
        uint32_t carry = (uint8_t)cid.data[i];
        for (size_t digit = BASE58_SIZE; digit-- > 0;) {
            carry += (uint32_t)digits[digit] << 8;
            digits[digit] = (uint8_t)(carry % 58);
            carry /= 58;
        }
    }
    char *to = buffer_reserve(out, BASE58_SIZE);
    for (size_t i = 0; i < BASE58_SIZE; i++) {
        to[i] = alphabet[digits[i]];
    }
    out->size += BASE58_SIZE;
}

void cid_append_text(struct buffer *out, struct slice cid)
{
    if (cid.size == CID_V0_SIZE && is_v0(cid)) {
        append_base58(out, cid);
        return;
    }
    buffer_append_byte(out, 'b');
    base32_append(out, cid);
}

bool cid_is_text(struct slice text)
{
    char bytes[CID_SIZE_MAX];
    size_t size;
    return text.size > 0 && text.data[0] == 'b' &&
           base32_decode(slice_skip(text, 1), bytes, sizeof(bytes), &size) && size > 0 &&
           bytes[0] == 1 && cid_is_well_formed(slice_of(bytes, size));
}
