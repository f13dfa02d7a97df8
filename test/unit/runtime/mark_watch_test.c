/*
 * Mark watch and marks of three processes, against a model of Redis and PostgreSQL: commits, saves, failovers that lose
 * what came last, and answers that come late, in every order that a seed makes. What was lost must be delivered again,
 * and not much more than that.
 */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "runtime/mark_watch.h"
#include "unit/test.h"

enum {
    SEEDS = 3000,
    STEPS = 2000,
    QUIET_STEPS = 4000,
    PROCESSES = 3,
    ROWS = 400,
    QUEUE = 8,
    EPOCH = 7
};

enum request {
    REQUEST_LOOK,
    REQUEST_REWIND
};

/* One process: its watch, and what is on its two connections. */
struct process {
    struct mark_watch watch;
    struct marks marks;
    struct stream_monitor *monitor;
    struct counters counters;
    enum request
        asked[QUEUE]; /* of Redis, in order; the first `executed` of them have their answer */
    struct stream_depth depths[QUEUE];
    struct stream_rewound rewounds[QUEUE];
    struct stream_rewind rewind;
    unsigned count, executed;
    bool is_looking, look_due, is_rewinding;
    unsigned generation; /* of the PostgreSQL that it is connected to */
    bool is_load_due, has_loaded;
    struct cursor_found loaded;
    bool is_save_due, has_saved;
    struct cursor_row row; /* to save, or saved */
};

struct database {
    bool has[ROWS + 1];
    int64_t mark;
};

static struct {
    struct process processes[PROCESSES];
    struct database now, past; /* past: what a failover goes back to */
    unsigned generation, losses, deaths;
    int64_t delivered, saved, started;
    uint64_t rewinds;
    uint64_t random;
} world;

static unsigned below(unsigned limit)
{
    world.random ^= world.random << 13;
    world.random ^= world.random >> 7;
    world.random ^= world.random << 17;
    return (unsigned)((world.random >> 20) % limit);
}

static struct position at(int64_t sequence)
{
    return (struct position){EPOCH, sequence};
}

/* -- what the two parts call -- */

static struct process *of_monitor(const struct stream_monitor *monitor)
{
    return (struct process *)(uintptr_t)monitor;
}

static void send(struct process *process, enum request request)
{
    assert_true(process->count < QUEUE);
    process->asked[process->count++] = request;
}

void stream_monitor_look(struct stream_monitor *monitor)
{
    struct process *process = of_monitor(monitor);
    process->look_due = process->is_looking;
    if (!process->is_looking) {
        process->is_looking = true;
        send(process, REQUEST_LOOK);
    }
}

void stream_monitor_rewind(struct stream_monitor *monitor, const struct stream_rewind *rewind)
{
    struct process *process = of_monitor(monitor);
    if (!process->is_rewinding) {
        process->is_rewinding = true;
        process->rewind = *rewind;
        send(process, REQUEST_REWIND);
    }
}

void cursor_store_load(struct cursor_store *store, const char *host)
{
    (void)host;
    ((struct process *)(void *)store)->is_load_due = true;
}

void cursor_store_save(struct cursor_store *store, const struct cursor_row *row)
{
    struct process *process = (struct process *)(void *)store;
    if (!process
             ->has_saved) { /* else dropped: the next look hands it over again, which the model may do late */
        process->row = *row;
        process->is_save_due = true;
    }
}

/* -- Redis -- */

static struct stream_depth look(void)
{
    return (struct stream_depth){
        .last = at(ROWS),
        .committed = at(world.delivered),
        .has_committed = true,
        .has_meta = true,
        .host = SLICE("host.test"),
        .queued = at(ROWS),
        .has_saved = true,
        .saved = at(world.saved),
        .rewinds = world.rewinds,
        .postgres_started_us = world.started,
    };
}

static struct stream_rewound set_back(const struct stream_rewind *rewind)
{
    if (rewind->rewinds != world.rewinds) {
        return (struct stream_rewound){0};
    }
    struct stream_rewound done = {.is_done = true, .delivered = at(world.delivered)};
    world.rewinds++;
    world.saved = rewind->target.sequence;
    world.started = rewind->postgres_started_us;
    if (world.saved < world.delivered) {
        world.delivered = world.saved;
    }
    return done;
}

static void execute(struct process *process)
{
    if (process->executed == process->count) {
        return;
    }
    unsigned i = process->executed++;
    if (process->asked[i] == REQUEST_LOOK) {
        process->depths[i] = look();
    } else {
        process->rewounds[i] = set_back(&process->rewind);
    }
}

static void answer(struct process *process)
{
    if (process->executed == 0) {
        return;
    }
    enum request request = process->asked[0];
    struct stream_depth depth = process->depths[0];
    struct stream_rewound rewound = process->rewounds[0];
    process->executed--;
    process->count--;
    memmove(process->asked, process->asked + 1, sizeof(process->asked[0]) * process->count);
    memmove(process->depths, process->depths + 1, sizeof(process->depths[0]) * process->executed);
    memmove(process->rewounds, process->rewounds + 1,
            sizeof(process->rewounds[0]) * process->executed);
    if (request == REQUEST_REWIND) {
        process->is_rewinding = false;
        mark_watch_note_rewound(&process->watch, &rewound);
        return;
    }
    process->is_looking = false;
    marks_note_depth(&process->marks, &depth);
    mark_watch_note_depth(&process->watch, &depth);
    if (process->look_due) {
        stream_monitor_look(process->monitor);
    }
}

