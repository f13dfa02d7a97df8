#include "config/text.h"

#include <ctype.h>
#include <strings.h>

enum {
    PORT_MAX = 65535,
    SIZE_STEP = 1024
};

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

struct slice text_trim(struct slice text)
{
    while (text.size > 0 && is_blank(text.data[0])) {
        text = slice_skip(text, 1);
    }
    while (text.size > 0 && is_blank(text.data[text.size - 1])) {
        text.size--;
    }
    return text;
}

bool text_starts_ignoring_case(struct slice text, const char *prefix)
{
    size_t size = strlen(prefix);
    return text.size >= size && (size == 0 || strncasecmp(text.data, prefix, size) == 0);
}

bool text_equals_ignoring_case(struct slice text, const char *word)
{
    return text.size == strlen(word) && text_starts_ignoring_case(text, word);
}

bool text_parse_number(struct slice text, uint64_t *number)
{
    uint64_t value = 0;
    if (text.size == 0) {
        return false;
    }
    for (size_t i = 0; i < text.size; i++) {
        if (!isdigit((unsigned char)text.data[i])) {
            return false;
        }
        uint64_t digit = (uint64_t)(text.data[i] - '0');
        if (value > (UINT64_MAX - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    *number = value;
    return true;
}

static bool unit_factor(struct slice unit, uint64_t *factor)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    *factor = 1;
    if (unit.size == 0) {
        return true;
    }
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (text_equals_ignoring_case(unit, units[i])) {
            return true;
        }
        *factor *= SIZE_STEP;
    }
    return false;
}

bool text_parse_size(struct slice text, uint64_t *bytes)
{
    size_t digits = 0;
    while (digits < text.size && isdigit((unsigned char)text.data[digits])) {
        digits++;
    }
    uint64_t count = 0;
    uint64_t factor = 0;
    if (!text_parse_number(slice_of(text.data, digits), &count) ||
        !unit_factor(text_trim(slice_skip(text, digits)), &factor) || count > UINT64_MAX / factor) {
        return false;
    }
    *bytes = count * factor;
    return true;
}

size_t text_find(struct slice text, char byte)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == byte) {
            return i;
        }
    }
    return text.size;
}

size_t text_find_last(struct slice text, char byte)
{
    for (size_t i = text.size; i > 0; i--) {
        if (text.data[i - 1] == byte) {
            return i - 1;
        }
    }
    return text.size;
}

bool text_is_printable(struct slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        if ((unsigned char)text.data[i] <= ' ' || text.data[i] == 0x7f) {
            return false;
        }
    }
    return true;
}

static bool parse_port(struct slice text, struct text_authority *authority)
{
    uint64_t port = 0;
    if (!text_parse_number(text, &port) || port > PORT_MAX) {
        return false;
    }
    authority->port = (uint16_t)port;
    authority->has_port = true;
    return true;
}

static bool is_host(struct slice host, const char *punctuation)
{
    for (size_t i = 0; i < host.size; i++) {
        char byte = host.data[i];
        if (!isalnum((unsigned char)byte) && (byte == '\0' || strchr(punctuation, byte) == NULL)) {
            return false;
        }
    }
    return true;
}

bool text_parse_authority(struct slice text, struct text_authority *authority)
{
    *authority = (struct text_authority){0};
    authority->is_bracketed = text.size > 0 && text.data[0] == '[';
    if (!authority->is_bracketed) {
        size_t colon = text_find(text, ':');
        authority->host = slice_of(text.data, colon);
        return is_host(authority->host, "-._*") &&
               (colon == text.size || parse_port(slice_skip(text, colon + 1), authority));
    }
    size_t end = text_find(text, ']');
    if (end == text.size || end == 1) {
        return false;
    }
    authority->host = slice_of(text.data + 1, end - 1);
    struct slice rest = slice_skip(text, end + 1);
    if (!is_host(authority->host, ":.%") ||
        text_find(authority->host, ':') == authority->host.size) {
        return false;
    }
    return rest.size == 0 || (rest.data[0] == ':' && parse_port(slice_skip(rest, 1), authority));
}
