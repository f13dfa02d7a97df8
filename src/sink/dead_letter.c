#include "sink/dead_letter.h"

#include <string.h>

#include "atproto/utf8.h"
#include "sink/batch.h"
#include "sink/jsonb_text.h"

enum {
    LETTER_EPOCH,
    LETTER_SEQ,
    LETTER_OP,
    LETTER_REASON,
    LETTER_SQLSTATE,
    LETTER_DETAIL,
    LETTER_DID,
    LETTER_COLLECTION,
    LETTER_RKEY,
    LETTER_TYPE,
    LETTER_DATA,
    LETTER_FRAME,
    LETTER_DELIVERIES,
    LETTER_CUT_FROM,
};

static bool is_text(struct slice text)
{
    return text.size == 0 || (memchr(text.data, '\0', text.size) == NULL && utf8_is_valid(text));
}

static struct slice text_or_nothing(struct slice text)
{
    return is_text(text) ? text : slice_of(NULL, 0);
}

static const char *action_name(enum op_action action)
{
    switch (action) {
    case OP_CREATE:
        return "create";
    case OP_UPDATE:
        return "update";
    case OP_DELETE:
        return "delete";
    case OP_UNKNOWN:
        break;
    }
    return "unknown";
}

static void append_field(struct buffer *out, const char *name, struct slice text)
{
    if (text.size == 0) {
        return;
    }
    buffer_append_format(out, ",\"%s\":", name);
    json_append_string(out, text);
}

/* A commit of the stream's form with one op, so that a retry reads it like any other; without the record
 * where it is too long to be kept. */
static void append_commit(struct buffer *out, const struct event *event, const struct event_op *op,
                          bool has_record)
{
    buffer_append_string(out, "{\"repo\":");
    json_append_string(out, event->did);
    buffer_append_format(out, ",\"ops\":[{\"action\":\"%s\",\"path\":", action_name(op->action));
    json_append_string(out, op->path);
    append_field(out, "cid", op->cid);
    if (has_record && op->record.size > 0) {
        buffer_append_string(out, ",\"record\":");
        buffer_append_slice(out, op->record);
    }
    if (has_record) {
        append_field(out, "cbor", op->cbor);
    }
    append_field(out, "invalid", op->invalid);
    buffer_append_string(out, "}]");
    append_field(out, "rev", event->rev);
    append_field(out, "commit", event->commit);
    append_field(out, "time", event->time);
    buffer_append_format(out, ",\"seq\":%lld}", (long long)event->position.sequence);
}

/* What the letter holds: of an op its own part, of an entry its first bytes. `*cut_from` is its whole size where
 * it had to be cut, else 0. */
static struct slice letter_data(const struct dead_letter *letter, struct buffer *scratch,
                                size_t *cut_from)
{
    struct slice data = letter->entry->data;
    *cut_from = 0;
    if (letter->event == NULL || letter->op < 0) {
        if (data.size > DEAD_LETTER_DATA_MAX) {
            *cut_from = data.size;
            data.size = DEAD_LETTER_DATA_MAX;
        }
        return data;
    }
    const struct event_op *op = &letter->event->ops[letter->op];
    buffer_clear(scratch);
    append_commit(scratch, letter->event, op, true);
    if (scratch->size > DEAD_LETTER_DATA_MAX) {
        *cut_from = scratch->size;
        buffer_clear(scratch);
        append_commit(scratch, letter->event, op, false);
    }
    return buffer_slice(scratch);
}

void dead_letter_append(struct batch_columns *columns, const struct dead_letter *letter,
                        struct buffer *scratch)
{
    struct pg_array *column = columns->columns;
    const struct event *event = letter->event;
    bool is_op = event != NULL && letter->op >= 0;
    size_t cut_from;
    struct slice data = letter_data(letter, scratch, &cut_from);
    struct slice nothing = slice_of(NULL, 0);
    const struct event_op *op = is_op ? &event->ops[letter->op] : NULL;
    pg_array_append_int64(&column[LETTER_EPOCH], (int64_t)letter->entry->id.epoch);
    pg_array_append_int64(&column[LETTER_SEQ], letter->entry->id.sequence);
    pg_array_append_int64(&column[LETTER_OP], letter->op);
    pg_array_append(&column[LETTER_REASON], text_or_nothing(letter->reason));
    pg_array_append_or_null(&column[LETTER_SQLSTATE], letter->sqlstate);
    pg_array_append_or_null(&column[LETTER_DETAIL], text_or_nothing(letter->detail));
    pg_array_append_or_null(&column[LETTER_DID],
                            event != NULL ? text_or_nothing(event->did) : nothing);
    pg_array_append_or_null(&column[LETTER_COLLECTION],
                            is_op ? text_or_nothing(op->collection) : nothing);
    pg_array_append_or_null(&column[LETTER_RKEY], is_op ? text_or_nothing(op->rkey) : nothing);
    pg_array_append_or_null(&column[LETTER_TYPE], text_or_nothing(letter->entry->type));
    pg_array_append_or_null(&column[LETTER_DATA], text_or_nothing(data));
    pg_array_append_or_null(&column[LETTER_FRAME], is_text(data) ? nothing : data);
    pg_array_append_int64(&column[LETTER_DELIVERIES], letter->entry->deliveries);
    if (cut_from > 0) {
        pg_array_append_int64(&column[LETTER_CUT_FROM], (int64_t)cut_from);
    } else {
        pg_array_append_null(&column[LETTER_CUT_FROM]);
    }
    columns->rows++;
}
