#include "frames.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/panic.h"

/* What the small parts of a commit come to: body, commit block, root node and record. */
enum {
    POOL_NODES = 512,
    NODE_BYTES = 512,
    FIXED_BYTES = 1300,
    SIGNATURE_BYTES = 64
};

struct pool_node {
    struct cid cid;
    struct slice section; /* of a CAR: length, CID, block; lives in the pool's bytes */
};

struct frame_writer {
    struct random random;
    size_t frame_bytes;
    struct pool_node pool[POOL_NODES];
    struct buffer pool_bytes;
    struct buffer root; /* scratch: the tree's root node */
    struct buffer car;  /* scratch */
};

static void append_varint(struct buffer *out, uint64_t number)
{
    for (; number >= 0x80; number >>= 7) {
        buffer_append_byte(out, (char)(number | 0x80));
    }
    buffer_append_byte(out, (char)number);
}

static void append_section(struct buffer *car, const struct cid *cid, struct slice block)
{
    append_varint(car, sizeof(cid->bytes) + block.size);
    buffer_append(car, cid->bytes, sizeof(cid->bytes));
    buffer_append_slice(car, block);
}

static struct cid random_cid(struct random *random)
{
    struct cid cid = {.bytes = {0x01, 0x71, 0x12, 0x20}};
    for (size_t i = 4; i < sizeof(cid.bytes); i += sizeof(uint64_t)) {
        uint64_t bits = random_next(random);
        memcpy(cid.bytes + i, &bits, sizeof(bits));
    }
    return cid;
}

static void write_tree_entry(struct buffer *out, struct slice key, const struct cid *subtree,
                             const struct cid *value)
{
    cbor_write_map(out, 4);
    cbor_write_string(out, "k");
    cbor_write_bytes(out, key);
    cbor_write_string(out, "p");
    cbor_write_unsigned(out, 0);
    cbor_write_string(out, "t");
    cbor_write_link_or_null(out, subtree);
    cbor_write_string(out, "v");
    cbor_write_link(out, value);
}

/* A node whose entries point to nothing that anybody has. */
static void write_pool_node(struct random *random, struct buffer *out)
{
    uint32_t entries = 2 + random_below(random, 4);
    cbor_write_map(out, 2);
    cbor_write_string(out, "e");
    cbor_write_array(out, entries);
    for (uint32_t i = 0; i < entries; i++) {
        char key[64];
        char tid[TID_LENGTH + 1];
        tid_format(random_next(random) >> 1, tid);
        int size = snprintf(key, sizeof(key), "app.bsky.feed.like/%s", tid);
        struct cid subtree = random_cid(random);
        struct cid value = random_cid(random);
        write_tree_entry(out, slice_of(key, (size_t)size), &subtree, &value);
    }
    cbor_write_string(out, "l");
    struct cid left = random_cid(random);
    cbor_write_link(out, &left);
}

static void fill_pool(struct frame_writer *writer)
{
    size_t offsets[POOL_NODES + 1];
    struct buffer node = {0};
    for (size_t i = 0; i < POOL_NODES; i++) {
        buffer_clear(&node);
        write_pool_node(&writer->random, &node);
        writer->pool[i].cid = cid_of_block(buffer_slice(&node));
        offsets[i] = writer->pool_bytes.size;
        append_section(&writer->pool_bytes, &writer->pool[i].cid, buffer_slice(&node));
    }
    offsets[POOL_NODES] = writer->pool_bytes.size;
    for (size_t i = 0; i < POOL_NODES; i++) {
        writer->pool[i].section =
            slice_of(writer->pool_bytes.data + offsets[i], offsets[i + 1] - offsets[i]);
    }
    buffer_deinit(&node);
}

struct frame_writer *frame_writer_create(uint64_t seed, size_t frame_bytes)
{
    struct frame_writer *writer = memory_allocate(sizeof(*writer));
    writer->random.state = seed ^ 0x5bd1e995;
    writer->frame_bytes = frame_bytes;
    fill_pool(writer);
    return writer;
}

void frame_writer_destroy(struct frame_writer *writer)
{
    buffer_deinit(&writer->pool_bytes);
    buffer_deinit(&writer->root);
    buffer_deinit(&writer->car);
    free(writer);
}

static void write_head(struct buffer *out, const char *type, uint64_t body_pairs)
{
    cbor_write_map(out, 2);
    cbor_write_string(out, "t");
    cbor_write_string(out, type);
    cbor_write_string(out, "op");
    cbor_write_unsigned(out, 1);
    cbor_write_map(out, body_pairs);
}

static void write_tid(struct buffer *out, const char *key, uint64_t tid)
{
    char text[TID_LENGTH + 1];
    tid_format(tid, text);
    cbor_write_pair(out, key, text);
}

