#include "net/websocket.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/panic.h"
#include "net/framer.h"
#include "net/handshake.h"
#include "net/transport.h"
#include "net/url.h"
#include <uv.h>

enum {
    GOODBYE_TIMEOUT_MS = 1000,
    OUTPUT_LIMIT_BYTES = 64 * 1024, /* over it, frames stay with the framer, which bounds them */
    CLOSE_NORMAL = 1000,
};

enum websocket_state {
    WEBSOCKET_CONNECTING, /* name, TCP, TLS */
    WEBSOCKET_UPGRADING,  /* the request is sent */
    WEBSOCKET_OPEN,
    WEBSOCKET_SAYING_GOODBYE, /* our close frame is sent */
    WEBSOCKET_CLOSED,         /* handles are closing */
};

struct websocket {
    const struct websocket_callbacks *callbacks;
    void *owner;
    uv_loop_t *loop;
    struct websocket_options options; /* strings owned */
    enum websocket_state state;
    struct url url;
    struct transport *transport;
    struct handshake *handshake;
    struct framer *framer;
    struct buffer input; /* received, not yet decoded: one read of the socket at most */
    uv_timer_t timer;    /* connect deadline, idle, or goodbye, by state */
    uv_timer_t wake;     /* calls proceed() from the loop */
    unsigned open_parts; /* timers and transport */
    bool is_proceeding;
    bool has_ended; /* the stream is over; `end` says why, once `input` is used up */
    struct error end;
    uint64_t bytes_read; /* kept from the transport, for on_closed */
    uint64_t last_bytes_ms;
    uint64_t ping_sent_ms; /* 0: no ping is waiting for its answer */
    uint64_t paused_at_ms;
    bool has_error;
    struct error error;
    struct websocket_closing closing;
    struct buffer location;
};

static void proceed(struct websocket *websocket);

/* ---- the end -------------------------------------------------------------------------------- */

static void release_part(struct websocket *websocket)
{
    if (--websocket->open_parts > 0) {
        return;
    }
    websocket->closing.error = websocket->has_error ? &websocket->error : NULL;
    websocket->callbacks->on_closed(websocket->owner, &websocket->closing);
    framer_destroy(websocket->framer);
    handshake_destroy(websocket->handshake);
    buffer_deinit(&websocket->input);
    buffer_deinit(&websocket->location);
    free((void *)(uintptr_t)websocket->options.url);
    free((void *)(uintptr_t)websocket->options.user_agent);
    free((void *)(uintptr_t)websocket->options.ca_file);
    free(websocket);
}

static void on_timer_closed(uv_handle_t *handle)
{
    release_part(handle->data);
}

static void on_transport_closed(void *owner)
{
    struct websocket *websocket = owner;
    websocket->bytes_read = transport_bytes_read(websocket->transport);
    websocket->transport = NULL;
    release_part(websocket);
}

static void shut(struct websocket *websocket)
{
    if (websocket->state == WEBSOCKET_CLOSED) {
        return;
    }
    websocket->state = WEBSOCKET_CLOSED;
    uv_close((uv_handle_t *)&websocket->timer, on_timer_closed);
    uv_close((uv_handle_t *)&websocket->wake, on_timer_closed);
    if (websocket->transport != NULL) {
        transport_close(websocket->transport);
    }
}

/* Once we have said goodbye, however it ends is as it was asked. */
static void fail(struct websocket *websocket, const struct error *error)
{
    if (websocket->state == WEBSOCKET_CLOSED) {
        return;
    }
    if (websocket->state != WEBSOCKET_SAYING_GOODBYE) {
        websocket->has_error = true;
        websocket->error = *error;
    }
    shut(websocket);
}

/* ---- timers --------------------------------------------------------------------------------- */

static void on_idle(uv_timer_t *timer);

/* Waits for what is left of the idle time, or of the time to answer a ping. */
static void watch_idleness(struct websocket *websocket)
{
    uint64_t limit = websocket->options.idle_timeout_ms;
    if (limit == 0 || framer_is_paused(websocket->framer)) {
        return;
    }
    uint64_t from = websocket->last_bytes_ms;
    if (websocket->ping_sent_ms != 0) {
        from = websocket->ping_sent_ms;
        limit = (limit + 1) / 2;
    }
    uint64_t elapsed = uv_now(websocket->loop) - from;
    (void)uv_timer_start(&websocket->timer, on_idle, elapsed < limit ? limit - elapsed : 0, 0);
}

