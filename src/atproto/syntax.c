#include "atproto/syntax.h"

#include <stdint.h>

enum {
    LABEL_SIZE_MAX = 63,
    DOMAIN_SIZE_MAX = 253,
    NSID_SEGMENTS_MIN = 3,
    HANDLE_LABELS_MIN = 2,
    AT_URI_SIZE_MAX = 8192,
    URI_SIZE_MAX = 8192,
    URI_SCHEME_MAX = 81,
    ASCII_DELETE = 0x7f,
    CID_TEXT_MIN = 8,
    CID_TEXT_MAX = 256
};

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_letter(char c)
{
    return is_lower(c) || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alphanumeric(char c)
{
    return is_letter(c) || is_digit(c);
}

bool tid_is_valid(struct slice text)
{
    if (text.size != TID_SIZE) {
        return false;
    }
    /* 65 bits in 13 digits, of which the top two are zero: the first digit has three bits. */
    if (text.data[0] > 'j') {
        return false;
    }
    for (size_t i = 0; i < text.size; i++) {
        if (!is_lower(text.data[i]) && (text.data[i] < '2' || text.data[i] > '7')) {
            return false;
        }
    }
    return true;
}

/* One label of a domain name: 1 to 63 letters, digits and hyphens, no hyphen at either end. */
static bool is_label(struct slice label)
{
    if (label.size == 0 || label.size > LABEL_SIZE_MAX) {
        return false;
    }
    if (label.data[0] == '-' || label.data[label.size - 1] == '-') {
        return false;
    }
    for (size_t i = 0; i < label.size; i++) {
        if (!is_alphanumeric(label.data[i]) && label.data[i] != '-') {
            return false;
        }
    }
    return true;
}

/* The bytes before the next `separator`, which is consumed; all of them where there is none. */
static struct slice take_until(struct slice *text, char separator)
{
    const char *found = text->size == 0 ? NULL : memchr(text->data, separator, text->size);
    size_t size = found == NULL ? text->size : (size_t)(found - text->data);
    struct slice part = slice_of(text->data, size);
    *text = slice_skip(*text, found == NULL ? size : size + 1);
    return part;
}

/* Whether `text` is labels with dots between; `*last` is the last of `*count`. */
static bool split_labels(struct slice text, struct slice *last, size_t *count)
{
    if (text.size == 0 || text.data[text.size - 1] == '.') {
        return false;
    }
    *count = 0;
    while (text.size > 0) {
        *last = take_until(&text, '.');
        if (!is_label(*last)) {
            return false;
        }
        ++*count;
    }
    return true;
}

bool nsid_is_valid(struct slice text)
{
    struct slice name;
    size_t count;
    if (text.size > NSID_SIZE_MAX || !split_labels(text, &name, &count)) {
        return false;
    }
    if (count < NSID_SEGMENTS_MIN || !is_letter(text.data[0]) || !is_letter(name.data[0])) {
        return false;
    }
    return memchr(name.data, '-', name.size) == NULL;
}

bool record_key_is_valid(struct slice text)
{
    if (text.size == 0 || text.size > RECORD_KEY_SIZE_MAX) {
        return false;
    }
    if (slice_equals(text, SLICE(".")) || slice_equals(text, SLICE(".."))) {
        return false;
    }
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (!is_alphanumeric(c) && (c == '\0' || strchr("._:~-", c) == NULL)) {
            return false;
        }
    }
    return true;
}

bool did_is_valid(struct slice text)
{
    if (text.size > DID_SIZE_MAX || !slice_starts_with(text, SLICE("did:"))) {
        return false;
    }
    struct slice rest = slice_skip(text, SLICE("did:").size);
    struct slice method = take_until(&rest, ':');
    if (method.size == 0 || rest.size == 0) {
        return false;
    }
    for (size_t i = 0; i < method.size; i++) {
        if (!is_lower(method.data[i])) {
            return false;
        }
    }
    for (size_t i = 0; i < rest.size; i++) {
        char c = rest.data[i];
        if (!is_alphanumeric(c) && (c == '\0' || strchr("._:%-", c) == NULL)) {
            return false;
        }
    }
    char last = rest.data[rest.size - 1];
    return last != ':' && last != '%';
}

bool handle_is_valid(struct slice text)
{
    struct slice last;
    size_t count;
    return text.size <= DOMAIN_SIZE_MAX && split_labels(text, &last, &count) &&
           count >= HANDLE_LABELS_MIN && is_letter(last.data[0]);
}

bool at_identifier_is_valid(struct slice text)
{
    return slice_starts_with(text, SLICE("did:")) ? did_is_valid(text) : handle_is_valid(text);
}

bool at_uri_is_valid(struct slice text)
{
    if (text.size > AT_URI_SIZE_MAX || !slice_starts_with(text, SLICE("at://"))) {
        return false;
    }
    if (text.data[text.size - 1] == '/') {
        return false;
    }
    struct slice path = slice_skip(text, SLICE("at://").size);
    if (!at_identifier_is_valid(take_until(&path, '/'))) {
        return false;
    }
    if (path.size == 0) {
        return true;
    }
    struct slice key = path;
    if (!nsid_is_valid(take_until(&key, '/'))) {
        return false;
    }
    return key.size == 0 || record_key_is_valid(key);
}

/* Letters, and after the first one dots and hyphens: what the protocol takes, not all of RFC 3986. */
static size_t scheme_size(struct slice text)
{
    size_t size = 0;
    while (size < text.size && (is_lower(text.data[size]) ||
                                (size > 0 && (text.data[size] == '.' || text.data[size] == '-')))) {
        size++;
    }
    return size;
}

bool uri_is_valid(struct slice text)
{
    size_t scheme = scheme_size(text);
    bool has_rest = scheme + 1 < text.size && text.data[scheme] == ':';
    if (text.size > URI_SIZE_MAX || scheme == 0 || scheme > URI_SCHEME_MAX || !has_rest) {
        return false;
    }
    for (size_t i = scheme + 1; i < text.size; i++) {
        if ((unsigned char)text.data[i] <= ' ' || text.data[i] == ASCII_DELETE) {
            return false;
        }
    }
    return true;
}

bool cid_text_is_valid(struct slice text)
{
    if (text.size < CID_TEXT_MIN || text.size > CID_TEXT_MAX) {
        return false;
    }
    if (slice_starts_with(text, SLICE("Qm"))) { /* version 0 has no multibase */
        return false;
    }
    for (size_t i = 0; i < text.size; i++) {
        if (!is_alphanumeric(text.data[i]) && text.data[i] != '+' && text.data[i] != '=') {
            return false;
        }
    }
    return true;
}

bool record_path_split(struct slice path, struct slice *collection, struct slice *record_key)
{
    struct slice rest = path;
    struct slice first = take_until(&rest, '/');
    if (!nsid_is_valid(first) || !record_key_is_valid(rest)) {
        return false;
    }
    *collection = first;
    *record_key = rest;
    return true;
}