static void write_stamp(struct buffer *out, const struct frame_stamp *stamp, bool has_time)
{
    cbor_write_string(out, "seq");
    cbor_write_unsigned(out, (uint64_t)stamp->sequence);
    if (!has_time) {
        return;
    }
    char time[CLOCK_RFC3339_SIZE];
    clock_format_rfc3339(stamp->time_us, time);
    cbor_write_pair(out, "time", time);
}

static int format_path(const struct commit_op *op, char *path, size_t size)
{
    char key[TID_LENGTH + 1];
    live_record_key(&op->record, key);
    return snprintf(path, size, "%s/%s", record_collection(op->record.kind), key);
}

static void write_op(struct buffer *out, const struct commit_op *op)
{
    static const char *const actions[] = {
        [OP_KIND_CREATE] = "create", [OP_KIND_UPDATE] = "update", [OP_KIND_DELETE] = "delete"};
    char path[64];
    (void)format_path(op, path, sizeof(path));
    cbor_write_map(out, op->op == OP_KIND_CREATE ? 3 : 4);
    cbor_write_string(out, "cid");
    cbor_write_link_or_null(out, op->op == OP_KIND_DELETE ? NULL : &op->record.cid);
    cbor_write_pair(out, "path", path);
    if (op->op != OP_KIND_CREATE) {
        cbor_write_string(out, "prev");
        cbor_write_link(out, &op->previous);
    }
    cbor_write_pair(out, "action", actions[op->op]);
}

/* The root node names every record of the commit that is left alive. */
static struct cid write_root(struct frame_writer *writer, const struct commit_plan *plan)
{
    struct buffer *root = &writer->root;
    size_t alive = 0;
    for (size_t i = 0; i < plan->op_count; i++) {
        alive += plan->ops[i].op != OP_KIND_DELETE;
    }
    buffer_clear(root);
    cbor_write_map(root, 2);
    cbor_write_string(root, "e");
    cbor_write_array(root, alive);
    for (size_t i = 0; i < plan->op_count; i++) {
        char path[64];
        int size = format_path(&plan->ops[i], path, sizeof(path));
        if (plan->ops[i].op != OP_KIND_DELETE) {
            write_tree_entry(root, slice_of(path, (size_t)size), NULL, &plan->ops[i].record.cid);
        }
    }
    cbor_write_string(root, "l");
    struct cid left = random_cid(&writer->random);
    cbor_write_link(root, &left);
    return cid_of_block(buffer_slice(root));
}

static void write_commit_block(struct frame_writer *writer, struct repo *repo)
{
    uint64_t signature[SIGNATURE_BYTES / sizeof(uint64_t)];
    for (size_t i = 0; i < sizeof(signature) / sizeof(signature[0]); i++) {
        signature[i] = random_next(&writer->random);
    }
    struct buffer *block = &repo->commit_block;
    buffer_clear(block);
    cbor_write_map(block, 6);
    cbor_write_pair(block, "did", repo->did);
    write_tid(block, "rev", repo->rev);
    cbor_write_string(block, "sig");
    cbor_write_bytes(block, slice_of(signature, sizeof(signature)));
    cbor_write_string(block, "data");
    cbor_write_link(block, &repo->data);
    cbor_write_string(block, "prev");
    cbor_write_null(block);
    cbor_write_string(block, "version");
    cbor_write_unsigned(block, 3);
    repo->head = cid_of_block(buffer_slice(block));
    repo->has_head = true;
}

static void begin_car(struct buffer *car, const struct cid *root)
{
    buffer_clear(car);
    append_varint(car, 58); /* the header's size, which never changes */
    cbor_write_map(car, 2);
    cbor_write_string(car, "roots");
    cbor_write_array(car, 1);
    cbor_write_link(car, root);
    cbor_write_string(car, "version");
    cbor_write_unsigned(car, 1);
}

/* As a PDS sends them: tree nodes first, the commit block somewhere after them, records last. */
static void write_commit_car(struct frame_writer *writer, const struct repo *repo,
                             const struct commit_plan *plan)
{
    struct buffer *car = &writer->car;
    size_t mean = writer->frame_bytes > FIXED_BYTES ? writer->frame_bytes - FIXED_BYTES : 0;
    size_t filler = mean / 2 + random_below(&writer->random, (uint32_t)mean + 1);
    begin_car(car, &repo->head);
    size_t limit = car->size + (filler > NODE_BYTES / 2 ? filler - NODE_BYTES / 2 : 0);
    while (car->size < limit) {
        buffer_append_slice(car, writer->pool[random_below(&writer->random, POOL_NODES)].section);
    }
    append_section(car, &repo->data, buffer_slice(&writer->root));
    append_section(car, &repo->head, buffer_slice(&repo->commit_block));
    for (size_t i = 0; i < plan->op_count; i++) {
        const struct commit_op *op = &plan->ops[i];
        if (op->op != OP_KIND_DELETE) {
            append_section(car, &op->record.cid,
                           slice_of(plan->blocks.data + op->block_offset, op->block_size));
        }
    }
}

