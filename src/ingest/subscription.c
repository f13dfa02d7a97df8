#include "ingest/subscription.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/backoff.h"
#include "base/buffer.h"
#include "base/log.h"
#include "base/panic.h"
#include "ingest/subscription_url.h"
#include "net/websocket.h"
#include <uv.h>

enum {
    DEFAULT_IDLE_MS = 30000,
    DEFAULT_CONNECT_MS = 10000,
    DEFAULT_BACKOFF_BASE_MS = 1000,
    DEFAULT_BACKOFF_LIMIT_MS = 30000,
    DEFAULT_HEALTHY_MS = 60000,
    SILENCE_PER_IDLE = 10,
    REDIRECTS_MAX = 5,
    RETRY_AFTER_LIMIT_MS =
        3600 * 1000, /* a relay that asks for more is asked again after an hour */
    OBJECT_SIZE = 128,
};

enum subscription_state {
    SUBSCRIPTION_CONNECTING,
    SUBSCRIPTION_CONNECTED,
    SUBSCRIPTION_ENDING,  /* the connection is closing; `next` says what follows */
    SUBSCRIPTION_WAITING, /* for the backoff */
    SUBSCRIPTION_PARKED,  /* for subscription_resume() */
    SUBSCRIPTION_CLOSED,
};

static const char *const state_names[] = {
    [SUBSCRIPTION_CONNECTING] = "connecting", [SUBSCRIPTION_CONNECTED] = "connected",
    [SUBSCRIPTION_ENDING] = "ending",         [SUBSCRIPTION_WAITING] = "waiting",
    [SUBSCRIPTION_PARKED] = "parked",         [SUBSCRIPTION_CLOSED] = "closed",
};

struct subscription {
    const struct subscription_callbacks *callbacks;
    void *owner;
    uv_loop_t *loop;
    struct subscription_options options; /* strings owned, defaults filled in */
    char object[OBJECT_SIZE];
    enum subscription_state state;
    enum subscription_state next; /* after SUBSCRIPTION_ENDING: WAITING or PARKED */
    bool is_paused;
    bool is_closing;
    struct websocket *websocket; /* NULL between connections */
    uv_timer_t timer;            /* the wait for the next connection, or for silence */
    uv_timer_t pause_timer;      /* paused for too long */
    unsigned open_timers;
    struct backoff backoff;
    uint64_t connected_at_ms;
    uint64_t last_frame_ms;
    struct buffer redirected; /* where the next try goes, terminated; empty: options.url */
    unsigned redirects;       /* since the last 101 or wait */
    struct subscription_counters counters;
    struct error trouble; /* of the last loss; no text while connected */
    struct log_limit lost_limit;
    struct log_limit redirect_limit;
};

static void connect_now(struct subscription *subscription);

static void enter_state(struct subscription *subscription, enum subscription_state next)
{
    log_debug(subscription->object, "state", LOG_TEXT("from", state_names[subscription->state]),
              LOG_TEXT("to", state_names[next]));
    subscription->state = next;
}

/* ---- the end -------------------------------------------------------------------------------- */

static void on_timer_closed(uv_handle_t *handle)
{
    struct subscription *subscription = handle->data;
    if (--subscription->open_timers > 0) {
        return;
    }
    ASSERT(subscription->websocket == NULL);
    if (subscription->callbacks->on_closed != NULL) {
        subscription->callbacks->on_closed(subscription->owner);
    }
    buffer_deinit(&subscription->redirected);
    free((void *)(uintptr_t)subscription->options.url);
    free((void *)(uintptr_t)subscription->options.host);
    free((void *)(uintptr_t)subscription->options.user_agent);
    free((void *)(uintptr_t)subscription->options.ca_file);
    free(subscription);
}

static void release(struct subscription *subscription)
{
    enter_state(subscription, SUBSCRIPTION_CLOSED);
    uv_close((uv_handle_t *)&subscription->timer, on_timer_closed);
    uv_close((uv_handle_t *)&subscription->pause_timer, on_timer_closed);
}

/* Ends the connection; its on_closed goes on with `next`. */
static void end_connection(struct subscription *subscription, enum subscription_state next)
{
    enter_state(subscription, SUBSCRIPTION_ENDING);
    subscription->next = next;
    (void)uv_timer_stop(&subscription->timer);
    websocket_close(subscription->websocket);
}

/* ---- between connections -------------------------------------------------------------------- */

static void on_waited(uv_timer_t *timer)
{
    connect_now(timer->data);
}

