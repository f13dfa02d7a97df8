#include <ctype.h>
#include <strings.h>

#include "config/text.h"
#include "config/urls.h"

static const char stars[] = "****";
static const char word[] = "password";
enum {
    WORD_SIZE = sizeof(word) - 1
};

/* Everything between the first colon and the last @ is a password, even where the URL is broken. A
 * name without a colon is one too, but for PostgreSQL's. Returns how much of `text` is dealt with. */
static size_t mask_user(struct slice text, struct buffer *out)
{
    size_t at = text_find_last(text, '@');
    if (at == text.size) {
        return 0;
    }
    size_t start = 0;
    for (size_t i = 0; i + 2 < at; i++) {
        if (memcmp(text.data + i, "://", 3) == 0) {
            start = i + 3;
            break;
        }
    }
    size_t colon = start + text_find(slice_of(text.data + start, at - start), ':');
    if (colon == at && text_starts_ignoring_case(text, "postgres")) {
        return 0;
    }
    buffer_append(out, text.data, colon < at ? colon + 1 : start);
    buffer_append_string(out, stars);
    return at;
}

/* The end of a value that starts at `i`: a quoted one, up to its quote; else up to a blank, or to
 * the & of a URL's query. */
static size_t value_end(struct slice text, size_t i, bool is_url)
{
    bool is_quoted = !is_url && i < text.size && text.data[i] == '\'';
    for (i += is_quoted ? 1 : 0; i < text.size; i++) {
        char byte = text.data[i];
        if (byte == '\\' && !is_url) {
            i++;
        } else if (is_quoted ? byte == '\''
                             : isspace((unsigned char)byte) || (is_url && byte == '&')) {
            break;
        }
    }
    return i < text.size ? i : text.size;
}

/* The start of the value where `password =` stands at `i`, else 0. */
static size_t value_start(struct slice text, size_t i)
{
    if (text.size - i <= WORD_SIZE || strncasecmp(text.data + i, word, WORD_SIZE) != 0) {
        return 0;
    }
    i += WORD_SIZE;
    while (i < text.size && isspace((unsigned char)text.data[i])) {
        i++;
    }
    if (i == text.size || text.data[i] != '=') {
        return 0;
    }
    do {
        i++;
    } while (i < text.size && isspace((unsigned char)text.data[i]));
    return i;
}

static void mask_options(struct slice text, bool is_url, struct buffer *out)
{
    for (size_t i = 0; i < text.size;) {
        size_t value = value_start(text, i);
        if (value == 0) {
            buffer_append_byte(out, text.data[i++]);
            continue;
        }
        buffer_append(out, text.data + i, value - i);
        buffer_append_string(out, stars);
        i = value_end(text, value, is_url);
        if (!is_url && i < text.size && text.data[i] == '\'') {
            i++;
        }
    }
}

void url_mask(struct slice text, struct buffer *out)
{
    bool is_url = false;
    for (size_t i = 0; i + 2 < text.size && !is_url; i++) {
        is_url = memcmp(text.data + i, "://", 3) == 0;
    }
    /* A connection string of key=value pairs holds no user@host, and a password may hold an @. */
    bool is_pairs = !is_url && text_find(text, '=') < text_find(text, '@');
    size_t done = is_pairs ? 0 : mask_user(text, out);
    mask_options(slice_skip(text, done), is_url, out);
}
