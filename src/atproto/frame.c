#include "atproto/frame.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "atproto/car.h"
#include "atproto/cid.h"
#include "atproto/frame_body.h"
#include "atproto/frame_json.h"
#include "atproto/sha256.h"
#include "atproto/syntax.h"
#include "base/buffer.h"
#include "base/panic.h"

#define SEQUENCE_MAX ((UINT64_C(1) << 53) - 1)

enum {
    DATA_KEEP_BYTES = 1024 * 1024,
    OP_MESSAGE = 1,
    OP_ERROR = -1,
    NAME_SHOWN = 64
};

struct frame_decoder {
    struct frame_decoder_options options;
    struct dag_stack stack;
    struct frame_body body;
    struct car car;
    struct buffer data; /* the JSON of the last event */
};

/* One call of frame_decoder_decode(). */
struct decoding {
    struct frame_decoder *decoder;
    const struct frame_body *body;
    struct frame_event *event;
    struct frame_fault *fault;
};

struct frame_decoder *frame_decoder_create(const struct frame_decoder_options *options)
{
    struct frame_decoder *decoder = memory_allocate(sizeof(*decoder));
    decoder->options = *options;
    car_init(&decoder->car);
    return decoder;
}

void frame_decoder_destroy(struct frame_decoder *decoder)
{
    if (decoder == NULL) {
        return;
    }
    dag_stack_deinit(&decoder->stack);
    frame_body_deinit(&decoder->body);
    car_deinit(&decoder->car);
    buffer_deinit(&decoder->data);
    free(decoder);
}

static enum parse_result refuse(const struct decoding *decoding, enum frame_fault_reason reason,
                                const char *format, ...) __attribute__((format(printf, 3, 4)));

static enum parse_result refuse(const struct decoding *decoding, enum frame_fault_reason reason,
                                const char *format, ...)
{
    struct frame_fault *fault = decoding->fault;
    fault->reason = reason;
    fault->sequence = decoding->event->sequence;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(fault->text, sizeof(fault->text), format, arguments);
    va_end(arguments);
    return PARSE_BAD;
}

static enum parse_result refuse_field(const struct decoding *decoding, enum body_field field,
                                      const char *expected)
{
    bool is_missing = decoding->body->fields[field].kind == DAG_NONE;
    return refuse(decoding, FRAME_FAULT_FIELD, "%s: %s %s, expected %s",
                  frame_type_name(decoding->event->type), body_field_name(field),
                  is_missing ? "is missing" : "is wrong", expected);
}

static bool has_nul(struct slice text)
{
    return text.size > 0 && memchr(text.data, '\0', text.size) != NULL;
}

/* A field that may be absent or null, else text without U+0000. */
static bool optional_text(const struct decoding *decoding, enum body_field field,
                          struct slice *text)
{
    const struct dag_item *item = &decoding->body->fields[field];
    *text = item->kind == DAG_TEXT ? item->bytes : (struct slice){0};
    return item->kind == DAG_NONE || item->kind == DAG_NULL ||
           (item->kind == DAG_TEXT && !has_nul(item->bytes));
}

static bool read_text(const struct decoding *decoding, enum body_field field, struct slice *text,
                      bool (*is_valid)(struct slice))
{
    const struct dag_item *item = &decoding->body->fields[field];
    if (item->kind != DAG_TEXT || !is_valid(item->bytes)) {
        return false;
    }
    *text = item->bytes;
    return true;
}

/* PostgreSQL has no year 0000. */
static bool time_is_valid(struct slice text)
{
    return datetime_is_valid(text) && !slice_starts_with(text, SLICE("0000"));
}

static void note_sequence(const struct decoding *decoding)
{
    const struct dag_item *item = &decoding->body->fields[BODY_SEQ];
    if (item->kind == DAG_UNSIGNED && item->number >= 1 && item->number <= SEQUENCE_MAX) {
        decoding->event->sequence = (int64_t)item->number;
    }
}

