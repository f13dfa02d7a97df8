#include "stream/stream_monitor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/panic.h"
#include "stream/monitor_private.h"
#include "stream/redis_reply.h"
#include "stream/scripts.h"
#include <uv.h>

enum {
    COUNT_LIMIT = 1000,  /* entries that one look may walk over to count them */
    TRIM_LIMIT = 10000,  /* entries a call, so that Redis is never held up for long */
    MEMORY_PERCENT = 85, /* of maxmemory: the replay window is given up */
    PERCENT = 100,
    FIXED_ARGUMENTS = 3,
    SWEEP_INTERVAL_MS = 60000,
    SWEEP_LIMIT = 100, /* consumers a call */
    LOOK_ARGUMENTS = 4
};

struct stream_monitor {
    struct redis *redis; /* NULL once closed */
    struct stream_keys keys;
    char *ledger_key;
    char *meta_key;
    uint64_t max_length;
    const char *const *trim_groups;
    size_t trim_group_count;
    struct stream_monitor_callbacks callbacks;
    void *owner;

    uv_timer_t timer;
    bool is_timer_closed;
    struct script_call call; /* depth, then trim */
    struct script_call sweep;
    uint64_t consumer_idle_ms;
    uint64_t next_sweep_ms; /* by the loop's clock */
    struct stream_depth depth;
    struct stream_group groups[STREAM_GROUPS_MAX];
    struct monitor_rewind rewind;
    struct position confirmed; /* to tell with the next look; {0, 0}: nothing */
    struct position telling;   /* confirmed, with the look that is out */
    uint64_t confirmed_rewinds;
    uint64_t trimmed; /* since the last on_depth */
    struct log_limit error_limit;
    bool is_looking; /* from the first command to the last trim */
    bool look_due;
    bool is_closing;
};

static void proceed(struct stream_monitor *monitor);

static void tell_trouble(struct stream_monitor *monitor, const struct error *error)
{
    if (monitor->callbacks.on_trouble != NULL && !monitor->is_closing) {
        monitor->callbacks.on_trouble(monitor->owner, error);
    }
}

static void log_refusal(struct stream_monitor *monitor, const struct redisReply *reply)
{
    struct error error;
    uint64_t suppressed;
    reply_error(reply, &error);
    if (log_limit_pass(&monitor->error_limit, &suppressed)) {
        log_warning("stream_monitor", "Redis refuses", LOG_TEXT("error", error.text),
                    LOG_SUPPRESSED(suppressed));
    }
}

static void refuse_look(struct stream_monitor *monitor, const struct redisReply *reply)
{
    struct error error;
    log_refusal(monitor, reply);
    reply_error(reply, &error);
    tell_trouble(monitor, &error);
}

static void end_look(struct stream_monitor *monitor)
{
    monitor->is_looking = false;
    proceed(monitor);
}

/* -- arguments -- */

/* Our own group counts always, or we would trim what we have not read. */
static bool is_own_listed(const struct stream_monitor *monitor)
{
    for (size_t i = 0; i < monitor->trim_group_count; i++) {
        if (strcmp(monitor->trim_groups[i], monitor->keys.group) == 0) {
            return true;
        }
    }
    return monitor->trim_group_count == 0; /* all */
}

static size_t wanted_count(const struct stream_monitor *monitor)
{
    return monitor->trim_group_count + (is_own_listed(monitor) ? 0 : 1);
}

static void add_wanted(struct stream_monitor *monitor)
{
    for (size_t i = 0; i < monitor->trim_group_count; i++) {
        script_call_argument(&monitor->call, slice_from_string(monitor->trim_groups[i]));
    }
    if (!is_own_listed(monitor)) {
        script_call_argument(&monitor->call, slice_from_string(monitor->keys.group));
    }
}

/* -- trimming -- */

static bool is_memory_short(const struct stream_depth *depth)
{
    return depth->max_memory > 0 &&
           depth->used_memory >= depth->max_memory / PERCENT * MEMORY_PERCENT;
}

static uint64_t entries_to_keep(const struct stream_monitor *monitor)
{
    return is_memory_short(&monitor->depth) ? 0 : monitor->max_length;
}

static void send_trim(struct stream_monitor *monitor);

