#include "history_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/panic.h"

enum {
    MAX_RECORDS = 1000,
    US_PER_MS = 1000
};

enum event_kind {
    EVENT_CREATE,
    EVENT_DELETE,
    EVENT_UPDATE,
    EVENT_SEVERAL,
    EVENT_IDENTITY,
    EVENT_ACCOUNT,
    EVENT_SYNC
};

/* Per mille; the sum is 1,000. */
static const struct {
    uint32_t weight;
    enum event_kind kind;
    enum record_kind record;
} mix[] = {
    {690, EVENT_CREATE, RECORD_LIKE},     {110, EVENT_CREATE, RECORD_POST},
    {100, EVENT_CREATE, RECORD_REPOST},   {40, EVENT_CREATE, RECORD_FOLLOW},
    {34, EVENT_DELETE, RECORD_LIKE},      {8, EVENT_UPDATE, RECORD_PROFILE},
    {3, EVENT_SEVERAL, RECORD_LIKE},      {3, EVENT_IDENTITY, RECORD_LIKE},
    {3, EVENT_ACCOUNT, RECORD_LIKE},      {2, EVENT_SYNC, RECORD_LIKE},
    {7, EVENT_CREATE, RECORD_KIND_COUNT}, /* any of the rest */
};

struct history *history_create(const struct history_options *options)
{
    struct history *history = memory_allocate(sizeof(*history));
    history->options = *options;
    history->random.state = options->seed;
    history->writer = frame_writer_create(options->seed, options->frame_bytes);
    history->stamp.sequence = options->first_sequence - 1;
    history->stamp.time_us = options->base_time_us;
    history->clock_us = options->base_time_us;
    history->repos = memory_allocate(options->repos * sizeof(*history->repos));
    for (uint32_t i = 0; i < options->repos; i++) {
        history->repos[i].number = i;
        did_format(options->seed, i, history->repos[i].did);
    }
    return history;
}

void history_destroy(struct history *history)
{
    for (uint32_t i = 0; i < history->options.repos; i++) {
        repo_deinit(&history->repos[i]);
    }
    free(history->repos);
    frame_writer_destroy(history->writer);
    buffer_deinit(&history->plan.blocks);
    free(history);
}

void history_move_time(struct history *history, int64_t time_us)
{
    if (time_us > history->clock_us) {
        history->clock_us = time_us;
    }
}

static struct repo *pick_repo(struct history *history)
{
    /* The smaller of two throws: a few accounts do most of what happens. */
    uint32_t one = random_below(&history->random, history->options.repos);
    uint32_t two = random_below(&history->random, history->options.repos);
    return &history->repos[one < two ? one : two];
}

/* The first repo from a random one on that is hidden, or active; NULL where there is none. */
static struct repo *pick_repo_that(struct history *history, bool is_hidden)
{
    uint32_t start = pick_repo(history)->number;
    for (uint32_t i = 0; i < history->options.repos; i++) {
        struct repo *repo = &history->repos[(start + i) % history->options.repos];
        if (is_hidden ? repo_is_hidden(repo) : repo->status == REPO_ACTIVE) {
            return repo;
        }
    }
    return NULL;
}

/* What a new record speaks of: a recent post, or at the very start one that nobody has. */
static struct record_inputs pick_inputs(struct history *history)
{
    uint64_t known = history->posts < RECENT_POSTS ? history->posts : RECENT_POSTS;
    struct recent_post *post = &history->recent[0];
    if (known > 0) {
        post = &history->recent[random_below(&history->random, (uint32_t)known)];
    } else {
        *post = (struct recent_post){.tid = tid_of(history->options.base_time_us, 0),
                                     .cid = cid_of_block(SLICE("nothing"))};
    }
    return (struct record_inputs){.random = &history->random,
                                  .time_us = history->stamp.time_us,
                                  .target_did = history->repos[post->repo].did,
                                  .target_tid = post->tid,
                                  .target_cid = &post->cid};
}

static void remember_post(struct history *history, const struct repo *repo,
                          const struct live_record *record)
{
    history->recent[history->posts++ % RECENT_POSTS] =
        (struct recent_post){.repo = repo->number, .tid = record->tid, .cid = record->cid};
}

static void keep_block(const struct history *history, struct live_record *record,
                       struct slice block)
{
    record->block = NULL;
    record->block_size = (uint32_t)block.size;
    if (!history->options.keep_records) {
        return;
    }
    record->block = memory_allocate(block.size);
    memcpy(record->block, block.data, block.size);
}

static void begin_plan(struct history *history)
{
    history->plan.op_count = 0;
    buffer_clear(&history->plan.blocks);
}

