#include "net/framer.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/panic.h"
#include <openssl/rand.h>
#include <wslay/wslay.h>

enum {
    KEPT_MESSAGE_BYTES = 256 * 1024,
    CLOSE_CODE_BYTES = 2,
    CLOSE_REASON_SIZE = 126
};

struct framer {
    const struct framer_callbacks *callbacks;
    void *owner;
    wslay_event_context_ptr wslay;
    size_t max_message_bytes;
    struct slice input;    /* not yet taken by wslay; only inside framer_receive() */
    struct buffer message; /* the data message being received */
    bool is_paused;
    bool is_in_control; /* the frame being received is a control frame */
    bool is_too_long;
    bool has_too_many_pongs;
    uint16_t close_code;
    char close_reason[CLOSE_REASON_SIZE];
    struct buffer held; /* struct held_message and its bytes, one after the other */
    size_t held_from;   /* delivered already */
};

struct held_message {
    size_t size;
    bool is_binary;
};

static bool is_control(uint8_t opcode)
{
    return wslay_is_ctrl_frame(opcode) != 0;
}

static ssize_t on_want_input(wslay_event_context_ptr wslay, uint8_t *bytes, size_t size, int flags,
                             void *owner)
{
    (void)flags;
    struct framer *framer = owner;
    if (framer->is_paused || framer->input.size == 0) {
        wslay_event_set_error(wslay, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    size_t count = size < framer->input.size ? size : framer->input.size;
    memcpy(bytes, framer->input.data, count);
    framer->input = slice_skip(framer->input, count);
    return (ssize_t)count;
}

static ssize_t on_want_output(wslay_event_context_ptr wslay, const uint8_t *bytes, size_t size,
                              int flags, void *owner)
{
    (void)flags;
    struct framer *framer = owner;
    if (framer->callbacks->send(framer->owner, slice_of(bytes, size))) {
        return (ssize_t)size;
    }
    wslay_event_set_error(wslay, WSLAY_ERR_WOULDBLOCK);
    return -1;
}

static int on_want_mask(wslay_event_context_ptr wslay, uint8_t *bytes, size_t size, void *owner)
{
    (void)wslay;
    (void)owner;
    return RAND_bytes(bytes, (int)size) == 1 ? 0 : -1;
}

/* wslay's own limit is per frame where it does not buffer, so the fragments are added up here. */
static void on_frame_start(wslay_event_context_ptr wslay,
                           const struct wslay_event_on_frame_recv_start_arg *frame, void *owner)
{
    struct framer *framer = owner;
    framer->is_in_control = is_control(frame->opcode);
    if (framer->is_in_control ||
        frame->payload_length <= framer->max_message_bytes - framer->message.size) {
        return;
    }
    framer->is_too_long = true;
    (void)wslay_event_queue_close(wslay, WSLAY_CODE_MESSAGE_TOO_BIG, NULL, 0);
    wslay_event_shutdown_read(wslay);
}

static void on_frame_chunk(wslay_event_context_ptr wslay,
                           const struct wslay_event_on_frame_recv_chunk_arg *chunk, void *owner)
{
    (void)wslay;
    struct framer *framer = owner;
    /* Of control frames wslay keeps the bytes itself: they may come between two fragments. */
    if (!framer->is_in_control && !framer->is_too_long) {
        buffer_append(&framer->message, chunk->data, chunk->data_length);
    }
}

static void deliver(struct framer *framer, struct slice message, bool is_binary)
{
    if (!framer->is_paused) {
        framer->callbacks->on_message(framer->owner, message, is_binary);
        return;
    }
    /* Decoded from what wslay had taken in before the pause. */
    const struct held_message head = {.size = message.size, .is_binary = is_binary};
    buffer_append(&framer->held, &head, sizeof(head));
    buffer_append_slice(&framer->held, message);
}

static void note_close(struct framer *framer, const struct wslay_event_on_msg_recv_arg *message)
{
    framer->close_code =
        message->status_code != 0 ? message->status_code : WSLAY_CODE_NO_STATUS_RCVD;
    size_t size =
        message->msg_length > CLOSE_CODE_BYTES ? message->msg_length - CLOSE_CODE_BYTES : 0;
    if (size >= sizeof(framer->close_reason)) {
        size = sizeof(framer->close_reason) - 1;
    }
    for (size_t i = 0; i < size; i++) {
        unsigned char byte = message->msg[CLOSE_CODE_BYTES + i];
        framer->close_reason[i] = (char)(byte < 0x80 && isprint(byte) ? byte : '.');
    }
    framer->close_reason[size] = '\0';
}

/* The pong is queued by wslay already; sending it here keeps the queue short while the peer reads. */
static void answer_ping(struct framer *framer)
{
    framer_flush(framer);
    if (wslay_event_get_queued_msg_count(framer->wslay) <= FRAMER_PONGS_MAX) {
        return;
    }
    framer->has_too_many_pongs = true;
    wslay_event_shutdown_read(framer->wslay);
}

static void on_whole_message(wslay_event_context_ptr wslay,
                             const struct wslay_event_on_msg_recv_arg *message, void *owner)
{
    (void)wslay;
    struct framer *framer = owner;
    if (message->opcode == WSLAY_PING) {
        answer_ping(framer);
    } else if (message->opcode == WSLAY_CONNECTION_CLOSE) {
        note_close(framer, message);
    } else if (!is_control(message->opcode) && !framer->is_too_long) {
        deliver(framer, buffer_slice(&framer->message), message->opcode == WSLAY_BINARY_FRAME);
        buffer_shrink(&framer->message, KEPT_MESSAGE_BYTES);
    }
}

static const struct wslay_event_callbacks wslay_callbacks = {
    .recv_callback = on_want_input,
    .send_callback = on_want_output,
    .genmask_callback = on_want_mask,
    .on_frame_recv_start_callback = on_frame_start,
    .on_frame_recv_chunk_callback = on_frame_chunk,
    .on_msg_recv_callback = on_whole_message,
};

/* wslay's buffering mode is off: it takes memory for the length that a frame claims, copies each
 * message twice, and keeps a node for each fragment, so that a million one-byte fragments cost a
 * hundred times their size. */
struct framer *framer_create(size_t max_message_bytes, const struct framer_callbacks *callbacks,
                             void *owner)
{
    struct framer *framer = memory_allocate(sizeof(*framer));
    framer->callbacks = callbacks;
    framer->owner = owner;
    framer->max_message_bytes = max_message_bytes;
    int status = wslay_event_context_client_init(&framer->wslay, &wslay_callbacks, framer);
    ASSERT(status == 0); /* fails only without memory */
    wslay_event_config_set_no_buffering(framer->wslay, 1);
    return framer;
}

void framer_destroy(struct framer *framer)
{
    if (framer == NULL) {
        return;
    }
    wslay_event_context_free(framer->wslay);
    buffer_deinit(&framer->message);
    buffer_deinit(&framer->held);
    free(framer);
}

bool framer_has_held(const struct framer *framer)
{
    return framer->held_from < framer->held.size;
}

static void deliver_held(struct framer *framer)
{
    while (!framer->is_paused && framer_has_held(framer)) {
        struct held_message head;
        const char *from = framer->held.data + framer->held_from;
        memcpy(&head, from, sizeof(head));
        framer->held_from += sizeof(head) + head.size;
        framer->callbacks->on_message(framer->owner, slice_of(from + sizeof(head), head.size),
                                      head.is_binary);
    }
    if (!framer_has_held(framer)) {
        buffer_clear(&framer->held);
        framer->held_from = 0;
    }
}

static void explain(const struct framer *framer, int status, struct error *error)
{
    uint16_t code = wslay_event_get_status_code_sent(framer->wslay);
    if (framer->is_too_long || code == WSLAY_CODE_MESSAGE_TOO_BIG) {
        error_set(error, ERROR_PROTOCOL, "a message is longer than the limit of %zu bytes",
                  framer->max_message_bytes);
    } else if (framer->has_too_many_pongs) {
        error_set(error, ERROR_PROTOCOL, "more than %d pings wait for a peer that reads no answer",
                  FRAMER_PONGS_MAX);
    } else if (code == WSLAY_CODE_INVALID_FRAME_PAYLOAD_DATA) {
        error_set(error, ERROR_PROTOCOL, "a text message is not UTF-8");
    } else if (status != 0) {
        error_set(error, ERROR_PROTOCOL, "frames cannot be read (wslay %d)", status);
    } else {
        error_set(error, ERROR_PROTOCOL,
                  "a frame breaks RFC 6455 (masked, reserved bit, unknown "
                  "opcode or out of place)");
    }
}

bool framer_receive(struct framer *framer, struct slice bytes, size_t *consumed,
                    struct error *error)
{
    int status = 0;
    deliver_held(framer);
    framer->input = bytes;
    if (!framer->is_paused) {
        status = wslay_event_recv(framer->wslay);
    }
    *consumed = bytes.size - framer->input.size;
    framer->input = (struct slice){0};
    framer_flush(framer);
    bool is_readable = wslay_event_get_read_enabled(framer->wslay) != 0 && status == 0;
    /* What came before the fault is delivered first. */
    if (is_readable || framer->close_code != 0 || framer_has_held(framer)) {
        return true;
    }
    explain(framer, status, error);
    return false;
}

void framer_pause(struct framer *framer)
{
    framer->is_paused = true;
}

void framer_resume(struct framer *framer)
{
    framer->is_paused = false;
}

bool framer_is_paused(const struct framer *framer)
{
    return framer->is_paused;
}

/* Both fail only once a close frame is queued, and then there is nothing left to say. */
void framer_ping(struct framer *framer)
{
    const struct wslay_event_msg ping = {.opcode = WSLAY_PING};
    (void)wslay_event_queue_msg(framer->wslay, &ping);
}

void framer_close(struct framer *framer, uint16_t code)
{
    (void)wslay_event_queue_close(framer->wslay, code, NULL, 0);
}

void framer_flush(struct framer *framer)
{
    /* An error here is only our own mask or `send`; both end the connection by other ways. */
    if (wslay_event_want_write(framer->wslay)) {
        (void)wslay_event_send(framer->wslay);
    }
}

bool framer_is_finished(const struct framer *framer)
{
    return framer->close_code != 0 && !wslay_event_want_write(framer->wslay);
}

uint16_t framer_close_code(const struct framer *framer)
{
    return framer->close_code;
}

const char *framer_close_reason(const struct framer *framer)
{
    return framer->close_reason;
}
