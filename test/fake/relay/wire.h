/*
 * Wire: RFC 6455 as a server needs it here: the HTTP upgrade, frame headers to the client, and the
 * client's control frames. Threading: pure functions.
 */
#ifndef RELAY_WIRE_H
#define RELAY_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/slice.h"

enum wire_opcode {
    WIRE_TEXT = 1,
    WIRE_BINARY = 2,
    WIRE_CLOSE = 8,
    WIRE_PING = 9,
    WIRE_PONG = 10
};

/* Appends the header of an unmasked, final frame of `size` bytes. */
void wire_append_header(struct buffer *out, enum wire_opcode opcode, size_t size);
void wire_append_message(struct buffer *out, enum wire_opcode opcode, struct slice payload);
/* A close frame with `code`. */
void wire_append_close(struct buffer *out, uint16_t code);

enum wire_result {
    WIRE_DONE,
    WIRE_NEED_MORE,
    WIRE_BAD
};

struct wire_frame {
    unsigned opcode;
    char payload[125]; /* unmasked; of longer messages, which are skipped, the start */
    size_t size;       /* bytes in `payload` */
};
/* Takes one masked frame off the front of `in`. Data messages over 64 KiB are bad. */
enum wire_result wire_take_frame(struct buffer *in, struct wire_frame *frame);

struct wire_upgrade {
    bool has_cursor;
    int64_t cursor;
    char accept[32]; /* Sec-WebSocket-Accept, terminated */
};
/* Takes the request off the front of `in`; WIRE_BAD where it is no upgrade of subscribeRepos. */
enum wire_result wire_take_upgrade(struct buffer *in, struct wire_upgrade *upgrade);

#endif