/* Writes the record's block behind the plan's others and sets its CID. */
static struct slice plan_block(struct history *history, struct commit_op *op)
{
    struct record_inputs inputs = pick_inputs(history);
    struct buffer *blocks = &history->plan.blocks;
    op->block_offset = blocks->size;
    record_write(blocks, op->record.kind, &inputs);
    op->block_size = blocks->size - op->block_offset;
    struct slice block = slice_of(blocks->data + op->block_offset, op->block_size);
    op->record.cid = cid_of_block(block);
    return block;
}

static void plan_create(struct history *history, struct repo *repo, enum record_kind kind)
{
    struct commit_op *op = &history->plan.ops[history->plan.op_count];
    *op = (struct commit_op){.op = OP_KIND_CREATE, .record = {.kind = kind}};
    /* Unlike the rev's clock, a record key's counts the ops of its commit. */
    op->record.tid = tid_of(history->stamp.time_us, (uint32_t)history->plan.op_count++);
    struct slice block = plan_block(history, op);
    struct live_record record = op->record;
    keep_block(history, &record, block);
    repo_add_record(repo, &record);
    if (kind == RECORD_POST) {
        remember_post(history, repo, &record);
    }
}

static void plan_update(struct history *history, struct repo *repo, size_t index)
{
    struct commit_op *op = &history->plan.ops[history->plan.op_count++];
    struct live_record *record = &repo->records[index];
    *op = (struct commit_op){.op = OP_KIND_UPDATE, .record = *record, .previous = record->cid};
    struct slice block = plan_block(history, op);
    free(record->block);
    record->cid = op->record.cid;
    keep_block(history, record, block);
}

static void plan_delete(struct history *history, struct repo *repo)
{
    struct commit_op *op = &history->plan.ops[history->plan.op_count++];
    size_t index = random_below(&history->random, (uint32_t)repo->record_count);
    const struct live_record *record = &repo->records[index];
    *op = (struct commit_op){.op = OP_KIND_DELETE, .record = *record, .previous = record->cid};
    repo_remove_record(repo, index);
}

/* A create; an update where the repo has its one and only already; a delete where it is full. */
static void plan_write(struct history *history, struct repo *repo, enum record_kind kind)
{
    size_t index = record_is_self(kind) ? repo_find_kind(repo, kind) : repo->record_count;
    if (index < repo->record_count) {
        plan_update(history, repo, index);
    } else if (repo->record_count >= MAX_RECORDS) {
        plan_delete(history, repo);
    } else {
        plan_create(history, repo, kind);
    }
}

/* Distinct keys only: one commit never touches a record twice here. */
static void plan_several(struct history *history, struct repo *repo)
{
    uint32_t ops = 2 + random_below(&history->random, FRAME_MAX_OPS - 1);
    if (repo->record_count >= MAX_RECORDS - FRAME_MAX_OPS || random_chance(&history->random, 250)) {
        while (ops-- > 0 && repo->record_count > 0) {
            plan_delete(history, repo);
        }
        return;
    }
    while (ops-- > 0) {
        plan_create(history, repo, ops % 2 == 0 ? RECORD_LIKE : RECORD_POST);
    }
}

static void commit_plan(struct history *history, struct repo *repo, struct buffer *out)
{
    frame_write_commit(history->writer, out, &history->stamp, repo, &history->plan);
}

static void change_status(struct history *history, struct repo *repo, enum repo_status status)
{
    history->hidden -= repo_is_hidden(repo);
    repo->status = status;
    history->hidden += repo_is_hidden(repo);
    if (status == REPO_DELETED) {
        repo_clear(repo);
    }
}

static enum repo_status pick_hidden_status(struct random *random)
{
    uint32_t throw = random_below(random, 100);
    return throw < 40   ? REPO_DEACTIVATED
           : throw < 65 ? REPO_SUSPENDED
           : throw < 90 ? REPO_TAKENDOWN
                        : REPO_DELETED;
}

/* A frame's time has milliseconds and a rev microseconds; a deletion is compared with revs by its
 * time, so account events stand on a whole millisecond that nothing else shares. */
static void write_account(struct history *history, const struct repo *repo, struct buffer *out)
{
    int64_t rest = history->stamp.time_us % US_PER_MS;
    history->stamp.time_us += rest == 0 ? 0 : US_PER_MS - rest;
    frame_write_account(out, &history->stamp, repo);
}

/* Somebody goes or somebody comes back; never more than a quarter of all is away. A deleted account
 * comes back empty, with a first commit right behind. */
