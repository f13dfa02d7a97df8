#include "atproto/frame_json.h"

#include "atproto/cid.h"
#include "atproto/invalid.h"
#include "atproto/json.h"
#include "atproto/syntax.h"
#include "base/encoding.h"

/* Appends `lead`, which ends with `:`, and `text` in quotes. */
static void append_text(struct buffer *out, struct slice lead, struct slice text)
{
    buffer_append_slice(out, lead);
    /* Frames are strict UTF-8, and what has U+0000 is refused or is a bad path. */
    (void)json_append_text(out, text);
}

static void append_link_text(struct buffer *out, struct slice lead, const struct dag_item *item)
{
    buffer_append_slice(out, lead);
    if (item->kind != DAG_LINK) {
        buffer_append_slice(out, SLICE("null"));
        return;
    }
    buffer_append_byte(out, '"');
    cid_append_text(out, item->bytes);
    buffer_append_byte(out, '"');
}

static void append_time_and_sequence(struct buffer *out, const struct frame_event *event)
{
    append_text(out, SLICE(",\"time\":"), event->time);
    buffer_append_slice(out, SLICE(",\"seq\":"));
    buffer_append_int64(out, event->sequence);
    buffer_append_byte(out, '}');
}

struct slice frame_op_collection(const struct body_op *op)
{
    struct slice path = op->path;
    const char *slash = path.size == 0 ? NULL : memchr(path.data, '/', path.size);
    return slash == NULL ? path : slice_of(path.data, (size_t)(slash - path.data));
}

static bool action_is_known(struct slice action)
{
    return slice_equals(action, SLICE("create")) || slice_equals(action, SLICE("update")) ||
           slice_equals(action, SLICE("delete"));
}

/* Appends `cid`, `record` and, where JSON alone will not do, `cbor`. Returns invalid_bit()s. */
static uint32_t append_record(const struct frame_json *json, struct slice cid)
{
    struct buffer *out = json->out;
    struct dag_item link = {.kind = cid.size > 0 ? DAG_LINK : DAG_NULL, .bytes = cid};
    append_link_text(out, SLICE(",\"cid\":"), &link);
    buffer_append_slice(out, SLICE(",\"record\":"));
    struct slice block;
    if (!car_find(json->car, cid, &block)) {
        buffer_append_slice(out, SLICE("null"));
        return invalid_bit(INVALID_MISSING_BLOCK);
    }
    uint32_t breaks = json_append_record(out, block, json->stack);
    if (breaks != 0) {
        buffer_append_slice(out, SLICE(",\"cbor\":\""));
        base64_append(out, block);
        buffer_append_byte(out, '"');
    }
    return breaks;
}

/* Returns whether the op carries `invalid`. */
static bool append_op(const struct frame_json *json, const struct body_op *op)
{
    struct slice collection;
    struct slice record_key;
    uint32_t breaks = 0;
    if (!record_path_split(op->path, &collection, &record_key)) {
        breaks |= invalid_bit(INVALID_BAD_PATH);
    }
    if (!action_is_known(op->action)) {
        breaks |= invalid_bit(INVALID_UNKNOWN_ACTION);
    }
    append_text(json->out, SLICE("{\"action\":"), op->action);
    append_text(json->out, SLICE(",\"path\":"), op->path);
    if (!slice_equals(op->action, SLICE("delete"))) {
        breaks |= append_record(json, op->cid);
    }
    if (breaks != 0) {
        const char *reason = invalid_reason_text(invalid_first(breaks));
        append_text(json->out, SLICE(",\"invalid\":"), slice_from_string(reason));
    }
    buffer_append_byte(json->out, '}');
    return breaks != 0;
}

static bool append_ops(const struct frame_json *json, const struct frame_body *body,
                       struct frame_event *event)
{
    for (size_t i = 0; i < body->op_count; i++) {
        const struct body_op *op = &body->ops[i];
        if (!collection_filter_matches(json->filter, frame_op_collection(op))) {
            event->filtered_ops++;
            continue;
        }
        if (event->ops > 0) {
            buffer_append_byte(json->out, ',');
        }
        event->ops++;
        if (append_op(json, op)) {
            event->invalid_ops++;
        }
        if (json->out->size > FRAME_DATA_MAX_BYTES) {
            return false;
        }
    }
    return true;
}

bool frame_json_append_commit(const struct frame_json *json, const struct frame_body *body,
                              struct frame_event *event)
{
    struct buffer *out = json->out;
    append_text(out, SLICE("{\"repo\":"), event->did);
    buffer_append_slice(out, SLICE(",\"ops\":["));
    if (!append_ops(json, body, event)) {
        return false;
    }
    append_text(out, SLICE("],\"rev\":"), event->rev);
    const struct dag_item *since = &body->fields[BODY_SINCE];
    if (since->kind == DAG_TEXT) {
        append_text(out, SLICE(",\"since\":"), since->bytes);
    } else {
        buffer_append_slice(out, SLICE(",\"since\":null"));
    }
    append_link_text(out, SLICE(",\"commit\":"), &body->fields[BODY_COMMIT]);
    append_link_text(out, SLICE(",\"prevData\":"), &body->fields[BODY_PREV_DATA]);
    append_time_and_sequence(out, event);
    return true;
}

void frame_json_append_identity(struct buffer *out, const struct frame_event *event,
                                struct slice handle)
{
    append_text(out, SLICE("{\"did\":"), event->did);
    append_text(out, SLICE(",\"handle\":"), handle.size > 0 ? handle : event->did);
    append_time_and_sequence(out, event);
}

void frame_json_append_account(struct buffer *out, const struct frame_event *event, bool is_active,
                               const struct slice *status)
{
    append_text(out, SLICE("{\"did\":"), event->did);
    buffer_append_slice(out, is_active ? SLICE(",\"active\":true") : SLICE(",\"active\":false"));
    if (status != NULL) {
        append_text(out, SLICE(",\"status\":"), *status);
    } else {
        buffer_append_slice(out, SLICE(",\"status\":null"));
    }
    append_time_and_sequence(out, event);
}

void frame_json_append_sync(struct buffer *out, const struct frame_event *event)
{
    append_text(out, SLICE("{\"did\":"), event->did);
    append_text(out, SLICE(",\"rev\":"), event->rev);
    append_time_and_sequence(out, event);
}
