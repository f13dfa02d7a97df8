#include "net/handshake.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/clock.h"
#include "base/panic.h"
#include <llhttp.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

enum {
    KEY_BYTES = 16,
    KEY_TEXT_SIZE = 25, /* base64 of 16 bytes and a zero */
    ACCEPT_TEXT_SIZE = 29,
    NAME_MAX_BYTES = 64,
    EXCERPT_MAX = 120,
    MS_PER_SECOND = 1000,
    RETRY_AFTER_MAX_S = 24 * 3600,
    STATUS_SWITCHING = 101,
    STATUS_FIRST_FINAL = 200,
};

/* The headers that we read. */
enum header {
    HEADER_UPGRADE,
    HEADER_CONNECTION,
    HEADER_ACCEPT,
    HEADER_EXTENSIONS,
    HEADER_PROTOCOL,
    HEADER_LOCATION,
    HEADER_RETRY_AFTER,
    HEADER_COUNT /* none of them */
};

static const char *const header_names[HEADER_COUNT] = {
    [HEADER_UPGRADE] = "upgrade",
    [HEADER_CONNECTION] = "connection",
    [HEADER_ACCEPT] = "sec-websocket-accept",
    [HEADER_EXTENSIONS] = "sec-websocket-extensions",
    [HEADER_PROTOCOL] = "sec-websocket-protocol",
    [HEADER_LOCATION] = "location",
    [HEADER_RETRY_AFTER] = "retry-after",
};

struct handshake {
    llhttp_t parser;
    llhttp_settings_t settings;
    const struct url *url;
    char key[KEY_TEXT_SIZE];
    size_t received;                    /* header bytes so far */
    struct buffer name;                 /* of the header being read */
    struct buffer value;                /* of the header being read */
    struct buffer values[HEADER_COUNT]; /* repeated ones are joined by commas */
    unsigned counts[HEADER_COUNT];
    bool is_complete; /* the headers of a final answer */
};

static void forget_headers(struct handshake *handshake)
{
    for (int i = 0; i < HEADER_COUNT; i++) {
        buffer_clear(&handshake->values[i]);
        handshake->counts[i] = 0;
    }
}

static int on_message_begin(llhttp_t *parser)
{
    forget_headers(parser->data); /* those of a 100 or 103 before the answer */
    return 0;
}

/* Names and values come in pieces; the 16 KiB for the whole header bound both. */
static int on_header_field(llhttp_t *parser, const char *data, size_t size)
{
    struct handshake *handshake = parser->data;
    if (handshake->name.size + size <= NAME_MAX_BYTES) {
        buffer_append(&handshake->name, data, size);
    } else {
        buffer_append_byte(&handshake->name, '\0'); /* too long for a name of ours */
    }
    return 0;
}

static int on_header_value(llhttp_t *parser, const char *data, size_t size)
{
    struct handshake *handshake = parser->data;
    buffer_append(&handshake->value, data, size);
    return 0;
}

static enum header find_header(struct slice name)
{
    for (int i = 0; i < HEADER_COUNT; i++) {
        if (name.size == strlen(header_names[i]) &&
            strncasecmp(name.data, header_names[i], name.size) == 0) {
            return (enum header)i;
        }
    }
    return HEADER_COUNT;
}

static struct slice trim(struct slice text)
{
    while (text.size > 0 && isblank((unsigned char)text.data[0])) {
        text = slice_skip(text, 1);
    }
    while (text.size > 0 && isblank((unsigned char)text.data[text.size - 1])) {
        text.size--;
    }
    return text;
}

static int on_header_value_complete(llhttp_t *parser)
{
    struct handshake *handshake = parser->data;
    enum header header = find_header(buffer_slice(&handshake->name));
    if (header != HEADER_COUNT) {
        struct buffer *value = &handshake->values[header];
        if (handshake->counts[header]++ > 0) {
            buffer_append_string(value, ", ");
        }
        buffer_append_slice(value, trim(buffer_slice(&handshake->value)));
    }
    buffer_clear(&handshake->name);
    buffer_clear(&handshake->value);
    return 0;
}

/* 2 stops the parser before the first frame even where a 101 claims a Content-Length; a pause stops
 * it before the body of any other final answer. */
static int on_headers_complete(llhttp_t *parser)
{
    struct handshake *handshake = parser->data;
    if (parser->status_code == STATUS_SWITCHING) {
        handshake->is_complete = true;
        return 2;
    }
    if (parser->status_code < STATUS_FIRST_FINAL) {
        return 0;
    }
    handshake->is_complete = true;
    return HPE_PAUSED;
}

