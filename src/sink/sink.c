#include "sink/sink.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/panic.h"
#include "sink/lanes.h"
#include "sink/part_queue.h"
#include "sink/purger.h"
#include "sink/writer.h"

#include <uv.h>

enum {
    US_PER_MS = 1000,
    LAST_HANDLES = 3, /* two timers and the membership */
    LANE_PATIENCE_MS = 2000,
    /* What a failed transaction held goes entry by entry: after one the next hold less, and each of them a little more. */
    FAILURE_PART = 4,
    RECOVERY_PART = 16
};

struct sink {
    struct sink_callbacks callbacks;
    void *owner;
    size_t batch_bytes;
    size_t batch_entries;
    size_t full_entries;
    size_t entries_limit; /* batch_entries, or less since a transaction failed */
    uint64_t batch_age_us;
    /* A lane that somebody has for longer is one of a transaction that is held up: it is done without. */
    uint64_t lane_patience_us;
    uint64_t lane_wait_since_us; /* 0: no connection is idle for want of a lane */
    char *object;                /* the log's */
    enum sink_state state;
    struct error why;   /* of the state */
    bool is_told_ready; /* the last thing that the log has heard */
    struct log_limit away_limit;
    bool is_closing;
    struct part_queues waiting;
    struct lanes *own_lanes; /* NULL: they are shared */
    struct lane_member *member;
    uint32_t *held; /* lanes, of each writer */
    struct table_plan *plan;
    struct purger *purger;   /* NULL: none, or closed */
    struct writer **writers; /* NULL once closed */
    unsigned writer_count;
    unsigned open_handles; /* writers, purger, timers and the membership */
    uv_timer_t timer;      /* the end of draining */
    uv_timer_t age;        /* when the oldest waiting batch has waited long enough */
};

/* --- state --- */

/* The set-up is wrong wherever one says so; away where a batch is held, or nobody is connected. */
static enum sink_state combine_states(const struct sink *sink)
{
    bool is_ready = false;
    bool is_away = false;
    bool is_held = false;
    for (unsigned i = 0; i < sink->writer_count; i++) {
        const struct writer *writer = sink->writers[i];
        enum sink_state state = writer != NULL ? writer_state(writer) : SINK_CONNECTING;
        if (state == SINK_MISCONFIGURED) {
            return state;
        }
        is_ready = is_ready || state == SINK_READY;
        is_away = is_away || state == SINK_AWAY;
        is_held = is_held || (state == SINK_AWAY && writer_has_batches(writer));
    }
    if (is_held || (is_away && !is_ready)) {
        return SINK_AWAY;
    }
    return is_ready ? SINK_READY : SINK_CONNECTING;
}

static void log_away(struct sink *sink, const char *message)
{
    uint64_t suppressed = 0;
    if (log_limit_pass(&sink->away_limit, &suppressed)) {
        log_warning(sink->object, message, LOG_TEXT("why", sink->why.text),
                    LOG_SUPPRESSED(suppressed));
        sink->is_told_ready = sink->is_told_ready && sink->state == SINK_READY;
    }
}

/* One voice for all connections: what each of them meets is in the debug log. */
static void log_state(struct sink *sink, bool is_news, bool has_failed)
{
    switch (sink->state) {
    case SINK_CONNECTING:
    case SINK_AWAY:
        log_away(sink, "away");
        return;
    case SINK_MISCONFIGURED:
        if (is_news) {
            log_error(sink->object, "the set-up of PostgreSQL is wrong",
                      LOG_TEXT("why", sink->why.text));
            sink->is_told_ready = false;
        }
        return;
    case SINK_READY:
        if (has_failed) {
            log_away(sink, "a connection is away");
        } else if (!sink->is_told_ready) {
            log_info(sink->object, "connected", LOG_INT("connections", sink->writer_count));
            sink->is_told_ready = true;
        }
        return;
    }
}

/* The reason for a wrong set-up is news as well: the first one may have hidden a second. */
static void on_writer_state(void *owner, struct writer *writer, const struct error *error)
{
    struct sink *sink = owner;
    (void)writer;
    if (sink->is_closing) {
        return;
    }
    enum sink_state state = combine_states(sink);
    bool is_news = state != sink->state ||
                   (state == SINK_MISCONFIGURED && error != NULL && error->kind == ERROR_REFUSED &&
                    strcmp(error->text, sink->why.text) != 0);
    sink->state = state;
    if (error != NULL) {
        sink->why = *error;
    }
    log_state(sink, is_news, error != NULL);
    if (is_news && sink->callbacks.on_state != NULL) {
        sink->callbacks.on_state(sink->owner, state, state == SINK_READY ? NULL : &sink->why);
    }
}

