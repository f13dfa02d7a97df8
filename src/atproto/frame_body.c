#include "atproto/frame_body.h"

#include <stdlib.h>

#include "base/panic.h"

enum {
    OPS_KEEP = 256,
    OPS_MINIMUM = 16
};

static const char *const names[BODY_FIELD_COUNT] = {
    [BODY_SEQ] = "seq",       [BODY_REPO] = "repo",
    [BODY_DID] = "did",       [BODY_TIME] = "time",
    [BODY_REV] = "rev",       [BODY_SINCE] = "since",
    [BODY_COMMIT] = "commit", [BODY_PREV_DATA] = "prevData",
    [BODY_BLOCKS] = "blocks", [BODY_OPS] = "ops",
    [BODY_HANDLE] = "handle", [BODY_ACTIVE] = "active",
    [BODY_STATUS] = "status", [BODY_NAME] = "name",
    [BODY_ERROR] = "error",   [BODY_MESSAGE] = "message",
};

const char *body_field_name(enum body_field field)
{
    return names[field];
}

void frame_body_deinit(struct frame_body *body)
{
    free(body->ops);
    *body = (struct frame_body){0};
}

void frame_body_shrink(struct frame_body *body)
{
    if (body->op_capacity > OPS_KEEP) {
        frame_body_deinit(body);
    }
}

static bool key_is(struct slice key, const char *name)
{
    return slice_equals(key, slice_from_string(name));
}

static bool read_integer(const struct dag_item *item, int64_t *number)
{
    if ((item->kind != DAG_UNSIGNED && item->kind != DAG_NEGATIVE) || item->number > INT64_MAX) {
        return false;
    }
    *number = item->kind == DAG_NEGATIVE ? -1 - (int64_t)item->number : (int64_t)item->number;
    return true;
}

/* What else a header has does not matter. */
static bool note_head_field(struct frame_head *head, struct slice key, const struct dag_item *item,
                            bool *has_op)
{
    if (key_is(key, "op")) {
        *has_op = true;
        return read_integer(item, &head->op);
    }
    if (!key_is(key, "t")) {
        return true;
    }
    head->type = item->bytes;
    return item->kind == DAG_TEXT;
}

bool frame_head_read(struct dag_reader *reader, struct frame_head *head)
{
    struct dag_item item;
    *head = (struct frame_head){0};
    bool has_op = false;
    if (!dag_reader_next(reader, &item) || item.kind != DAG_MAP) {
        return false;
    }
    for (;;) {
        if (!dag_reader_next(reader, &item)) {
            return false;
        }
        if (item.kind == DAG_END) {
            return has_op;
        }
        struct slice key = item.bytes;
        if (!dag_reader_next(reader, &item) || !dag_reader_skip(reader, &item)) {
            return false;
        }
        if (!note_head_field(head, key, &item, &has_op)) {
            return false;
        }
    }
}

static enum body_field find_field(struct slice key)
{
    for (int field = 0; field < BODY_FIELD_COUNT; field++) {
        if (key.size > 0 && names[field][0] == key.data[0] && key_is(key, names[field])) {
            return (enum body_field)field;
        }
    }
    return BODY_FIELD_COUNT;
}

static struct body_op *add_op(struct frame_body *body)
{
    if (body->op_count == body->op_capacity) {
        body->op_capacity = body->op_capacity == 0 ? OPS_MINIMUM : body->op_capacity * 2;
        body->ops = memory_resize(body->ops, body->op_capacity * sizeof(*body->ops));
    }
    body->ops[body->op_count] = (struct body_op){0};
    return &body->ops[body->op_count++];
}

static const char *note_op_field(struct body_op *op, struct slice key, const struct dag_item *item)
{
    if (key_is(key, "action")) {
        op->action = item->bytes;
        return item->kind == DAG_TEXT ? NULL : "action is no text";
    }
    if (key_is(key, "path")) {
        op->path = item->bytes;
        return item->kind == DAG_TEXT ? NULL : "path is no text";
    }
    if (!key_is(key, "cid") || item->kind == DAG_NULL) {
        return NULL;
    }
    op->cid = item->bytes;
    return item->kind == DAG_LINK ? NULL : "cid is neither link nor null";
}

/* The map of one op has been opened. */
static bool read_op(struct frame_body *body, struct dag_reader *reader)
{
    struct body_op *op = add_op(body);
    for (;;) {
        struct dag_item item;
        if (!dag_reader_next(reader, &item)) {
            return false;
        }
        if (item.kind == DAG_END) {
            break;
        }
        struct slice key = item.bytes;
        if (!dag_reader_next(reader, &item) || !dag_reader_skip(reader, &item)) {
            return false;
        }
        const char *problem = note_op_field(op, key, &item);
        if (problem != NULL) {
            body->ops_problem = problem;
        }
    }
    if (op->action.data == NULL) {
        body->ops_problem = "action is missing";
    } else if (op->path.data == NULL) {
        body->ops_problem = "path is missing";
    }
    return true;
}

/* An item of `ops` that is not kept: why is noted. */
static bool skip_op(struct frame_body *body, struct dag_reader *reader, const struct dag_item *item)
{
    if (item->kind == DAG_MAP) {
        body->ops_over_limit++;
    } else {
        body->ops_problem = "an op is no map";
    }
    return dag_reader_skip(reader, item);
}

/* The array has been opened. What is wrong in it is noted and read over: `seq` comes later. */
static bool read_ops(struct frame_body *body, struct dag_reader *reader)
{
    for (;;) {
        struct dag_item item;
        if (!dag_reader_next(reader, &item)) {
            return false;
        }
        if (item.kind == DAG_END) {
            return true;
        }
        bool is_op = item.kind == DAG_MAP && body->op_count < FRAME_OPS_MAX;
        if (!(is_op ? read_op(body, reader) : skip_op(body, reader, &item))) {
            return false;
        }
    }
}

bool frame_body_read(struct frame_body *body, struct dag_reader *reader, bool wants_ops)
{
    memset(body->fields, 0, sizeof(body->fields));
    body->op_count = 0;
    body->ops_over_limit = 0;
    body->ops_problem = NULL;
    struct dag_item item;
    if (!dag_reader_next(reader, &item)) {
        return false;
    }
    if (item.kind != DAG_MAP) {
        return dag_reader_skip(reader, &item);
    }
    for (;;) {
        if (!dag_reader_next(reader, &item)) {
            return false;
        }
        if (item.kind == DAG_END) {
            return true;
        }
        enum body_field field = find_field(item.bytes);
        if (!dag_reader_next(reader, &item)) {
            return false;
        }
        if (field != BODY_FIELD_COUNT) {
            body->fields[field] = item;
        }
        bool is_ops = wants_ops && field == BODY_OPS && item.kind == DAG_ARRAY;
        if (!(is_ops ? read_ops(body, reader) : dag_reader_skip(reader, &item))) {
            return false;
        }
    }
}
