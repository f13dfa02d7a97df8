#include "atproto/dag_cbor.h"

#include <math.h>
#include <stdlib.h>

#include <cbor.h>

#include "atproto/cid.h"
#include "atproto/utf8.h"
#include "base/panic.h"

enum {
    DAG_STACK_MINIMUM = 32,
    TAG_LINK = 42,
    MAJOR_TAG = 6,
    TAG_DIRECT_MAX = 23,
    SIMPLE_FIRST = 0xe0,
    SIMPLE_LAST = 0xf3,
    SIMPLE_LONG = 0xf8
};

_Static_assert(sizeof(size_t) == sizeof(uint64_t),
               "libcbor's callbacks count in size_t or uint64_t");

/* What libcbor's callbacks tell about one head. */
struct token {
    struct dag_item *item;
    bool is_indefinite;
    bool is_short_float; /* half or single */
};

static void take_number(void *context, enum dag_kind kind, uint64_t number)
{
    struct token *token = context;
    token->item->kind = kind;
    token->item->number = number;
}

static void on_uint8(void *context, uint8_t number)
{
    take_number(context, DAG_UNSIGNED, number);
}

static void on_uint16(void *context, uint16_t number)
{
    take_number(context, DAG_UNSIGNED, number);
}

static void on_uint32(void *context, uint32_t number)
{
    take_number(context, DAG_UNSIGNED, number);
}

static void on_uint64(void *context, uint64_t number)
{
    take_number(context, DAG_UNSIGNED, number);
}

static void on_negint8(void *context, uint8_t number)
{
    take_number(context, DAG_NEGATIVE, number);
}

static void on_negint16(void *context, uint16_t number)
{
    take_number(context, DAG_NEGATIVE, number);
}

static void on_negint32(void *context, uint32_t number)
{
    take_number(context, DAG_NEGATIVE, number);
}

static void on_negint64(void *context, uint64_t number)
{
    take_number(context, DAG_NEGATIVE, number);
}

static void take_string(void *context, enum dag_kind kind, cbor_data data, size_t size)
{
    take_number(context, kind, size);
    ((struct token *)context)->item->bytes = slice_of(data, size);
}

static void on_bytes(void *context, cbor_data data, size_t size)
{
    take_string(context, DAG_BYTES, data, size);
}

static void on_text(void *context, cbor_data data, size_t size)
{
    take_string(context, DAG_TEXT, data, size);
}

static void on_array(void *context, size_t count)
{
    take_number(context, DAG_ARRAY, count);
}

static void on_map(void *context, size_t count)
{
    take_number(context, DAG_MAP, count);
}

static void on_tag(void *context, uint64_t number)
{
    take_number(context, DAG_TAG, number);
}

static void on_indefinite(void *context)
{
    ((struct token *)context)->is_indefinite = true;
}

static void on_short_float(void *context, float real)
{
    struct token *token = context;
    token->is_short_float = true;
    token->item->kind = DAG_FLOAT;
    token->item->real = (double)real;
}

static void on_double(void *context, double real)
{
    struct token *token = context;
    token->item->kind = DAG_FLOAT;
    token->item->real = real;
}

static void on_boolean(void *context, bool value)
{
    ((struct token *)context)->item->kind = value ? DAG_TRUE : DAG_FALSE;
}

static void on_null(void *context)
{
    ((struct token *)context)->item->kind = DAG_NULL;
}

static void on_undefined(void *context)
{
    ((struct token *)context)->item->kind = DAG_UNDEFINED;
}

static const struct cbor_callbacks callbacks = {
    .uint8 = on_uint8,
    .uint16 = on_uint16,
    .uint32 = on_uint32,
    .uint64 = on_uint64,
    .negint8 = on_negint8,
    .negint16 = on_negint16,
    .negint32 = on_negint32,
    .negint64 = on_negint64,
    .byte_string_start = on_indefinite,
    .byte_string = on_bytes,
    .string = on_text,
    .string_start = on_indefinite,
    .indef_array_start = on_indefinite,
    .array_start = on_array,
    .indef_map_start = on_indefinite,
    .map_start = on_map,
    .tag = on_tag,
    .float2 = on_short_float,
    .float4 = on_short_float,
    .float8 = on_double,
    .undefined = on_undefined,
    .null = on_null,
    .boolean = on_boolean,
    .indef_break = on_indefinite,
};

