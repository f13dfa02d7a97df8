/*
 * Text: the small parsers of configuration values, shared by values and URLs.
 *
 * Ownership: slices borrow from what they are cut of. Threading: pure functions.
 */
#ifndef CONFIG_TEXT_H
#define CONFIG_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

/* Without blanks at both ends. */
struct slice text_trim(struct slice text);
/* ASCII only, whatever the locale: the two cases differ in one bit. */
static inline char text_lower(char byte)
{
    return (char)(byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte);
}
static inline char text_upper(char byte)
{
    return (char)(byte >= 'a' && byte <= 'z' ? byte & ~0x20 : byte);
}
/* ASCII, without regard to case. */
bool text_equals_ignoring_case(struct slice text, const char *word);
bool text_starts_ignoring_case(struct slice text, const char *prefix);
/* Decimal digits only, at most 2^64-1. */
bool text_parse_number(struct slice text, uint64_t *number);
/* A number of bytes: `5242880`, `512 B`, `8MiB`, `1 GiB`; KiB, MiB, GiB, TiB in any case. */
bool text_parse_size(struct slice text, uint64_t *bytes);
/* Where `byte` stands first or last; text.size where it does not. */
size_t text_find(struct slice text, char byte);
size_t text_find_last(struct slice text, char byte);
/* No control characters and no blanks. */
bool text_is_printable(struct slice text);

/* `host`, `host:port` or `[v6]:port`; false where it is none. `host` comes without brackets; it is
 * empty in `:port`. */
struct text_authority {
    struct slice host;
    uint16_t port; /* only with has_port */
    bool has_port;
    bool is_bracketed;
};
bool text_parse_authority(struct slice text, struct text_authority *authority);

#endif