struct handshake *handshake_create(const struct url *url)
{
    struct handshake *handshake = memory_allocate(sizeof(*handshake));
    unsigned char random[KEY_BYTES];
    ASSERT(RAND_bytes(random, sizeof(random)) == 1);
    (void)EVP_EncodeBlock((unsigned char *)handshake->key, random, sizeof(random));
    handshake->url = url;
    llhttp_settings_init(&handshake->settings);
    handshake->settings.on_message_begin = on_message_begin;
    handshake->settings.on_header_field = on_header_field;
    handshake->settings.on_header_value = on_header_value;
    handshake->settings.on_header_value_complete = on_header_value_complete;
    handshake->settings.on_headers_complete = on_headers_complete;
    llhttp_init(&handshake->parser, HTTP_RESPONSE, &handshake->settings);
    handshake->parser.data = handshake;
    return handshake;
}

void handshake_destroy(struct handshake *handshake)
{
    if (handshake == NULL) {
        return;
    }
    for (int i = 0; i < HEADER_COUNT; i++) {
        buffer_deinit(&handshake->values[i]);
    }
    buffer_deinit(&handshake->name);
    buffer_deinit(&handshake->value);
    free(handshake);
}

void handshake_append_request(struct handshake *handshake, const char *user_agent,
                              struct buffer *out)
{
    for (const char *c = user_agent; *c != '\0'; c++) {
        ASSERT(isprint((unsigned char)*c));
    }
    buffer_append_format(out, "GET %s HTTP/1.1\r\nHost: ", handshake->url->target);
    url_append_authority(out, handshake->url);
    buffer_append_format(out,
                         "\r\nUser-Agent: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                         "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n",
                         user_agent, handshake->key);
}

/* Whether a comma list holds `token`, in any case. */
static bool list_has(struct slice list, struct slice token)
{
    while (list.size > 0) {
        const char *comma = memchr(list.data, ',', list.size);
        size_t size = comma != NULL ? (size_t)(comma - list.data) : list.size;
        struct slice item = trim(slice_of(list.data, size));
        if (item.size == token.size && strncasecmp(item.data, token.data, token.size) == 0) {
            return true;
        }
        list = slice_skip(list, comma != NULL ? size + 1 : size);
    }
    return false;
}

static bool accept_is_right(const struct handshake *handshake)
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; /* RFC 6455 part 1.3 */
    char text[KEY_TEXT_SIZE + sizeof(guid)];
    size_t key_size = strlen(handshake->key);
    memcpy(text, handshake->key, key_size);
    memcpy(text + key_size, guid, sizeof(guid));
    unsigned char digest[SHA_DIGEST_LENGTH];
    unsigned char expected[ACCEPT_TEXT_SIZE];
    (void)SHA1((const unsigned char *)text, strlen(text), digest);
    int size = EVP_EncodeBlock(expected, digest, sizeof(digest));
    return slice_equals(buffer_slice(&handshake->values[HEADER_ACCEPT]),
                        slice_of(expected, (size_t)size));
}

static enum handshake_result refuse(const struct handshake *handshake, struct error *error,
                                    const char *why)
{
    error_set(error, ERROR_PROTOCOL, "WebSocket handshake with %s: %s", handshake->url->host, why);
    return HANDSHAKE_BAD;
}

/* RFC 6455 part 4.1, what a client must check. */
static enum handshake_result check_switch(const struct handshake *handshake, struct error *error)
{
    const struct buffer *values = handshake->values;
    if (!list_has(buffer_slice(&values[HEADER_UPGRADE]), SLICE("websocket"))) {
        return refuse(handshake, error, "101 without 'Upgrade: websocket'");
    }
    if (!list_has(buffer_slice(&values[HEADER_CONNECTION]), SLICE("upgrade"))) {
        return refuse(handshake, error, "101 without 'Connection: Upgrade'");
    }
    if (!accept_is_right(handshake)) {
        return refuse(handshake, error,
                      "wrong Sec-WebSocket-Accept: no WebSocket server, or a "
                      "cache in between");
    }
    if (handshake->counts[HEADER_EXTENSIONS] > 0) {
        return refuse(handshake, error, "the server uses an extension that we did not offer");
    }
    if (handshake->counts[HEADER_PROTOCOL] > 0) {
        return refuse(handshake, error, "the server chose a subprotocol that we did not offer");
    }
    return HANDSHAKE_ACCEPTED;
}

