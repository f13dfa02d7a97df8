/*
 * Values: one key's text becomes its field of struct config, and back.
 *
 * Ownership: a field owns its strings; config_value_parse() frees what it replaces.
 * Threading: as struct config.
 */
#ifndef CONFIG_VALUES_H
#define CONFIG_VALUES_H

#include "config/keys.h"

/* False where `text` is not allowed; the field is then as it was, and `error` says why and what is
 * allowed, without the value. */
bool config_value_parse(struct config *config, const struct config_key *key, const char *text,
                        struct error *error) __attribute__((warn_unused_result));
/* Appends the value so that config_value_parse() would read the same. */
void config_value_format(const struct config *config, const struct config_key *key,
                         struct buffer *out);
void config_value_free(struct config *config, const struct config_key *key);

#endif
