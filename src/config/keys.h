/*
 * Keys: the one table of all configuration keys. Parsing, environment names, --print, the reference
 * and conf/standpipe.conf follow it; a key that is not here does not exist.
 *
 * Ownership: constant data. Threading: any thread.
 */
#ifndef CONFIG_KEYS_H
#define CONFIG_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/slice.h"
#include "config/config.h"

enum key_type {
    KEY_TEXT,
    KEY_FILE, /* a path; empty is NULL */
    KEY_RELAY_URL,
    KEY_REDIS_URL,
    KEY_POSTGRES_URL,
    KEY_LISTEN,
    KEY_SCHEMA,
    KEY_NUMBER,
    KEY_SIZE,
    KEY_BOOLEAN,
    KEY_CHOICE, /* the index into `choices` is the enum's value */
    KEY_CURSOR,
    KEY_LIST,
    KEY_COLLECTIONS,
};

/* Another spelling of a choice. */
struct key_alias {
    const char *spelling;
    const char *choice;
};

struct config_key {
    const char *section;
    const char *name;
    enum key_type type;
    enum config_apply apply;
    size_t offset;             /* in struct config */
    const char *initial;       /* the default, as it would stand in the file */
    const char *initial_words; /* what an empty or `auto` default means; else NULL */
    uint64_t minimum;          /* numbers and sizes */
    uint64_t maximum;
    const char *const *choices;      /* ends with NULL */
    const struct key_alias *aliases; /* ends with an empty pair; may be NULL */
    const char *allowed;             /* in words, where the type does not say it */
    const char *unit;                /* of numbers; may be NULL */
    const char *legacy;              /* the reference system's variable; may be NULL */
    const char *sentence;
    bool is_automatic; /* numbers: `auto` is allowed and stored as 0 until resolved */
    bool may_be_empty; /* texts */
    bool is_secret;    /* may hold a password: masked wherever it is shown */
};

/* All keys, in the order of the file; sections are contiguous. */
extern const struct config_key config_keys[];
extern const size_t config_key_count;

/* NULL where there is none. */
const struct config_key *config_key_find(struct slice section, struct slice name);
bool config_section_exists(struct slice section);
/* "STANDPIPE_RELAY_URL" */
void config_key_environment_name(const struct config_key *key, struct buffer *out);
/* "1 to 256", "true or false", ... */
void config_key_allowed(const struct config_key *key, struct buffer *out);
/* "at once", "reconnect", "restart" */
const char *config_apply_name(enum config_apply apply);

#endif