/* What commit, sync, identity and account share. */
static enum parse_result read_common(const struct decoding *decoding, enum body_field did)
{
    struct frame_event *event = decoding->event;
    if (event->sequence == 0) {
        return refuse_field(decoding, BODY_SEQ, "1 to 2^53-1");
    }
    if (!read_text(decoding, did, &event->did, did_is_valid)) {
        return refuse_field(decoding, did, "a DID");
    }
    if (!read_text(decoding, BODY_TIME, &event->time, time_is_valid)) {
        return refuse_field(decoding, BODY_TIME, "a datetime");
    }
    bool has_rev = event->type == FRAME_COMMIT || event->type == FRAME_SYNC;
    if (has_rev && !read_text(decoding, BODY_REV, &event->rev, tid_is_valid)) {
        return refuse_field(decoding, BODY_REV, "a TID");
    }
    return PARSE_DONE;
}

static enum parse_result read_blocks(const struct decoding *decoding)
{
    struct frame_decoder *decoder = decoding->decoder;
    const struct dag_item *blocks = &decoding->body->fields[BODY_BLOCKS];
    /* Commits that were `tooBig` came without blocks, or with none in them. */
    if (blocks->kind == DAG_NONE || blocks->kind == DAG_NULL) {
        return PARSE_DONE;
    }
    if (blocks->kind != DAG_BYTES) {
        return refuse_field(decoding, BODY_BLOCKS, "bytes");
    }
    if (blocks->bytes.size == 0) {
        return PARSE_DONE;
    }
    const char *why = "";
    enum car_result result = car_parse(&decoder->car, blocks->bytes, &decoder->stack, &why);
    if (result != CAR_DONE) {
        return refuse(decoding, result == CAR_BAD ? FRAME_FAULT_CAR : FRAME_FAULT_LIMIT,
                      "commit: blocks: %s", why);
    }
    const struct car_block *bad;
    if (!decoder->options.verify_blocks || car_verify(&decoder->car, &bad)) {
        return PARSE_DONE;
    }
    struct buffer cid = {0};
    cid_append_text(&cid, slice_of(bad->cid, CID_SIZE));
    enum parse_result refused =
        refuse(decoding, FRAME_FAULT_BLOCK_HASH, "commit: block %.*s does not hash to its CID",
               SLICE_ARGS(buffer_slice(&cid)));
    buffer_deinit(&cid);
    return refused;
}

static bool link_or_null(const struct dag_item *item)
{
    return item->kind == DAG_LINK || item->kind == DAG_NULL || item->kind == DAG_NONE;
}

static enum parse_result check_commit(const struct decoding *decoding)
{
    const struct frame_body *body = decoding->body;
    struct slice since;
    if (!optional_text(decoding, BODY_SINCE, &since)) {
        return refuse_field(decoding, BODY_SINCE, "text or null");
    }
    if (body->fields[BODY_COMMIT].kind != DAG_LINK) {
        return refuse_field(decoding, BODY_COMMIT, "a link");
    }
    if (!link_or_null(&body->fields[BODY_PREV_DATA])) {
        return refuse_field(decoding, BODY_PREV_DATA, "a link");
    }
    if (body->fields[BODY_OPS].kind != DAG_ARRAY) {
        return refuse_field(decoding, BODY_OPS, "an array");
    }
    if (body->ops_over_limit > 0) {
        return refuse(decoding, FRAME_FAULT_LIMIT, "commit: %zu ops, at most %d are read",
                      body->op_count + body->ops_over_limit, FRAME_OPS_MAX);
    }
    if (body->ops_problem != NULL) {
        return refuse(decoding, FRAME_FAULT_FIELD, "commit: ops: %s", body->ops_problem);
    }
    return PARSE_DONE;
}

static enum parse_result decode_commit(const struct decoding *decoding)
{
    struct frame_decoder *decoder = decoding->decoder;
    enum parse_result result = read_common(decoding, BODY_REPO);
    if (result == PARSE_DONE) {
        result = check_commit(decoding);
    }
    if (result == PARSE_DONE) {
        result = read_blocks(decoding);
    }
    if (result != PARSE_DONE) {
        return result;
    }
    struct frame_json json = {.out = &decoder->data,
                              .stack = &decoder->stack,
                              .car = &decoder->car,
                              .filter = &decoder->options.filter};
    if (!frame_json_append_commit(&json, decoding->body, decoding->event)) {
        return refuse(decoding, FRAME_FAULT_LIMIT, "commit: more than %d bytes of JSON",
                      FRAME_DATA_MAX_BYTES);
    }
    return PARSE_DONE;
}