static void on_trimmed(void *owner, struct redisReply *reply)
{
    struct stream_monitor *monitor = owner;
    int64_t removed = reply_number(reply_element(reply, 0));
    int64_t length = reply_number(reply_element(reply, 1));
    if (reply != NULL && !reply_is_array(reply)) {
        log_refusal(monitor, reply);
    }
    if (removed > 0) {
        monitor->trimmed += (uint64_t)removed;
    }
    if (removed > 0 && (uint64_t)length > entries_to_keep(monitor) && !monitor->is_closing) {
        send_trim(monitor);
        return;
    }
    end_look(monitor);
}

static void send_trim(struct stream_monitor *monitor)
{
    const struct slice keys[] = {slice_from_string(monitor->keys.key),
                                 slice_from_string(monitor->meta_key)};
    script_call_begin(&monitor->call, SCRIPT_TRIM, keys, sizeof(keys) / sizeof(keys[0]),
                      FIXED_ARGUMENTS + wanted_count(monitor));
    script_call_number(&monitor->call, (int64_t)entries_to_keep(monitor));
    script_call_number(&monitor->call, TRIM_LIMIT);
    script_call_number(&monitor->call, is_memory_short(&monitor->depth) ? 1 : 0);
    add_wanted(monitor);
    if (!script_call_send(&monitor->call, monitor->redis, on_trimmed, monitor)) {
        end_look(monitor);
    }
}

/* -- after a rewind: entries are counted back, some at a time -- */

static void trim_or_end(struct stream_monitor *monitor)
{
    bool must_trim =
        monitor->depth.has_committed && monitor->depth.length > entries_to_keep(monitor);
    if (must_trim && !monitor->is_closing) {
        send_trim(monitor);
    } else {
        end_look(monitor);
    }
}

static void on_recounted(void *owner, struct redisReply *reply)
{
    struct stream_monitor *monitor = owner;
    if (reply != NULL && !reply_is_array(reply)) {
        log_refusal(monitor, reply);
    }
    bool has_more = reply_is_array(reply) && reply_number(reply_element(reply, 0)) == 0;
    if (!has_more || monitor->is_closing ||
        !monitor_send_recount(monitor, &monitor->call, on_recounted)) {
        end_look(monitor);
    }
}

/* -- looking -- */

enum depth_element {
    DEPTH_LENGTH,
    DEPTH_FIRST,
    DEPTH_LAST,
    DEPTH_MARK,
    DEPTH_MARK_EXCLUDED,
    DEPTH_PENDING,
    DEPTH_UNDELIVERED,
    DEPTH_EXACT,
    DEPTH_LAG_KNOWN,
    DEPTH_IDLE,
    DEPTH_DEAD_LETTERS,
    DEPTH_LEDGER,
    DEPTH_METRICS,
    DEPTH_META,
    DEPTH_GROUPS,
    DEPTH_OLDEST_TIME
};

static uint64_t element_number(const struct redisReply *reply, enum depth_element element)
{
    int64_t number = reply_number(reply_element(reply, element));
    return number > 0 ? (uint64_t)number : 0;
}

static struct position text_position(struct slice text)
{
    struct position position = {0};
    if (!position_parse(text, &position)) {
        position = (struct position){0};
    }
    return position;
}

static struct position element_position(const struct redisReply *reply, enum depth_element element)
{
    return text_position(reply_text(reply_element(reply, element)));
}

/* Hash values come as text, and nil where nothing was counted yet. */
static uint64_t counter(const struct redisReply *counters, size_t index)
{
    struct slice text = reply_text(reply_element(counters, index));
    return text.size > 0 ? strtoull(text.data, NULL, 10) : 0;
}

static void read_ledger(struct stream_ledger *ledger, const struct redisReply *counters,
                        const struct redisReply *metrics)
{
    uint64_t *const counted[] = {
        &ledger->received, &ledger->appended,    &ledger->duplicate, &ledger->filtered,
        &ledger->ignored,  &ledger->dead_frames, &ledger->committed, &ledger->dead_entries,
        &ledger->written,  &ledger->unchanged,   &ledger->skipped,   &ledger->dead_ops,
        &ledger->syncs,
    };
    uint64_t *const typed[] = {&ledger->commits, &ledger->identities, &ledger->accounts};
    for (size_t i = 0; i < sizeof(counted) / sizeof(counted[0]); i++) {
        *counted[i] = counter(counters, i);
    }
    for (size_t i = 0; i < sizeof(typed) / sizeof(typed[0]); i++) {
        *typed[i] = counter(metrics, i);
    }
}

