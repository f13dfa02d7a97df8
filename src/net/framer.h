/*
 * Framer: the frames of a WebSocket (RFC 6455 part 5), client side, by wslay; no sockets.
 *
 *   bytes --framer_receive--> on_message          pings are answered on the way
 *   framer_ping(), framer_close() --framer_flush--> send
 *
 * Ownership: heap memory of the caller's; never to be destroyed inside its callbacks.
 * Threading: one thread at a time.
 * Memory: one message of at most `max_message_bytes`, grown as its bytes come (a length that is only
 * claimed costs nothing), whatever its fragments; messages that were decoded before a pause took
 * hold, 4 KiB at most; 128 pongs.
 */
#ifndef NET_FRAMER_H
#define NET_FRAMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

struct framer;

enum {
    FRAMER_PONGS_MAX = 128
};

struct framer_callbacks {
    /* Borrowed for the call. May call framer_pause() and framer_close(). */
    void (*on_message)(void *owner, struct slice message, bool is_binary);
    /* Takes all bytes, or none and returns false: framer_flush() tries again. */
    bool (*send)(void *owner, struct slice bytes);
};

struct framer *framer_create(size_t max_message_bytes, const struct framer_callbacks *callbacks,
                             void *owner);
void framer_destroy(struct framer *framer);
/* Decodes, `*consumed` bytes are taken: all of them, unless a pause or the peer's close frame came. False,
 * with `error` set, where the peer broke the protocol or a limit; our close frame is then flushed and
 * nothing more can be received. */
bool framer_receive(struct framer *framer, struct slice bytes, size_t *consumed,
                    struct error *error) __attribute__((warn_unused_result));
/* No `on_message` until framer_resume(), and then only inside framer_receive(). */
void framer_pause(struct framer *framer);
void framer_resume(struct framer *framer);
bool framer_is_paused(const struct framer *framer);
/* Messages wait for framer_resume() and framer_receive(). */
bool framer_has_held(const struct framer *framer);
/* Queues a ping, or a close frame with `code`; framer_flush() sends. */
void framer_ping(struct framer *framer);
void framer_close(struct framer *framer, uint16_t code);
void framer_flush(struct framer *framer);
/* The peer's close frame has come and ours is sent. */
bool framer_is_finished(const struct framer *framer);
/* Of the peer's close frame: 0 where none has come, 1005 where it gave no code. */
uint16_t framer_close_code(const struct framer *framer);
/* Printable, borrowed; "" where none was given. */
const char *framer_close_reason(const struct framer *framer);

#endif
