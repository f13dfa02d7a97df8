#include "atproto/entry.h"

#include <stdarg.h>
#include <stdio.h>

#include "atproto/json_scan.h"
#include "atproto/syntax.h"
#include "atproto/utf8.h"

#define SEQUENCE_MAX ((INT64_C(1) << 53) - 1)

enum {
    OPS_MINIMUM = 4,
    SEQUENCE_DIGITS_MAX = 16
};

/* The keys of `data` that are read. */
enum data_key {
    DATA_REPO,
    DATA_DID,
    DATA_OPS,
    DATA_REV,
    DATA_COMMIT,
    DATA_TIME,
    DATA_HANDLE,
    DATA_ACTIVE,
    DATA_STATUS,
    DATA_KEY_COUNT, /* how many there are; a key that is none of them */
};

enum op_key {
    OP_ACTION,
    OP_PATH,
    OP_CID,
    OP_RECORD,
    OP_CBOR,
    OP_INVALID,
    OP_KEY_COUNT
};

static const char *const data_keys[DATA_KEY_COUNT] = {
    [DATA_REPO] = "repo",     [DATA_DID] = "did",       [DATA_OPS] = "ops",
    [DATA_REV] = "rev",       [DATA_COMMIT] = "commit", [DATA_TIME] = "time",
    [DATA_HANDLE] = "handle", [DATA_ACTIVE] = "active", [DATA_STATUS] = "status",
};

static const char *const op_keys[OP_KEY_COUNT] = {
    [OP_ACTION] = "action", [OP_PATH] = "path", [OP_CID] = "cid",
    [OP_RECORD] = "record", [OP_CBOR] = "cbor", [OP_INVALID] = "invalid",
};

/* One call of entry_parse(). */
struct parsing {
    struct json_scan scan;
    struct event *event;
    char *reason;
    unsigned seen; /* 1 << data_key */
};

static enum parse_result refuse(char *reason, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static enum parse_result refuse(char *reason, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(reason, ENTRY_REASON_SIZE, format, arguments);
    va_end(arguments);
    return PARSE_BAD;
}

static size_t find_key(struct slice key, const char *const *keys, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (key.size > 0 && keys[i][0] == key.data[0] &&
            slice_equals(key, slice_from_string(keys[i]))) {
            return i;
        }
    }
    return count;
}

/* False for a key that was there before: which one is meant? */
static bool note_seen(struct json_scan *scan, unsigned *seen, size_t key)
{
    if ((*seen & 1U << key) != 0) {
        scan->problem = "a key is there twice";
        return false;
    }
    *seen |= 1U << key;
    return true;
}

static bool read_op_value(struct json_scan *scan, struct event_op *op, size_t key,
                          struct slice *action)
{
    struct slice ignored;
    switch (key) {
    case OP_ACTION:
        return json_scan_string(scan, action);
    case OP_PATH:
        return json_scan_string(scan, &op->path);
    case OP_CID:
        return json_scan_string_or_null(scan, &op->cid);
    case OP_RECORD:
        return json_scan_value(scan, &op->record);
    case OP_CBOR:
        return json_scan_string(scan, &op->cbor);
    case OP_INVALID:
        return json_scan_string(scan, &op->invalid);
    default: /* a key that we do not read */
        return json_scan_value(scan, &ignored);
    }
}

static enum op_action action_of(struct slice action)
{
    if (slice_equals(action, SLICE("create"))) {
        return OP_CREATE;
    }
    if (slice_equals(action, SLICE("update"))) {
        return OP_UPDATE;
    }
    return slice_equals(action, SLICE("delete")) ? OP_DELETE : OP_UNKNOWN;
}

static bool read_op(struct json_scan *scan, struct event_op *op)
{
    *op = (struct event_op){0};
    struct slice action = {0};
    struct slice key;
    unsigned seen = 0;
    bool is_first = true;
    if (!json_scan_open(scan, '{')) {
        return false;
    }
    while (json_scan_object_next(scan, &is_first, &key)) {
        size_t number = find_key(key, op_keys, OP_KEY_COUNT);
        if (number < OP_KEY_COUNT && !note_seen(scan, &seen, number)) {
            return false;
        }
        if (!read_op_value(scan, op, number, &action)) {
            return false;
        }
    }
    if (scan->problem != NULL) {
        return false;
    }
    if ((seen & 1U << OP_ACTION) == 0 || (seen & 1U << OP_PATH) == 0) {
        scan->problem = "an op without action or path";
        return false;
    }
    op->action = action_of(action);
    if (op->action != OP_DELETE && op->record.size == 0) {
        op->record = SLICE("null");
    }
    (void)entry_path_split(op->path, &op->collection, &op->rkey);
    return true;
}

