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

enum {
    REDUCED_TEXT_MAX = 2048
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
    if (has_record && op->cbor.data != NULL) {
        buffer_append_string(out, ",\"cbor\":");
        json_append_string(out, op->cbor);
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

/* Printable ASCII stands for itself, any other byte is written as \\xHH. */
static void escape(struct buffer *out, struct slice text)
{
    for (size_t i = 0; i < text.size && out->size < REDUCED_TEXT_MAX; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c >= 0x20 && c < 0x7f && c != '\\') {
            buffer_append_byte(out, (char)c);
        } else {
            buffer_append_format(out, "\\x%02x", c);
        }
    }
}

static void append_text(struct pg_array *column, struct slice text, enum dead_letter_form form,
                        struct buffer *scratch)
{
    if (form == DEAD_LETTER_WHOLE) {
        pg_array_append_or_null(column, text_or_nothing(text));
        return;
    }
    buffer_clear(scratch);
    escape(scratch, text);
    pg_array_append_or_null(column, buffer_slice(scratch));
}

static void append_detail(struct pg_array *column, struct slice detail, enum dead_letter_form form,
                          struct buffer *scratch)
{
    if (form == DEAD_LETTER_WHOLE) {
        pg_array_append_or_null(column, text_or_nothing(detail));
        return;
    }
    buffer_clear(scratch);
    buffer_append_string(scratch, "reduced, because PostgreSQL refused this letter; ");
    escape(scratch, detail);
    pg_array_append(column, buffer_slice(scratch));
}

static void append_data(struct pg_array *column, const struct dead_letter *letter,
                        enum dead_letter_form form, struct buffer *scratch)
{
    const struct slice nothing = {0};
    size_t cut_from;
    struct slice data = letter_data(letter, scratch, &cut_from);
    bool is_whole_text = form == DEAD_LETTER_WHOLE && is_text(data);
    if (form == DEAD_LETTER_BARE) {
        cut_from = cut_from > 0 ? cut_from : data.size;
        data = nothing;
    }
    pg_array_append_or_null(&column[LETTER_DATA], is_whole_text ? data : nothing);
    pg_array_append_or_null(&column[LETTER_FRAME], is_whole_text ? nothing : data);
    if (cut_from > 0) {
        pg_array_append_int64(&column[LETTER_CUT_FROM], (int64_t)cut_from);
    } else {
        pg_array_append_null(&column[LETTER_CUT_FROM]);
    }
}

void dead_letter_append(struct batch_columns *columns, const struct dead_letter *letter,
                        enum dead_letter_form form, struct buffer *scratch)
{
    struct pg_array *column = columns->columns;
    const struct slice nothing = {0};
    const struct event *event = letter->event;
    const struct event_op *op = event != NULL && letter->op >= 0 ? &event->ops[letter->op] : NULL;
    append_data(column, letter, form, scratch); /* first: what is in `scratch` is of no use after */
    pg_array_append_int64(&column[LETTER_EPOCH], (int64_t)letter->entry->id.epoch);
    pg_array_append_int64(&column[LETTER_SEQ], letter->entry->id.sequence);
    pg_array_append_int64(&column[LETTER_OP], letter->op);
    pg_array_append(&column[LETTER_REASON], text_or_nothing(letter->reason));
    pg_array_append_or_null(&column[LETTER_SQLSTATE], letter->sqlstate);
    append_detail(&column[LETTER_DETAIL], letter->detail, form, scratch);
    append_text(&column[LETTER_DID], event != NULL ? event->did : nothing, form, scratch);
    append_text(&column[LETTER_COLLECTION], op != NULL ? op->collection : nothing, form, scratch);
    append_text(&column[LETTER_RKEY], op != NULL ? op->rkey : nothing, form, scratch);
    append_text(&column[LETTER_TYPE], letter->entry->type, form, scratch);
    pg_array_append_int64(&column[LETTER_DELIVERIES], letter->entry->deliveries);
    columns->rows++;
}