static void on_idle(uv_timer_t *timer)
{
    struct websocket *websocket = timer->data;
    uint64_t now = uv_now(websocket->loop);
    uint64_t idle = websocket->options.idle_timeout_ms;
    if (websocket->ping_sent_ms != 0 && now - websocket->ping_sent_ms >= (idle + 1) / 2) {
        struct error error;
        error_set(&error, ERROR_TIMEOUT, "nothing from %s for %llu ms, a ping included",
                  websocket->url.host, (unsigned long long)(now - websocket->last_bytes_ms));
        fail(websocket, &error);
        return;
    }
    if (websocket->ping_sent_ms == 0 && now - websocket->last_bytes_ms >= idle) {
        websocket->ping_sent_ms = now;
        framer_ping(websocket->framer);
        proceed(websocket);
    }
    if (websocket->state == WEBSOCKET_OPEN) {
        watch_idleness(websocket);
    }
}

static void on_connect_timeout(uv_timer_t *timer)
{
    struct websocket *websocket = timer->data;
    struct error error;
    error_set(&error, ERROR_TIMEOUT, "%s %s: no %s within %llu ms",
              websocket->state == WEBSOCKET_UPGRADING ? "WebSocket handshake with" : "connect to",
              websocket->url.host,
              websocket->state == WEBSOCKET_UPGRADING ? "complete answer" : "connection",
              (unsigned long long)websocket->options.connect_timeout_ms);
    fail(websocket, &error);
}

static void on_goodbye_timeout(uv_timer_t *timer)
{
    shut(timer->data);
}

/* ---- frames --------------------------------------------------------------------------------- */

static void on_message(void *owner, struct slice message, bool is_binary)
{
    struct websocket *websocket = owner;
    if (websocket->state == WEBSOCKET_OPEN) {
        websocket->callbacks->on_message(websocket->owner, message, is_binary);
    }
}

static bool on_send(void *owner, struct slice bytes)
{
    struct websocket *websocket = owner;
    if (transport_pending_bytes(websocket->transport) >= OUTPUT_LIMIT_BYTES) {
        transport_flush(websocket->transport);
    }
    if (transport_pending_bytes(websocket->transport) >= OUTPUT_LIMIT_BYTES) {
        return false;
    }
    transport_write(websocket->transport, bytes);
    return true;
}

static const struct framer_callbacks framer_callbacks = {
    .on_message = on_message,
    .send = on_send,
};

static void finish_by_peer(struct websocket *websocket)
{
    struct error error;
    const char *reason = framer_close_reason(websocket->framer);
    websocket->closing.close_code = framer_close_code(websocket->framer);
    error_set(&error, ERROR_CLOSED, "%s closed the WebSocket with code %u%s%s", websocket->url.host,
              websocket->closing.close_code, reason[0] != '\0' ? ": " : "", reason);
    transport_flush(websocket->transport);
    fail(websocket, &error);
}

static void step_frames(struct websocket *websocket)
{
    size_t consumed = 0;
    struct error error;
    bool is_fine =
        framer_receive(websocket->framer, buffer_slice(&websocket->input), &consumed, &error);
    buffer_consume(&websocket->input, consumed);
    if (websocket->state == WEBSOCKET_CLOSED) {
        return;
    }
    transport_flush(websocket->transport);
    if (!is_fine) {
        fail(websocket, &error);
    } else if (framer_is_finished(websocket->framer) && !framer_has_held(websocket->framer)) {
        finish_by_peer(websocket);
    }
}

/* ---- the handshake -------------------------------------------------------------------------- */

static void become_open(struct websocket *websocket)
{
    websocket->state = WEBSOCKET_OPEN;
    (void)uv_timer_stop(&websocket->timer);
    websocket->last_bytes_ms = uv_now(websocket->loop);
    websocket->paused_at_ms = websocket->last_bytes_ms;
    watch_idleness(websocket);
    websocket->callbacks->on_open(websocket->owner);
}

