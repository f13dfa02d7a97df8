#include "atproto/json_scan.h"

#include <endian.h>
#include <stdint.h>
#include <string.h>

#include "atproto/utf8.h"

enum {
    INLINE_DEPTH = 4096 + 512,
    BITS = 8
};

/* Which of the open containers are objects: a bit each, so that depth costs next to nothing. */
struct nesting {
    uint8_t inline_bits[INLINE_DEPTH / BITS];
    uint8_t *bits;
    size_t capacity; /* in levels */
    size_t depth;
};

static bool fail(struct json_scan *scan, const char *problem)
{
    scan->problem = problem;
    return false;
}

struct json_scan json_scan_over(struct slice text, struct arena *arena)
{
    const char *end = text.size > 0 ? text.data + text.size : text.data; /* NULL takes no offset */
    return (struct json_scan){.next = text.data, .end = end, .arena = arena};
}

char json_scan_peek(struct json_scan *scan)
{
    while (scan->next < scan->end) {
        char c = *scan->next;
        if (c != ' ' && c != '\n' && c != '\t' && c != '\r') {
            return c;
        }
        scan->next++;
    }
    return '\0';
}

bool json_scan_is_at_end(struct json_scan *scan)
{
    (void)json_scan_peek(scan);
    return scan->next == scan->end;
}

