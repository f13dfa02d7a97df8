#include "wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/evp.h>

enum {
    MAX_REQUEST = 8192,
    MAX_PAYLOAD = 65536,
    SHA1_BYTES = 20,
    KEY_SIZE = 128
};

void wire_append_header(struct buffer *out, enum wire_opcode opcode, size_t size)
{
    uint8_t header[10] = {(uint8_t)(0x80 | (unsigned)opcode)};
    size_t width = size < 126 ? 0 : size <= UINT16_MAX ? 2 : 8;
    header[1] = width == 0 ? (uint8_t)size : width == 2 ? 126 : 127;
    for (size_t i = 0; i < width; i++) {
        header[2 + i] = (uint8_t)((uint64_t)size >> (8 * (width - 1 - i)));
    }
    buffer_append(out, header, 2 + width);
}

void wire_append_message(struct buffer *out, enum wire_opcode opcode, struct slice payload)
{
    wire_append_header(out, opcode, payload.size);
    buffer_append_slice(out, payload);
}

void wire_append_close(struct buffer *out, uint16_t code)
{
    const uint8_t bytes[2] = {(uint8_t)(code >> 8), (uint8_t)code};
    wire_append_message(out, WIRE_CLOSE, slice_of(bytes, sizeof(bytes)));
}

/* Length of the payload and of the header with its mask; 0 where more bytes are needed. */
static size_t read_header(const struct buffer *in, uint64_t *payload)
{
    const uint8_t *bytes = (const uint8_t *)in->data;
    if (in->size < 2) {
        return 0;
    }
    unsigned code = bytes[1] & 127;
    size_t width = code < 126 ? 0 : code == 126 ? 2 : 8;
    if (in->size < 2 + width + 4) {
        return 0;
    }
    *payload = width == 0 ? code : 0;
    for (size_t i = 0; i < width; i++) {
        *payload = *payload << 8 | bytes[2 + i];
    }
    return 2 + width + 4;
}

enum wire_result wire_take_frame(struct buffer *in, struct wire_frame *frame)
{
    uint64_t payload = 0;
    size_t header = read_header(in, &payload);
    if (header == 0) {
        return WIRE_NEED_MORE;
    }
    if (((uint8_t)in->data[1] & 128) == 0 || payload > MAX_PAYLOAD) { /* clients mask (5.1) */
        return WIRE_BAD;
    }
    if (in->size < header + payload) {
        return WIRE_NEED_MORE;
    }
    frame->opcode = (uint8_t)in->data[0] & 15;
    frame->size = payload < sizeof(frame->payload) ? payload : sizeof(frame->payload);
    for (size_t i = 0; i < frame->size; i++) {
        frame->payload[i] = (char)(in->data[header + i] ^ in->data[header - 4 + i % 4]);
    }
    buffer_consume(in, header + payload);
    return WIRE_DONE;
}

/* Sec-WebSocket-Accept: base64 of SHA-1 over the key and the protocol's GUID (RFC 6455, 4.2.2). */
static bool make_accept(struct slice key, char *accept)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    struct buffer text = {0};
    buffer_append_slice(&text, key);
    buffer_append_string(&text, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    bool is_made = EVP_Digest(text.data, text.size, digest, &size, EVP_sha1(), NULL) == 1 &&
                   size == SHA1_BYTES &&
                   EVP_EncodeBlock((unsigned char *)accept, digest, SHA1_BYTES) > 0;
    buffer_deinit(&text);
    return is_made;
}

/* `request` is terminated. */
static struct slice find_header(const char *request, const char *name)
{
    size_t size = strlen(name);
    for (const char *line = strstr(request, "\r\n"); line != NULL; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, size) != 0 || line[size] != ':') {
            continue;
        }
        const char *value = line + size + 1;
        value += strspn(value, " \t");
        return slice_of(value, strcspn(value, " \t\r\n"));
    }
    return slice_of(NULL, 0);
}

/* The query of the request line: only `cursor` is known. */
static bool read_cursor(const char *query, struct wire_upgrade *upgrade)
{
    upgrade->has_cursor = strncmp(query, "?cursor=", 8) == 0;
    if (!upgrade->has_cursor) {
        return true;
    }
    char *end = NULL;
    errno = 0;
    upgrade->cursor = strtoll(query + 8, &end, 10);
    return errno == 0 && end != query + 8 && *end == ' ' && upgrade->cursor >= 0;
}

static bool read_upgrade(const char *request, struct wire_upgrade *upgrade)
{
    static const char line[] = "GET /xrpc/com.atproto.sync.subscribeRepos";
    struct slice key = find_header(request, "Sec-WebSocket-Key");
    struct slice protocol = find_header(request, "Upgrade");
    return strncmp(request, line, sizeof(line) - 1) == 0 &&
           read_cursor(request + sizeof(line) - 1, upgrade) && key.size > 0 &&
           key.size < KEY_SIZE && protocol.size == 9 &&
           strncasecmp(protocol.data, "websocket", 9) == 0 && make_accept(key, upgrade->accept);
}

enum wire_result wire_take_upgrade(struct buffer *in, struct wire_upgrade *upgrade)
{
    if (in->size == 0) {
        return WIRE_NEED_MORE;
    }
    buffer_append_byte(in, '\0'); /* so that it can be searched as a string */
    in->size--;
    const char *end = strstr(in->data, "\r\n\r\n");
    if (end == NULL) {
        return in->size < MAX_REQUEST ? WIRE_NEED_MORE : WIRE_BAD;
    }
    bool is_good = read_upgrade(in->data, upgrade);
    buffer_consume(in, (size_t)(end - in->data) + 4);
    return is_good ? WIRE_DONE : WIRE_BAD;
}
