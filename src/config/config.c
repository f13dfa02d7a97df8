#include "config/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/panic.h"
#include "config/cores.h"
#include "config/sources.h"
#include "config/tables.h"
#include "config/text.h"
#include "config/urls.h"
#include "config/values.h"

enum {
    CONNECTIONS_PER_THREAD = 2,
    SHOWN_VALUE_MAX = 100,
    HOST_NAME_SIZE = 256
};

/* The value as it may be shown in an error: masked, without control characters, not endless. */
static void append_shown(struct buffer *out, const char *value)
{
    size_t start = out->size;
    url_mask(slice_from_string(value), out);
    if (out->size - start > SHOWN_VALUE_MAX) {
        out->size = start + SHOWN_VALUE_MAX;
        buffer_append_string(out, "...");
    }
    for (size_t i = start; i < out->size; i++) {
        if ((unsigned char)out->data[i] < ' ' || out->data[i] == 0x7f) {
            out->data[i] = '?';
        }
    }
}

bool config_assign(struct config *config, const struct config_key *key, const char *value,
                   const char *origin, struct error *error)
{
    struct config_sources *sources = config->sources;
    struct error why;
    if (!config_value_parse(config, key, value, &why)) {
        struct buffer shown = {0};
        append_shown(&shown, value);
        error_set(error, ERROR_USAGE, "%s: %s.%s = %.*s: %s", origin, key->section, key->name,
                  SLICE_ARGS(buffer_slice(&shown)), why.text);
        buffer_deinit(&shown);
        return false;
    }
    char **place = &sources->origins[key - config_keys];
    free(*place);
    *place = memory_copy_string(origin);
    return true;
}

const char *config_origin(const struct config *config, const struct config_key *key)
{
    const struct config_sources *sources = config->sources;
    return sources->origins[key - config_keys];
}

static void append_allowed(struct buffer *out, struct slice section, bool is_section)
{
    const char *last = "";
    for (size_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        const char *shown = is_section ? key->name : key->section;
        bool is_wanted = is_section ? slice_equals(slice_from_string(key->section), section)
                                    : strcmp(shown, last) != 0;
        last = shown;
        if (is_wanted) {
            buffer_append_format(out, out->size > 0 ? ", %s" : "%s", shown);
        }
    }
}

/* By its name, for nothing else is known of it. */
static bool may_hold_secret(struct slice name)
{
    static const char *const words[] = {"pass", "secret", "token", "key", "auth", "cred"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (memmem(name.data, name.size, words[i], strlen(words[i])) != NULL) {
            return true;
        }
    }
    return false;
}

void config_unknown_key(struct error *error, const char *origin, struct slice section,
                        struct slice name, const char *value)
{
    struct buffer names = {0};
    struct buffer shown = {0};
    bool is_section = config_section_exists(section);
    append_allowed(&names, section, is_section);
    append_shown(&shown, may_hold_secret(name) ? "***" : value);
    error_set(error, ERROR_USAGE, "%s: %.*s = %.*s: unknown %s[%.*s]: allowed are %.*s", origin,
              SLICE_ARGS(name), SLICE_ARGS(buffer_slice(&shown)),
              is_section ? "key in " : "section ", SLICE_ARGS(section),
              SLICE_ARGS(buffer_slice(&names)));
    buffer_deinit(&shown);
    buffer_deinit(&names);
}

static void set_defaults(struct config *config)
{
    struct error error;
    for (size_t i = 0; i < config_key_count; i++) {
        if (!config_assign(config, &config_keys[i], config_keys[i].initial, "default", &error)) {
            panic(__FILE__, __LINE__, error.text);
        }
    }
}

/* section.key=value */
static bool read_set(struct config *config, const char *text, struct error *error)
{
    struct slice whole = slice_from_string(text);
    size_t equals = text_find(whole, '=');
    struct slice path = text_trim(slice_of(text, equals));
    size_t dot = text_find(path, '.');
    if (equals == whole.size || dot == path.size) {
        error_set(error, ERROR_USAGE, "--set %.*s: it is no section.key=value: write it so",
                  SLICE_ARGS(path));
        return false;
    }
    struct slice section = slice_of(path.data, dot);
    struct slice name = slice_skip(path, dot + 1);
    const struct config_key *key = config_key_find(section, name);
    if (key == NULL) {
        config_unknown_key(error, "--set", section, name, text + equals + 1);
        return false;
    }
    return config_assign(config, key, text + equals + 1, "--set", error);
}