void dag_stack_deinit(struct dag_stack *stack)
{
    free(stack->levels);
    *stack = (struct dag_stack){0};
}

static struct dag_reader reader_over(struct slice input, struct dag_stack *stack)
{
    const uint8_t *data = (const uint8_t *)input.data;
    const uint8_t *end =
        input.size > 0 ? data + input.size : data; /* NULL takes no offset, 0 neither */
    return (struct dag_reader){.next = data, .end = end, .stack = stack};
}

struct dag_reader dag_reader_strict(struct slice input, struct dag_stack *stack)
{
    struct dag_reader reader = reader_over(input, stack);
    reader.depth_max = FRAME_DEPTH_MAX;
    return reader;
}

struct dag_reader dag_reader_lenient(struct slice input, struct dag_stack *stack)
{
    struct dag_reader reader = reader_over(input, stack);
    reader.depth_max = RECORD_DEPTH_MAX;
    reader.is_lenient = true;
    return reader;
}

static bool fail(struct dag_reader *reader, enum invalid_reason reason)
{
    reader->fault = reason;
    return false;
}

/* True where reading may go on. */
static bool note_break(struct dag_reader *reader, enum invalid_reason reason)
{
    if (!reader->is_lenient) {
        return fail(reader, reason);
    }
    reader->breaks |= invalid_bit(reason);
    return true;
}

/* Bytes that the shortest head for `number` has (RFC 8949 part 4.1). */
static size_t minimal_head(uint64_t number)
{
    if (number < 24) {
        return 1;
    }
    if (number <= UINT8_MAX) {
        return 2;
    }
    if (number <= UINT16_MAX) {
        return 3;
    }
    return number <= UINT32_MAX ? 5 : 9;
}

static bool check_head(struct dag_reader *reader, const struct token *token, size_t read)
{
    const struct dag_item *item = token->item;
    if (token->is_indefinite) {
        return fail(reader, INVALID_INDEFINITE);
    }
    if (item->kind == DAG_FLOAT) {
        bool is_allowed = !reader->is_lenient && !token->is_short_float && isfinite(item->real);
        return is_allowed || note_break(reader, INVALID_FLOAT);
    }
    if (item->kind == DAG_UNDEFINED) {
        return note_break(reader, INVALID_UNDEFINED);
    }
    if (item->kind == DAG_FALSE || item->kind == DAG_TRUE || item->kind == DAG_NULL) {
        return true;
    }
    if (read - item->bytes.size != minimal_head(item->number)) {
        return note_break(reader, INVALID_NOT_MINIMAL);
    }
    return true;
}

/* Well-formed heads that libcbor takes for malformed: tags 6 to 20 (before 0.11) and simple values
 * that nobody has assigned. None is allowed, but a lenient reader reads over them. Returns the
 * head's length; 0: ask libcbor. */
static size_t read_known_head(const uint8_t *at, size_t left, struct dag_item *item)
{
    if (at[0] >> 5 == MAJOR_TAG && (at[0] & 0x1f) <= TAG_DIRECT_MAX) {
        item->kind = DAG_TAG;
        item->number = at[0] & 0x1f;
        return 1;
    }
    bool is_short = at[0] >= SIMPLE_FIRST && at[0] <= SIMPLE_LAST;
    /* In two bytes only from 32 on (RFC 8949 part 3.3). */
    bool is_long = at[0] == SIMPLE_LONG && left >= 2 && at[1] >= 32;
    if (!is_short && !is_long) {
        return 0;
    }
    item->kind = DAG_UNDEFINED;
    return is_short ? 1 : 2;
}

static bool read_head(struct dag_reader *reader, struct dag_item *item)
{
    size_t left = (size_t)(reader->end - reader->next);
    if (left == 0) {
        return fail(reader, INVALID_TRUNCATED);
    }
    *item = (struct dag_item){0};
    size_t known = read_known_head(reader->next, left, item);
    if (known > 0) {
        reader->next += known;
        return item->kind == DAG_TAG || note_break(reader, INVALID_UNDEFINED);
    }
    struct token token = {.item = item};
    struct cbor_decoder_result result = cbor_stream_decode(reader->next, left, &callbacks, &token);
    if (result.status == CBOR_DECODER_NEDATA) {
        return fail(reader, INVALID_TRUNCATED);
    }
    if (result.status != CBOR_DECODER_FINISHED) {
        return fail(reader, INVALID_MALFORMED);
    }
    reader->next += result.read;
    return check_head(reader, &token, result.read);
}

