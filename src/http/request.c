#include "http/request.h"

#include <stdlib.h>

#include "base/buffer.h"
#include "base/panic.h"
#include "config/text.h"

#include <llhttp.h>

enum {
    METHOD_MAX = 32,
    NAME_KEPT = 24,
    /* Line, names, values and all that stands between them. */
    RAW_BYTES_MAX = REQUEST_TARGET_MAX + 2 * REQUEST_HEADERS_MAX,
};

enum header {
    HEADER_OTHER,
    HEADER_HOST,
    HEADER_AUTHORIZATION,
    HEADER_LAST_EVENT_ID
};

struct request_parser {
    llhttp_t llhttp;
    struct request_fault fault; /* status 0: none */
    bool is_done;               /* a request is whole and was handed out */
    bool keep_alive;
    char method[METHOD_MAX];
    size_t method_size;
    bool is_method_fed;
    char name[NAME_KEPT]; /* the start of the header's name */
    size_t name_size;     /* all of it */
    enum header header;
    unsigned header_count, host_count, authorization_count;
    size_t header_bytes;
    size_t raw_bytes;
    struct buffer target;
    struct buffer authorization;
    struct buffer last_event_id;
};

static struct request_parser *parser_of(llhttp_t *llhttp)
{
    return llhttp->data;
}

/* HPE_USER for span callbacks, and not 0 for all others. */
static int refuse(struct request_parser *parser, int status, const char *problem)
{
    if (parser->fault.status == 0) {
        parser->fault = (struct request_fault){.status = status, .problem = problem};
    }
    return HPE_USER;
}

/* --- what llhttp finds ------------------------------------------------------------------------ */

static int on_url(llhttp_t *llhttp, const char *at, size_t size)
{
    struct request_parser *parser = parser_of(llhttp);
    if (parser->target.size + size > REQUEST_TARGET_MAX) {
        return refuse(parser, 414, "the request's target is longer than 8,192 bytes");
    }
    buffer_append(&parser->target, at, size);
    return 0;
}

static int count_header_bytes(struct request_parser *parser, size_t size)
{
    parser->header_bytes += size;
    if (parser->header_bytes > REQUEST_HEADERS_MAX) {
        return refuse(parser, 431, "the headers are longer than 16,384 bytes");
    }
    return 0;
}

static int on_header_field(llhttp_t *llhttp, const char *at, size_t size)
{
    struct request_parser *parser = parser_of(llhttp);
    for (size_t i = 0; i < size && parser->name_size + i < NAME_KEPT; i++) {
        parser->name[parser->name_size + i] = at[i];
    }
    parser->name_size += size;
    return count_header_bytes(parser, size);
}

static enum header header_named(struct slice name)
{
    if (text_equals_ignoring_case(name, "host")) {
        return HEADER_HOST;
    }
    if (text_equals_ignoring_case(name, "last-event-id")) {
        return HEADER_LAST_EVENT_ID;
    }
    return text_equals_ignoring_case(name, "authorization") ? HEADER_AUTHORIZATION : HEADER_OTHER;
}

static int on_header_field_complete(llhttp_t *llhttp)
{
    struct request_parser *parser = parser_of(llhttp);
    bool is_long = parser->name_size > NAME_KEPT;
    if (parser->name_size == 0) { /* llhttp does not mind */
        return refuse(parser, 400, "a header without a name");
    }
    parser->header =
        is_long ? HEADER_OTHER : header_named(slice_of(parser->name, parser->name_size));
    parser->name_size = 0;
    parser->header_count++;
    parser->host_count += parser->header == HEADER_HOST;
    parser->authorization_count += parser->header == HEADER_AUTHORIZATION;
    if (parser->header_count > REQUEST_HEADER_COUNT_MAX) {
        return refuse(parser, 431, "more than 100 headers");
    }
    return 0;
}

static int on_header_value(llhttp_t *llhttp, const char *at, size_t size)
{
    struct request_parser *parser = parser_of(llhttp);
    if (count_header_bytes(parser, size) != 0) {
        return HPE_USER;
    }
    if (parser->header == HEADER_AUTHORIZATION) {
        buffer_append(&parser->authorization, at, size);
    } else if (parser->header == HEADER_LAST_EVENT_ID &&
               parser->last_event_id.size + size <= REQUEST_EVENT_ID_MAX) {
        buffer_append(&parser->last_event_id, at, size);
    }
    return 0;
}