static void wait_for(struct subscription *subscription, uint64_t wait_ms)
{
    enter_state(subscription, SUBSCRIPTION_WAITING);
    buffer_clear(&subscription->redirected);
    subscription->redirects = 0;
    (void)uv_timer_start(&subscription->timer, on_waited, wait_ms, 0);
}

/* What the relay asks for, and our jitter on top of it so that not all come back at once. */
static uint64_t draw_wait_ms(struct subscription *subscription, uint64_t retry_after_ms)
{
    uint64_t asked = retry_after_ms < RETRY_AFTER_LIMIT_MS ? retry_after_ms : RETRY_AFTER_LIMIT_MS;
    return asked + backoff_next_ms(&subscription->backoff);
}

static void log_loss(struct subscription *subscription, const struct error *error, uint64_t wait_ms)
{
    uint64_t suppressed = 0;
    if (!log_limit_pass(&subscription->lost_limit, &suppressed)) {
        return;
    }
    log_warning(subscription->object, "disconnected", LOG_TEXT("why", error->text),
                LOG_INT("retry_in_ms", wait_ms), LOG_INT("attempt", subscription->backoff.attempts),
                LOG_SUPPRESSED(suppressed));
}

static void log_redirect(struct subscription *subscription, const char *location)
{
    uint64_t suppressed = 0;
    if (!log_limit_pass(&subscription->redirect_limit, &suppressed)) {
        return;
    }
    log_info(subscription->object, "redirected", LOG_TEXT("to", location),
             LOG_SUPPRESSED(suppressed));
}

/* True where the connection is to be tried at once at the place that the relay names. */
static bool follow(struct subscription *subscription, const char *location, struct error *error)
{
    if (location == NULL) {
        return false;
    }
    if (subscription->redirects >= REDIRECTS_MAX) {
        error_set(error, ERROR_PROTOCOL, "more than %d redirects, the last to %s", REDIRECTS_MAX,
                  location);
        return false;
    }
    const char *from =
        subscription->redirects > 0 ? subscription->redirected.data : subscription->options.url;
    if (subscription_url_is_secure(from) && !subscription_url_is_secure(location)) {
        error_set(error, ERROR_REFUSED, "refused: redirect from TLS to plain text, %s", location);
        return false;
    }
    subscription->redirects++;
    subscription->counters.redirects++;
    buffer_clear(&subscription->redirected);
    buffer_append(&subscription->redirected, location, strlen(location) + 1);
    log_redirect(subscription, location);
    return true;
}

static void go_on_after_loss(struct subscription *subscription,
                             const struct websocket_closing *closing)
{
    struct error error = *closing->error;
    if (follow(subscription, closing->location, &error)) {
        connect_now(subscription);
        return;
    }
    subscription->counters.failures++;
    subscription->trouble = error;
    uint64_t wait_ms = draw_wait_ms(subscription, closing->retry_after_ms);
    log_loss(subscription, &error, wait_ms);
    wait_for(subscription, wait_ms);
}

static void go_on_after_ending(struct subscription *subscription)
{
    if (subscription->next == SUBSCRIPTION_PARKED) {
        connect_now(subscription); /* parks, or was resumed meanwhile */
        return;
    }
    uint64_t wait_ms = draw_wait_ms(subscription, 0);
    log_info(subscription->object, "will reconnect", LOG_INT("retry_in_ms", wait_ms));
    wait_for(subscription, wait_ms);
}

/* ---- the connection's events ---------------------------------------------------------------- */

static void on_closed(void *owner, const struct websocket_closing *closing)
{
    struct subscription *subscription = owner;
    bool was_connected = subscription->connected_at_ms != 0;
    bool is_ours = subscription->state == SUBSCRIPTION_ENDING || subscription->is_closing;
    uint64_t now = uv_now(subscription->loop);
    subscription->counters.bytes += websocket_bytes_read(subscription->websocket);
    subscription->websocket = NULL;
    (void)uv_timer_stop(&subscription->timer);
    if (was_connected &&
        now - subscription->connected_at_ms >= subscription->options.healthy_after_ms) {
        backoff_reset(&subscription->backoff);
    }
    subscription->connected_at_ms = 0;
    if (subscription->callbacks->on_disconnected != NULL) {
        subscription->callbacks->on_disconnected(subscription->owner,
                                                 is_ours ? NULL : closing->error);
    }
    if (subscription->state == SUBSCRIPTION_CLOSED) {
        return; /* closed inside the callback */
    }
    if (subscription->is_closing) {
        release(subscription);
    } else if (is_ours) {
        go_on_after_ending(subscription);
    } else {
        go_on_after_loss(subscription, closing);
    }
}