static struct event_op *grow_ops(struct arena *arena, struct event_op *ops, size_t count,
                                 size_t *capacity)
{
    if (count < *capacity) {
        return ops;
    }
    *capacity = *capacity == 0 ? OPS_MINIMUM : *capacity * 2;
    struct event_op *grown = arena_allocate(arena, *capacity * sizeof(*ops));
    if (count > 0) {
        memcpy(grown, ops, count * sizeof(*ops));
    }
    return grown;
}

static bool read_ops(struct json_scan *scan, struct event *event)
{
    struct event_op *ops = NULL;
    size_t capacity = 0;
    bool is_first = true;
    if (!json_scan_open(scan, '[')) {
        return false;
    }
    while (json_scan_array_next(scan, &is_first)) {
        ops = grow_ops(scan->arena, ops, event->op_count, &capacity);
        if (!read_op(scan, &ops[event->op_count])) {
            return false;
        }
        event->op_count++;
    }
    event->ops = ops;
    return scan->problem == NULL;
}

/* Whether `key` says something about this type of event; elsewhere it may be anything. */
static bool is_wanted(enum frame_type type, size_t key)
{
    static const unsigned wanted[] = {
        [FRAME_COMMIT] =
            1U << DATA_REPO | 1U << DATA_OPS | 1U << DATA_REV | 1U << DATA_COMMIT | 1U << DATA_TIME,
        [FRAME_IDENTITY] = 1U << DATA_DID | 1U << DATA_HANDLE | 1U << DATA_TIME,
        [FRAME_ACCOUNT] = 1U << DATA_DID | 1U << DATA_ACTIVE | 1U << DATA_STATUS | 1U << DATA_TIME,
        [FRAME_SYNC] = 1U << DATA_DID | 1U << DATA_REV | 1U << DATA_TIME,
    };
    return key < DATA_KEY_COUNT && (wanted[type] & 1U << key) != 0;
}

static bool read_data_value(struct parsing *parsing, enum data_key key)
{
    struct json_scan *scan = &parsing->scan;
    struct event *event = parsing->event;
    switch (key) {
    case DATA_REPO:
    case DATA_DID:
        return json_scan_string(scan, &event->did);
    case DATA_OPS:
        return read_ops(scan, event);
    case DATA_REV:
        return json_scan_string_or_null(scan, &event->rev);
    case DATA_COMMIT:
        return json_scan_string_or_null(scan, &event->commit);
    case DATA_TIME:
        return json_scan_string_or_null(scan, &event->time);
    case DATA_HANDLE:
        return json_scan_string_or_null(scan, &event->handle);
    case DATA_ACTIVE:
        return json_scan_boolean(scan, &event->active);
    case DATA_STATUS:
        return json_scan_string_or_null(scan, &event->status);
    case DATA_KEY_COUNT:
        break;
    }
    return false;
}

static bool read_member(struct parsing *parsing, struct slice name)
{
    size_t key = find_key(name, data_keys, DATA_KEY_COUNT);
    struct slice ignored;
    if (!is_wanted(parsing->event->type, key)) {
        return json_scan_value(&parsing->scan, &ignored);
    }
    if (!note_seen(&parsing->scan, &parsing->seen, key)) {
        return false;
    }
    return read_data_value(parsing, (enum data_key)key);
}

static enum parse_result read_data(struct parsing *parsing)
{
    struct json_scan *scan = &parsing->scan;
    struct slice key;
    bool is_first = true;
    bool is_good = json_scan_open(scan, '{');
    while (is_good && json_scan_object_next(scan, &is_first, &key)) {
        is_good = read_member(parsing, key);
    }
    if (scan->problem != NULL) {
        return refuse(parsing->reason, "data is not as expected: %s", scan->problem);
    }
    if (!json_scan_is_at_end(scan)) {
        return refuse(parsing->reason, "data goes on after its object");
    }
    return PARSE_DONE;
}

