#include "atproto/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "atproto/cid.h"
#include "atproto/utf8.h"
#include "base/encoding.h"

#define SAFE_INTEGER_MAX ((UINT64_C(1) << 53) - 1)

enum {
    REAL_DIGITS_MIN = 15,
    REAL_DIGITS_MAX = 17,
    REAL_TEXT_SIZE = 32,
    MAJOR_MAP = 5
};

/* What the current key of a map is; kept in dag_level.role. */
enum key_role {
    KEY_OTHER,
    KEY_TYPE,
    KEY_REF,
    KEY_MIME_TYPE,
    KEY_SIZE
};

/* What a map turned out to have; kept in dag_level.marks. */
enum blob_mark {
    BLOB_TYPE = 1,
    BLOB_REF = 2,
    BLOB_MIME_TYPE = 4,
    BLOB_SIZE = 8,
    BLOB_WHOLE = 15
};

static bool needs_escape(uint8_t byte)
{
    return byte < 0x20 || byte == '"' || byte == '\\';
}

#define EACH_BYTE(byte) (UINT64_C(0x0101010101010101) * (byte))

/* The high bit of each byte of `word` that is below `limit` (up to 0x80); a false one only above a
 * true one. */
static uint64_t bytes_below(uint64_t word, uint8_t limit)
{
    return (word - EACH_BYTE(limit)) & ~word & EACH_BYTE(0x80);
}

/* Whether eight bytes are all ASCII that needs no escape. */
static bool is_plain_word(const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof(word));
    uint64_t quotes = bytes_below(word ^ EACH_BYTE('"'), 1);
    uint64_t backslashes = bytes_below(word ^ EACH_BYTE('\\'), 1);
    return ((word & EACH_BYTE(0x80)) | bytes_below(word, 0x20) | quotes | backslashes) == 0;
}

/* How many bytes at `at` may be copied as they are, looking at one word or character; 0: none. */
static size_t plain_step(const uint8_t *at, size_t left)
{
    if (left >= sizeof(uint64_t) && is_plain_word(at)) {
        return sizeof(uint64_t);
    }
    return needs_escape(*at) ? 0 : utf8_sequence(at, left);
}

/* The same, as far as it goes. */
static size_t plain_run(const uint8_t *at, size_t left)
{
    size_t size = 0;
    while (size < left) {
        size_t step = plain_step(at + size, left - size);
        if (step == 0) {
            break;
        }
        size += step;
    }
    return size;
}

/* Appends a byte that stands for itself in no JSON text. */
static uint32_t append_special(struct buffer *out, uint8_t byte)
{
    static const char shorts[] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f',
                                  ['\r'] = 'r', ['"'] = '"',  ['\\'] = '\\'};
    if (byte >= 0x80) {
        buffer_append_string(out, "\xef\xbf\xbd"); /* U+FFFD */
        return invalid_bit(INVALID_UTF8);
    }
    if (shorts[byte] != 0) {
        char *to = buffer_reserve(out, 2);
        to[0] = '\\';
        to[1] = shorts[byte];
        out->size += 2;
        return 0;
    }
    static const char hex[] = "0123456789abcdef";
    char escape[] = {'\\', 'u', '0', '0', hex[byte >> 4], hex[byte & 15]};
    buffer_append(out, escape, sizeof(escape));
    return byte == 0 ? invalid_bit(INVALID_NUL) : 0;
}

uint32_t json_append_text(struct buffer *out, struct slice text)
{
    const uint8_t *bytes = (const uint8_t *)text.data;
    uint32_t breaks = 0;
    (void)buffer_reserve(out, text.size + 2);
    buffer_append_byte(out, '"');
    for (size_t at = 0; at < text.size;) {
        size_t run = plain_run(bytes + at, text.size - at);
        buffer_append(out, bytes + at, run);
        at += run;
        if (at < text.size) {
            breaks |= append_special(out, bytes[at++]);
        }
    }
    buffer_append_byte(out, '"');
    return breaks;
}

void json_append_real(struct buffer *out, double real)
{
    if (!isfinite(real)) {
        buffer_append_string(out, "null");
        return;
    }
    char text[REAL_TEXT_SIZE];
    int size = 0;
    for (int digits = REAL_DIGITS_MIN; digits <= REAL_DIGITS_MAX; digits++) {
        size = snprintf(text, sizeof(text), "%.*g", digits, real);
        if (strtod(text, NULL) == real) {
            break;
        }
    }
    buffer_append(out, text, (size_t)size);
}

static uint32_t append_integer(struct buffer *out, const struct dag_item *item)
{
    bool is_negative = item->kind == DAG_NEGATIVE;
    if (item->number <= INT64_MAX) {
        int64_t number = (int64_t)item->number;
        buffer_append_int64(out, is_negative ? -1 - number : number);
    } else if (item->number == UINT64_MAX && is_negative) {
        buffer_append_string(out, "-18446744073709551616"); /* -2^64 */
    } else {
        uint64_t magnitude = item->number + (is_negative ? 1 : 0);
        buffer_append_format(out, "%s%" PRIu64, is_negative ? "-" : "", magnitude);
    }
    /* -1 - number is below -(2^53-1) from number = 2^53-1 on. */
    uint64_t largest = is_negative ? SAFE_INTEGER_MAX - 1 : SAFE_INTEGER_MAX;
    return item->number > largest ? invalid_bit(INVALID_LARGE_INTEGER) : 0;
}

static void append_link(struct buffer *out, struct slice cid)
{
    buffer_append_slice(out, SLICE("{\"$link\":\""));
    cid_append_text(out, cid);
    buffer_append_slice(out, SLICE("\"}"));
}