static void on_silence(uv_timer_t *timer)
{
    struct subscription *subscription = timer->data;
    uint64_t limit = subscription->options.silence_timeout_ms;
    uint64_t silence = uv_now(subscription->loop) - subscription->last_frame_ms;
    if (subscription->is_paused || silence < limit) {
        uint64_t left = subscription->is_paused ? limit : limit - silence;
        (void)uv_timer_start(timer, on_silence, left, 0);
        return;
    }
    log_info(subscription->object, "no frame, though the relay answers: connecting anew",
             LOG_INT("silence_ms", silence));
    end_connection(subscription, SUBSCRIPTION_WAITING);
}

static void on_open(void *owner)
{
    struct subscription *subscription = owner;
    const char *address = websocket_peer_address(subscription->websocket);
    enter_state(subscription, SUBSCRIPTION_CONNECTED);
    subscription->connected_at_ms = uv_now(subscription->loop);
    subscription->last_frame_ms = subscription->connected_at_ms;
    subscription->counters.connects++;
    subscription->trouble = (struct error){0};
    subscription->redirects = 0;
    (void)uv_timer_start(&subscription->timer, on_silence, subscription->options.silence_timeout_ms,
                         0);
    log_info(subscription->object, "connected", LOG_TEXT("address", address));
    if (subscription->callbacks->on_connected != NULL) {
        subscription->callbacks->on_connected(subscription->owner, address);
    }
}

static void on_message(void *owner, struct slice message, bool is_binary)
{
    struct subscription *subscription = owner;
    if (subscription->state != SUBSCRIPTION_CONNECTED) {
        return;
    }
    subscription->counters.frames++;
    subscription->last_frame_ms = uv_now(subscription->loop);
    subscription->callbacks->on_frame(subscription->owner, message, is_binary);
}

static const struct websocket_callbacks websocket_callbacks = {
    .on_open = on_open,
    .on_message = on_message,
    .on_closed = on_closed,
};

static void connect_now(struct subscription *subscription)
{
    if (subscription->is_paused) { /* there is no room for what would come */
        enter_state(subscription, SUBSCRIPTION_PARKED);
        return;
    }
    int64_t cursor = subscription->callbacks->cursor(subscription->owner);
    const struct subscription_options *from = &subscription->options;
    struct buffer url = {0};
    const char *base = subscription->redirects > 0 ? subscription->redirected.data : from->url;
    subscription_url_append(&url, base, cursor);
    const struct websocket_options options = {
        .url = url.data,
        .user_agent = from->user_agent,
        .ca_file = from->ca_file,
        .tls_verify = from->tls_verify,
        .max_message_bytes = from->max_frame_bytes,
        .connect_timeout_ms = from->connect_timeout_ms,
        .idle_timeout_ms = from->idle_timeout_ms,
    };
    enter_state(subscription, SUBSCRIPTION_CONNECTING);
    subscription->websocket =
        websocket_open(subscription->loop, &options, &websocket_callbacks, subscription);
    buffer_deinit(&url);
}

/* ---- the door ------------------------------------------------------------------------------- */

static uint64_t or_default(uint64_t value, uint64_t fallback)
{
    return value != 0 ? value : fallback;
}

static void copy_options(struct subscription_options *to, const struct subscription_options *from)
{
    *to = *from;
    to->url = memory_copy_string(from->url);
    to->host = memory_copy_string(from->host);
    to->user_agent = memory_copy_string(from->user_agent);
    to->ca_file = memory_copy_string(from->ca_file);
    to->idle_timeout_ms = or_default(from->idle_timeout_ms, DEFAULT_IDLE_MS);
    to->silence_timeout_ms =
        or_default(from->silence_timeout_ms, to->idle_timeout_ms * SILENCE_PER_IDLE);
    to->connect_timeout_ms = or_default(from->connect_timeout_ms, DEFAULT_CONNECT_MS);
    to->backoff_base_ms = or_default(from->backoff_base_ms, DEFAULT_BACKOFF_BASE_MS);
    to->backoff_limit_ms = or_default(from->backoff_limit_ms, DEFAULT_BACKOFF_LIMIT_MS);
    to->healthy_after_ms = or_default(from->healthy_after_ms, DEFAULT_HEALTHY_MS);
}

static void warn_of_no_verification(const struct subscription *subscription)
{
    const struct subscription_options *options = &subscription->options;
    if (options->tls_verify || !subscription_url_is_secure(options->url)) {
        return;
    }
    log_warning(subscription->object,
                "relay.tls_verify is off: anyone on the way can read and change the stream");
}

