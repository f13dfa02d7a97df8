#include <errno.h>
#include <stdio.h>

#include "config/ini_text.h"
#include "config/sources.h"

enum {
    FILE_LIMIT = 1024 * 1024,
    BLOCK = 4096,
};

struct ini_source {
    struct config *config;
    struct ini_text text;
    unsigned seen[CONFIG_KEY_COUNT]; /* the line of each key */
};

static bool on_value(void *owner, const char *section, const char *name, const char *value)
{
    struct ini_source *source = owner;
    struct error *error = source->text.error;
    char origin[BLOCK];
    (void)snprintf(origin, sizeof(origin), "%s:%u", source->text.path, source->text.line);
    const struct config_key *key =
        config_key_find(slice_from_string(section), slice_from_string(name));
    if (key == NULL) {
        config_unknown_key(error, origin, slice_from_string(section), slice_from_string(name),
                           value);
        return false;
    }
    unsigned *seen = &source->seen[key - config_keys];
    if (*seen != 0) {
        error_set(error, ERROR_USAGE, "%s: %s.%s is set a second time: line %u has it too", origin,
                  section, name, *seen);
        return false;
    }
    *seen = source->text.line;
    return config_assign(source->config, key, value, origin, error);
}

bool config_read_whole(const char *path, size_t limit, struct buffer *out, struct error *error)
{
    FILE *file = fopen(path, "re");
    size_t count = 0;
    if (file == NULL) {
        error_set(error, ERROR_USAGE, "%s: cannot be opened: %s", path, strerror(errno));
        return false;
    }
    do {
        count = fread(buffer_reserve(out, BLOCK), 1, BLOCK, file);
        out->size += count;
    } while (count > 0 && out->size <= limit);
    int fault = ferror(file) != 0 ? errno : 0;
    (void)fclose(file);
    if (fault != 0) {
        error_set(error, ERROR_USAGE, "%s: cannot be read: %s", path, strerror(fault));
    } else if (out->size > limit) {
        error_set(error, ERROR_USAGE, "%s: is too large: allowed are %zu bytes", path, limit);
    }
    return fault == 0 && out->size <= limit;
}

bool config_read_file(struct config *config, const char *path, struct error *error)
{
    struct buffer text = {0};
    struct error why;
    bool is_good = config_read_whole(path, FILE_LIMIT, &text, &why);
    if (!is_good) {
        error_set(error, ERROR_USAGE, "%s: give a readable file", why.text);
    } else {
        struct ini_source source = {
            .config = config, .text = {.path = path, .rest = buffer_slice(&text), .error = error}};
        source.text.on_value = on_value;
        source.text.owner = &source;
        is_good = ini_text_parse(&source.text);
    }
    buffer_deinit(&text);
    return is_good;
}
