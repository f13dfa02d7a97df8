#include "config/values.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/panic.h"
#include "config/text.h"
#include "config/urls.h"

/* What one type of key does; `text` has no blanks at its ends. */
struct value_type {
    bool (*parse)(struct config *config, const struct config_key *key, struct slice text,
                  struct error *error);
    void (*format)(const struct config *config, const struct config_key *key, struct buffer *out);
    void (*release)(struct config *config, const struct config_key *key); /* NULL: nothing owned */
};

enum {
    NAME_MAX_BYTES = 512,
    SCHEMA_MAX_BYTES = 63
};
#define SEQUENCE_MAX 9007199254740991ULL /* 2^53-1, the lexicon's integers */

static void *field_of(struct config *config, const struct config_key *key)
{
    return (char *)config + key->offset;
}

static const void *field_read(const struct config *config, const struct config_key *key)
{
    return (const char *)config + key->offset;
}

static bool refuse(const struct config_key *key, struct error *error, const char *why)
{
    struct buffer allowed = {0};
    config_key_allowed(key, &allowed);
    error_set(error, ERROR_USAGE, "%s: allowed is %.*s", why, SLICE_ARGS(buffer_slice(&allowed)));
    buffer_deinit(&allowed);
    return false;
}

/* --- texts ------------------------------------------------------------------------------------ */

static char *copy_slice(struct slice text)
{
    char *copy = memory_allocate(text.size + 1);
    if (text.size > 0) {
        memcpy(copy, text.data, text.size);
    }
    return copy;
}

static void text_store(struct config *config, const struct config_key *key, struct slice text)
{
    char **field = field_of(config, key);
    char *copy = copy_slice(text);
    free(*field);
    *field = copy;
}

static void text_release(struct config *config, const struct config_key *key)
{
    char **field = field_of(config, key);
    free(*field);
    *field = NULL;
}

static void text_format(const struct config *config, const struct config_key *key,
                        struct buffer *out)
{
    char *const *field = field_read(config, key);
    buffer_append_string(out, *field != NULL ? *field : "");
}

static bool text_parse(struct config *config, const struct config_key *key, struct slice text,
                       struct error *error)
{
    if (text.size == 0 && !key->may_be_empty) {
        return refuse(key, error, "it is empty");
    }
    if (text.size > NAME_MAX_BYTES) {
        return refuse(key, error, "it is too long");
    }
    if (!text_is_printable(text)) {
        return refuse(key, error, "a blank or control character stands in it");
    }
    text_store(config, key, text);
    return true;
}

static bool file_parse(struct config *config, const struct config_key *key, struct slice text,
                       struct error *error)
{
    (void)error;
    if (text.size == 0) {
        text_release(config, key);
    } else {
        text_store(config, key, text);
    }
    return true;
}

static bool schema_parse(struct config *config, const struct config_key *key, struct slice text,
                         struct error *error)
{
    bool is_name = text.size > 0 && text.size <= SCHEMA_MAX_BYTES &&
                   !isdigit((unsigned char)text.data[0]) && !slice_starts_with(text, SLICE("pg_"));
    for (size_t i = 0; i < text.size && is_name; i++) {
        char byte = text.data[i];
        is_name = (byte >= 'a' && byte <= 'z') || isdigit((unsigned char)byte) || byte == '_';
    }
    if (!is_name) {
        return refuse(key, error, "it is no plain schema name");
    }
    text_store(config, key, text);
    return true;
}

/* --- addresses -------------------------------------------------------------------------------- */

static bool relay_url_parse(struct config *config, const struct config_key *key, struct slice text,
                            struct error *error)
{
    struct buffer url = {0};
    bool is_good = relay_url_normalize(text, &url, error);
    if (is_good) {
        text_store(config, key, buffer_slice(&url));
    }
    buffer_deinit(&url);
    return is_good;
}

static bool redis_url_parse(struct config *config, const struct config_key *key, struct slice text,
                            struct error *error)
{
    struct redis_address address;
    if (!redis_address_parse(&address, text, error)) {
        return false;
    }
    redis_address_deinit(&address);
    text_store(config, key, text);
    return true;
}

static bool postgres_url_parse(struct config *config, const struct config_key *key,
                               struct slice text, struct error *error)
{
    char *url = copy_slice(text);
    bool is_good = postgres_url_check(url, error);
    if (is_good) {
        text_store(config, key, text);
    }
    free(url);
    return is_good;
}

