#include "runtime/dead_letter_courier.h"

#include <stdio.h>
#include <stdlib.h>

#include <uv.h>

#include "base/backoff.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/panic.h"
#include "sink/dead_letter_store.h"
#include "stream/dead_letter_mirror.h"
#include "stream/stream_lease.h"

enum {
    CONNECT_TIMEOUT_MS = 5000,
    REPLY_TIMEOUT_MS = 15000,
    INTERVAL_MS = 1000,
    COUNT_INTERVAL_MS = 10000,
    BACKOFF_BASE_MS = 200,
    BACKOFF_LIMIT_MS = 10000,
    LOG_INTERVAL_MS = 60000,
    LOAD_BYTES = 1 << 20,
    NAME_SIZE = 640
};

enum courier_state {
    COURIER_WAITING, /* for the timer */
    COURIER_HOLDING,
    COURIER_READING,
    COURIER_KEEPING,
    COURIER_ACKNOWLEDGING,
    COURIER_LOADING,
    COURIER_ADDING,
    COURIER_NOTING,
    COURIER_FORGETTING,
    COURIER_COUNTING,
    COURIER_CLOSING
};

struct dead_letter_courier {
    struct dead_letter_courier_callbacks callbacks;
    void *owner;
    struct stream_lease *lease; /* NULL once closed, as the two below */
    struct dead_letter_mirror *mirror;
    struct dead_letter_store *store;
    uv_timer_t timer;
    uv_timer_t drain_timer;
    unsigned timers_open;
    enum courier_state state;
    bool has_lease;
    bool is_holder;  /* the mirror is told that it is us */
    bool is_leaving; /* one more round, then the end */
    bool is_last_round;
    uint64_t interval_ms;
    uint64_t count_interval_ms;
    uint64_t next_count_ms;
    struct backoff backoff;
    struct log_limit failed_limit;
    struct dead_letter_depth depth;

    /* rows on their way, and their entries */
    int64_t rows[DEAD_LETTER_LOAD_MAX];
    size_t row_count;
    struct buffer ids; /* each with its zero byte */
    struct slice id_slices[DEAD_LETTER_LOAD_MAX];
    bool is_left_over;       /* they are another courier's: of its end we know by the hash alone */
    uint64_t kept, mirrored; /* in this round */
};
_Static_assert((int)MIRROR_LEFT_MAX <= (int)DEAD_LETTER_LOAD_MAX, "left-overs are noted as rows");

/* ---- the round -------------------------------------------------------------------------------- */

static void begin_round(struct dead_letter_courier *courier);
static void shut(struct dead_letter_courier *courier);

static void on_timer(uv_timer_t *timer)
{
    begin_round(timer->data);
}

static void wait_for(struct dead_letter_courier *courier, uint64_t milliseconds)
{
    courier->state = COURIER_WAITING;
    if (courier->is_leaving) {
        shut(courier);
        return;
    }
    ASSERT(uv_timer_start(&courier->timer, on_timer, milliseconds, 0) == 0);
}

static void log_carried(struct dead_letter_courier *courier)
{
    if (courier->kept + courier->mirrored > 0) {
        log_debug("letters", "carried", LOG_INT("frames_kept", courier->kept),
                  LOG_INT("rows_mirrored", courier->mirrored));
    }
    courier->kept = 0;
    courier->mirrored = 0;
}

/* Redis or PostgreSQL said no or nothing: all of it once more, later. */
static void fail(struct dead_letter_courier *courier, const char *why)
{
    uint64_t suppressed = 0;
    courier->is_holder = false; /* what was added and not noted is found again by the next hold */
    if (log_limit_pass(&courier->failed_limit, &suppressed)) {
        log_warning("letters", "dead letters wait where they are", LOG_TEXT("why", why),
                    LOG_SUPPRESSED(suppressed));
    }
    wait_for(courier, backoff_next_ms(&courier->backoff));
}

/* A step that could not even begin: its server is away, which others have said in the log. */
static void step(struct dead_letter_courier *courier, enum courier_state state, bool has_begun)
{
    if (has_begun) {
        courier->state = state;
        return;
    }
    courier->is_holder = false;
    wait_for(courier, backoff_next_ms(&courier->backoff));
}

static void end_round(struct dead_letter_courier *courier)
{
    backoff_reset(&courier->backoff);
    log_carried(courier);
    if (courier->is_leaving && !courier->is_last_round) {
        courier->is_last_round = true;
        begin_round(courier);
        return;
    }
    wait_for(courier, courier->interval_ms);
}

static bool is_count_due(const struct dead_letter_courier *courier)
{
    return !courier->is_leaving && clock_monotonic_ms() >= courier->next_count_ms;
}