static void append_bytes(struct buffer *out, struct slice bytes)
{
    buffer_append_slice(out, SLICE("{\"$bytes\":\""));
    base64_append(out, bytes);
    buffer_append_slice(out, SLICE("\"}"));
}

static uint32_t append_item(struct buffer *out, const struct dag_item *item)
{
    switch (item->kind) {
    case DAG_UNSIGNED:
    case DAG_NEGATIVE:
        return append_integer(out, item);
    case DAG_TEXT:
        return json_append_text(out, item->bytes);
    case DAG_BYTES:
        append_bytes(out, item->bytes);
        return 0;
    case DAG_LINK:
        append_link(out, item->bytes);
        return 0;
    case DAG_ARRAY:
        buffer_append_byte(out, '[');
        return 0;
    case DAG_MAP:
        buffer_append_byte(out, '{');
        return 0;
    case DAG_FALSE:
        buffer_append_slice(out, SLICE("false"));
        return 0;
    case DAG_TRUE:
        buffer_append_slice(out, SLICE("true"));
        return 0;
    case DAG_FLOAT:
        json_append_real(out, item->real);
        return 0;
    case DAG_NONE:
    case DAG_END:
    case DAG_NULL:
    case DAG_UNDEFINED:
    case DAG_TAG:
        break;
    }
    buffer_append_slice(out, SLICE("null"));
    return 0;
}

/* Remembers what `key` is in its map, and tells what may not be a key at all. */
static uint32_t note_key(struct dag_level *level, struct slice key)
{
    level->role = KEY_OTHER;
    if (key.size == 3 && memcmp(key.data, "ref", 3) == 0) {
        level->role = KEY_REF;
    } else if (key.size == 4 && memcmp(key.data, "size", 4) == 0) {
        level->role = KEY_SIZE;
    } else if (key.size == 5 && memcmp(key.data, "$type", 5) == 0) {
        level->role = KEY_TYPE;
    } else if (key.size == 8 && memcmp(key.data, "mimeType", 8) == 0) {
        level->role = KEY_MIME_TYPE;
    } else if (key.size == 5 && memcmp(key.data, "$link", 5) == 0) {
        return invalid_bit(INVALID_PLAIN_LINK);
    } else if (key.size == 6 && memcmp(key.data, "$bytes", 6) == 0) {
        return invalid_bit(INVALID_PLAIN_BYTES);
    }
    return 0;
}

static uint32_t note_type(struct dag_level *level, const struct dag_item *item)
{
    if (item->kind != DAG_TEXT || item->bytes.size == 0) {
        return invalid_bit(INVALID_TYPE);
    }
    if (slice_equals(item->bytes, SLICE("blob"))) {
        level->marks |= BLOB_TYPE;
    }
    return 0;
}

/* `item` is the value of the current key of `level`. */
static uint32_t note_value(struct dag_level *level, const struct dag_item *item)
{
    switch ((enum key_role)level->role) {
    case KEY_TYPE:
        return note_type(level, item);
    case KEY_REF:
        level->marks |= item->kind == DAG_LINK ? BLOB_REF : 0;
        return 0;
    case KEY_MIME_TYPE:
        level->marks |= item->kind == DAG_TEXT ? BLOB_MIME_TYPE : 0;
        return 0;
    case KEY_SIZE:
        level->marks |= item->kind == DAG_UNSIGNED ? BLOB_SIZE : 0;
        return 0;
    case KEY_OTHER:
        break;
    }
    return 0;
}

static uint32_t append_end(struct buffer *out, const struct dag_level *level)
{
    buffer_append_byte(out, level->is_map ? '}' : ']');
    bool is_blob = (level->marks & BLOB_TYPE) != 0;
    return is_blob && level->marks != BLOB_WHOLE ? invalid_bit(INVALID_BLOB) : 0;
}

/* Appends one whole item; `*breaks` collects what JSON alone knows. False: the reader's fault. */
static bool append_tree(struct buffer *out, struct dag_reader *reader, uint32_t *breaks)
{
    bool needs_comma = false;
    do {
        size_t outer = reader->depth;
        struct dag_item item;
        if (!dag_reader_next(reader, &item)) {
            return false;
        }
        if (item.kind == DAG_END) {
            *breaks |= append_end(out, dag_reader_closed(reader));
            needs_comma = true;
            continue;
        }
        if (needs_comma) {
            buffer_append_byte(out, ',');
        }
        *breaks |= append_item(out, &item);
        needs_comma = !item.is_key && item.kind != DAG_ARRAY && item.kind != DAG_MAP;
        if (item.is_key) {
            buffer_append_byte(out, ':');
            *breaks |= note_key(dag_reader_level(reader), item.bytes);
        } else if (outer > 0) {
            *breaks |= note_value(&reader->stack->levels[outer - 1], &item);
        }
    } while (reader->depth > 0);
    return true;
}

uint32_t json_append_record(struct buffer *out, struct slice block, struct dag_stack *stack)
{
    struct dag_reader reader = dag_reader_lenient(block, stack);
    size_t start = out->size;
    uint32_t breaks = 0;
    if (!append_tree(out, &reader, &breaks)) {
        out->size = start;
        buffer_append_slice(out, SLICE("null"));
        return invalid_bit(reader.fault);
    }
    if ((uint8_t)block.data[0] >> 5 != MAJOR_MAP) {
        breaks |= invalid_bit(INVALID_NOT_A_MAP);
    }
    if (dag_reader_rest(&reader).size > 0) {
        breaks |= invalid_bit(INVALID_TRAILING);
    }
    return breaks | reader.breaks;
}
