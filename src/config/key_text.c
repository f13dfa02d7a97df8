/* Keys in words: their names, and what is allowed. */
#include <inttypes.h>

#include "config/keys.h"
#include "config/text.h"

enum {
    KIB = 1024
};

const struct config_key *config_key_find(struct slice section, struct slice name)
{
    for (size_t i = 0; i < config_key_count; i++) {
        if (slice_equals(slice_from_string(config_keys[i].section), section) &&
            slice_equals(slice_from_string(config_keys[i].name), name)) {
            return &config_keys[i];
        }
    }
    return NULL;
}

bool config_section_exists(struct slice section)
{
    for (size_t i = 0; i < config_key_count; i++) {
        if (slice_equals(slice_from_string(config_keys[i].section), section)) {
            return true;
        }
    }
    return false;
}

static void append_upper(struct buffer *out, const char *text)
{
    for (; *text != '\0'; text++) {
        buffer_append_byte(out, text_upper(*text));
    }
}

void config_key_environment_name(const struct config_key *key, struct buffer *out)
{
    buffer_append_string(out, "STANDPIPE_");
    append_upper(out, key->section);
    buffer_append_byte(out, '_');
    append_upper(out, key->name);
}

static void append_size(struct buffer *out, uint64_t bytes)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
    size_t unit = 0;
    uint64_t count = bytes / KIB;
    while (count % KIB == 0 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        count /= KIB;
        unit++;
    }
    buffer_append_format(out, "%" PRIu64 " %s", count, units[unit]);
}

static void append_choices(struct buffer *out, const char *const *choices)
{
    for (size_t i = 0; choices[i] != NULL; i++) {
        if (i > 0) {
            buffer_append_string(out, choices[i + 1] == NULL ? " or " : ", ");
        }
        buffer_append_string(out, choices[i]);
    }
}

static void append_range(struct buffer *out, const struct config_key *key)
{
    if (key->is_automatic) {
        buffer_append_string(out, "auto, or ");
    }
    buffer_append_format(out, "%" PRIu64 " to %" PRIu64, key->minimum, key->maximum);
    if (key->unit != NULL) {
        buffer_append_format(out, " %s", key->unit);
    }
}

void config_key_allowed(const struct config_key *key, struct buffer *out)
{
    if (key->allowed != NULL) {
        buffer_append_string(out, key->allowed);
    } else if (key->type == KEY_BOOLEAN) {
        buffer_append_string(out, "true or false");
    } else if (key->type == KEY_CHOICE) {
        append_choices(out, key->choices);
    } else if (key->type == KEY_SIZE) {
        append_size(out, key->minimum);
        buffer_append_string(out, " to ");
        append_size(out, key->maximum);
    } else {
        append_range(out, key);
    }
}

const char *config_apply_name(enum config_apply apply)
{
    switch (apply) {
    case CONFIG_APPLY_AT_ONCE:
        return "at once";
    case CONFIG_APPLY_RECONNECT:
        return "reconnect";
    case CONFIG_APPLY_RESTART:
        return "restart";
    }
    return "";
}
