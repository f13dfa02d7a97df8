/* Frames of a WebSocket in pieces of any size, with pauses: the messages are the same as in one piece, and no
 * larger than allowed. The first byte says how it is cut. */
#include "fuzz/fuzz.h"

#include "base/error.h"
#include "net/framer.h"

enum {
    MESSAGE_MAX = 4096
};

struct heard {
    size_t messages, bytes;
    uint64_t sum; /* of all that was heard */
    bool pauses;
    struct framer *framer;
};

static void on_message(void *owner, struct slice message, bool is_binary)
{
    struct heard *heard = owner;
    FUZZ_HOLDS(message.size <= MESSAGE_MAX);
    heard->messages++;
    heard->bytes += message.size;
    heard->sum = heard->sum * 31 + (is_binary ? 1 : 0);
    for (size_t i = 0; i < message.size; i++) {
        heard->sum = heard->sum * 31 + (unsigned char)message.data[i];
    }
    if (heard->pauses) {
        framer_pause(heard->framer);
    }
}

static bool take(void *owner, struct slice bytes)
{
    (void)owner;
    (void)bytes;
    return true;
}

/* False where the peer broke the protocol. */
static bool feed(struct heard *heard, struct slice bytes, size_t step)
{
    struct error error;
    while (bytes.size > 0 && framer_close_code(heard->framer) == 0) {
        size_t used = 0;
        size_t size = bytes.size < step ? bytes.size : step;
        if (!framer_receive(heard->framer, slice_of(bytes.data, size), &used, &error)) {
            FUZZ_HOLDS(error.text[0] != '\0');
            return false;
        }
        FUZZ_HOLDS(used == size || framer_is_paused(heard->framer) ||
                   framer_close_code(heard->framer) != 0);
        framer_resume(heard->framer);
        framer_flush(heard->framer);
        bytes = slice_skip(bytes, used);
    }
    for (size_t used = 0; framer_has_held(heard->framer); framer_resume(heard->framer)) {
        if (!framer_receive(heard->framer, bytes, &used, &error)) {
            return false;
        }
    }
    return true;
}

static struct heard hear(struct slice bytes, size_t step, bool pauses, bool *is_good)
{
    static const struct framer_callbacks callbacks = {.on_message = on_message, .send = take};
    struct heard heard = {.pauses = pauses};
    heard.framer = framer_create(MESSAGE_MAX, &callbacks, &heard);
    *is_good = feed(&heard, bytes, step);
    framer_flush(heard.framer);
    framer_destroy(heard.framer);
    return heard;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = fuzz_input_of(data, size);
    size_t step = (size_t)fuzz_byte(&input) + 1;
    struct slice bytes = fuzz_rest(&input);
    bool is_good = false;
    bool is_good_in_pieces = false;
    struct heard whole = hear(bytes, bytes.size + 1, false, &is_good);
    struct heard pieces = hear(bytes, step, true, &is_good_in_pieces);
    /* A reason for closing that is no UTF-8 is refused at its first bad byte, or at its end: that depends on the cut. */
    FUZZ_HOLDS(!is_good || !is_good_in_pieces ||
               (whole.messages == pieces.messages && whole.bytes == pieces.bytes &&
                whole.sum == pieces.sum));
    return 0;
}