static bool take(struct json_scan *scan, char expected)
{
    if (json_scan_peek(scan) != expected || scan->next == scan->end) {
        return false;
    }
    scan->next++;
    return true;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Four hexadecimal digits at `at`; -1 where they are not there. */
static int32_t hex_unit(const char *at, const char *end)
{
    if (end - at < 4) {
        return -1;
    }
    int32_t unit = 0;
    for (int i = 0; i < 4; i++) {
        int value = hex_value(at[i]);
        if (value < 0) {
            return -1;
        }
        unit = unit << 4 | value;
    }
    return unit;
}

/* `next` is after a backslash. */
static bool skip_escape(struct json_scan *scan)
{
    if (scan->next == scan->end) {
        return fail(scan, "a string does not end");
    }
    char c = *scan->next++;
    if (c == 'u') {
        if (hex_unit(scan->next, scan->end) < 0) {
            return fail(scan, "a \\u without four digits");
        }
        scan->next += 4;
        return true;
    }
    return (c != '\0' && strchr("\"\\/bfnrt", c) != NULL) || fail(scan, "an unknown escape");
}

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

/* The high bit of each byte of `word` that is zero; above the first one others may be set as well. */
static uint64_t zero_bytes(uint64_t word)
{
    return (word - EACH(1)) & ~word & EACH(0x80);
}

/* Up to the first byte that means something inside a string: quote, backslash, control character. Eight at a time
 * (Bit Twiddling Hacks, "Determine if a word has a byte less than n"): a record is mostly text. */
static const char *skip_plain(const char *at, const char *end)
{
    while (end - at >= 8) {
        uint64_t word;
        memcpy(&word, at, sizeof(word));
        word = le64toh(word); /* the first byte is the lowest */
        uint64_t found = ((word - EACH(0x20)) & ~word & EACH(0x80)) | zero_bytes(word ^ EACH('"')) |
                         zero_bytes(word ^ EACH('\\'));
        if (found != 0) {
            return at + __builtin_ctzll(found) / BITS;
        }
        at += sizeof(word);
    }
    return at;
}

/* Takes a string; `*raw` is what stands between the quotes. */
static bool take_raw_string(struct json_scan *scan, struct slice *raw, bool *has_escape)
{
    if (!take(scan, '"')) {
        return fail(scan, "expected a string");
    }
    const char *start = scan->next;
    *has_escape = false;
    while ((scan->next = skip_plain(scan->next, scan->end)) < scan->end) {
        char c = *scan->next++;
        if (c == '"') {
            *raw = slice_of(start, (size_t)(scan->next - 1 - start));
            return true;
        }
        if ((uint8_t)c < 0x20) {
            return fail(scan, "a control character in a string");
        }
        if (c != '\\') {
            continue;
        }
        *has_escape = true;
        if (!skip_escape(scan)) {
            return false;
        }
    }
    return fail(scan, "a string does not end");
}

/* The code point of the \u escape whose digits start at `*at`, with its pair; -1 for a lone one. */
static int32_t take_code_point(const char **at, const char *end)
{
    int32_t unit = hex_unit(*at, end);
    *at += 4;
    if (unit < 0xd800 || unit > 0xdfff) {
        return unit;
    }
    if (unit > 0xdbff || end - *at < 6 || (*at)[0] != '\\' || (*at)[1] != 'u') {
        return -1;
    }
    int32_t low = hex_unit(*at + 2, end);
    if (low < 0xdc00 || low > 0xdfff) {
        return -1;
    }
    *at += 6;
    return 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
}

static char unescape_short(char c)
{
    switch (c) {
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default: /* a character, not an enum: the quote, the slash and the backslash stand for themselves */
        return c;
    }
}

/* `raw` has been checked by take_raw_string(); what comes out is never longer. */
static bool unescape(struct json_scan *scan, struct slice raw, struct slice *text)
{
    char *to = arena_allocate(scan->arena, raw.size);
    size_t size = 0;
    const char *end = raw.data + raw.size;
    for (const char *at = raw.data; at < end;) {
        if (*at != '\\') {
            to[size++] = *at++;
            continue;
        }
        char c = at[1];
        at += 2;
        if (c != 'u') {
            to[size++] = unescape_short(c);
            continue;
        }
        int32_t code_point = take_code_point(&at, end);
        if (code_point < 0) {
            return fail(scan, "half a surrogate pair");
        }
        size += utf8_encode((uint32_t)code_point, to + size);
    }
    *text = slice_of(to, size);
    return true;
}

bool json_scan_string(struct json_scan *scan, struct slice *text)
{
    bool has_escape;
    if (!take_raw_string(scan, text, &has_escape)) {
        return false;
    }
    return !has_escape || unescape(scan, *text, text);
}

static bool take_literal(struct json_scan *scan, struct slice literal)
{
    struct slice rest = slice_of(scan->next, (size_t)(scan->end - scan->next));
    if (!slice_starts_with(rest, literal)) {
        return fail(scan, "expected a value");
    }
    scan->next += literal.size;
    return true;
}

bool json_scan_string_or_null(struct json_scan *scan, struct slice *text)
{
    if (json_scan_peek(scan) != 'n') {
        return json_scan_string(scan, text);
    }
    *text = (struct slice){0};
    return take_literal(scan, SLICE("null"));
}

bool json_scan_boolean(struct json_scan *scan, bool *value)
{
    *value = json_scan_peek(scan) == 't';
    return take_literal(scan, *value ? SLICE("true") : SLICE("false"));
}

bool json_scan_open(struct json_scan *scan, char bracket)
{
    return take(scan, bracket) ||
           fail(scan, bracket == '{' ? "expected an object" : "expected an array");
}

/* Between members: a comma, or the closing bracket. False with `problem` NULL: closed. */
static bool next_member(struct json_scan *scan, bool *is_first, char closing)
{
    if (take(scan, closing)) {
        return false;
    }
    if (!*is_first && !take(scan, ',')) {
        return fail(scan, "expected a comma or the end of a container");
    }
    *is_first = false;
    return true;
}

bool json_scan_array_next(struct json_scan *scan, bool *is_first)
{
    return next_member(scan, is_first, ']');
}

bool json_scan_object_next(struct json_scan *scan, bool *is_first, struct slice *key)
{
    if (!next_member(scan, is_first, '}') || !json_scan_string(scan, key)) {
        return false;
    }
    return take(scan, ':') || fail(scan, "expected a colon");
}

static void skip_digits(struct json_scan *scan)
{
    while (scan->next < scan->end && *scan->next >= '0' && *scan->next <= '9') {
        scan->next++;
    }
}

static bool take_digits(struct json_scan *scan)
{
    const char *start = scan->next;
    skip_digits(scan);
    return scan->next > start || fail(scan, "a number without digits");
}

static bool is_next(const struct json_scan *scan, const char *any)
{
    return scan->next < scan->end && *scan->next != '\0' && strchr(any, *scan->next) != NULL;
}

static bool take_number(struct json_scan *scan)
{
    if (is_next(scan, "-")) {
        scan->next++;
    }
    bool starts_with_zero = is_next(scan, "0");
    const char *start = scan->next;
    if (!take_digits(scan)) {
        return false;
    }
    if (starts_with_zero && scan->next - start > 1) {
        return fail(scan, "a number with a leading zero");
    }
    if (is_next(scan, ".")) {
        scan->next++;
        if (!take_digits(scan)) {
            return false;
        }
    }
    if (!is_next(scan, "eE")) {
        return true;
    }
    scan->next++;
    if (is_next(scan, "+-")) {
        scan->next++;
    }
    return take_digits(scan);
}

static bool take_scalar(struct json_scan *scan)
{
    struct slice raw;
    bool has_escape;
    switch (json_scan_peek(scan)) {
    case '"':
        return take_raw_string(scan, &raw, &has_escape);
    case 't':
        return take_literal(scan, SLICE("true"));
    case 'f':
        return take_literal(scan, SLICE("false"));
    case 'n':
        return take_literal(scan, SLICE("null"));
    default: /* a character, not an enum: a number, or nothing that JSON knows */
        return take_number(scan);
    }
}

static void grow(struct json_scan *scan, struct nesting *nesting)
{
    /* Doubled, so that all of them together cost a fraction of the text that made them needed. */
    uint8_t *bits = arena_allocate(scan->arena, nesting->capacity * 2 / BITS);
    memcpy(bits, nesting->bits, nesting->capacity / BITS);
    nesting->bits = bits;
    nesting->capacity *= 2;
}

static void push(struct json_scan *scan, struct nesting *nesting, bool is_object)
{
    if (nesting->depth == nesting->capacity) {
        grow(scan, nesting);
    }
    uint8_t bit = (uint8_t)(1U << (nesting->depth % BITS));
    uint8_t *byte = &nesting->bits[nesting->depth / BITS];
    uint8_t below = bit == 1 ? 0 : *byte; /* nothing has been written to a byte that is new */
    *byte = is_object ? below | bit : below & (uint8_t)~bit;
    nesting->depth++;
}

static bool top_is_object(const struct nesting *nesting)
{
    size_t top = nesting->depth - 1;
    return (nesting->bits[top / BITS] >> (top % BITS) & 1) != 0;
}

static bool take_key(struct json_scan *scan)
{
    struct slice raw;
    bool has_escape;
    if (!take_raw_string(scan, &raw, &has_escape)) {
        return false;
    }
    return take(scan, ':') || fail(scan, "expected a colon");
}

/* Closes what ends here and goes to where the next value starts. False with `problem` NULL: the
 * outermost container is closed. */
static bool next_value(struct json_scan *scan, struct nesting *nesting, bool is_first)
{
    while (nesting->depth > 0) {
        bool is_object = top_is_object(nesting);
        if (next_member(scan, &is_first, is_object ? '}' : ']')) {
            return !is_object || take_key(scan);
        }
        if (scan->problem != NULL) {
            return false;
        }
        nesting->depth--;
        is_first = false;
    }
    return false;
}

static bool take_container(struct json_scan *scan)
{
    struct nesting nesting; /* its bits are set before they are read */
    nesting.bits = nesting.inline_bits;
    nesting.capacity = INLINE_DEPTH;
    nesting.depth = 0;
    do {
        char first = json_scan_peek(scan);
        bool is_container = first == '{' || first == '[';
        if (is_container) {
            scan->next++;
            push(scan, &nesting, first == '{');
        } else if (!take_scalar(scan)) {
            return false;
        }
        if (!next_value(scan, &nesting, is_container) && scan->problem != NULL) {
            return false;
        }
    } while (nesting.depth > 0);
    return true;
}

bool json_scan_value(struct json_scan *scan, struct slice *value)
{
    char first = json_scan_peek(scan);
    const char *start = scan->next;
    if (!(first == '{' || first == '[' ? take_container(scan) : take_scalar(scan))) {
        return false;
    }
    *value = slice_of(start, (size_t)(scan->next - start));
    return true;
}