static enum parse_result decode_sync(const struct decoding *decoding)
{
    enum parse_result result = read_common(decoding, BODY_DID);
    if (result == PARSE_DONE) {
        frame_json_append_sync(&decoding->decoder->data, decoding->event);
    }
    return result;
}

static enum parse_result decode_identity(const struct decoding *decoding)
{
    enum parse_result result = read_common(decoding, BODY_DID);
    if (result != PARSE_DONE) {
        return result;
    }
    struct slice handle;
    if (!optional_text(decoding, BODY_HANDLE, &handle) ||
        (handle.size > 0 && !handle_is_valid(handle))) {
        return refuse_field(decoding, BODY_HANDLE, "a handle");
    }
    frame_json_append_identity(&decoding->decoder->data, decoding->event, handle);
    return PARSE_DONE;
}

static enum parse_result decode_account(const struct decoding *decoding)
{
    enum parse_result result = read_common(decoding, BODY_DID);
    if (result != PARSE_DONE) {
        return result;
    }
    enum dag_kind active = decoding->body->fields[BODY_ACTIVE].kind;
    if (active != DAG_TRUE && active != DAG_FALSE) {
        return refuse_field(decoding, BODY_ACTIVE, "true or false");
    }
    struct slice status;
    if (!optional_text(decoding, BODY_STATUS, &status)) {
        return refuse_field(decoding, BODY_STATUS, "text");
    }
    frame_json_append_account(&decoding->decoder->data, decoding->event, active == DAG_TRUE,
                              status.data != NULL ? &status : NULL);
    return PARSE_DONE;
}

/* Info and error frames: a name and perhaps a message, no sequence. */
static enum parse_result decode_notice(const struct decoding *decoding, enum body_field name)
{
    struct frame_event *event = decoding->event;
    event->sequence = 0;
    const struct dag_item *item = &decoding->body->fields[name];
    if (item->kind != DAG_TEXT) {
        return refuse_field(decoding, name, "text");
    }
    event->name = item->bytes;
    if (!optional_text(decoding, BODY_MESSAGE, &event->message)) {
        return refuse_field(decoding, BODY_MESSAGE, "text");
    }
    return PARSE_DONE;
}

static enum frame_type type_of(const struct frame_head *head)
{
    static const struct {
        struct slice name;
        enum frame_type type;
    } types[] = {
        {SLICE("#commit"), FRAME_COMMIT},   {SLICE("#identity"), FRAME_IDENTITY},
        {SLICE("#account"), FRAME_ACCOUNT}, {SLICE("#sync"), FRAME_SYNC},
        {SLICE("#info"), FRAME_INFO},
    };
    if (head->op == OP_ERROR) {
        return FRAME_ERROR;
    }
    if (head->op != OP_MESSAGE) {
        return FRAME_IGNORED;
    }
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (slice_equals(head->type, types[i].name)) {
            return types[i].type;
        }
    }
    return FRAME_IGNORED;
}

static enum parse_result decode_by_type(const struct decoding *decoding)
{
    switch (decoding->event->type) {
    case FRAME_COMMIT:
        return decode_commit(decoding);
    case FRAME_IDENTITY:
        return decode_identity(decoding);
    case FRAME_ACCOUNT:
        return decode_account(decoding);
    case FRAME_SYNC:
        return decode_sync(decoding);
    case FRAME_INFO:
        return decode_notice(decoding, BODY_NAME);
    case FRAME_ERROR:
        return decode_notice(decoding, BODY_ERROR);
    case FRAME_IGNORED:
        break;
    }
    return PARSE_DONE;
}

static enum parse_result refuse_cbor(const struct decoding *decoding, const char *part,
                                     const struct dag_reader *reader,
                                     enum frame_fault_reason reason)
{
    if (reader->fault == INVALID_TOO_DEEP) {
        return refuse(decoding, FRAME_FAULT_LIMIT, "%s: nests deeper than %d", part,
                      FRAME_DEPTH_MAX);
    }
    return refuse(decoding, reason, "%s: %s, expected a strict DAG-CBOR map", part,
                  reader->fault != INVALID_NONE ? invalid_reason_text(reader->fault)
                                                : "a field is missing or wrong");
}

