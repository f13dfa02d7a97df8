/*
 * INI text: sections with `key = value` lines, each value with its line, so that a fault can be named.
 *
 *   text --lines--> inih --sections, keys, values--> on_value
 *
 * Ownership: borrows everything for the call. Threading: while loading, one thread (inih keeps a limit in a variable).
 */
#ifndef CONFIG_INI_TEXT_H
#define CONFIG_INI_TEXT_H

#include <stdbool.h>

#include "base/error.h"
#include "base/slice.h"

struct ini_text {
    const char *path;  /* for messages */
    struct slice rest; /* of the text */
    bool wants_keys;   /* a section without a key is a fault */
    bool
        refuses_comments; /* behind a value: `;` may be meant as part of it, and inih cuts it there */
    unsigned line;        /* of the value that on_value gets; first is 1 */
    unsigned key_line;    /* the last line that had a key */
    unsigned head_line;   /* the last line that had a [section] */
    unsigned fault_line; /* 0: none */
    struct error *error;
    /* False where the value is wrong; it has then set the error. */
    bool (*on_value)(void *owner, const char *section, const char *name, const char *value);
    void *owner;
};

/* False with "path:line: what" in `error`. */
bool ini_text_parse(struct ini_text *text) __attribute__((warn_unused_result));

#endif