static void count(struct dead_letter_courier *courier)
{
    if (!is_count_due(courier)) {
        end_round(courier);
    } else {
        step(courier, COURIER_COUNTING, dead_letter_store_count(courier->store));
    }
}

static void begin_round(struct dead_letter_courier *courier)
{
    if (!courier->has_lease) {
        count(courier);
    } else if (!courier->is_holder) {
        step(courier, COURIER_HOLDING, dead_letter_mirror_hold(courier->mirror));
    } else {
        step(courier, COURIER_READING, dead_letter_mirror_read(courier->mirror));
    }
}

/* Ends the round where the lease has gone since the last step (the scripts refuse us then as well), and where a
 * long one would keep the count waiting. */
static bool may_go_on(struct dead_letter_courier *courier)
{
    courier->is_holder = courier->is_holder && courier->has_lease;
    if (courier->has_lease && !is_count_due(courier)) {
        return true;
    }
    count(courier);
    return false;
}

/* ---- frames: into PostgreSQL ------------------------------------------------------------------- */

static void load(struct dead_letter_courier *courier)
{
    if (may_go_on(courier)) {
        step(courier, COURIER_LOADING, dead_letter_store_load(courier->store, LOAD_BYTES));
    }
}

static void mirror_on_frames(void *owner, const struct mirror_frame *frames, size_t frame_count)
{
    struct dead_letter_courier *courier = owner;
    struct dead_letter_frame kept[MIRROR_READ_MAX];
    if (frame_count == 0) {
        load(courier);
        return;
    }
    for (size_t i = 0; i < frame_count; i++) {
        kept[i] = (struct dead_letter_frame){.mirror_id = frames[i].id,
                                             .position = frames[i].position,
                                             .sequence = frames[i].sequence,
                                             .reason = frames[i].reason,
                                             .error = frames[i].error,
                                             .frame = frames[i].frame};
    }
    courier->kept += frame_count;
    step(courier, COURIER_KEEPING, dead_letter_store_keep(courier->store, kept, frame_count));
}

static void store_on_kept(void *owner)
{
    struct dead_letter_courier *courier = owner;
    step(courier, COURIER_ACKNOWLEDGING, dead_letter_mirror_acknowledge(courier->mirror));
}

static void mirror_on_acknowledged(void *owner)
{
    struct dead_letter_courier *courier = owner;
    if (may_go_on(courier)) {
        step(courier, COURIER_READING, dead_letter_mirror_read(courier->mirror));
    }
}

/* ---- rows: into the stream --------------------------------------------------------------------- */

static void note(struct dead_letter_courier *courier)
{
    step(courier, COURIER_NOTING,
         dead_letter_store_note(courier->store, courier->rows, courier->id_slices,
                                courier->row_count));
}

/* The slices are made when all is there: the buffer moves while it grows. */
static void find_ids(struct dead_letter_courier *courier)
{
    const char *at = courier->ids.data;
    for (size_t i = 0; i < courier->row_count; i++) {
        courier->id_slices[i] = slice_from_string(at);
        at += courier->id_slices[i].size + 1;
    }
}

static void append_id(struct dead_letter_courier *courier, struct slice id)
{
    buffer_append_slice(&courier->ids, id);
    buffer_append_byte(&courier->ids, '\0');
}

static void mirror_on_held(void *owner, const struct mirror_left *left, size_t left_count)
{
    struct dead_letter_courier *courier = owner;
    courier->is_holder = left_count < MIRROR_LEFT_MAX; /* else hold again: there may be more */
    if (left_count == 0) {
        step(courier, COURIER_READING, dead_letter_mirror_read(courier->mirror));
        return;
    }
    buffer_clear(&courier->ids);
    for (size_t i = 0; i < left_count; i++) {
        courier->rows[i] = left[i].row;
        append_id(courier, left[i].id);
    }
    courier->row_count = left_count;
    courier->is_left_over = true;
    find_ids(courier);
    note(courier);
}

static void store_on_loaded(void *owner, const struct dead_letter_row *rows, size_t row_count)
{
    struct dead_letter_courier *courier = owner;
    struct mirror_letter letters[DEAD_LETTER_LOAD_MAX];
    if (row_count == 0) {
        count(courier);
        return;
    }
    for (size_t i = 0; i < row_count; i++) {
        courier->rows[i] = rows[i].id;
        letters[i] = (struct mirror_letter){.row = rows[i].id,
                                            .type = rows[i].type,
                                            .data = rows[i].data,
                                            .sequence = rows[i].sequence,
                                            .origin = rows[i].origin,
                                            .deliveries = rows[i].deliveries,
                                            .reason = rows[i].reason,
                                            .error = rows[i].error,
                                            .frame = rows[i].frame,
                                            .time = rows[i].time};
    }
    courier->row_count = row_count;
    courier->is_left_over = false;
    step(courier, COURIER_ADDING, dead_letter_mirror_add(courier->mirror, letters, row_count));
}