/* -1 is an error to llhttp, 1 and 2 are not. */
static int on_headers_complete(llhttp_t *llhttp)
{
    struct request_parser *parser = parser_of(llhttp);
    bool has_body =
        llhttp->content_length > 0 || (llhttp->flags & (F_CHUNKED | F_TRANSFER_ENCODING)) != 0;
    if (llhttp->http_major != 1) {
        (void)refuse(parser, 505, "HTTP/1.1 is spoken here");
    } else if (llhttp->method == HTTP_CONNECT) {
        (void)refuse(parser, 405, "this is no proxy");
    } else if (llhttp->upgrade != 0) {
        (void)refuse(parser, 400, "no upgrade is offered");
    } else if (has_body) {
        (void)refuse(parser, 413, "requests have no body here");
    } else if (parser->host_count > 1 || (llhttp->http_minor > 0 && parser->host_count == 0)) {
        (void)refuse(parser, 400, "one Host header is expected");
    } else if (parser->authorization_count > 1) {
        (void)refuse(parser, 400, "one Authorization header at most");
    }
    return parser->fault.status == 0 ? 0 : -1;
}

static int on_message_complete(llhttp_t *llhttp)
{
    struct request_parser *parser = parser_of(llhttp);
    parser->is_done = true;
    parser->keep_alive = llhttp_should_keep_alive(llhttp) != 0;
    return HPE_PAUSED; /* so that the next request waits for this one's answer */
}

static const llhttp_settings_t *settings(void)
{
    static const llhttp_settings_t callbacks = {
        .on_url = on_url,
        .on_header_field = on_header_field,
        .on_header_field_complete = on_header_field_complete,
        .on_header_value = on_header_value,
        .on_headers_complete = on_headers_complete,
        .on_message_complete = on_message_complete,
    };
    return &callbacks;
}

/* --- one request at a time -------------------------------------------------------------------- */

struct request_parser *request_parser_create(void)
{
    struct request_parser *parser = memory_allocate(sizeof(*parser));
    llhttp_init(&parser->llhttp, HTTP_REQUEST, settings());
    parser->llhttp.data = parser;
    return parser;
}

void request_parser_destroy(struct request_parser *parser)
{
    if (parser == NULL) {
        return;
    }
    buffer_deinit(&parser->target);
    buffer_deinit(&parser->authorization);
    buffer_deinit(&parser->last_event_id);
    free(parser);
}

static void begin_next(struct request_parser *parser)
{
    llhttp_resume(&parser->llhttp);
    parser->is_done = false;
    parser->method_size = 0;
    parser->is_method_fed = false;
    parser->name_size = 0;
    parser->header_count = 0;
    parser->host_count = 0;
    parser->authorization_count = 0;
    parser->header_bytes = 0;
    parser->raw_bytes = 0;
    buffer_clear(&parser->target);
    buffer_clear(&parser->authorization);
    buffer_clear(&parser->last_event_id);
}

/* llhttp 9 also calls a bare LF behind HTTP/1.1 an invalid version. */
static bool is_other_version(const struct request_parser *parser)
{
    return parser->llhttp.http_major != 1 || parser->llhttp.http_minor > 1;
}

static void refuse_as_llhttp_says(struct request_parser *parser, llhttp_errno_t code)
{
    if (code == HPE_INVALID_METHOD) {
        (void)refuse(parser, 501, "no such method");
    } else if (code == HPE_INVALID_VERSION && is_other_version(parser)) {
        (void)refuse(parser, 505, "HTTP/1.1 is spoken here");
    } else {
        (void)refuse(parser, 400, "this is no HTTP/1.1 request");
    }
}

/* Feeds llhttp; how many bytes it took. */
static size_t execute(struct request_parser *parser, const char *data, size_t size)
{
    llhttp_errno_t code = llhttp_execute(&parser->llhttp, data, size);
    if (code == HPE_OK) {
        return size;
    }
    if (!parser->is_done || code != HPE_PAUSED) {
        refuse_as_llhttp_says(parser, code);
    }
    const char *end = llhttp_get_error_pos(&parser->llhttp);
    return end >= data && end <= data + size ? (size_t)(end - data) : size;
}