/* The first printable bytes of a body: an XRPC error often tells more than its status. */
static void excerpt(struct slice body, char *text)
{
    size_t size = body.size < EXCERPT_MAX ? body.size : EXCERPT_MAX;
    for (size_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)body.data[i];
        text[i] = (char)(byte < 0x80 && isprint(byte) ? byte : ' ');
    }
    text[size] = '\0';
}

static enum handshake_result tell_answer(const struct handshake *handshake, struct slice body,
                                         struct error *error)
{
    int status = handshake_status(handshake);
    char text[EXCERPT_MAX + 1];
    excerpt(body, text);
    bool may_pass = status >= 500 || status == 408 || status == 425 || status == 429;
    struct slice location = handshake_location(handshake);
    if (location.size > 0) {
        error_set(error, ERROR_UNREACHABLE, "WebSocket handshake with %s: answered %d to %.*s",
                  handshake->url->host, status, (int)(location.size < 200 ? location.size : 200),
                  location.data);
    } else {
        error_set(error, may_pass ? ERROR_UNREACHABLE : ERROR_REFUSED,
                  "WebSocket handshake with %s: expected status 101, got %d%s%s",
                  handshake->url->host, status, text[0] != '\0' ? ": " : "", text);
    }
    return HANDSHAKE_ANSWERED;
}

static enum handshake_result decide(struct handshake *handshake, struct slice body,
                                    struct error *error)
{
    if (handshake->parser.status_code == STATUS_SWITCHING) {
        return check_switch(handshake, error);
    }
    return tell_answer(handshake, body, error);
}

enum handshake_result handshake_receive(struct handshake *handshake, struct slice bytes,
                                        size_t *consumed, struct error *error)
{
    size_t room = HANDSHAKE_HEADER_MAX - handshake->received;
    size_t size = bytes.size < room ? bytes.size : room;
    llhttp_errno_t status = llhttp_execute(&handshake->parser, bytes.data, size);
    *consumed = size;
    if (handshake->is_complete) {
        *consumed = (size_t)(llhttp_get_error_pos(&handshake->parser) - bytes.data);
        return decide(handshake, slice_skip(bytes, *consumed), error);
    }
    if (status != HPE_OK) {
        error_set(error, ERROR_PROTOCOL, "WebSocket handshake with %s: no HTTP answer: %s",
                  handshake->url->host, llhttp_errno_name(status));
        return HANDSHAKE_BAD;
    }
    handshake->received += size;
    if (handshake->received == HANDSHAKE_HEADER_MAX) {
        return refuse(handshake, error, "more than 16 KiB of answer header");
    }
    return HANDSHAKE_NEED_MORE;
}

int handshake_status(const struct handshake *handshake)
{
    return handshake->parser.status_code;
}

static uint64_t seconds_until(struct slice date)
{
    char text[NAME_MAX_BYTES];
    if (date.size >= sizeof(text)) {
        return 0;
    }
    memcpy(text, date.data, date.size);
    text[date.size] = '\0';
    struct tm parts = {0};
    const char *end = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &parts);
    if (end == NULL || *end != '\0') {
        return 0;
    }
    int64_t wait = (int64_t)timegm(&parts) - clock_wall_ms() / MS_PER_SECOND;
    return wait > 0 ? (uint64_t)wait : 0;
}

uint64_t handshake_retry_after_ms(const struct handshake *handshake)
{
    int status = handshake_status(handshake);
    struct slice value = buffer_slice(&handshake->values[HEADER_RETRY_AFTER]);
    if ((status != HTTP_STATUS_TOO_MANY_REQUESTS && status != HTTP_STATUS_SERVICE_UNAVAILABLE) ||
        value.size == 0) {
        return 0;
    }
    uint64_t seconds = 0;
    size_t i = 0;
    for (; i < value.size && isdigit((unsigned char)value.data[i]); i++) {
        if (seconds < RETRY_AFTER_MAX_S) {
            seconds = seconds * 10 + (uint64_t)(value.data[i] - '0');
        }
    }
    if (i < value.size) {
        seconds = seconds_until(value);
    }
    return (seconds < RETRY_AFTER_MAX_S ? seconds : RETRY_AFTER_MAX_S) * MS_PER_SECOND;
}

struct slice handshake_location(const struct handshake *handshake)
{
    switch (handshake_status(handshake)) {
    case HTTP_STATUS_MOVED_PERMANENTLY:
    case HTTP_STATUS_FOUND:
    case HTTP_STATUS_SEE_OTHER:
    case HTTP_STATUS_TEMPORARY_REDIRECT:
    case HTTP_STATUS_PERMANENT_REDIRECT:
        return buffer_slice(&handshake->values[HEADER_LOCATION]);
    default:
        return (struct slice){0};
    }
}
