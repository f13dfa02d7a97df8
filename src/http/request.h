/*
 * Request: bytes of HTTP/1.1 become one request at a time, however they were cut.
 *
 *   bytes --request_parser_feed--> PARSE_NEED_MORE ... PARSE_DONE, parser->request   (or a fault)
 *
 * The one file that knows llhttp. Bodies, upgrades and whatever is over a limit are faults: each has
 * the status that it is to be answered with, after which the connection has to be closed.
 * Ownership: heap; slices of a request live until the next feed. Threading: one thread.
 * Memory: at most the limits below. Sources: RFC 9110, RFC 9112.
 */
#ifndef HTTP_REQUEST_H
#define HTTP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "atproto/frame.h"
#include "base/slice.h"

enum {
    REQUEST_TARGET_MAX = 8 * 1024,   /* bytes; then 414 */
    REQUEST_HEADERS_MAX = 16 * 1024, /* bytes of names and values; then 431 */
    REQUEST_HEADER_COUNT_MAX = 100,  /* then 431 */
    REQUEST_EVENT_ID_MAX = 64,       /* longer ones are none of ours */
};

struct request {
    bool is_get;
    bool is_head;
    bool keep_alive;
    struct slice path;          /* "/metrics" */
    struct slice query;         /* after the "?", may be empty */
    struct slice authorization; /* the header's value, empty without */
    struct slice last_event_id; /* the same, cut at REQUEST_EVENT_ID_MAX */
};

struct request_fault {
    int status;          /* 400, 405, 413, 414, 431, 501, 505 */
    const char *problem; /* constant text */
};

struct request_parser;

struct request_parser *request_parser_create(void);
void request_parser_destroy(struct request_parser *parser);
/* Takes bytes up to the end of one request; `*used` is how many. PARSE_DONE fills `request`;
 * PARSE_BAD fills `fault`, and the parser takes no more. */
enum parse_result request_parser_feed(struct request_parser *parser, struct slice bytes,
                                      size_t *used, struct request *request,
                                      struct request_fault *fault)
    __attribute__((warn_unused_result));
/* Whether a request has begun and is not whole. */
bool request_parser_is_inside(const struct request_parser *parser);

/* The value of `name` in a query, not decoded; false where it is not there. */
bool request_query_find(struct slice query, const char *name, struct slice *value);

#endif
