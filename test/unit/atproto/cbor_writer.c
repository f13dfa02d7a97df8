#include "unit/atproto/cbor_writer.h"

#include "atproto/sha256.h"
#include "base/panic.h"

void cbor_put_head(struct buffer *out, unsigned major, uint64_t number)
{
    unsigned width = number < 24            ? 0
                     : number <= UINT8_MAX  ? 1
                     : number <= UINT16_MAX ? 2
                     : number <= UINT32_MAX ? 4
                                            : 8;
    static const uint8_t codes[] = {[1] = 24, [2] = 25, [4] = 26, [8] = 27};
    buffer_append_byte(out, (char)(major << 5 | (width == 0 ? number : codes[width])));
    for (unsigned i = width; i-- > 0;) {
        buffer_append_byte(out, (char)(number >> (8 * i)));
    }
}

static void put_string(struct buffer *out, unsigned major, struct slice bytes)
{
    cbor_put_head(out, major, bytes.size);
    buffer_append_slice(out, bytes);
}

void cbor_put_text(struct buffer *out, const char *text)
{
    put_string(out, 3, slice_from_string(text));
}

void cbor_put_bytes(struct buffer *out, struct slice bytes)
{
    put_string(out, 2, bytes);
}

void cbor_put_link(struct buffer *out, struct slice cid)
{
    cbor_put_head(out, 6, 42);
    cbor_put_head(out, 2, cid.size + 1);
    buffer_append_byte(out, '\0');
    buffer_append_slice(out, cid);
}

static unsigned hex_digit(char c)
{
    const char *digits = "0123456789abcdef";
    const char *found = strchr(digits, c);
    ASSERT(found != NULL && c != '\0');
    return (unsigned)(found - digits);
}

void cbor_put_hex(struct buffer *out, const char *hex)
{
    for (; *hex != '\0'; hex += 2) {
        buffer_append_byte(out, (char)(hex_digit(hex[0]) << 4 | hex_digit(hex[1])));
    }
}

struct slice make_cid(struct slice block, char cid[CID_SIZE])
{
    memcpy(cid, "\x01\x71\x12\x20", CID_DIGEST_OFFSET);
    sha256_digest(block, (uint8_t *)cid + CID_DIGEST_OFFSET);
    return slice_of(cid, CID_SIZE);
}

static void put_varint(struct buffer *out, size_t number)
{
    for (; number >= 0x80; number >>= 7) {
        buffer_append_byte(out, (char)(number | 0x80));
    }
    buffer_append_byte(out, (char)number);
}

void car_begin(struct buffer *out, struct slice root)
{
    struct buffer header = {0};
    cbor_put_head(&header, 5, 2);
    cbor_put_text(&header, "roots");
    cbor_put_head(&header, 4, 1);
    cbor_put_link(&header, root);
    cbor_put_text(&header, "version");
    cbor_put_head(&header, 0, 1);
    put_varint(out, header.size);
    buffer_append_slice(out, buffer_slice(&header));
    buffer_deinit(&header);
}

void car_add(struct buffer *out, struct slice cid, struct slice block)
{
    put_varint(out, cid.size + block.size);
    buffer_append_slice(out, cid);
    buffer_append_slice(out, block);
}

void put_frame_head(struct buffer *out, const char *type)
{
    cbor_put_head(out, 5, 2);
    cbor_put_text(out, "t");
    cbor_put_text(out, type);
    cbor_put_text(out, "op");
    cbor_put_head(out, 0, 1);
}

static const char *or_else(const char *text, const char *otherwise)
{
    return text != NULL ? text : otherwise;
}

static void put_text_or_null(struct buffer *out, const char *text)
{
    if (text != NULL) {
        cbor_put_text(out, text);
    } else {
        buffer_append_byte(out, (char)CBOR_NULL);
    }
}

static void put_ops(struct buffer *out, const struct commit_spec *spec)
{
    cbor_put_text(out, "ops");
    cbor_put_head(out, 4, spec->op_count);
    for (size_t i = 0; i < spec->op_count; i++) {
        cbor_put_head(out, 5, 3);
        cbor_put_text(out, "cid");
        if (spec->ops[i].cid.size > 0) {
            cbor_put_link(out, spec->ops[i].cid);
        } else {
            buffer_append_byte(out, (char)CBOR_NULL);
        }
        cbor_put_text(out, "path");
        cbor_put_text(out, spec->ops[i].path);
        cbor_put_text(out, "action");
        cbor_put_text(out, spec->ops[i].action);
    }
}

static void put_commit_tail(struct buffer *out, const struct commit_spec *spec)
{
    char cid[CID_SIZE];
    struct slice commit = make_cid(SLICE("commit"), cid);
    if (!spec->leaves_out_blocks) {
        cbor_put_text(out, "blocks");
        cbor_put_bytes(out, spec->blocks);
    }
    cbor_put_text(out, "commit");
    cbor_put_link(out, commit);
    cbor_put_text(out, "rebase");
    buffer_append_byte(out, (char)CBOR_FALSE);
    cbor_put_text(out, "tooBig");
    buffer_append_byte(out, (char)(spec->leaves_out_blocks ? CBOR_TRUE : CBOR_FALSE));
    if (spec->has_prev_data) {
        cbor_put_text(out, "prevData");
        cbor_put_link(out, make_cid(SLICE("before"), cid));
    }
}

void put_commit_frame(struct buffer *out, const struct commit_spec *spec)
{
    put_frame_head(out, "#commit");
    cbor_put_head(out, 5, 10U + (spec->leaves_out_blocks ? 0 : 1) + (spec->has_prev_data ? 1 : 0));
    put_ops(out, spec);
    cbor_put_text(out, "rev");
    cbor_put_text(out, or_else(spec->rev, "3n2yeirm73k2x"));
    cbor_put_text(out, "seq");
    cbor_put_head(out, 0, spec->sequence > 0 ? spec->sequence : 7);
    cbor_put_text(out, "repo");
    cbor_put_text(out, or_else(spec->repo, "did:plc:abc"));
    cbor_put_text(out, "time");
    cbor_put_text(out, or_else(spec->time, "2026-01-31T12:34:56.789Z"));
    cbor_put_text(out, "blobs");
    buffer_append_byte(out, (char)CBOR_NULL);
    cbor_put_text(out, "since");
    put_text_or_null(out, spec->since);
    put_commit_tail(out, spec);
}
