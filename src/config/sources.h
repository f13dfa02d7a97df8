/*
 * Sources: where values come from, each in a file of its own, all ending in config_assign().
 *
 *   ini_file.c, environment.c, config.c (--set) --> config_assign --> values.c
 *
 * Ownership: struct config_sources belongs to the config. Threading: while loading, one thread.
 */
#ifndef CONFIG_SOURCES_H
#define CONFIG_SOURCES_H

#include "config/keys.h"

struct config_sources {
    char *origins[CONFIG_KEY_COUNT]; /* by the key's place in the table */
};

/* Stores one value; `origin` says where it stands ("conf/standpipe.conf:12"). The error names origin,
 * key, value (masked) and what is allowed. */
bool config_assign(struct config *config, const struct config_key *key, const char *value,
                   const char *origin, struct error *error) __attribute__((warn_unused_result));
const char *config_origin(const struct config *config, const struct config_key *key);
/* "origin: x = value: unknown key in [section]: allowed are a, b, c"; of a key that may hold a secret no value. */
void config_unknown_key(struct error *error, const char *origin, struct slice section,
                        struct slice name, const char *value);

bool config_read_file(struct config *config, const char *path, struct error *error)
    __attribute__((warn_unused_result));
bool config_read_environment(struct config *config, const char *const *environment,
                             struct error *error) __attribute__((warn_unused_result));

/* Fills config->tables from what postgres.tables_file names. */
bool config_read_tables(struct config *config, struct error *error)
    __attribute__((warn_unused_result));
/* Whether both describe the same tables, indexes and counts. */
bool config_same_tables(const struct tables *a, const struct tables *b);

/* The whole file; false, with errno's words in `error`, where it cannot be read or is larger than
 * `limit` bytes. */
bool config_read_whole(const char *path, size_t limit, struct buffer *out, struct error *error)
    __attribute__((warn_unused_result));

#endif