static bool read_sources(struct config *config, const struct config_arguments *arguments,
                         struct error *error)
{
    if (arguments->file != NULL && !config_read_file(config, arguments->file, error)) {
        return false;
    }
    if (!config_read_environment(config, arguments->environment, error)) {
        return false;
    }
    for (size_t i = 0; i < arguments->set_count; i++) {
        if (!read_set(config, arguments->set[i], error)) {
            return false;
        }
    }
    return true;
}

static void resolve(struct config *config)
{
    if (config->workers.threads == 0) {
        config->workers.threads = cores_allowed();
    }
    if (config->postgres.connections == 0) {
        config->postgres.connections = config->workers.threads * CONNECTIONS_PER_THREAD;
    }
    if (config->workers.consumer_id[0] != '\0') {
        return;
    }
    char host[HOST_NAME_SIZE] = "";
    if (gethostname(host, sizeof(host) - 1) != 0 || host[0] == '\0') {
        (void)strcpy(host, "standpipe");
    }
    free(config->workers.consumer_id);
    config->workers.consumer_id = memory_copy_string(host);
}

static bool list_has(const struct config_list *list, const char *item)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i], item) == 0) {
            return true;
        }
    }
    return false;
}

static bool check_file(const char *key, const char *path, struct error *error)
{
    if (path == NULL || access(path, R_OK) == 0) {
        return true;
    }
    error_set(error, ERROR_USAGE, "%s = %s: cannot be read: %s: give a readable file", key, path,
              strerror(errno));
    return false;
}

/* What no key can say alone. */
static bool check(const struct config *config, struct error *error)
{
    const struct config_stream *stream = &config->stream;
    const char *why = NULL;
    if (strcmp(stream->key, stream->dead_letter_key) == 0) {
        why = "stream.dead_letter_key is stream.key: dead letters need a stream of their own";
    } else if (stream->trim_groups.count > 0 && !list_has(&stream->trim_groups, stream->group)) {
        why = "stream.trim_groups leaves stream.group out: trimming would not wait for our own "
              "workers: add it";
    } else if (config->postgres.connections < config->workers.threads) {
        why = "postgres.connections is less than workers.threads: each thread needs one: raise it, "
              "or lower workers.threads";
    } else if (config->alerts.depth_warning > config->alerts.depth_critical) {
        why = "alerts.depth_warning is more than alerts.depth_critical: lower it";
    }
    if (why == NULL) {
        return check_file("relay.ca_file", config->relay.ca_file, error) &&
               check_file("http.token_file", config->http.token_file, error);
    }
    error_set(error, ERROR_USAGE, "%s", why);
    return false;
}

bool config_load(struct config *config, const struct config_arguments *arguments,
                 struct error *error)
{
    *config = (struct config){.sources = memory_allocate(sizeof(struct config_sources))};
    set_defaults(config);
    if (read_sources(config, arguments, error)) {
        resolve(config);
        if (check(config, error) && config_read_tables(config, error)) {
            return true;
        }
    }
    config_deinit(config);
    return false;
}

void config_hold_back(struct config *next, const struct config *running)
{
    struct error error;
    for (size_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        struct buffer value = {0};
        if (key->apply != CONFIG_APPLY_RESTART) {
            continue;
        }
        config_value_format(running, key, &value);
        buffer_append_byte(&value, '\0');
        if (!config_assign(next, key, value.data, config_origin(running, key), &error)) {
            PANIC("a value that was good before is not good again");
        }
        buffer_deinit(&value);
    }
}

void config_deinit(struct config *config)
{
    struct config_sources *sources = config->sources;
    for (size_t i = 0; i < config_key_count; i++) {
        config_value_free(config, &config_keys[i]);
        if (sources != NULL) {
            free(sources->origins[i]);
        }
    }
    free(sources);
    tables_free(config->tables);
    *config = (struct config){0};
}

void config_relay_host(const struct config *config, struct buffer *out)
{
    struct slice url = slice_from_string(config->relay.url);
    struct slice rest = slice_skip(url, text_find(url, '/') + 2);
    buffer_append(out, rest.data, text_find(rest, '/'));
}