static void note_answer(struct websocket *websocket, struct error *error)
{
    struct slice location = handshake_location(websocket->handshake);
    websocket->closing.http_status = handshake_status(websocket->handshake);
    websocket->closing.retry_after_ms = handshake_retry_after_ms(websocket->handshake);
    struct url target;
    if (location.size == 0 || !url_resolve(&target, &websocket->url, location, error)) {
        return;
    }
    url_append(&websocket->location, &target);
    buffer_append_byte(&websocket->location, '\0');
    websocket->closing.location = websocket->location.data;
}

static void step_upgrade(struct websocket *websocket)
{
    size_t consumed = 0;
    struct error error = {0};
    if (websocket->input.size == 0) {
        return;
    }
    switch (handshake_receive(websocket->handshake, buffer_slice(&websocket->input), &consumed,
                              &error)) {
    case HANDSHAKE_NEED_MORE:
        buffer_consume(&websocket->input, consumed);
        return;
    case HANDSHAKE_ACCEPTED:
        buffer_consume(&websocket->input, consumed);
        become_open(websocket);
        return;
    case HANDSHAKE_ANSWERED:
        note_answer(websocket, &error);
        fail(websocket, &error);
        return;
    case HANDSHAKE_BAD:
        fail(websocket, &error);
        return;
    }
}

/* ---- what decides --------------------------------------------------------------------------- */

static void apply_reading(struct websocket *websocket)
{
    if (websocket->state == WEBSOCKET_CLOSED || websocket->has_ended ||
        websocket->transport == NULL) {
        return;
    }
    bool is_full = framer_is_paused(websocket->framer) || websocket->input.size > 0;
    transport_set_reading(websocket->transport, websocket->state != WEBSOCKET_OPEN || !is_full);
}

/* Does all that can be done now. What a callback changes on the way is seen further down. */
static void proceed(struct websocket *websocket)
{
    if (websocket->is_proceeding || websocket->state == WEBSOCKET_CLOSED) {
        return;
    }
    websocket->is_proceeding = true;
    if (websocket->state == WEBSOCKET_UPGRADING) {
        step_upgrade(websocket);
    }
    if (websocket->state == WEBSOCKET_OPEN || websocket->state == WEBSOCKET_SAYING_GOODBYE) {
        step_frames(websocket);
    }
    bool is_used_up = websocket->input.size == 0 && !framer_has_held(websocket->framer);
    if (websocket->has_ended && is_used_up) {
        fail(websocket, &websocket->end);
    }
    websocket->is_proceeding = false;
    apply_reading(websocket);
}

static void on_wake(uv_timer_t *timer)
{
    proceed(timer->data);
}

/* ---- the transport's events ----------------------------------------------------------------- */

static void on_connected(void *owner)
{
    struct websocket *websocket = owner;
    struct buffer request = {0};
    websocket->state = WEBSOCKET_UPGRADING;
    handshake_append_request(websocket->handshake, websocket->options.user_agent, &request);
    transport_write(websocket->transport, buffer_slice(&request));
    buffer_deinit(&request);
    transport_flush(websocket->transport);
}

static void on_bytes(void *owner, struct slice bytes)
{
    struct websocket *websocket = owner;
    websocket->last_bytes_ms = uv_now(websocket->loop);
    websocket->ping_sent_ms = 0; /* any bytes answer: amid a long message no pong can come */
    buffer_append_slice(&websocket->input, bytes);
    proceed(websocket);
}

static void on_room(void *owner)
{
    proceed(owner);
}

static void on_ended(void *owner, const struct error *error)
{
    struct websocket *websocket = owner;
    websocket->has_ended = true;
    websocket->end = *error;
    bool is_early = websocket->state == WEBSOCKET_CONNECTING;
    if (is_early) { /* a read error or EOF inside the handshake needs no more words than these */
        fail(websocket, error);
    } else {
        (void)uv_timer_start(&websocket->wake, on_wake, 0, 0);
    }
}

static const struct transport_callbacks transport_callbacks = {
    .on_connected = on_connected,
    .on_bytes = on_bytes,
    .on_room = on_room,
    .on_ended = on_ended,
    .on_closed = on_transport_closed,
};

/* ---- the door ------------------------------------------------------------------------------- */