static void mirror_on_added(void *owner, const struct slice *ids, size_t id_count)
{
    struct dead_letter_courier *courier = owner;
    if (id_count != courier->row_count) {
        fail(courier, "redis: it added another number of letters");
        return;
    }
    buffer_clear(&courier->ids);
    for (size_t i = 0; i < id_count; i++) {
        append_id(courier, ids[i]);
    }
    courier->mirrored += id_count;
    find_ids(courier);
    note(courier);
}

static bool contains(const int64_t *rows, size_t row_count, int64_t row)
{
    for (size_t i = 0; i < row_count; i++) {
        if (rows[i] == row) {
            return true;
        }
    }
    return false;
}

/* A row that was dropped in the meantime takes its entry with it. */
static void store_on_noted(void *owner, const int64_t *gone, size_t gone_count)
{
    struct dead_letter_courier *courier = owner;
    struct slice entries[DEAD_LETTER_LOAD_MAX];
    size_t entry_count = 0;
    for (size_t i = 0; i < courier->row_count; i++) {
        if (contains(gone, gone_count, courier->rows[i])) {
            entries[entry_count++] = courier->id_slices[i];
        }
    }
    step(courier, COURIER_FORGETTING,
         dead_letter_mirror_forget(courier->mirror, courier->rows, courier->row_count, entries,
                                   entry_count));
}

static void mirror_on_forgotten(void *owner)
{
    struct dead_letter_courier *courier = owner;
    if (courier->is_left_over && may_go_on(courier)) {
        begin_round(courier);
    } else if (!courier->is_left_over) {
        load(courier);
    }
}

/* ---- both -------------------------------------------------------------------------------------- */

static void store_on_counted(void *owner, const struct dead_letter_count *count)
{
    struct dead_letter_courier *courier = owner;
    courier->depth = (struct dead_letter_depth){
        .is_known = true, .undecided = count->letters, .undecided_bytes = count->bytes};
    courier->next_count_ms = clock_monotonic_ms() + courier->count_interval_ms;
    if (courier->callbacks.on_counted != NULL) {
        courier->callbacks.on_counted(courier->owner, &courier->depth, count);
    }
    if (courier->state == COURIER_COUNTING) { /* the owner may have closed us */
        end_round(courier);
    }
}

static void store_on_failed(void *owner, const struct pg_failure *failure)
{
    struct dead_letter_courier *courier = owner;
    char why[sizeof(failure->text) + 32];
    (void)snprintf(why, sizeof(why), "postgres: %s %s", failure->sqlstate, failure->text);
    fail(courier, why);
}

static void mirror_on_failed(void *owner, const struct error *error)
{
    fail(owner, error->text);
}

/* A server has come back: no need to wait for the timer. */
static void on_ready(void *owner)
{
    struct dead_letter_courier *courier = owner;
    if (courier->state == COURIER_WAITING) {
        wait_for(courier, 0);
    }
}

static void lease_on_acquired(void *owner)
{
    struct dead_letter_courier *courier = owner;
    courier->has_lease = true;
    courier->is_holder = false;
    on_ready(courier);
}

static void lease_on_lost(void *owner)
{
    struct dead_letter_courier *courier = owner;
    courier->has_lease = false;
}

struct dead_letter_depth dead_letter_courier_depth(const struct dead_letter_courier *courier)
{
    return courier->depth;
}

/* ---- closing ----------------------------------------------------------------------------------- */

static void finish_closing(struct dead_letter_courier *courier)
{
    if (courier->lease != NULL || courier->mirror != NULL || courier->store != NULL ||
        courier->timers_open > 0) {
        return;
    }
    struct dead_letter_courier_callbacks callbacks = courier->callbacks;
    void *owner = courier->owner;
    buffer_deinit(&courier->ids);
    free(courier);
    callbacks.on_closed(owner);
}

static void lease_on_closed(void *owner)
{
    struct dead_letter_courier *courier = owner;
    courier->lease = NULL;
    finish_closing(courier);
}

static void mirror_on_closed(void *owner)
{
    struct dead_letter_courier *courier = owner;
    courier->mirror = NULL;
    finish_closing(courier);
}

static void store_on_closed(void *owner)
{
    struct dead_letter_courier *courier = owner;
    courier->store = NULL;
    finish_closing(courier);
}

static void timer_on_closed(uv_handle_t *handle)
{
    struct dead_letter_courier *courier = handle->data;
    courier->timers_open--;
    finish_closing(courier);
}

static void shut(struct dead_letter_courier *courier)
{
    if (uv_is_closing((const uv_handle_t *)&courier->timer) != 0) {
        return;
    }
    courier->state = COURIER_CLOSING;
    uv_close((uv_handle_t *)&courier->timer, timer_on_closed);
    uv_close((uv_handle_t *)&courier->drain_timer, timer_on_closed);
    stream_lease_close(courier->lease);
    dead_letter_mirror_close(courier->mirror);
    dead_letter_store_close(courier->store);
}