static void read_meta(struct stream_depth *depth, const struct redisReply *meta)
{
    enum {
        META_HOST,
        META_EPOCH,
        META_QUEUED,
        META_SAVED,
        META_REFETCH,
        META_AGAIN_TO,
        META_REWINDS,
        META_POSTGRES_STARTED
    };
    depth->host = reply_text(reply_element(meta, META_HOST));
    depth->queued.epoch = counter(meta, META_EPOCH);
    depth->queued.sequence = (int64_t)counter(meta, META_QUEUED);
    depth->has_meta = depth->host.size > 0 && depth->queued.epoch > 0;
    depth->saved = text_position(reply_text(reply_element(meta, META_SAVED)));
    depth->has_saved = !reply_is_nil(reply_element(meta, META_SAVED));
    depth->rewinds = counter(meta, META_REWINDS);
    depth->postgres_started_us = (int64_t)counter(meta, META_POSTGRES_STARTED);
    depth->refetch = text_position(reply_text(reply_element(meta, META_REFETCH)));
}

static void read_depth(struct stream_depth *depth, const struct redisReply *reply)
{
    depth->length = element_number(reply, DEPTH_LENGTH);
    depth->first = element_position(reply, DEPTH_FIRST);
    depth->last = element_position(reply, DEPTH_LAST);
    depth->has_committed = !reply_is_nil(reply_element(reply, DEPTH_MARK));
    depth->committed = element_position(reply, DEPTH_MARK);
    if (element_number(reply, DEPTH_MARK_EXCLUDED) == 1) {
        depth->committed = position_before(depth->committed);
    }
    depth->pending = element_number(reply, DEPTH_PENDING);
    depth->undelivered = element_number(reply, DEPTH_UNDELIVERED);
    depth->is_lag_known = element_number(reply, DEPTH_LAG_KNOWN) == 1;
    depth->backlog = depth->pending + depth->undelivered;
    depth->oldest_pending_ms = element_number(reply, DEPTH_IDLE);
    depth->oldest_time = reply_text(reply_element(reply, DEPTH_OLDEST_TIME));
    depth->dead_letters = element_number(reply, DEPTH_DEAD_LETTERS);
    read_ledger(&depth->ledger, reply_element(reply, DEPTH_LEDGER),
                reply_element(reply, DEPTH_METRICS));
    read_meta(depth, reply_element(reply, DEPTH_META));
}

static void read_groups(struct stream_monitor *monitor, const struct redisReply *list)
{
    size_t count = reply_count(list);
    monitor->depth.groups = monitor->groups;
    monitor->depth.group_count = count < STREAM_GROUPS_MAX ? count : STREAM_GROUPS_MAX;
    for (size_t i = 0; i < monitor->depth.group_count; i++) {
        const struct redisReply *group = reply_element(list, i);
        monitor->groups[i] = (struct stream_group){
            .name = reply_text(reply_element(group, 0)),
            .is_behind = reply_number(reply_element(group, 1)) == 1,
            .idle_ms = reply_number(reply_element(group, 2)),
        };
    }
}

static bool is_recounting(const struct redisReply *reply)
{
    enum {
        META_AGAIN_TO = 5
    };
    return !reply_is_nil(reply_element(reply_element(reply, DEPTH_META), META_AGAIN_TO));
}

static void on_depth(void *owner, struct redisReply *reply)
{
    struct stream_monitor *monitor = owner;
    if (!reply_is_array(reply)) {
        if (reply != NULL) {
            refuse_look(monitor, reply);
        }
        end_look(monitor);
        return;
    }
    read_depth(&monitor->depth, reply);
    read_groups(monitor, reply_element(reply, DEPTH_GROUPS));
    monitor->depth.trimmed = monitor->trimmed;
    monitor->trimmed = 0;
    if (position_compare(monitor->confirmed, monitor->telling) == 0) {
        monitor->confirmed = (struct position){0};
    }
    if (!monitor->is_closing) {
        monitor->callbacks.on_depth(monitor->owner, &monitor->depth);
    }
    if (!is_recounting(reply) || monitor->is_closing ||
        !monitor_send_recount(monitor, &monitor->call, on_recounted)) {
        trim_or_end(monitor);
    }
}

static uint64_t info_number(struct slice info, const char *name)
{
    const char *found = info.size == 0 ? NULL : memmem(info.data, info.size, name, strlen(name));
    /* hiredis ends each string with a zero byte, so strtoull() stops within it. */
    return found == NULL ? 0 : strtoull(found + strlen(name), NULL, 10);
}