static void on_start(uv_timer_t *timer)
{
    struct websocket *websocket = timer->data;
    struct error error;
    struct slice url = slice_from_string(websocket->options.url);
    if (!url_parse(&websocket->url, url, &error)) {
        fail(websocket, &error);
        return;
    }
    websocket->handshake = handshake_create(&websocket->url);
    const struct transport_options options = {
        .host = websocket->url.host,
        .port = websocket->url.port,
        .use_tls = websocket->url.is_secure,
        .tls_verify = websocket->options.tls_verify,
        .ca_file = websocket->options.ca_file,
    };
    websocket->open_parts++;
    websocket->transport =
        transport_open(websocket->loop, &options, &transport_callbacks, websocket);
}

static void start_timer(struct websocket *websocket, uv_timer_t *timer, uv_timer_cb callback,
                        uint64_t timeout_ms)
{
    (void)uv_timer_init(websocket->loop, timer);
    timer->data = websocket;
    (void)uv_timer_start(timer, callback, timeout_ms, 0);
    websocket->open_parts++;
}

struct websocket *websocket_open(struct uv_loop_s *loop, const struct websocket_options *options,
                                 const struct websocket_callbacks *callbacks, void *owner)
{
    struct websocket *websocket = memory_allocate(sizeof(*websocket));
    websocket->callbacks = callbacks;
    websocket->owner = owner;
    websocket->loop = loop;
    websocket->options = *options;
    websocket->options.url = memory_copy_string(options->url);
    websocket->options.user_agent = memory_copy_string(options->user_agent);
    websocket->options.ca_file = memory_copy_string(options->ca_file);
    websocket->framer = framer_create(options->max_message_bytes, &framer_callbacks, websocket);
    start_timer(websocket, &websocket->timer, on_connect_timeout, options->connect_timeout_ms);
    start_timer(websocket, &websocket->wake, on_start, 0);
    return websocket;
}

void websocket_pause(struct websocket *websocket)
{
    bool can_pause =
        websocket->state != WEBSOCKET_SAYING_GOODBYE && websocket->state != WEBSOCKET_CLOSED;
    if (!can_pause || framer_is_paused(websocket->framer)) {
        return;
    }
    framer_pause(websocket->framer);
    websocket->paused_at_ms = uv_now(websocket->loop);
    if (websocket->state == WEBSOCKET_OPEN) {
        (void)uv_timer_stop(&websocket->timer);
    }
    apply_reading(websocket);
}

void websocket_resume(struct websocket *websocket)
{
    if (!framer_is_paused(websocket->framer) || websocket->state == WEBSOCKET_CLOSED) {
        return;
    }
    framer_resume(websocket->framer);
    if (websocket->state != WEBSOCKET_OPEN) {
        return;
    }
    /* The idle time stood still. */
    uint64_t now = uv_now(websocket->loop);
    uint64_t paused_ms = now - websocket->paused_at_ms;
    websocket->last_bytes_ms += paused_ms;
    if (websocket->last_bytes_ms > now) { /* the rest of a read came after the pause */
        websocket->last_bytes_ms = now;
    }
    if (websocket->ping_sent_ms != 0) {
        websocket->ping_sent_ms += paused_ms;
    }
    watch_idleness(websocket);
    /* From the loop: the owner may be in the middle of something. */
    (void)uv_timer_start(&websocket->wake, on_wake, 0, 0);
}

void websocket_close(struct websocket *websocket)
{
    if (websocket->state == WEBSOCKET_CLOSED || websocket->state == WEBSOCKET_SAYING_GOODBYE) {
        return;
    }
    if (websocket->state != WEBSOCKET_OPEN || websocket->has_ended) {
        shut(websocket);
        return;
    }
    websocket->state = WEBSOCKET_SAYING_GOODBYE;
    framer_resume(websocket->framer); /* what comes now is read for the peer's close, and dropped */
    framer_close(websocket->framer, CLOSE_NORMAL);
    (void)uv_timer_start(&websocket->timer, on_goodbye_timeout, GOODBYE_TIMEOUT_MS, 0);
    (void)uv_timer_start(&websocket->wake, on_wake, 0, 0);
}

uint64_t websocket_bytes_read(const struct websocket *websocket)
{
    return websocket->transport != NULL ? transport_bytes_read(websocket->transport)
                                        : websocket->bytes_read;
}

const char *websocket_peer_address(const struct websocket *websocket)
{
    return websocket->transport != NULL ? transport_peer_address(websocket->transport) : "";
}

int64_t websocket_certificate_expiry(const struct websocket *websocket)
{
    return websocket->transport != NULL ? transport_certificate_expiry(websocket->transport) : 0;
}