static void on_drain_over(uv_timer_t *timer)
{
    shut(timer->data);
}

void dead_letter_courier_close(struct dead_letter_courier *courier, uint64_t drain_ms)
{
    if (courier->is_leaving) {
        return;
    }
    courier->is_leaving = true;
    ASSERT(uv_timer_start(&courier->drain_timer, on_drain_over, drain_ms, 0) == 0);
    if (courier->state == COURIER_WAITING) {
        (void)uv_timer_stop(&courier->timer);
        courier->is_last_round = true;
        begin_round(courier);
    }
}

/* ---- opening ----------------------------------------------------------------------------------- */

static void init_timer(struct dead_letter_courier *courier, struct uv_loop_s *loop,
                       uv_timer_t *timer)
{
    ASSERT(uv_timer_init(loop, timer) == 0);
    timer->data = courier;
    courier->timers_open++;
}

static struct redis_options redis_options_of(const struct dead_letter_courier_options *options,
                                             char name[NAME_SIZE], const char *suffix)
{
    (void)snprintf(name, NAME_SIZE, "%s-%s", options->process_name, suffix);
    return (struct redis_options){.url = options->config->redis.url,
                                  .client_name = name,
                                  .connect_timeout_ms = CONNECT_TIMEOUT_MS,
                                  .reply_timeout_ms = REPLY_TIMEOUT_MS};
}

static void open_redis(struct dead_letter_courier *courier, struct uv_loop_s *loop,
                       const struct dead_letter_courier_options *options)
{
    static const struct stream_lease_callbacks lease_callbacks = {
        .on_acquired = lease_on_acquired, .on_lost = lease_on_lost, .on_closed = lease_on_closed};
    static const struct dead_letter_mirror_callbacks mirror_callbacks = {
        .on_ready = on_ready,
        .on_held = mirror_on_held,
        .on_frames = mirror_on_frames,
        .on_acknowledged = mirror_on_acknowledged,
        .on_added = mirror_on_added,
        .on_forgotten = mirror_on_forgotten,
        .on_failed = mirror_on_failed,
        .on_closed = mirror_on_closed,
    };
    char name[NAME_SIZE];
    const struct stream_lease_options lease = {
        .redis = redis_options_of(options, name, "letters-lease"),
        .key = options->config->stream.dead_letter_key,
        .name = "letters",
        .lease_ms = options->config->ingest.lease_ms,
    };
    courier->lease = stream_lease_open(loop, &lease, &lease_callbacks, courier);
    const struct redis_options mirror = redis_options_of(options, name, "letters");
    courier->mirror = dead_letter_mirror_open(
        loop, &mirror, options->config->stream.dead_letter_key, &mirror_callbacks, courier);
}

static void open_store(struct dead_letter_courier *courier, struct uv_loop_s *loop,
                       const struct config_postgres *postgres)
{
    static const struct dead_letter_store_callbacks callbacks = {
        .on_ready = on_ready,
        .on_kept = store_on_kept,
        .on_loaded = store_on_loaded,
        .on_noted = store_on_noted,
        .on_counted = store_on_counted,
        .on_failed = store_on_failed,
        .on_closed = store_on_closed,
    };
    const struct dead_letter_store_options options = {
        .conninfo = postgres->url,
        .schema = postgres->schema,
        .prepared = postgres->prepared != PREPARED_OFF,
    };
    courier->store = dead_letter_store_open(loop, &options, &callbacks, courier);
}

struct dead_letter_courier *dead_letter_courier_open(
    struct uv_loop_s *loop, const struct dead_letter_courier_options *options,
    const struct dead_letter_courier_callbacks *callbacks, void *owner)
{
    struct dead_letter_courier *courier = memory_allocate(sizeof(*courier));
    courier->callbacks = *callbacks;
    courier->owner = owner;
    courier->interval_ms = options->interval_ms > 0 ? options->interval_ms : INTERVAL_MS;
    courier->count_interval_ms =
        options->count_interval_ms > 0 ? options->count_interval_ms : COUNT_INTERVAL_MS;
    courier->backoff = (struct backoff){.base_ms = BACKOFF_BASE_MS, .limit_ms = BACKOFF_LIMIT_MS};
    courier->failed_limit.interval_ms = LOG_INTERVAL_MS;
    init_timer(courier, loop, &courier->timer);
    init_timer(courier, loop, &courier->drain_timer);
    open_redis(courier, loop, options);
    open_store(courier, loop, &options->config->postgres);
    wait_for(courier, courier->interval_ms);
    return courier;
}
