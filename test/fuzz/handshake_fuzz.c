/* The answer to a WebSocket's handshake: in pieces it is what it is in one. The first byte says how it is cut. */
#include "fuzz/fuzz.h"

#include "base/panic.h"
#include "net/handshake.h"

struct answer {
    enum handshake_result result;
    int status;
    uint64_t retry_after_ms;
    size_t consumed;
};

static struct answer read_answer(const struct url *url, struct slice bytes, size_t step)
{
    struct answer answer = {.result = HANDSHAKE_NEED_MORE};
    struct error error;
    struct buffer request = {0};
    struct handshake *handshake = handshake_create(url);
    handshake_append_request(handshake, "standpipe/fuzz", &request);
    while (answer.result == HANDSHAKE_NEED_MORE && bytes.size > 0) {
        size_t used = 0;
        size_t size = bytes.size < step ? bytes.size : step;
        answer.result = handshake_receive(handshake, slice_of(bytes.data, size), &used, &error);
        FUZZ_HOLDS(used <= size);
        FUZZ_HOLDS(answer.result != HANDSHAKE_NEED_MORE || used == size);
        answer.consumed += used;
        bytes = slice_skip(bytes, used);
    }
    answer.status = handshake_status(handshake);
    answer.retry_after_ms = handshake_retry_after_ms(handshake);
    struct slice location = handshake_location(handshake);
    struct url next;
    if (answer.result == HANDSHAKE_ANSWERED && location.size > 0) {
        (void)url_resolve(&next, url, location, &error); /* may be no URL */
    }
    handshake_destroy(handshake);
    buffer_deinit(&request);
    return answer;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = fuzz_input_of(data, size);
    size_t step = (size_t)fuzz_byte(&input) + 1;
    struct slice bytes = fuzz_rest(&input);
    struct url url;
    struct error error;
    ASSERT(url_parse(&url, SLICE("ws://relay.example/xrpc/x?cursor=5"), &error));
    struct answer whole = read_answer(&url, bytes, bytes.size + 1);
    struct answer pieces = read_answer(&url, bytes, step);
    FUZZ_HOLDS(whole.result == pieces.result);
    FUZZ_HOLDS(whole.result == HANDSHAKE_BAD ||
               (whole.status == pieces.status && whole.retry_after_ms == pieces.retry_after_ms));
    FUZZ_HOLDS(whole.result != HANDSHAKE_ACCEPTED || whole.consumed == pieces.consumed);
    return 0;
}
