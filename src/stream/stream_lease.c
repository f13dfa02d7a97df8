#include "stream/stream_lease.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/backoff.h"
#include "base/log.h"
#include "base/panic.h"
#include "stream/redis_reply.h"
#include "stream/scripts.h"
#include <uv.h>

enum {
    RENEWALS_PER_LEASE = 3,
    TOKEN_SIZE = 40,
    MIN_WAIT_MS = 10,
    RETRY_BASE_MS = 50,
    RETRY_LIMIT_MS = 1000,
    CLOSE_WAIT_MS = 1000 /* for the release; the lease runs out by itself where it fails */
};

struct stream_lease {
    struct uv_loop_s *loop;
    struct redis *redis; /* NULL once closed */
    char *key;
    const char *name;
    char token[TOKEN_SIZE];
    uint64_t lease_ms;
    struct stream_lease_callbacks callbacks;
    void *owner;

    struct script_call call;
    uint64_t
        sent_ms; /* when the call in flight was sent: the lease counts from there at the latest */
    uv_timer_t next;   /* renews or asks again; bounds the release while closing */
    uv_timer_t expiry; /* runs out with the lease, in our own time */
    unsigned open_timers;
    struct backoff backoff;
    struct log_limit error_limit;
    struct error trouble; /* of the last answer */
    bool is_elsewhere;    /* by the last answer */
    bool is_held;
    bool is_closing, is_finished;
};

static void ask(struct stream_lease *lease);

static void on_next(uv_timer_t *timer)
{
    ask(timer->data);
}

static void ask_in(struct stream_lease *lease, uint64_t milliseconds)
{
    if (!lease->is_closing) {
        ASSERT(uv_timer_start(&lease->next, on_next, milliseconds, 0) == 0);
    }
}

static void lose(struct stream_lease *lease, const char *why)
{
    (void)uv_timer_stop(&lease->expiry);
    if (!lease->is_held) {
        return;
    }
    lease->is_held = false;
    log_warning("stream_lease", "lost the lease", LOG_TEXT("lease", lease->name),
                LOG_TEXT("why", why));
    lease->callbacks.on_lost(lease->owner);
}

/* A process that slept through its lease sees this first: libuv runs timers before sockets. Who reads
 * from the relay all the same is fenced by the append script. */
static void on_expiry(uv_timer_t *timer)
{
    lose(timer->data, "it could not be renewed in time");
}

static void hold(struct stream_lease *lease)
{
    uint64_t elapsed = uv_now(lease->loop) - lease->sent_ms;
    if (elapsed >= lease->lease_ms) {
        ask_in(lease, 0); /* the answer took longer than the lease lasts */
        return;
    }
    ASSERT(uv_timer_start(&lease->expiry, on_expiry, lease->lease_ms - elapsed, 0) == 0);
    ask_in(lease, lease->lease_ms / RENEWALS_PER_LEASE);
    if (lease->is_held) {
        return;
    }
    lease->is_held = true;
    log_debug("stream_lease", "holds the lease", LOG_TEXT("lease", lease->name),
              LOG_INT("lease_ms", lease->lease_ms));
    lease->callbacks.on_acquired(lease->owner);
}

/* The other's lease ends in `left_ms` at the latest; it may be released before. */
static void stand_by(struct stream_lease *lease, int64_t left_ms)
{
    uint64_t wait_ms = lease->lease_ms / RENEWALS_PER_LEASE;
    if (left_ms >= 0 && (uint64_t)left_ms + 1 < wait_ms) {
        wait_ms = (uint64_t)left_ms + 1;
    }
    lease->is_elsewhere = true;
    ask_in(lease, wait_ms > MIN_WAIT_MS ? wait_ms : MIN_WAIT_MS);
    lose(lease, "another process holds it");
}

static void finish(struct stream_lease *lease);
static void release(struct stream_lease *lease);

static void on_lease_reply(void *owner, struct redisReply *reply)
{
    struct stream_lease *lease = owner;
    if (lease->is_closing) {
        release(lease);
        return;
    }
    if (reply == NULL) {
        return; /* on_ready asks again; `expiry` runs on */
    }
    lease->is_elsewhere = false;
    lease->trouble = (struct error){0};
    if (!reply_is_array(reply)) {
        uint64_t suppressed;
        reply_error(reply, &lease->trouble);
        if (log_limit_pass(&lease->error_limit, &suppressed)) {
            log_warning("stream_lease", "Redis refuses", LOG_TEXT("error", lease->trouble.text),
                        LOG_SUPPRESSED(suppressed));
        }
        ask_in(lease, backoff_next_ms(&lease->backoff));
        return;
    }
    backoff_reset(&lease->backoff);
    if (reply_number(reply_element(reply, 0)) == 1) {
        hold(lease);
    } else {
        stand_by(lease, reply_number(reply_element(reply, 1)));
    }
}