static enum parse_result read_body(const struct decoding *decoding, struct slice rest)
{
    struct frame_decoder *decoder = decoding->decoder;
    struct frame_event *event = decoding->event;
    struct dag_reader reader = dag_reader_strict(rest, &decoder->stack);
    bool is_map = rest.size > 0 && (uint8_t)rest.data[0] >> 5 == 5;
    bool is_read = frame_body_read(&decoder->body, &reader, event->type == FRAME_COMMIT);
    note_sequence(decoding);
    if (!is_read) {
        return refuse_cbor(decoding, "body", &reader, FRAME_FAULT_CBOR);
    }
    size_t trailing = dag_reader_rest(&reader).size;
    if (trailing > 0) {
        return refuse(decoding, FRAME_FAULT_TRAILING, "%zu bytes after the body", trailing);
    }
    if (!is_map && event->type != FRAME_IGNORED) {
        return refuse(decoding, FRAME_FAULT_CBOR, "body: not a map");
    }
    return PARSE_DONE;
}

/* Memory that a giant frame took goes back before the next one; ordinary tables stay. */
static void shrink(struct frame_decoder *decoder)
{
    buffer_shrink(&decoder->data, DATA_KEEP_BYTES);
    frame_body_shrink(&decoder->body);
    car_clear(&decoder->car);
}

enum parse_result frame_decoder_decode(struct frame_decoder *decoder, struct slice frame,
                                       struct frame_event *event, struct frame_fault *fault)
{
    *event = (struct frame_event){.type = FRAME_IGNORED};
    struct decoding decoding = {
        .decoder = decoder, .body = &decoder->body, .event = event, .fault = fault};
    shrink(decoder);
    if (frame.size == 0) {
        return refuse(&decoding, FRAME_FAULT_EMPTY, "no bytes");
    }
    struct dag_reader reader = dag_reader_strict(frame, &decoder->stack);
    struct frame_head head;
    if (!frame_head_read(&reader, &head)) {
        return refuse_cbor(&decoding, "header", &reader, FRAME_FAULT_HEADER);
    }
    if (head.op == OP_MESSAGE && head.type.data == NULL) {
        return refuse(&decoding, FRAME_FAULT_HEADER, "header: t is missing");
    }
    event->type = type_of(&head);
    enum parse_result result = read_body(&decoding, dag_reader_rest(&reader));
    if (result == PARSE_DONE) {
        result = decode_by_type(&decoding);
    }
    if (result != PARSE_DONE) {
        return result;
    }
    if (event->type == FRAME_IGNORED) {
        event->name = head.type;
    }
    event->data = buffer_slice(&decoder->data);
    return PARSE_DONE;
}

bool frame_decoder_next_collection(const struct frame_decoder *decoder, size_t *index,
                                   struct slice *collection)
{
    const struct frame_body *body = &decoder->body;
    while (*index < body->op_count) {
        *collection = frame_op_collection(&body->ops[(*index)++]);
        if (collection_filter_matches(&decoder->options.filter, *collection)) {
            return true;
        }
    }
    return false;
}

const char *frame_fault_reason_name(enum frame_fault_reason reason)
{
    static const char *const names[FRAME_FAULT_COUNT] = {
        [FRAME_FAULT_EMPTY] = "empty",
        [FRAME_FAULT_HEADER] = "header",
        [FRAME_FAULT_CBOR] = "cbor",
        [FRAME_FAULT_TRAILING] = "trailing",
        [FRAME_FAULT_FIELD] = "field",
        [FRAME_FAULT_CAR] = "car",
        [FRAME_FAULT_BLOCK_HASH] = "block_hash",
        [FRAME_FAULT_LIMIT] = "limit",
    };
    return reason < FRAME_FAULT_COUNT ? names[reason] : "unknown";
}

const char *frame_type_name(enum frame_type type)
{
    static const char *const names[] = {
        [FRAME_COMMIT] = "commit",   [FRAME_IDENTITY] = "identity", [FRAME_ACCOUNT] = "account",
        [FRAME_SYNC] = "sync",       [FRAME_INFO] = "info",         [FRAME_ERROR] = "error",
        [FRAME_IGNORED] = "ignored",
    };
    return names[type];
}