static bool listen_parse(struct config *config, const struct config_key *key, struct slice text,
                         struct error *error)
{
    struct text_authority parts;
    struct buffer address = {0};
    if (text.size == 0) {
        text_store(config, key, text);
        return true;
    }
    if (!text_parse_authority(text, &parts) || !parts.has_port) {
        return refuse(key, error, "it is no address with a port");
    }
    bool is_any = parts.host.size == 0 || slice_equals(parts.host, SLICE("*"));
    if (!is_any && text_find(parts.host, '*') < parts.host.size) {
        return refuse(key, error, "it is no address with a port");
    }
    if (is_any) {
        buffer_append_string(&address, "0.0.0.0");
    }
    buffer_append_slice(&address, slice_skip(text, is_any ? parts.host.size : 0));
    text_store(config, key, buffer_slice(&address));
    buffer_deinit(&address);
    return true;
}

/* --- numbers and choices ---------------------------------------------------------------------- */

static bool store_in_range(struct config *config, const struct config_key *key, uint64_t number,
                           struct error *error)
{
    if (number < key->minimum || number > key->maximum) {
        return refuse(key, error, "it is out of range");
    }
    uint64_t *field = field_of(config, key);
    *field = number;
    return true;
}

static bool number_parse(struct config *config, const struct config_key *key, struct slice text,
                         struct error *error)
{
    uint64_t number = 0;
    if (key->is_automatic && text_equals_ignoring_case(text, "auto")) {
        uint64_t *field = field_of(config, key);
        *field = 0;
        return true;
    }
    if (!text_parse_number(text, &number)) {
        return refuse(key, error, "it is no whole number");
    }
    return store_in_range(config, key, number, error);
}

static bool size_parse(struct config *config, const struct config_key *key, struct slice text,
                       struct error *error)
{
    uint64_t bytes = 0;
    if (!text_parse_size(text, &bytes)) {
        return refuse(key, error, "it is no size (5242880, 8 MiB, 1 GiB)");
    }
    return store_in_range(config, key, bytes, error);
}

static void number_format(const struct config *config, const struct config_key *key,
                          struct buffer *out)
{
    const uint64_t *field = field_read(config, key);
    buffer_append_format(out, "%" PRIu64, *field);
}

static bool boolean_parse(struct config *config, const struct config_key *key, struct slice text,
                          struct error *error)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (text_equals_ignoring_case(text, words[i])) {
            bool *field = field_of(config, key);
            *field = i % 2 == 1;
            return true;
        }
    }
    return refuse(key, error, "it is neither");
}

static void boolean_format(const struct config *config, const struct config_key *key,
                           struct buffer *out)
{
    const bool *field = field_read(config, key);
    buffer_append_string(out, *field ? "true" : "false");
}

static const char *resolve_alias(const struct config_key *key, struct slice text)
{
    for (const struct key_alias *alias = key->aliases; alias != NULL && alias->spelling != NULL;
         alias++) {
        if (text_equals_ignoring_case(text, alias->spelling)) {
            return alias->choice;
        }
    }
    return NULL;
}

static bool choice_parse(struct config *config, const struct config_key *key, struct slice text,
                         struct error *error)
{
    const char *alias = resolve_alias(key, text);
    if (alias != NULL) {
        text = slice_from_string(alias);
    }
    for (int i = 0; key->choices[i] != NULL; i++) {
        if (text_equals_ignoring_case(text, key->choices[i])) {
            memcpy(field_of(config, key), &i, sizeof(i)); /* enums are as wide as int */
            return true;
        }
    }
    return refuse(key, error, "it is none of the choices");
}

static void choice_format(const struct config *config, const struct config_key *key,
                          struct buffer *out)
{
    int index = 0;
    memcpy(&index, field_read(config, key), sizeof(index));
    buffer_append_string(out, key->choices[index]);
}

static const char *const cursor_names[] = {
    [CURSOR_SAVED] = "saved", [CURSOR_LIVE] = "live", [CURSOR_OLDEST] = "oldest"};

static bool cursor_parse(struct config *config, const struct config_key *key, struct slice text,
                         struct error *error)
{
    for (int i = CURSOR_SAVED; i <= CURSOR_OLDEST; i++) {
        if (text_equals_ignoring_case(text, cursor_names[i])) {
            config->relay.cursor = (enum cursor_start)i;
            config->relay.cursor_sequence = 0;
            return true;
        }
    }
    uint64_t sequence = 0;
    if (!text_parse_number(text, &sequence) || sequence > SEQUENCE_MAX) {
        return refuse(key, error, "it is none of them");
    }
    config->relay.cursor = CURSOR_SEQUENCE;
    config->relay.cursor_sequence = (int64_t)sequence;
    return true;
}

