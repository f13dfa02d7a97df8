#include "sink/column_value.h"

#include "atproto/cid.h"
#include "atproto/event_time.h"
#include "atproto/json_scan.h"
#include "base/panic.h"

enum {
    ITEMS_MINIMUM = 4
};

/* --- numbers --- */

/* Of a number: digits without the point, and how many of them stand before it (exponent applied). */
struct decimal {
    const char *digits;
    size_t size; /* of `digits`, a point included */
    int64_t before_point;
    bool is_negative;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* A number longer than jsonb takes is refused there; its exponent need not be exact here. */
static int64_t read_exponent(const char *at, const char *end)
{
    const int64_t limit = 1000000000;
    bool is_negative = at < end && *at == '-';
    int64_t exponent = 0;
    if (at < end && (*at == '-' || *at == '+')) {
        at++;
    }
    for (; at < end && is_digit(*at); at++) {
        exponent = exponent < limit ? exponent * 10 + (*at - '0') : exponent;
    }
    return is_negative ? -exponent : exponent;
}

static bool read_decimal(struct slice json, struct decimal *decimal)
{
    const char *at = json.data;
    const char *end = json.data + json.size;
    *decimal = (struct decimal){0};
    if (at < end && *at == '-') {
        decimal->is_negative = true;
        at++;
    }
    decimal->digits = at;
    while (at < end && is_digit(*at)) {
        at++;
    }
    decimal->before_point = at - decimal->digits;
    while (at < end && (*at == '.' || is_digit(*at))) {
        at++;
    }
    decimal->size = (size_t)(at - decimal->digits);
    if (at < end && (*at == 'e' || *at == 'E')) {
        decimal->before_point += read_exponent(at + 1, end);
    }
    return decimal->size > 0 && is_digit(decimal->digits[0]);
}

/* False past the `limit`. */
static bool push_digit(uint64_t *value, char digit, uint64_t limit)
{
    uint64_t low = (uint64_t)(digit - '0');
    if (*value > (limit - low) / 10) {
        return false;
    }
    *value = *value * 10 + low;
    return true;
}

bool json_number_to_int64(struct slice json, int64_t *number)
{
    struct decimal decimal;
    uint64_t value = 0;
    int64_t place = 0;
    if (!read_decimal(json, &decimal)) {
        return false;
    }
    uint64_t limit = decimal.is_negative ? (uint64_t)INT64_MAX + 1 : (uint64_t)INT64_MAX;
    for (size_t i = 0; i < decimal.size; i++) {
        char digit = decimal.digits[i];
        if (digit == '.') {
            continue;
        }
        bool is_fraction = place++ >= decimal.before_point;
        if (is_fraction ? digit != '0' : !push_digit(&value, digit, limit)) {
            return false;
        }
    }
    for (; value > 0 && place < decimal.before_point; place++) {
        if (!push_digit(&value, '0', limit)) {
            return false;
        }
    }
    *number = decimal.is_negative ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}

/* --- the types --- */

/* Whether `json` is a string, and what it says; `*is_broken` where it cannot be said. */
static bool take_string(struct slice json, struct arena *arena, struct slice *text, bool *is_broken)
{
    if (json.size == 0 || json.data[0] != '"') {
        return false;
    }
    struct json_scan scan = json_scan_over(json, arena);
    *is_broken = !json_scan_string(&scan, text);
    return !*is_broken;
}

/* The three members that a CID may stand in, as JSON. */
struct cid_members {
    struct slice link, ref, cid, mime_type;
};

static bool read_cid_members(struct slice json, struct arena *arena, struct cid_members *members)
{
    struct json_scan scan = json_scan_over(json, arena);
    struct slice key;
    bool is_first = true;
    *members = (struct cid_members){0};
    if (!json_scan_open(&scan, '{')) {
        return false;
    }
    while (json_scan_object_next(&scan, &is_first, &key)) {
        struct slice value;
        if (!json_scan_value(&scan, &value)) {
            return false;
        }
        if (slice_equals(key, SLICE("$link"))) {
            members->link = value;
        } else if (slice_equals(key, SLICE("ref"))) {
            members->ref = value;
        } else if (slice_equals(key, SLICE("cid"))) {
            members->cid = value;
        } else if (slice_equals(key, SLICE("mimeType"))) {
            members->mime_type = value;
        }
    }
    return scan.problem == NULL;
}

static bool is_object(struct slice json)
{
    return json.size > 0 && json.data[0] == '{';
}

/* The JSON string in which the CID of `json` stands: a CID as text, a link, a blob's ref, a legacy blob's cid. */
static struct slice find_cid(struct slice json, struct arena *arena, bool *is_broken)
{
    struct cid_members members = {.link = json};
    if (is_object(json)) {
        *is_broken = !read_cid_members(json, arena, &members);
    }
    if (is_object(members.ref) && members.link.size == 0 && !*is_broken) {
        *is_broken = !read_cid_members(members.ref, arena, &members);
    }
    bool is_legacy = members.link.size == 0 && members.mime_type.size > 0;
    return is_legacy ? members.cid : members.link;
}

static bool take_cid(struct slice json, struct arena *arena, struct slice *text, bool *is_broken)
{
    struct slice cid = find_cid(json, arena, is_broken);
    return !*is_broken && take_string(cid, arena, text, is_broken) && cid_is_text(*text);
}

static void push_item(struct column_value *value, struct slice item, struct arena *arena)
{
    if (value->item_count == value->item_capacity) {
        size_t capacity = value->item_capacity > 0 ? value->item_capacity * 2 : ITEMS_MINIMUM;
        struct slice *items = arena_allocate(arena, capacity * sizeof(*items));
        if (value->item_count > 0) {
            memcpy(items, value->items, value->item_count * sizeof(*items));
        }
        value->items = items;
        value->item_capacity = capacity;
    }
    value->items[value->item_count++] = item;
    value->has_value = true;
}

static bool is_short(struct column_kind kind, struct slice text)
{
    return kind.bytes_max == 0 || text.size <= kind.bytes_max;
}

/* Bad items are left out. */
static bool take_item(struct column_value *value, struct column_kind kind, struct slice json,
                      struct arena *arena)
{
    struct slice item;
    bool is_broken = false;
    if (take_string(json, arena, &item, &is_broken) && is_short(kind, item)) {
        push_item(value, item, arena);
    } else if (!slice_equals(json, SLICE("null"))) {
        value->is_bad = true;
    }
    return !is_broken;
}

static bool take_items(struct column_value *value, struct column_kind kind, struct slice json,
                       struct arena *arena)
{
    struct json_scan scan = json_scan_over(json, arena);
    struct slice item;
    bool is_first = true;
    if (json.data[0] != '[') {
        return take_item(value, kind, json, arena);
    }
    if (!json_scan_open(&scan, '[')) {
        return false;
    }
    while (json_scan_array_next(&scan, &is_first)) {
        if (!json_scan_value(&scan, &item) || !take_item(value, kind, item, arena)) {
            return false;
        }
    }
    return scan.problem == NULL;
}

static bool take_boolean(struct slice json, int64_t *number)
{
    *number = slice_equals(json, SLICE("true")) ? 1 : 0;
    return *number == 1 || slice_equals(json, SLICE("false"));
}

static bool take_time(struct slice json, struct arena *arena, int64_t *time_us, bool *is_broken)
{
    struct slice text;
    if (!take_string(json, arena, &text, is_broken)) {
        return false;
    }
    *time_us = event_time_parse(text);
    return *time_us != TIME_UNKNOWN;
}

static bool take_one(struct column_value *value, struct column_kind kind, struct slice json,
                     struct arena *arena, bool *is_broken)
{
    switch (kind.type) {
    case COLUMN_TEXT:
        return take_string(json, arena, &value->text, is_broken) && is_short(kind, value->text);
    case COLUMN_INTEGER:
        return json_number_to_int64(json, &value->number);
    case COLUMN_BOOLEAN:
        return take_boolean(json, &value->number);
    case COLUMN_TIMESTAMPTZ:
        return take_time(json, arena, &value->number, is_broken);
    case COLUMN_JSONB:
        value->text = json;
        return true;
    case COLUMN_CID:
        return take_cid(json, arena, &value->text, is_broken) && is_short(kind, value->text);
    case COLUMN_TEXT_ARRAY:
        break;
    }
    PANIC("text[] is taken item by item");
}

bool column_value_take(struct column_value *value, struct column_kind kind, struct slice json,
                       struct arena *arena)
{
    bool is_broken = false;
    if (json.size == 0 || slice_equals(json, SLICE("null"))) {
        return true;
    }
    if (kind.type == COLUMN_TEXT_ARRAY) {
        return take_items(value, kind, json, arena);
    }
    if (!value->has_value) {
        value->has_value = take_one(value, kind, json, arena, &is_broken);
        value->is_bad = value->is_bad || !value->has_value;
    }
    return !is_broken;
}

static void append_quoted(struct buffer *out, struct slice item)
{
    buffer_append_byte(out, '"');
    for (size_t i = 0; i < item.size; i++) {
        if (item.data[i] == '"' || item.data[i] == '\\') {
            buffer_append_byte(out, '\\');
        }
        buffer_append_byte(out, item.data[i]);
    }
    buffer_append_byte(out, '"');
}

void column_value_append_array(const struct column_value *value, struct buffer *out)
{
    buffer_append_byte(out, '{');
    for (size_t i = 0; i < value->item_count; i++) {
        if (i > 0) {
            buffer_append_byte(out, ',');
        }
        append_quoted(out, value->items[i]);
    }
    buffer_append_byte(out, '}');
}