/* -- PostgreSQL -- */

static bool is_connected(const struct process *process)
{
    return process->generation == world.generation;
}

static void connect_again(struct process *process)
{
    if (is_connected(process)) {
        return;
    }
    process->generation = world.generation;
    process->is_load_due = process->is_load_due || process->has_loaded;
    process->has_loaded = false;
    process->has_saved = false; /* made, and we shall never know */
    mark_watch_note_connected(&process->watch);
}

static int64_t started(void)
{
    return (int64_t)world.generation + 1;
}

static void load(struct process *process)
{
    if (process->has_loaded) {
        process->has_loaded = false;
        mark_watch_note_loaded(&process->watch, &process->loaded);
    } else if (process->is_load_due && is_connected(process)) {
        process->is_load_due = false;
        process->has_loaded = true;
        process->loaded = (struct cursor_found){
            .has_row = true,
            .row = {.epoch = EPOCH, .committed = world.now.mark},
            .newest = at(world.now.mark),
            .started_us = started(),
        };
    }
}

static void save(struct process *process)
{
    if (process->has_saved) {
        process->has_saved = false;
        marks_note_saved(&process->marks, &process->row);
        if (process->row.tag == world.rewinds && process->row.committed > world.saved) {
            world.saved = process->row.committed;
        }
        return;
    }
    if (!process->is_save_due || !is_connected(process)) {
        return;
    }
    process->is_save_due = false;
    if (process->row.started_us != started() || world.now.mark < process->row.expected) {
        marks_note_refused(&process->marks);
        mark_watch_note_doubt(&process->watch);
        return;
    }
    process->has_saved = true;
    if (process->row.committed > world.now.mark) {
        world.now.mark = process->row.committed;
    }
}

/* Committed and acknowledged. */
static void deliver(void)
{
    for (unsigned count = 1 + below(4); count > 0 && world.delivered < ROWS; count--) {
        world.now.has[++world.delivered] = true;
    }
}

static void fail_over(void)
{
    world.now = world.past;
    world.generation++;
    world.losses++;
}

/* -- the play -- */

/* A new process, which knows nothing of its predecessor. */
static void start(struct process *process)
{
    *process = (struct process){.generation = world.generation};
    process->monitor = (struct stream_monitor *)(void *)process;
    marks_init(&process->marks, (struct cursor_store *)(void *)process, "host.test");
    mark_watch_init(&process->watch, &process->marks, &process->monitor, &process->counters);
    mark_watch_note_connected(&process->watch);
}

/* What it has sent to Redis is carried out all the same, or not. */
static void die(struct process *process)
{
    while (process->executed < process->count && below(2) == 0) {
        execute(process);
    }
    world.deaths++;
    start(process);
}

static void begin(uint64_t seed)
{
    memset(&world, 0, sizeof(world));
    world.random = seed * 0x9E3779B97F4A7C15U + 1;
    world.started = started();
    for (unsigned i = 0; i < PROCESSES; i++) {
        start(&world.processes[i]);
    }
}

static void step(struct process *process)
{
    switch (below(8)) {
    case 0:
        connect_again(process);
        break;
    case 1:
        load(process);
        break;
    case 2:
        save(process);
        break;
    case 3:
        if (!process->is_looking) {
            stream_monitor_look(process->monitor);
        }
        break;
    case 4:
    case 5:
        execute(process);
        break;
    default:
        answer(process);
        break;
    }
}

static void play(unsigned steps, bool may_fail)
{
    for (unsigned i = 0; i < steps; i++) {
        unsigned kind = below(1000);
        if (kind < 60) {
            deliver();
        } else if (kind < 75) {
            world.past = world.now;
        } else if (kind < 78 && may_fail) {
            fail_over();
        } else if (kind < 84 && may_fail) {
            die(&world.processes[below(PROCESSES)]);
        } else {
            step(&world.processes[below(PROCESSES)]);
        }
    }
}

static int64_t first_missing(void)
{
    for (int64_t i = 1; i <= ROWS; i++) {
        if (!world.now.has[i]) {
            return i;
        }
    }
    return 0;
}

static void what_a_failover_lost_is_delivered_again_whatever_the_order(void **state)
{
    (void)state;
    unsigned long rewinds = 0, losses = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        begin(seed);
        play(STEPS, true);
        play(QUIET_STEPS, false);
        if (first_missing() != 0 || world.delivered != ROWS) {
            print_error("seed %llu: row %lld is missing, delivered to %lld, %u failovers\n",
                        (unsigned long long)seed, (long long)first_missing(),
                        (long long)world.delivered, world.losses);
            fail();
        }
        rewinds += world.rewinds;
        losses += world.losses;
    }
    print_message("%lu failovers, %lu rewinds\n", losses, rewinds);
    assert_true(losses > SEEDS);
    assert_true(rewinds > losses / 2);
    assert_true(rewinds <= losses); /* of three processes that have all noticed, one */
}

int main(void)
{
    log_configure(LOG_LEVEL_ERROR + 1, LOG_FORMAT_TEXT); /* each rewind is a line */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_failover_lost_is_delivered_again_whatever_the_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