/* --- groups: what goes in one transaction --- */

/* How many are idle, and where the first of them is. */
static unsigned find_idle(const struct sink *sink, unsigned *place)
{
    unsigned count = 0;
    for (unsigned i = sink->writer_count; i-- > 0;) {
        if (sink->writers[i] != NULL && writer_is_idle(sink->writers[i])) {
            *place = i;
            count++;
        }
    }
    return count;
}

/* A fair share of what waits, so that the other idle connections have something to do as well; what does not fill a
 * transaction is not worth dividing. */
static size_t share_of(const struct sink *sink, unsigned idle)
{
    ASSERT(idle > 0);
    size_t share = part_queues_entries(&sink->waiting) / idle;
    return share > sink->full_entries ? share : sink->full_entries;
}

static uint64_t age_us(const struct sink_batch *batch)
{
    return clock_monotonic_us() - batch->submitted_us;
}

/* Nothing where somebody has it, unless for too long. Where nothing of it has room, the lane is left to others. */
static void take_lane(struct sink *sink, unsigned lane, struct part_group *group)
{
    struct part_queue *queue = &sink->waiting.lanes[lane];
    if (!part_group_has_room(group, queue, sink->batch_bytes, sink->entries_limit)) {
        return;
    }
    bool has_lane = lanes_take(sink->member, lane);
    if (!has_lane && age_us(part_queue_first(queue)) < sink->lane_patience_us) {
        return;
    }
    group->lanes |= has_lane ? UINT32_C(1) << lane : 0;
    unsigned taken = part_group_take(group, queue, sink->batch_bytes, sink->entries_limit);
    if (!has_lane && sink->callbacks.on_lane_bypass != NULL) {
        sink->callbacks.on_lane_bypass(sink->owner, taken);
    }
}

/* Lane by lane, the oldest first, those that can be had. False where there is none. */
static bool take_group(struct sink *sink, unsigned idle, struct part_group *group)
{
    struct part_queues *waiting = &sink->waiting;
    size_t share = share_of(sink, idle);
    uint32_t tried = 0;
    part_group_init(group);
    struct sink_batch *alone = part_queue_take(&waiting->alone);
    if (alone != NULL) {
        list_append(&group->parts, &alone->node);
        return true;
    }
    for (unsigned lane; (lane = part_queues_oldest(waiting, tried)) < LANE_COUNT;) {
        bool is_enough = group->entries >= share || group->bytes >= sink->batch_bytes;
        if (group->entries > 0 && is_enough) {
            break;
        }
        tried |= UINT32_C(1) << lane;
        take_lane(sink, lane, group);
    }
    return !list_is_empty(&group->parts);
}

/* What waits fills a transaction of its own beside any other. */
static bool is_full(const struct sink *sink)
{
    return part_queues_bytes(&sink->waiting) >= sink->batch_bytes ||
           part_queues_entries(&sink->waiting) >= sink->full_entries;
}

static bool is_any_out(const struct sink *sink)
{
    for (unsigned i = 0; i < sink->writer_count; i++) {
        if (sink->writers[i] != NULL && writer_is_running(sink->writers[i])) {
            return true;
        }
    }
    return false;
}

/* What is left of `limit_us` to the oldest of the parts that wait for a lane. */
static uint64_t left_to_oldest_us(const struct part_queues *waiting, uint64_t limit_us)
{
    uint64_t age = age_us(part_queue_first(&waiting->lanes[part_queues_oldest(waiting, 0)]));
    return age < limit_us ? limit_us - age : 0;
}

/* How much longer the first of the waiting parts may wait for others; 0: it is to go. Beside a transaction it costs the
 * server less to join the next than to have one of its own, and the end of that one is near. */
static uint64_t wait_left_us(struct sink *sink)
{
    const struct part_queues *waiting = &sink->waiting;
    if (part_queue_first(&waiting->alone) != NULL || is_full(sink) || !is_any_out(sink)) {
        return 0;
    }
    return left_to_oldest_us(waiting, sink->batch_age_us);
}

static void dispatch(struct sink *sink);

static void on_age(uv_timer_t *timer)
{
    dispatch(timer->data);
}

static void look_again(struct sink *sink, uint64_t wait_us)
{
    int result = uv_timer_start(&sink->age, on_age, wait_us / US_PER_MS + 1, 0);
    ASSERT(result == 0);
}

/* True where the first of the waiting parts waits on; it is looked at again when its time is over. */
static bool is_gathering(struct sink *sink)
{
    uint64_t left_us = wait_left_us(sink);
    if (left_us > 0) {
        look_again(sink, left_us);
    }
    return left_us > 0;
}

