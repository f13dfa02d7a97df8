/* Requests to the HTTP port, pipelined and cut anywhere: as many, with the same ends, as in one piece. The first byte
 * says how they are cut. */
#include "fuzz/fuzz.h"

#include "http/request.h"

struct requests {
    size_t count;
    uint64_t sum; /* of what they ask for */
    int status;   /* of the fault; 0: none */
};

static void note(struct requests *requests, const struct request *request)
{
    struct slice value;
    requests->count++;
    requests->sum = requests->sum * 31 + request->path.size * 7 + request->query.size * 3 +
                    request->authorization.size + (request->is_head ? 1 : 0);
    (void)request_query_find(request->query, "limit", &value);
    FUZZ_HOLDS(!request->is_get || !request->is_head); /* neither: answered with 405 */
    FUZZ_HOLDS(request->path.size + request->query.size <= REQUEST_TARGET_MAX);
}

static struct requests read_requests(struct slice bytes, size_t step)
{
    struct requests requests = {0};
    struct request_parser *parser = request_parser_create();
    while (bytes.size > 0 && requests.status == 0) {
        struct request request = {0};
        struct request_fault fault = {0};
        size_t used = 0;
        size_t size = bytes.size < step ? bytes.size : step;
        enum parse_result result =
            request_parser_feed(parser, slice_of(bytes.data, size), &used, &request, &fault);
        FUZZ_HOLDS(used <= size);
        if (result == PARSE_DONE) {
            note(&requests, &request);
        } else if (result == PARSE_BAD) {
            FUZZ_HOLDS(fault.status >= 400 && fault.status <= 505 && fault.problem != NULL);
            requests.status = fault.status;
        } else {
            FUZZ_HOLDS(used == size);
        }
        bytes = slice_skip(bytes, used);
    }
    request_parser_destroy(parser);
    return requests;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = fuzz_input_of(data, size);
    size_t step = (size_t)fuzz_byte(&input) + 1;
    struct slice bytes = fuzz_rest(&input);
    struct requests whole = read_requests(bytes, bytes.size + 1);
    struct requests pieces = read_requests(bytes, step);
    FUZZ_HOLDS(whole.count == pieces.count && whole.sum == pieces.sum);
    FUZZ_HOLDS((whole.status == 0) == (pieces.status == 0));
    return 0;
}