static void cursor_format(const struct config *config, const struct config_key *key,
                          struct buffer *out)
{
    (void)key;
    if (config->relay.cursor == CURSOR_SEQUENCE) {
        buffer_append_int64(out, config->relay.cursor_sequence);
    } else {
        buffer_append_string(out, cursor_names[config->relay.cursor]);
    }
}

/* --- lists ------------------------------------------------------------------------------------ */

static void list_clear(struct config_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i]);
    }
    free(list->items);
    *list = (struct config_list){0};
}

static void list_release(struct config *config, const struct config_key *key)
{
    list_clear(field_of(config, key));
}

static void list_push(struct config_list *list, struct slice item)
{
    list->items = memory_resize(list->items, (list->count + 1) * sizeof(*list->items));
    list->items[list->count++] = copy_slice(item);
}

static bool is_collection_segment(struct slice segment)
{
    for (size_t i = 0; i < segment.size; i++) {
        if (!isalnum((unsigned char)segment.data[i]) && segment.data[i] != '-') {
            return false;
        }
    }
    return segment.size > 0;
}

/* A collection, or segments followed by `.*`: letters, digits and hyphens between dots. */
static bool is_collection_pattern(struct slice text)
{
    size_t segments = 0;
    while (text.size > 0) {
        size_t dot = text_find(text, '.');
        struct slice segment = slice_of(text.data, dot);
        bool is_last = dot == text.size;
        bool is_star = is_last && segments > 0 && slice_equals(segment, SLICE("*"));
        bool ends_with_dot = !is_last && dot + 1 == text.size;
        if (ends_with_dot || (!is_star && !is_collection_segment(segment))) {
            return false;
        }
        segments++;
        text = is_last ? SLICE("") : slice_skip(text, dot + 1);
    }
    return segments >= 2;
}

static bool split_list(const struct config_key *key, struct slice text, struct config_list *list)
{
    while (text.size > 0) {
        size_t comma = text_find(text, ',');
        struct slice item = text_trim(slice_of(text.data, comma));
        bool is_good =
            key->type == KEY_COLLECTIONS
                ? is_collection_pattern(item)
                : item.size > 0 && item.size <= NAME_MAX_BYTES && text_is_printable(item);
        if (!is_good) {
            return false;
        }
        list_push(list, item);
        text = comma < text.size ? slice_skip(text, comma + 1) : SLICE("");
    }
    return true;
}

static bool list_parse(struct config *config, const struct config_key *key, struct slice text,
                       struct error *error)
{
    struct config_list list = {0};
    if (!split_list(key, text, &list)) {
        list_clear(&list);
        return refuse(key, error, "an item of it is wrong");
    }
    struct config_list *field = field_of(config, key);
    list_clear(field);
    *field = list;
    return true;
}

static void list_format(const struct config *config, const struct config_key *key,
                        struct buffer *out)
{
    const struct config_list *list = field_read(config, key);
    for (size_t i = 0; i < list->count; i++) {
        buffer_append_format(out, i > 0 ? ", %s" : "%s", list->items[i]);
    }
}

static const struct value_type value_types[] = {
    [KEY_TEXT] = {text_parse, text_format, text_release},
    [KEY_FILE] = {file_parse, text_format, text_release},
    [KEY_RELAY_URL] = {relay_url_parse, text_format, text_release},
    [KEY_REDIS_URL] = {redis_url_parse, text_format, text_release},
    [KEY_POSTGRES_URL] = {postgres_url_parse, text_format, text_release},
    [KEY_LISTEN] = {listen_parse, text_format, text_release},
    [KEY_SCHEMA] = {schema_parse, text_format, text_release},
    [KEY_NUMBER] = {number_parse, number_format, NULL},
    [KEY_SIZE] = {size_parse, number_format, NULL},
    [KEY_BOOLEAN] = {boolean_parse, boolean_format, NULL},
    [KEY_CHOICE] = {choice_parse, choice_format, NULL},
    [KEY_CURSOR] = {cursor_parse, cursor_format, NULL},
    [KEY_LIST] = {list_parse, list_format, list_release},
    [KEY_COLLECTIONS] = {list_parse, list_format, list_release},
};

bool config_value_parse(struct config *config, const struct config_key *key, const char *text,
                        struct error *error)
{
    return value_types[key->type].parse(config, key, text_trim(slice_from_string(text)), error);
}

void config_value_format(const struct config *config, const struct config_key *key,
                         struct buffer *out)
{
    value_types[key->type].format(config, key, out);
}

void config_value_free(struct config *config, const struct config_key *key)
{
    if (value_types[key->type].release != NULL) {
        value_types[key->type].release(config, key);
    }
}