/* `item` is a tag: reads what it tags in its place. */
static bool read_tagged(struct dag_reader *reader, struct dag_item *item)
{
    bool is_link = item->number == TAG_LINK;
    if (!is_link && !note_break(reader, INVALID_TAG)) {
        return false;
    }
    if (!read_head(reader, item)) {
        return false;
    }
    if (!is_link) {
        return true;
    }
    bool is_prefixed =
        item->kind == DAG_BYTES && item->bytes.size > 1 && item->bytes.data[0] == '\0';
    if (!is_prefixed || !cid_is_well_formed(slice_skip(item->bytes, 1))) {
        return note_break(reader, INVALID_LINK);
    }
    item->kind = DAG_LINK;
    item->bytes = slice_skip(item->bytes, 1);
    return true;
}

static bool check_key_order(struct dag_reader *reader, struct dag_level *level, struct slice key)
{
    struct slice last = level->last_key;
    level->last_key = key;
    if (last.data == NULL) {
        return true;
    }
    if (last.size != key.size) {
        return last.size < key.size || note_break(reader, INVALID_UNSORTED_KEYS);
    }
    int order = memcmp(last.data, key.data, key.size);
    if (order == 0) {
        return note_break(reader, INVALID_DUPLICATE_KEY);
    }
    return order < 0 || note_break(reader, INVALID_UNSORTED_KEYS);
}

/* Counts `item` in the container that it is in. */
static bool enter_item(struct dag_reader *reader, struct dag_item *item)
{
    struct dag_level *level = dag_reader_level(reader);
    level->left--;
    if (!level->is_map) {
        return true;
    }
    item->is_key = level->is_key_next;
    level->is_key_next = !level->is_key_next;
    if (!item->is_key) {
        return true;
    }
    if (item->kind != DAG_TEXT) {
        return fail(reader, INVALID_KEY_NOT_TEXT);
    }
    return check_key_order(reader, level, item->bytes);
}

static void grow_stack(struct dag_stack *stack)
{
    size_t capacity = stack->capacity == 0 ? DAG_STACK_MINIMUM : stack->capacity * 2;
    stack->levels = memory_resize(stack->levels, capacity * sizeof(*stack->levels));
    stack->capacity = capacity;
}

static bool open_container(struct dag_reader *reader, const struct dag_item *item)
{
    bool is_map = item->kind == DAG_MAP;
    size_t left = (size_t)(reader->end - reader->next);
    /* Every item takes a byte at least: a count that cannot be true ends it before any work. */
    if (item->number > (is_map ? left / 2 : left)) {
        return fail(reader, INVALID_TRUNCATED);
    }
    if (reader->depth == reader->depth_max) {
        return fail(reader, INVALID_TOO_DEEP);
    }
    if (reader->depth == reader->stack->capacity) {
        grow_stack(reader->stack);
    }
    reader->stack->levels[reader->depth++] = (struct dag_level){
        .left = is_map ? item->number * 2 : item->number, .is_map = is_map, .is_key_next = is_map};
    return true;
}

bool dag_reader_next(struct dag_reader *reader, struct dag_item *item)
{
    if (reader->depth > 0 && dag_reader_level(reader)->left == 0) {
        *item = (struct dag_item){.kind = DAG_END};
        reader->depth--;
        return true;
    }
    if (!read_head(reader, item)) {
        return false;
    }
    while (item->kind == DAG_TAG) {
        if (!read_tagged(reader, item)) {
            return false;
        }
    }
    if (reader->depth > 0 && !enter_item(reader, item)) {
        return false;
    }
    if (item->kind == DAG_ARRAY || item->kind == DAG_MAP) {
        return open_container(reader, item);
    }
    if (item->kind == DAG_TEXT && !reader->is_lenient && !utf8_is_valid(item->bytes)) {
        return fail(reader, INVALID_UTF8);
    }
    return true;
}

bool dag_reader_skip(struct dag_reader *reader, const struct dag_item *item)
{
    if (item->kind != DAG_ARRAY && item->kind != DAG_MAP) {
        return true;
    }
    size_t outer = reader->depth - 1;
    struct dag_item inner;
    while (reader->depth > outer) {
        if (!dag_reader_next(reader, &inner)) {
            return false;
        }
    }
    return true;
}
