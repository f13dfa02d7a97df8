#include "cbor.h"

#include <openssl/evp.h>

#include "base/encoding.h"
#include "base/panic.h"

enum {
    MAJOR_UNSIGNED,
    MAJOR_NEGATIVE,
    MAJOR_BYTES,
    MAJOR_TEXT,
    MAJOR_ARRAY,
    MAJOR_MAP,
    MAJOR_TAG
};

/* One context for all blocks: fetching the digest anew costs more than hashing a small block. */
static EVP_MD_CTX *digest_context(void)
{
    static EVP_MD_CTX *context;
    if (context == NULL) {
        context = EVP_MD_CTX_new();
        ASSERT(context != NULL && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1);
    }
    return context;
}

struct cid cid_of_block(struct slice block)
{
    struct cid cid = {.bytes = {0x01, 0x71, 0x12, 0x20}};
    EVP_MD_CTX *context = digest_context();
    ASSERT(EVP_DigestInit_ex(context, NULL, NULL) == 1);
    ASSERT(EVP_DigestUpdate(context, block.data, block.size) == 1);
    ASSERT(EVP_DigestFinal_ex(context, cid.bytes + 4, NULL) == 1);
    return cid;
}

void cid_append_text(struct buffer *out, const struct cid *cid)
{
    buffer_append_byte(out, 'b');
    base32_append(out, slice_of(cid->bytes, sizeof(cid->bytes)));
}

static void write_head(struct buffer *out, unsigned major, uint64_t number)
{
    uint8_t bytes[9];
    size_t width = number < 24            ? 0
                   : number <= UINT8_MAX  ? 1
                   : number <= UINT16_MAX ? 2
                   : number <= UINT32_MAX ? 4
                                          : 8;
    static const uint8_t codes[9] = {[1] = 24, [2] = 25, [4] = 26, [8] = 27};
    bytes[0] = (uint8_t)(major << 5 | (width == 0 ? (uint8_t)number : codes[width]));
    for (size_t i = 0; i < width; i++) {
        bytes[1 + i] = (uint8_t)(number >> (8 * (width - 1 - i)));
    }
    buffer_append(out, bytes, 1 + width);
}

void cbor_write_unsigned(struct buffer *out, uint64_t number)
{
    write_head(out, MAJOR_UNSIGNED, number);
}

void cbor_write_negative(struct buffer *out, int64_t number)
{
    write_head(out, MAJOR_NEGATIVE, (uint64_t)(-(number + 1)));
}

void cbor_write_bytes(struct buffer *out, struct slice bytes)
{
    write_head(out, MAJOR_BYTES, bytes.size);
    buffer_append_slice(out, bytes);
}

void cbor_write_text(struct buffer *out, struct slice text)
{
    write_head(out, MAJOR_TEXT, text.size);
    buffer_append_slice(out, text);
}

void cbor_write_string(struct buffer *out, const char *text)
{
    cbor_write_text(out, slice_from_string(text));
}

void cbor_write_pair(struct buffer *out, const char *key, const char *text)
{
    cbor_write_string(out, key);
    cbor_write_string(out, text);
}

void cbor_write_array(struct buffer *out, uint64_t count)
{
    write_head(out, MAJOR_ARRAY, count);
}

void cbor_write_map(struct buffer *out, uint64_t pairs)
{
    write_head(out, MAJOR_MAP, pairs);
}

void cbor_write_bool(struct buffer *out, bool value)
{
    buffer_append_byte(out, value ? '\xf5' : '\xf4');
}

void cbor_write_null(struct buffer *out)
{
    buffer_append_byte(out, '\xf6');
}

void cbor_write_link(struct buffer *out, const struct cid *cid)
{
    static const uint8_t prefix[] = {0xd8, 0x2a, 0x58, 0x25,
                                     0x00}; /* tag 42, 37 bytes, multibase 0 */
    buffer_append(out, prefix, sizeof(prefix));
    buffer_append(out, cid->bytes, sizeof(cid->bytes));
}

void cbor_write_link_or_null(struct buffer *out, const struct cid *cid)
{
    if (cid != NULL) {
        cbor_write_link(out, cid);
    } else {
        cbor_write_null(out);
    }
}

bool cbor_read_head(struct slice *in, struct cbor_head *head)
{
    if (in->size == 0) {
        return false;
    }
    uint8_t first = (uint8_t)in->data[0];
    unsigned info = first & 31;
    size_t width = info < 24 ? 0 : (size_t)1 << (info - 24);
    if (info > 27 || in->size < 1 + width) {
        return false;
    }
    head->major = first >> 5;
    head->number = info;
    for (size_t i = 0; i < width; i++) {
        head->number = (i == 0 ? 0 : head->number << 8) | (uint8_t)in->data[1 + i];
    }
    *in = slice_skip(*in, 1 + width);
    return true;
}

/* Skips one item. Counts what is still open instead of recursing. */
static bool skip_item(struct slice *in)
{
    uint64_t open = 1;
    struct cbor_head head;
    for (; open > 0; open--) {
        if (!cbor_read_head(in, &head)) {
            return false;
        }
        bool is_string = head.major == MAJOR_BYTES || head.major == MAJOR_TEXT;
        if ((is_string || head.major == MAJOR_ARRAY || head.major == MAJOR_MAP) &&
            head.number > in->size) {
            return false;
        }
        if (is_string) {
            *in = slice_skip(*in, head.number);
        } else if (head.major == MAJOR_ARRAY) {
            open += head.number;
        } else if (head.major == MAJOR_MAP) {
            open += 2 * head.number;
        } else if (head.major == MAJOR_TAG) {
            open++;
        }
    }
    return true;
}

/* Takes a map's key off `in`; an empty slice where it is no text, which ends the walk as well. */
static struct slice read_key(struct slice *in)
{
    struct cbor_head head;
    if (!cbor_read_head(in, &head) || head.major != MAJOR_TEXT || head.number > in->size) {
        return slice_of(NULL, 0);
    }
    struct slice key = slice_of(in->data, head.number);
    *in = slice_skip(*in, head.number);
    return key;
}

/* Takes the number that `seq` stands for off `rest`, the unread end of `frame`. */
static bool read_sequence(struct slice frame, struct slice *rest, struct frame_sequence *found)
{
    struct cbor_head head;
    found->offset = frame.size - rest->size;
    if (!cbor_read_head(rest, &head) || head.major != MAJOR_UNSIGNED || head.number > INT64_MAX) {
        return false;
    }
    found->size = frame.size - rest->size - found->offset;
    found->value = (int64_t)head.number;
    return true;
}

bool cbor_find_sequence(struct slice frame, struct frame_sequence *found)
{
    struct slice rest = frame;
    struct cbor_head head;
    if (!skip_item(&rest) || !cbor_read_head(&rest, &head) || head.major != MAJOR_MAP) {
        return false;
    }
    for (uint64_t pairs = head.number; pairs > 0; pairs--) {
        struct slice key = read_key(&rest);
        if (slice_equals(key, SLICE("seq"))) {
            return read_sequence(frame, &rest, found);
        }
        if (key.size == 0 || !skip_item(&rest)) {
            return false;
        }
    }
    return false;
}