/* Told with each look, so that a long wait is seen while it lasts. */
static void end_lane_wait(struct sink *sink)
{
    uint64_t since_us = sink->lane_wait_since_us;
    sink->lane_wait_since_us = 0;
    if (since_us != 0 && sink->callbacks.on_lane_wait != NULL) {
        sink->callbacks.on_lane_wait(sink->owner, clock_monotonic_us() - since_us);
    }
}

static void lower_limit(struct sink *sink)
{
    size_t limit = sink->batch_entries / FAILURE_PART;
    sink->entries_limit = limit > 0 ? limit : 1;
}

static void raise_limit(struct sink *sink)
{
    size_t limit = sink->entries_limit + sink->entries_limit / RECOVERY_PART + 1;
    sink->entries_limit = limit < sink->batch_entries ? limit : sink->batch_entries;
}

static void dispatch(struct sink *sink)
{
    end_lane_wait(sink);
    while (!sink->is_closing && !part_queues_are_empty(&sink->waiting)) {
        unsigned place = 0;
        unsigned idle = find_idle(sink, &place);
        struct part_group group;
        if (idle == 0 || is_gathering(sink)) {
            break;
        }
        if (!take_group(sink, idle, &group)) {
            sink->lane_wait_since_us = clock_monotonic_us();
            /* Or a lane is free before that. */
            look_again(sink, left_to_oldest_us(&sink->waiting, sink->lane_patience_us));
            break;
        }
        sink->held[place] = group.lanes;
        raise_limit(sink);
        writer_give(sink->writers[place], &group.parts);
    }
    if (sink->member != NULL) { /* also while it drains: what is kept for it is for others then */
        lanes_settle(sink->member);
    }
}

static void on_lane_free(void *owner)
{
    dispatch(owner);
}

/* The writer's own next group comes after what others wait for. */
static void on_writer_yield(void *owner, struct writer *writer)
{
    struct sink *sink = owner;
    for (unsigned i = 0; i < sink->writer_count; i++) {
        if (sink->writers[i] == writer) {
            lanes_give_back(sink->member, sink->held[i]);
            sink->held[i] = 0;
        }
    }
}

static void on_writer_idle(void *owner, struct writer *writer)
{
    (void)writer;
    dispatch(owner);
}

static void on_writer_rows(void *owner, size_t table, const struct sink_rows *rows)
{
    struct sink *sink = owner;
    if (sink->callbacks.on_rows != NULL) {
        sink->callbacks.on_rows(sink->owner, table, rows);
    }
}

static void on_writer_error(void *owner, const char *sqlstate)
{
    struct sink *sink = owner;
    lower_limit(sink);
    if (sink->callbacks.on_error != NULL) {
        sink->callbacks.on_error(sink->owner, sqlstate);
    }
}

void sink_submit(struct sink *sink, struct sink_batch *batch)
{
    batch->submitted_us = clock_monotonic_us();
    struct split *split = split_create(batch);
    unsigned count = split_part_count(split); /* it may be gone after the last */
    for (unsigned i = 0; i < count; i++) {
        part_queues_append(&sink->waiting, split_part(split, i));
    }
    dispatch(sink); /* while closing it waits for the end, which is told from a close callback */
}

/* --- life --- */

static void fail_queue(struct part_queue *queue, const struct error *error)
{
    static const struct sink_outcome nothing = {0};
    for (struct sink_batch *part; (part = part_queue_take(queue)) != NULL;) {
        part->on_done(part, &nothing, error);
    }
}

static void fail_waiting(struct sink *sink)
{
    struct error error;
    error_set(&error, ERROR_CLOSED, "postgres: the sink was closed before the batch was begun");
    fail_queue(&sink->waiting.alone, &error);
    for (unsigned i = 0; i < LANE_COUNT; i++) {
        fail_queue(&sink->waiting.lanes[i], &error);
    }
}

static void finish_closing(struct sink *sink)
{
    if (--sink->open_handles > 0) {
        return;
    }
    fail_waiting(sink);
    struct sink_callbacks callbacks = sink->callbacks;
    void *owner = sink->owner;
    free(sink->writers);
    free(sink->held);
    lanes_destroy(sink->own_lanes);
    table_plan_destroy(sink->plan);
    free(sink->object);
    free(sink);
    if (callbacks.on_closed != NULL) {
        callbacks.on_closed(owner);
    }
}

static void on_timer_closed(uv_handle_t *handle)
{
    finish_closing(handle->data);
}

static void on_left(void *owner)
{
    finish_closing(owner);
}

/* One of writers and purger has closed; the others go last. */
static void close_last(struct sink *sink)
{
    if (sink->open_handles == LAST_HANDLES + 1) {
        uv_close((uv_handle_t *)&sink->timer, on_timer_closed);
        uv_close((uv_handle_t *)&sink->age, on_timer_closed);
        lanes_leave(sink->member, on_left);
        sink->member = NULL;
    }
    finish_closing(sink);
}

