#include "stream/reader_trouble.h"

#include "base/panic.h"
#include "stream/redis_reply.h"

enum {
    RETRY_BASE_MS = 50,
    RETRY_LIMIT_MS = 5000
};

static enum reader_state state_of(const struct error *error)
{
    bool is_refused = error->kind == ERROR_REFUSED || error->kind == ERROR_USAGE;
    return is_refused ? READER_REFUSED : READER_AWAY;
}

static void set_step(struct reader_trouble *trouble, enum reader_step step, enum reader_state state)
{
    trouble->steps[step] = state;
    enum reader_state worst = READER_READY;
    for (unsigned i = 0; i < READER_STEP_COUNT; i++) {
        worst = trouble->steps[i] > worst ? trouble->steps[i] : worst;
    }
    if (worst != trouble->worst) {
        trouble->worst = worst;
        trouble->on_change(trouble->owner, worst);
    }
}

static void on_time(uv_timer_t *timer)
{
    const struct reader_trouble *trouble = timer->data;
    trouble->on_retry(trouble->owner);
}

void reader_trouble_init(struct reader_trouble *trouble, struct uv_loop_s *loop)
{
    trouble->backoff = (struct backoff){.base_ms = RETRY_BASE_MS, .limit_ms = RETRY_LIMIT_MS};
    ASSERT(uv_timer_init(loop, &trouble->timer) == 0);
    trouble->timer.data = trouble;
}

void reader_trouble_note(struct reader_trouble *trouble, enum reader_step step,
                         const struct redisReply *reply)
{
    struct error error;
    reply_error(reply, &error);
    uint64_t wait_ms = backoff_next_ms(&trouble->backoff);
    uint64_t suppressed;
    if (log_limit_pass(&trouble->limit, &suppressed)) {
        log_warning(trouble->object, "Redis refuses", LOG_TEXT("error", error.text),
                    LOG_INT("retry_ms", wait_ms), LOG_SUPPRESSED(suppressed));
    }
    set_step(trouble, step, state_of(&error));
    if (!uv_is_closing((uv_handle_t *)&trouble->timer)) {
        ASSERT(uv_timer_start(&trouble->timer, on_time, wait_ms, 0) == 0);
    }
}

void reader_trouble_note_lost(struct reader_trouble *trouble, const struct error *error)
{
    set_step(trouble, READER_STEP_CONNECT, state_of(error));
}

void reader_trouble_clear(struct reader_trouble *trouble, enum reader_step step)
{
    if (step != READER_STEP_CONNECT) {
        backoff_reset(&trouble->backoff);
    }
    if (trouble->steps[step] != READER_READY) {
        set_step(trouble, step, READER_READY);
    }
}

bool reader_trouble_waits(const struct reader_trouble *trouble)
{
    return uv_is_active((const uv_handle_t *)&trouble->timer);
}

void reader_trouble_stop_waiting(struct reader_trouble *trouble)
{
    if (!uv_is_closing((uv_handle_t *)&trouble->timer)) {
        (void)uv_timer_stop(&trouble->timer);
    }
}

void reader_trouble_close(struct reader_trouble *trouble, uv_close_cb on_closed, void *owner)
{
    trouble->timer.data = owner;
    uv_close((uv_handle_t *)&trouble->timer, on_closed);
}