static void read_policy(struct stream_depth *depth, struct slice info)
{
    static const char name[] = "maxmemory_policy:";
    const char *found = info.size == 0 ? NULL : memmem(info.data, info.size, name, strlen(name));
    const char *value = found == NULL ? "" : found + strlen(name);
    size_t size = strcspn(value, "\r\n"); /* ends with a zero byte, as above */
    (void)snprintf(depth->eviction_policy, sizeof(depth->eviction_policy), "%.*s", (int)size,
                   value);
}

static void on_memory(void *owner, struct redisReply *reply)
{
    struct stream_monitor *monitor = owner;
    struct slice info = reply_text(reply);
    if (info.size == 0 || reply_is_error(reply)) {
        return; /* what was known stays: a guard that is lost with one answer is none */
    }
    monitor->depth.used_memory = info_number(info, "used_memory:");
    monitor->depth.max_memory = info_number(info, "maxmemory:");
    read_policy(&monitor->depth, info);
}

/* -- consumers that were left behind -- */

static void on_swept(void *owner, struct redisReply *reply)
{
    struct stream_monitor *monitor = owner;
    int64_t deleted = reply_number(reply);
    if (reply_is_error(reply)) {
        log_refusal(monitor, reply);
    } else if (deleted > 0) {
        log_info("stream_monitor", "removed consumers that were idle and had nothing pending",
                 LOG_INT("consumers", deleted), LOG_TEXT("group", monitor->keys.group));
    }
}

/* Beside a look: what is not answered is asked again with a later one. */
static void sweep(struct stream_monitor *monitor)
{
    const struct slice key = slice_from_string(monitor->keys.key);
    uint64_t now_ms = uv_now(monitor->timer.loop);
    if (monitor->consumer_idle_ms == 0 || monitor->sweep.is_sent ||
        now_ms < monitor->next_sweep_ms) {
        return;
    }
    monitor->next_sweep_ms = now_ms + SWEEP_INTERVAL_MS;
    script_call_begin(&monitor->sweep, SCRIPT_SWEEP, &key, 1, 3);
    script_call_argument(&monitor->sweep, slice_from_string(monitor->keys.group));
    script_call_number(&monitor->sweep, (int64_t)monitor->consumer_idle_ms);
    script_call_number(&monitor->sweep, SWEEP_LIMIT);
    (void)script_call_send(&monitor->sweep, monitor->redis, on_swept, monitor);
}

/* {0, 0} as nothing. */
static void add_position(struct stream_monitor *monitor, struct position position)
{
    struct buffer text = {0};
    if (position.epoch > 0) {
        position_append(&text, position);
    }
    script_call_argument(&monitor->call, buffer_slice(&text));
    buffer_deinit(&text);
}

static void send_look(struct stream_monitor *monitor)
{
    const struct slice memory[] = {SLICE("INFO"), SLICE("memory")};
    const struct slice keys[] = {slice_from_string(monitor->keys.key),
                                 slice_from_string(monitor->keys.dead_letter_key),
                                 slice_from_string(monitor->ledger_key), SLICE(STREAM_METRICS_KEY),
                                 slice_from_string(monitor->meta_key)};
    monitor->look_due = false;
    monitor->is_looking = true;
    script_call_begin(&monitor->call, SCRIPT_DEPTH, keys, sizeof(keys) / sizeof(keys[0]),
                      LOOK_ARGUMENTS + wanted_count(monitor));
    script_call_argument(&monitor->call, slice_from_string(monitor->keys.group));
    script_call_number(&monitor->call, COUNT_LIMIT);
    monitor->telling = monitor->confirmed;
    add_position(monitor, monitor->confirmed);
    script_call_number(&monitor->call, (int64_t)monitor->confirmed_rewinds);
    add_wanted(monitor);
    bool is_sent = redis_send(monitor->redis, memory, 2, on_memory, monitor) &&
                   script_call_send(&monitor->call, monitor->redis, on_depth, monitor);
    monitor->is_looking = is_sent;
    monitor->look_due = !is_sent;
    sweep(monitor);
}

void stream_monitor_note_saved(struct stream_monitor *monitor, struct position saved,
                               uint64_t rewinds)
{
    monitor->confirmed = saved;
    monitor->confirmed_rewinds = rewinds;
    stream_monitor_look(monitor);
}

/* -- for programs beside us -- */

