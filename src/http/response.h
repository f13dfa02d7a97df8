/*
 * Response: what a handler fills; the connection sends it.
 *
 *   handler(request, response): a body at once, or an answer that comes later, or events without end
 *
 * Ownership: embedded in its connection, which may go while an answer is still to come.
 * Threading: the loop's thread only. Sources: RFC 9110; the OWASP list of security headers.
 */
#ifndef HTTP_RESPONSE_H
#define HTTP_RESPONSE_H

#include <stdbool.h>

#include "base/buffer.h"
#include "base/list.h"

struct event_stream;
struct http_answer;

#define CONTENT_TEXT    "text/plain; charset=utf-8"
#define CONTENT_JSON    "application/json"
#define CONTENT_HTML    "text/html; charset=utf-8"
#define CONTENT_EVENTS  "text/event-stream; charset=utf-8"
#define CONTENT_METRICS "text/plain; version=0.0.4; charset=utf-8"

struct response {
    int status;
    const char *content_type; /* static text, as is `header` */
    const char *header;       /* one more, `Name: value\r\n`; NULL: none */
    const char *policy;       /* Content-Security-Policy; NULL: nothing at all is allowed */
    bool is_endless;          /* no length: the body ends with the connection */
    struct buffer body;
    struct http_answer *answer; /* not NULL: the rest comes later */
    /* The answer has come: send. May be called from inside the handler. */
    void (*on_answered)(struct response *response);
    struct event_stream *stream; /* not NULL: events follow the body */
    /* `body` holds the next event, or nothing where there was no room for it: send. */
    void (*on_event)(struct response *response);
    /* Send `text`, where there is room for it, and end. */
    void (*on_last_event)(struct response *response, const struct buffer *text);
};

/* Forgets all but memory of the usual size. */
void response_reset(struct response *response);
/* Sets status and type; the body is the caller's to append. */
void response_begin(struct response *response, int status, const char *content_type);
/* {"error":"<problem>"} in place of any body. */
void response_fail(struct response *response, int status, const char *problem);
/* Appends status line and headers; `size` is the length of the body. */
void response_append_head(struct buffer *out, const struct response *response, bool keep_alive);

#endif