static void on_writer_closed(void *owner, struct writer *writer)
{
    struct sink *sink = owner;
    for (unsigned i = 0; i < sink->writer_count; i++) {
        if (sink->writers[i] == writer) {
            sink->writers[i] = NULL;
        }
    }
    close_last(sink);
}

static void on_purger_forgotten(void *owner, uint64_t tombstones)
{
    const struct sink *sink = owner;
    if (sink->callbacks.on_forgotten != NULL) {
        sink->callbacks.on_forgotten(sink->owner, tombstones);
    }
}

static void on_purger_closed(void *owner)
{
    struct sink *sink = owner;
    sink->purger = NULL;
    close_last(sink);
}

static void on_drain_over(uv_timer_t *timer)
{
    struct sink *sink = timer->data;
    for (unsigned i = 0; i < sink->writer_count; i++) {
        if (sink->writers[i] != NULL) {
            writer_close(sink->writers[i]);
        }
    }
}

void sink_close(struct sink *sink, uint64_t drain_ms)
{
    if (sink->is_closing) {
        return;
    }
    sink->is_closing = true;
    end_lane_wait(sink);
    fail_waiting(sink);
    if (sink->purger != NULL) {
        purger_close(sink->purger);
    }
    int result = uv_timer_start(&sink->timer, on_drain_over, drain_ms, 0);
    ASSERT(result == 0);
    for (unsigned i = 0; i < sink->writer_count; i++) {
        if (sink->writers[i] != NULL) {
            writer_drain(sink->writers[i]);
        }
    }
}

static char *name_object(const char *name)
{
    struct buffer object = {0};
    buffer_append_format(&object, "postgres[%s]", name);
    buffer_append_byte(&object, '\0');
    return object.data;
}

static void open_purger(struct sink *sink, struct uv_loop_s *loop,
                        const struct sink_options *options)
{
    static const struct purger_callbacks callbacks = {.on_rows = on_writer_rows,
                                                      .on_forgotten = on_purger_forgotten,
                                                      .on_closed = on_purger_closed};
    sink->open_handles++;
    sink->purger = purger_open(loop, options, sink->plan, &callbacks, sink);
}

static void open_lanes(struct sink *sink, struct uv_loop_s *loop, struct lanes *shared)
{
    part_queues_init(&sink->waiting);
    sink->own_lanes = shared == NULL ? lanes_create() : NULL;
    sink->member = lanes_join(shared != NULL ? shared : sink->own_lanes, loop, on_lane_free, sink);
}

struct sink *sink_open(struct uv_loop_s *loop, const struct sink_options *options,
                       const struct sink_callbacks *callbacks, void *owner)
{
    static const struct writer_callbacks writer_callbacks = {.on_idle = on_writer_idle,
                                                             .on_yield = on_writer_yield,
                                                             .on_state = on_writer_state,
                                                             .on_rows = on_writer_rows,
                                                             .on_error = on_writer_error,
                                                             .on_closed = on_writer_closed};
    struct sink *sink = memory_allocate(sizeof(*sink));
    ASSERT(options->connections > 0);
    sink->callbacks = *callbacks;
    sink->owner = owner;
    sink->object = name_object(options->name);
    sink->batch_bytes = options->batch_bytes;
    sink->batch_entries = options->batch_entries;
    sink->full_entries = options->full_entries;
    sink->entries_limit = options->batch_entries;
    sink->batch_age_us = options->batch_age_ms * US_PER_MS;
    sink->lane_patience_us =
        (options->lane_patience_ms != 0 ? options->lane_patience_ms : LANE_PATIENCE_MS) * US_PER_MS;
    sink->plan = table_plan_create(options->tables);
    sink->state = SINK_CONNECTING;
    open_lanes(sink, loop, options->lanes);
    sink->writer_count = options->connections;
    sink->writers = memory_allocate(options->connections * sizeof(struct writer *));
    sink->held = memory_allocate(options->connections * sizeof(*sink->held));
    sink->open_handles = options->connections + LAST_HANDLES;
    int result = uv_timer_init(loop, &sink->timer);
    ASSERT(result == 0);
    result = uv_timer_init(loop, &sink->age);
    ASSERT(result == 0);
    sink->timer.data = sink;
    sink->age.data = sink;
    for (unsigned i = 0; i < options->connections; i++) {
        sink->writers[i] = writer_open(loop, options, sink->plan, &writer_callbacks, sink);
    }
    if (options->clears_repos) {
        open_purger(sink, loop, options);
    }
    return sink;
}