struct subscription *subscription_open(struct uv_loop_s *loop,
                                       const struct subscription_options *options,
                                       const struct subscription_callbacks *callbacks, void *owner)
{
    struct subscription *subscription = memory_allocate(sizeof(*subscription));
    subscription->callbacks = callbacks;
    subscription->owner = owner;
    subscription->loop = loop;
    copy_options(&subscription->options, options);
    subscription->backoff.base_ms = subscription->options.backoff_base_ms;
    subscription->backoff.limit_ms = subscription->options.backoff_limit_ms;
    (void)snprintf(subscription->object, sizeof(subscription->object), "relay[%s]", options->host);
    (void)uv_timer_init(loop, &subscription->timer);
    (void)uv_timer_init(loop, &subscription->pause_timer);
    subscription->timer.data = subscription;
    subscription->pause_timer.data = subscription;
    subscription->open_timers = 2;
    warn_of_no_verification(subscription);
    /* From the loop: a callback must not come before the owner has our pointer. */
    enter_state(subscription, SUBSCRIPTION_WAITING);
    (void)uv_timer_start(&subscription->timer, on_waited, 0, 0);
    return subscription;
}

static void on_paused_too_long(uv_timer_t *timer)
{
    struct subscription *subscription = timer->data;
    bool has_connection = subscription->state == SUBSCRIPTION_CONNECTING ||
                          subscription->state == SUBSCRIPTION_CONNECTED;
    if (!has_connection) {
        return; /* connect_now() parks */
    }
    log_info(subscription->object, "paused for long: closing, to resume at the cursor",
             LOG_INT("paused_ms", subscription->options.idle_timeout_ms));
    subscription->counters.parks++;
    end_connection(subscription, SUBSCRIPTION_PARKED);
}

void subscription_pause(struct subscription *subscription)
{
    if (subscription->is_paused || subscription->is_closing) {
        return;
    }
    subscription->is_paused = true;
    if (subscription->websocket != NULL) {
        websocket_pause(subscription->websocket);
    }
    (void)uv_timer_start(&subscription->pause_timer, on_paused_too_long,
                         subscription->options.idle_timeout_ms, 0);
}

void subscription_resume(struct subscription *subscription)
{
    if (!subscription->is_paused || subscription->is_closing) {
        return;
    }
    subscription->is_paused = false;
    subscription->last_frame_ms = uv_now(subscription->loop);
    (void)uv_timer_stop(&subscription->pause_timer);
    if (subscription->websocket != NULL) {
        websocket_resume(subscription->websocket);
    }
    if (subscription->state == SUBSCRIPTION_PARKED) {
        enter_state(subscription, SUBSCRIPTION_WAITING);
        (void)uv_timer_start(&subscription->timer, on_waited, 0, 0);
    }
}

void subscription_reconnect(struct subscription *subscription, const char *reason)
{
    bool has_connection = subscription->state == SUBSCRIPTION_CONNECTING ||
                          subscription->state == SUBSCRIPTION_CONNECTED;
    if (!has_connection || subscription->is_closing) {
        return;
    }
    log_warning(subscription->object, "reconnecting", LOG_TEXT("why", reason));
    end_connection(subscription, SUBSCRIPTION_WAITING);
}

void subscription_close(struct subscription *subscription)
{
    if (subscription->is_closing) {
        return;
    }
    subscription->is_closing = true;
    (void)uv_timer_stop(&subscription->timer);
    (void)uv_timer_stop(&subscription->pause_timer);
    if (subscription->websocket == NULL) {
        release(subscription);
        return;
    }
    enter_state(subscription, SUBSCRIPTION_ENDING);
    websocket_close(subscription->websocket);
}

bool subscription_is_connected(const struct subscription *subscription)
{
    return subscription->state == SUBSCRIPTION_CONNECTED;
}

uint64_t subscription_connected_ms(const struct subscription *subscription)
{
    return subscription_is_connected(subscription)
               ? uv_now(subscription->loop) - subscription->connected_at_ms
               : 0;
}

struct subscription_counters subscription_counters(const struct subscription *subscription)
{
    struct subscription_counters counters = subscription->counters;
    if (subscription->websocket != NULL) {
        counters.bytes += websocket_bytes_read(subscription->websocket);
    }
    return counters;
}

const char *subscription_trouble(const struct subscription *subscription)
{
    return subscription->trouble.text;
}

int64_t subscription_certificate_expiry(const struct subscription *subscription)
{
    const struct websocket *websocket = subscription->websocket;
    return websocket != NULL ? websocket_certificate_expiry(websocket) : 0;
}