static void write_commit_body(struct buffer *out, const struct frame_stamp *stamp,
                              const struct repo *repo, const struct commit_plan *plan)
{
    cbor_write_string(out, "ops");
    cbor_write_array(out, plan->op_count);
    for (size_t i = 0; i < plan->op_count; i++) {
        write_op(out, &plan->ops[i]);
    }
    write_tid(out, "rev", repo->rev);
    write_stamp(out, stamp, false);
    cbor_write_pair(out, "repo", repo->did);
    char time[CLOCK_RFC3339_SIZE];
    clock_format_rfc3339(stamp->time_us, time);
    cbor_write_pair(out, "time", time);
    cbor_write_string(out, "blobs");
    cbor_write_array(out, 0);
}

void frame_write_commit(struct frame_writer *writer, struct buffer *out,
                        const struct frame_stamp *stamp, struct repo *repo,
                        const struct commit_plan *plan)
{
    struct cid before = repo->data;
    uint64_t since = repo->rev;
    bool is_first = !repo->has_head;
    uint32_t most_us = stamp->gap_us < 900 ? (uint32_t)stamp->gap_us : 900;
    /* A little before the frame's time and after the frame before it, as on a real host. */
    repo->rev = tid_of(stamp->time_us - random_below(&writer->random, most_us), repo->number);
    repo->data = write_root(writer, plan);
    write_commit_block(writer, repo);
    write_commit_car(writer, repo, plan);

    write_head(out, "#commit", is_first ? 11 : 12);
    write_commit_body(out, stamp, repo, plan);
    if (is_first) {
        cbor_write_string(out, "since");
        cbor_write_null(out);
    } else {
        write_tid(out, "since", since);
    }
    cbor_write_string(out, "blocks");
    cbor_write_bytes(out, buffer_slice(&writer->car));
    cbor_write_string(out, "commit");
    cbor_write_link(out, &repo->head);
    cbor_write_string(out, "rebase");
    cbor_write_bool(out, false);
    cbor_write_string(out, "tooBig");
    cbor_write_bool(out, false);
    if (is_first) {
        return;
    }
    cbor_write_string(out, "prevData");
    cbor_write_link(out, &before);
}

void frame_write_sync(struct frame_writer *writer, struct buffer *out,
                      const struct frame_stamp *stamp, const struct repo *repo)
{
    begin_car(&writer->car, &repo->head);
    append_section(&writer->car, &repo->head, buffer_slice(&repo->commit_block));
    write_head(out, "#sync", 5);
    cbor_write_pair(out, "did", repo->did);
    write_tid(out, "rev", repo->rev);
    write_stamp(out, stamp, true);
    cbor_write_string(out, "blocks");
    cbor_write_bytes(out, buffer_slice(&writer->car));
}

void frame_write_identity(struct buffer *out, const struct frame_stamp *stamp,
                          const struct repo *repo, bool with_handle)
{
    write_head(out, "#identity", with_handle ? 4 : 3);
    cbor_write_pair(out, "did", repo->did);
    write_stamp(out, stamp, true);
    if (with_handle) {
        cbor_write_pair(out, "handle", repo->handle);
    }
}

void frame_write_account(struct buffer *out, const struct frame_stamp *stamp,
                         const struct repo *repo)
{
    bool is_active = repo->status == REPO_ACTIVE;
    write_head(out, "#account", is_active ? 4 : 5);
    cbor_write_pair(out, "did", repo->did);
    write_stamp(out, stamp, true);
    cbor_write_string(out, "active");
    cbor_write_bool(out, is_active);
    if (!is_active) {
        cbor_write_pair(out, "status", repo_status_name(repo->status));
    }
}

void frame_write_info(struct buffer *out, const char *name, const char *message)
{
    write_head(out, "#info", 2);
    cbor_write_pair(out, "name", name);
    cbor_write_pair(out, "message", message);
}

void frame_write_error(struct buffer *out, const char *name, const char *message)
{
    cbor_write_map(out, 1);
    cbor_write_string(out, "op");
    cbor_write_negative(out, -1);
    cbor_write_map(out, 2);
    cbor_write_pair(out, "error", name);
    cbor_write_pair(out, "message", message);
}