static void ask(struct stream_lease *lease)
{
    if (lease->is_closing || lease->call.is_sent || !redis_is_ready(lease->redis)) {
        return;
    }
    const struct slice key = slice_from_string(lease->key);
    uv_update_time(lease->loop);
    lease->sent_ms = uv_now(lease->loop);
    script_call_begin(&lease->call, SCRIPT_LEASE, &key, 1, 2);
    script_call_argument(&lease->call, slice_from_string(lease->token));
    script_call_number(&lease->call, (int64_t)lease->lease_ms);
    script_call_send(&lease->call, lease->redis, on_lease_reply, lease);
}

/* -- closing -- */

static void destroy(struct stream_lease *lease)
{
    struct stream_lease_callbacks callbacks = lease->callbacks;
    void *owner = lease->owner;
    script_call_deinit(&lease->call);
    free(lease->key);
    free(lease);
    callbacks.on_closed(owner);
}

static void on_part_closed(struct stream_lease *lease)
{
    if (lease->redis == NULL && lease->open_timers == 0) {
        destroy(lease);
    }
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct stream_lease *lease = handle->data;
    lease->open_timers--;
    on_part_closed(lease);
}

static void finish(struct stream_lease *lease)
{
    if (lease->is_finished) {
        return;
    }
    lease->is_finished = true;
    redis_close(lease->redis);
    uv_close((uv_handle_t *)&lease->next, on_timer_closed);
    uv_close((uv_handle_t *)&lease->expiry, on_timer_closed);
}

static void on_released(void *owner, struct redisReply *reply)
{
    (void)reply;
    finish(owner);
}

static void release(struct stream_lease *lease)
{
    if (lease->is_finished) {
        return;
    }
    const struct slice key = slice_from_string(lease->key);
    script_call_begin(&lease->call, SCRIPT_RELEASE, &key, 1, 1);
    script_call_argument(&lease->call, slice_from_string(lease->token));
    if (!script_call_send(&lease->call, lease->redis, on_released, lease)) {
        finish(lease);
    }
}

static void on_close_wait_over(uv_timer_t *timer)
{
    finish(timer->data);
}

void stream_lease_close(struct stream_lease *lease)
{
    if (lease->is_closing) {
        return;
    }
    lease->is_closing = true;
    (void)uv_timer_stop(&lease->expiry);
    ASSERT(uv_timer_start(&lease->next, on_close_wait_over, CLOSE_WAIT_MS, 0) == 0);
    if (!lease->call.is_sent) {
        release(lease);
    }
}

/* -- the connection -- */

static void on_ready(void *owner)
{
    ask(owner);
}

static void on_lost(void *owner, const struct error *error)
{
    struct stream_lease *lease = owner;
    (void)error; /* redis.c logs it */
    if (lease->is_closing) {
        finish(lease);
    }
}

static void on_redis_closed(void *owner)
{
    struct stream_lease *lease = owner;
    lease->redis = NULL;
    on_part_closed(lease);
}

bool stream_lease_is_elsewhere(const struct stream_lease *lease)
{
    return lease->is_elsewhere;
}

const struct error *stream_lease_trouble(const struct stream_lease *lease)
{
    return &lease->trouble;
}

static void init_timer(struct stream_lease *lease, uv_timer_t *timer)
{
    ASSERT(uv_timer_init(lease->loop, timer) == 0);
    timer->data = lease;
    lease->open_timers++;
}

struct stream_lease *stream_lease_open(struct uv_loop_s *loop,
                                       const struct stream_lease_options *options,
                                       const struct stream_lease_callbacks *callbacks, void *owner)
{
    static const struct redis_callbacks redis_callbacks = {
        .on_ready = on_ready,
        .on_lost = on_lost,
        .on_closed = on_redis_closed,
    };
    struct stream_lease *lease = memory_allocate(sizeof(*lease));
    lease->loop = loop;
    lease->key = stream_key_derive(options->key, ":lease");
    lease->name = options->name != NULL ? options->name : "ingest";
    lease->lease_ms = options->lease_ms;
    lease->callbacks = *callbacks;
    lease->owner = owner;
    lease->backoff = (struct backoff){.base_ms = RETRY_BASE_MS, .limit_ms = RETRY_LIMIT_MS};
    (void)snprintf(lease->token, sizeof(lease->token), "%016llx%016llx",
                   (unsigned long long)random_bits(), (unsigned long long)random_bits());
    init_timer(lease, &lease->next);
    init_timer(lease, &lease->expiry);
    lease->redis = redis_open(loop, &options->redis, &redis_callbacks, lease);
    return lease;
}