/* RFC 9110 part 5.6.2. */
static bool is_token_byte(char byte)
{
    static const char signs[] = "!#$%&'*+-.^_`|~";
    char lower = text_lower(byte);
    return (lower >= 'a' && lower <= 'z') || (byte >= '0' && byte <= '9') ||
           (byte != '\0' && strchr(signs, byte) != NULL);
}

/* llhttp tells an unknown method from garbage only by its first wrong byte, which depends on how the
 * bytes were cut; so the method is kept back until it is whole. Returns how many bytes were taken. */
static size_t collect_method(struct request_parser *parser, struct slice bytes)
{
    size_t i = 0;
    while (i < bytes.size && parser->method_size == 0 &&
           (bytes.data[i] == '\r' || bytes.data[i] == '\n')) {
        i++; /* RFC 9112 part 2.2: empty lines before a request */
    }
    while (i < bytes.size && parser->method_size < METHOD_MAX && is_token_byte(bytes.data[i])) {
        parser->method[parser->method_size++] = bytes.data[i++];
    }
    if (i == bytes.size && parser->method_size < METHOD_MAX) {
        return i;
    }
    if (parser->method_size == 0 || parser->method_size == METHOD_MAX || bytes.data[i] != ' ') {
        (void)refuse(parser, 400, "this is no HTTP/1.1 request");
        return i;
    }
    parser->is_method_fed = true;
    (void)execute(parser, parser->method, parser->method_size);
    return i;
}

/* Absolute form (RFC 9112 part 3.2.2) loses its scheme and authority. */
static struct slice origin_form(struct slice target)
{
    static const char *const schemes[] = {"http://", "https://"};
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        if (text_starts_ignoring_case(target, schemes[i])) {
            struct slice rest = slice_skip(target, strlen(schemes[i]));
            size_t path = text_find(rest, '/');
            size_t query = text_find(rest, '?');
            return query < path || path == rest.size ? SLICE("/") : slice_skip(rest, path);
        }
    }
    return target;
}

static void fill_request(struct request_parser *parser, struct request *request)
{
    struct slice target = origin_form(buffer_slice(&parser->target));
    size_t question = text_find(target, '?');
    *request = (struct request){
        .is_get = parser->llhttp.method == HTTP_GET,
        .is_head = parser->llhttp.method == HTTP_HEAD,
        .keep_alive = parser->keep_alive,
        .path = slice_of(target.data, question),
        .query = slice_skip(target, question < target.size ? question + 1 : question),
        .authorization = buffer_slice(&parser->authorization),
        .last_event_id = buffer_slice(&parser->last_event_id),
    };
}

static size_t take(struct request_parser *parser, struct slice bytes)
{
    size_t used = 0;
    if (!parser->is_method_fed) {
        used = collect_method(parser, bytes);
    }
    if (parser->is_method_fed && parser->fault.status == 0 && used < bytes.size) {
        used += execute(parser, bytes.data + used, bytes.size - used);
    }
    parser->raw_bytes += used;
    if (!parser->is_done && parser->raw_bytes > RAW_BYTES_MAX) {
        (void)refuse(parser, 431, "the request's head is too long");
    }
    return used;
}

enum parse_result request_parser_feed(struct request_parser *parser, struct slice bytes,
                                      size_t *used, struct request *request,
                                      struct request_fault *fault)
{
    if (parser->is_done) {
        begin_next(parser);
    }
    *used = parser->fault.status == 0 ? take(parser, bytes) : 0;
    if (parser->fault.status == 0 && parser->is_done) {
        fill_request(parser, request);
        if (!slice_starts_with(request->path, SLICE("/"))) {
            (void)refuse(parser, 400, "the request's target is no path");
        }
    }
    if (parser->fault.status != 0) {
        *fault = parser->fault;
        return PARSE_BAD;
    }
    return parser->is_done ? PARSE_DONE : PARSE_NEED_MORE;
}

bool request_parser_is_inside(const struct request_parser *parser)
{
    return !parser->is_done && parser->method_size > 0;
}

bool request_query_find(struct slice query, const char *name, struct slice *value)
{
    size_t length = strlen(name);
    while (query.size > 0) {
        size_t end = text_find(query, '&');
        struct slice pair = slice_of(query.data, end);
        if (slice_starts_with(pair, slice_of(name, length)) && pair.size > length &&
            pair.data[length] == '=') {
            *value = slice_skip(pair, length + 1);
            return true;
        }
        query = slice_skip(query, end < query.size ? end + 1 : end);
    }
    return false;
}