static void make_account(struct history *history, struct buffer *out)
{
    bool comes_back =
        history->hidden * 4 >= history->options.repos || random_chance(&history->random, 450);
    struct repo *repo = pick_repo_that(history, comes_back && history->hidden > 0);
    ASSERT(repo != NULL);
    bool was_deleted = repo->status == REPO_DELETED;
    if (!repo_is_hidden(repo)) {
        change_status(history, repo, pick_hidden_status(&history->random));
    } else if (!was_deleted && random_chance(&history->random, 150)) {
        change_status(history, repo, REPO_DELETED);
    } else {
        change_status(history, repo, REPO_ACTIVE);
    }
    if (was_deleted) {
        history->newborn = repo;
        history->birth = BIRTH_COMMIT;
    }
    write_account(history, repo, out);
}

static void make_identity(struct history *history, struct repo *repo, struct buffer *out)
{
    /* Some say only that something changed: the handle is then what it was. */
    bool with_handle = repo->handle[0] == '\0' || !random_chance(&history->random, 100);
    if (with_handle && repo->renamed++ == 0) {
        (void)snprintf(repo->handle, sizeof(repo->handle), "user%u.test", repo->number);
    } else if (with_handle) {
        (void)snprintf(repo->handle, sizeof(repo->handle), "renamed%u-user%u.test",
                       repo->renamed - 1, repo->number);
    }
    frame_write_identity(out, &history->stamp, repo, with_handle);
}

static void make_birth(struct history *history, struct buffer *out)
{
    struct repo *repo = history->newborn;
    switch (history->birth) {
    case BIRTH_IDENTITY:
        history->birth = BIRTH_ACCOUNT;
        make_identity(history, repo, out);
        return;
    case BIRTH_ACCOUNT:
        history->birth = BIRTH_COMMIT;
        change_status(history, repo, REPO_ACTIVE);
        write_account(history, repo, out);
        return;
    case BIRTH_COMMIT:
        history->birth = BIRTH_NONE;
        begin_plan(history);
        plan_create(history, repo, RECORD_PROFILE);
        commit_plan(history, repo, out);
        return;
    case BIRTH_NONE:
        break;
    }
    PANIC("a birth without a stage");
}

static enum record_kind pick_rare_kind(struct history *history)
{
    enum record_kind first = RECORD_BLOCK;
    return first + random_below(&history->random, RECORD_KIND_COUNT - first);
}

static void make_commit(struct history *history, struct repo *repo, size_t row, struct buffer *out)
{
    enum record_kind kind = mix[row].record;
    begin_plan(history);
    if (mix[row].kind == EVENT_DELETE && repo->record_count > 0) {
        plan_delete(history, repo);
    } else if (mix[row].kind == EVENT_SEVERAL) {
        plan_several(history, repo);
    } else {
        plan_write(history, repo, kind == RECORD_KIND_COUNT ? pick_rare_kind(history) : kind);
    }
    commit_plan(history, repo, out);
}

static size_t pick_row(struct random *random)
{
    uint32_t throw = random_below(random, 1000);
    size_t row = 0;
    for (; throw >= mix[row].weight; row++) {
        throw -= mix[row].weight;
    }
    return row;
}

static void make_event(struct history *history, struct buffer *out)
{
    struct repo *repo = pick_repo(history);
    if (repo->status == REPO_UNBORN) {
        history->newborn = repo;
        history->birth = BIRTH_IDENTITY;
        make_birth(history, out);
        return;
    }
    size_t row = pick_row(&history->random);
    if (mix[row].kind != EVENT_IDENTITY && repo->status != REPO_ACTIVE) {
        repo = pick_repo_that(history, false);
    }
    ASSERT(repo != NULL); /* never more than a quarter is hidden */
    if (mix[row].kind == EVENT_IDENTITY) {
        make_identity(history, repo, out);
    } else if (mix[row].kind == EVENT_ACCOUNT) {
        make_account(history, out);
    } else if (mix[row].kind == EVENT_SYNC) {
        frame_write_sync(history->writer, out, &history->stamp, repo);
    } else {
        make_commit(history, repo, row, out);
    }
}

/* Times rise with every frame, so that TIDs never tie. */
static void move_clock(struct history *history)
{
    int64_t before = history->stamp.time_us;
    history->clock_us += history->options.step_us;
    history->stamp.time_us = history->clock_us > before ? history->clock_us : before + 1;
    history->stamp.gap_us = history->stamp.time_us - before;
}

int64_t history_next(struct history *history, struct buffer *out)
{
    history->stamp.sequence++;
    move_clock(history);
    if (history->birth != BIRTH_NONE) {
        make_birth(history, out);
    } else {
        make_event(history, out);
    }
    return history->stamp.sequence;
}