static bool read_type(struct slice name, enum frame_type *type)
{
    static const enum frame_type types[] = {FRAME_COMMIT, FRAME_IDENTITY, FRAME_ACCOUNT,
                                            FRAME_SYNC};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (slice_equals(name, slice_from_string(frame_type_name(types[i])))) {
            *type = types[i];
            return true;
        }
    }
    return false;
}

static bool read_sequence(struct slice text, int64_t *sequence)
{
    if (text.size == 0 || text.size > SEQUENCE_DIGITS_MAX) {
        return false;
    }
    int64_t number = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        number = number * 10 + (text.data[i] - '0');
    }
    *sequence = number;
    return number <= SEQUENCE_MAX;
}

/*
 * Ours: the entry's own ID. The reference system's IDs are arrival times, and a replay arrives late:
 * so its sequences are compared among themselves, below every epoch of ours. Where it sent none
 * (identity and account), the arrival is all there is.
 */
static enum parse_result read_position(const struct entry *entry, struct event *event, char *reason)
{
    event->is_reference = entry->rev.size == 0 && entry->time.size == 0;
    event->position = entry->id;
    if (entry->sequence.size == 0) {
        return event->is_reference ? PARSE_DONE : refuse(reason, "seq is empty");
    }
    int64_t sequence;
    if (!read_sequence(entry->sequence, &sequence)) {
        return refuse(reason, "seq is not a number up to 2^53-1");
    }
    if (event->is_reference) {
        event->position = (struct position){.epoch = 0, .sequence = sequence};
    }
    return PARSE_DONE;
}

static enum parse_result check_event(const struct parsing *parsing, const struct entry *entry)
{
    struct event *event = parsing->event;
    if (!did_is_valid(event->did)) {
        return refuse(parsing->reason, "%s is not a DID",
                      event->type == FRAME_COMMIT ? "repo" : "did");
    }
    if (event->type == FRAME_COMMIT && (parsing->seen & 1U << DATA_OPS) == 0) {
        return refuse(parsing->reason, "ops is missing");
    }
    if (event->type == FRAME_ACCOUNT && (parsing->seen & 1U << DATA_ACTIVE) == 0) {
        return refuse(parsing->reason, "active is missing");
    }
    if (event->time.size == 0) {
        event->time = entry->time;
    }
    if (event->time.size > 0 && !datetime_is_valid(event->time)) {
        return refuse(parsing->reason, "time is not a datetime");
    }
    if (slice_equals(event->handle, event->did)) {
        event->handle = (struct slice){0}; /* what stands there when the relay sent none */
    }
    bool has_rev = event->type == FRAME_COMMIT || event->type == FRAME_SYNC;
    if (event->is_reference || !has_rev) {
        event->rev = (struct slice){0};
        return PARSE_DONE;
    }
    if (event->rev.size == 0) {
        event->rev = entry->rev;
    }
    return tid_is_valid(event->rev) ? PARSE_DONE : refuse(parsing->reason, "rev is not a TID");
}

enum parse_result entry_parse(const struct entry *entry, struct arena *arena, struct event *event,
                              char *reason)
{
    *event = (struct event){0};
    if (!read_type(entry->type, &event->type)) {
        return refuse(reason, "type is not commit, identity, account or sync");
    }
    if (read_position(entry, event, reason) != PARSE_DONE) {
        return PARSE_BAD;
    }
    if (entry->data.size == 0) {
        return refuse(reason, "data is empty");
    }
    if (!utf8_is_valid(entry->data)) {
        return refuse(reason, "data is not UTF-8");
    }
    struct parsing parsing = {
        .scan = json_scan_over(entry->data, arena), .event = event, .reason = reason};
    if (read_data(&parsing) != PARSE_DONE) {
        return PARSE_BAD;
    }
    return check_event(&parsing, entry);
}

bool entry_path_split(struct slice path, struct slice *collection, struct slice *rkey)
{
    return record_path_split(path, collection, rkey);
}