struct monitor_parts stream_monitor_parts(struct stream_monitor *monitor)
{
    return (struct monitor_parts){.redis = stream_monitor_redis(monitor),
                                  .keys = monitor->keys,
                                  .meta_key = slice_from_string(monitor->meta_key),
                                  .ledger_key = slice_from_string(monitor->ledger_key),
                                  .rewind = &monitor->rewind,
                                  .callbacks = &monitor->callbacks,
                                  .owner = monitor->owner};
}

struct redis *stream_monitor_redis(const struct stream_monitor *monitor)
{
    return monitor->is_closing ? NULL : monitor->redis;
}

struct slice stream_monitor_dead_letter_key(const struct stream_monitor *monitor)
{
    return slice_from_string(monitor->keys.dead_letter_key);
}

static void on_announced(void *owner, struct redisReply *reply)
{
    (void)owner;
    (void)reply;
}

/* A status that could not be set expires, which says the same. */
bool stream_monitor_announce(struct stream_monitor *monitor, struct slice json)
{
    const struct slice command[] = {SLICE("SETEX"), SLICE("firehose:status"), SLICE("10"), json};
    return !monitor->is_closing &&
           redis_send(monitor->redis, command, sizeof(command) / sizeof(command[0]), on_announced,
                      NULL);
}

/* -- life -- */

static void destroy(struct stream_monitor *monitor)
{
    struct stream_monitor_callbacks callbacks = monitor->callbacks;
    void *owner = monitor->owner;
    script_call_deinit(&monitor->call);
    script_call_deinit(&monitor->sweep);
    script_call_deinit(&monitor->rewind.call);
    free(monitor->ledger_key);
    free(monitor->meta_key);
    free(monitor);
    callbacks.on_closed(owner);
}

static void proceed(struct stream_monitor *monitor)
{
    if (monitor->is_closing) {
        if (monitor->redis == NULL && monitor->is_timer_closed) {
            destroy(monitor);
        }
        return;
    }
    if (monitor->look_due && !monitor->is_looking && redis_is_ready(monitor->redis)) {
        send_look(monitor);
    }
}

void stream_monitor_look(struct stream_monitor *monitor)
{
    monitor->look_due = true;
    proceed(monitor);
}

static void on_interval(uv_timer_t *timer)
{
    stream_monitor_look(timer->data);
}

static void on_ready(void *owner)
{
    proceed(owner);
}

static void on_lost(void *owner, const struct error *error)
{
    tell_trouble(owner, error); /* redis.c logs it; the look in flight has ended with NULL */
}

static void on_redis_closed(void *owner)
{
    struct stream_monitor *monitor = owner;
    monitor->redis = NULL;
    proceed(monitor);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct stream_monitor *monitor = handle->data;
    monitor->is_timer_closed = true;
    proceed(monitor);
}

void stream_monitor_close(struct stream_monitor *monitor)
{
    if (monitor->is_closing) {
        return;
    }
    monitor->is_closing = true;
    redis_close(monitor->redis);
    uv_close((uv_handle_t *)&monitor->timer, on_timer_closed);
}

struct stream_monitor *stream_monitor_open(struct uv_loop_s *loop,
                                           const struct stream_monitor_options *options,
                                           const struct stream_monitor_callbacks *callbacks,
                                           void *owner)
{
    static const struct redis_callbacks redis_callbacks = {
        .on_ready = on_ready,
        .on_lost = on_lost,
        .on_closed = on_redis_closed,
    };
    struct stream_monitor *monitor = memory_allocate(sizeof(*monitor));
    monitor->keys = options->keys;
    monitor->ledger_key = stream_key_derive(options->keys.key, ":ledger");
    monitor->meta_key = stream_key_derive(options->keys.key, ":meta");
    monitor->max_length = options->max_length;
    monitor->trim_groups = options->trim_groups;
    monitor->trim_group_count = options->trim_group_count;
    monitor->consumer_idle_ms = options->consumer_idle_ms;
    monitor->callbacks = *callbacks;
    monitor->owner = owner;
    monitor->timer.data = monitor;
    ASSERT(uv_timer_init(loop, &monitor->timer) == 0);
    if (options->interval_ms > 0) {
        ASSERT(uv_timer_start(&monitor->timer, on_interval, options->interval_ms,
                              options->interval_ms) == 0);
    }
    monitor->look_due = options->interval_ms > 0;
    monitor->redis = redis_open(loop, &options->redis, &redis_callbacks, monitor);
    return monitor;
}
