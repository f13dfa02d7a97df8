#include <stdint.h>
#include <strings.h>

#include "atproto/syntax.h"

enum {
    LANGUAGE_SIZE_MAX = 256,
    VARIANTS_MAX = LANGUAGE_SIZE_MAX / 5
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static struct slice take_subtag(struct slice *text)
{
    size_t size = 0;
    while (size < text->size && text->data[size] != '-') {
        size++;
    }
    struct slice subtag = slice_of(text->data, size);
    *text = slice_skip(*text, size < text->size ? size + 1 : size);
    return subtag;
}

/* `i` and `x` open a grandfathered or private tag, and then something must follow. */
static bool is_first_subtag(struct slice subtag, bool is_alone)
{
    if (subtag.size == 1) {
        return !is_alone && strchr("ixX", subtag.data[0]) != NULL && subtag.data[0] != '\0';
    }
    if (subtag.size != 2 && subtag.size != 3) {
        return false;
    }
    for (size_t i = 0; i < subtag.size; i++) {
        if (subtag.data[i] < 'a' || subtag.data[i] > 'z') {
            return false;
        }
    }
    return true;
}

static bool is_later_subtag(struct slice subtag)
{
    for (size_t i = 0; i < subtag.size; i++) {
        if (!is_letter(subtag.data[i]) && !is_digit(subtag.data[i])) {
            return false;
        }
    }
    return subtag.size > 0;
}

bool language_has_syntax(struct slice text)
{
    if (text.size == 0 || text.size > LANGUAGE_SIZE_MAX || text.data[text.size - 1] == '-') {
        return false;
    }
    struct slice first = take_subtag(&text);
    if (!is_first_subtag(first, text.size == 0)) {
        return false;
    }
    while (text.size > 0) {
        if (!is_later_subtag(take_subtag(&text))) {
            return false;
        }
    }
    return true;
}

/* Five to eight characters, or four that start with a digit (RFC 5646 part 2.1). */
static bool is_variant(struct slice subtag)
{
    return subtag.size >= 5 || (subtag.size == 4 && is_digit(subtag.data[0]));
}

static bool is_among(struct slice subtag, const struct slice *others, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (others[i].size == subtag.size &&
            strncasecmp(others[i].data, subtag.data, subtag.size) == 0) {
            return true;
        }
    }
    return false;
}

static unsigned singleton_number(char c)
{
    return is_digit(c) ? (unsigned)(c - '0') : 10U + (unsigned)((c | 0x20) - 'a');
}

/* What a tag had so far that it may not have twice. */
struct repetition {
    struct slice variants[VARIANTS_MAX + 1];
    size_t variant_count;
    uint64_t singletons;
};

static bool note_singleton(struct repetition *seen, char c)
{
    uint64_t bit = UINT64_C(1) << singleton_number(c);
    bool is_new = (seen->singletons & bit) == 0;
    seen->singletons |= bit;
    return is_new;
}

static bool note_variant(struct repetition *seen, struct slice variant)
{
    bool is_new = !is_among(variant, seen->variants, seen->variant_count);
    seen->variants[seen->variant_count++] = variant;
    return is_new;
}

bool language_is_valid(struct slice text)
{
    if (!language_has_syntax(text)) {
        return false;
    }
    struct repetition seen = {0};
    struct slice first = take_subtag(&text);
    if (first.size == 1) {
        return true; /* grandfathered or private: no such parts */
    }
    while (text.size > 0) {
        struct slice subtag = take_subtag(&text);
        bool is_new = true;
        if (subtag.size == 1 && (subtag.data[0] | 0x20) == 'x') {
            return true; /* what follows is private */
        }
        if (subtag.size == 1) {
            is_new = note_singleton(&seen, subtag.data[0]);
        } else if (seen.singletons == 0 && is_variant(subtag)) {
            is_new = note_variant(&seen, subtag);
        }
        if (!is_new) {
            return false;
        }
    }
    return true;
}
