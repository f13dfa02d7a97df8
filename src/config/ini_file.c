#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/sources.h"
#include "config/text.h"

enum {
    FILE_LIMIT = 1024 * 1024,
    LINE_LIMIT = 8192,
    BLOCK = 4096,
    LINE_END = 3, /* inih keeps room for CR, LF and the zero byte */
};

/* inih reads the lines through our reader, which counts them, so that a fault has its line on every
 * build of inih, and refuses what inih would cut or misread. */
struct ini_source {
    struct config *config;
    struct error *error;
    const char *path;
    struct slice rest;
    unsigned line;
    unsigned fault_line; /* 0: none */
    unsigned seen[CONFIG_KEY_COUNT];
};

/* Debian builds inih with its limit as a variable; other builds keep the one that they were made
 * with, and then a longer line is refused, never cut. */
#ifdef HAVE_INI_MAX_LINE
static void widen_lines(void)
{
    ini_max_line = LINE_LIMIT;
}
#else
static void widen_lines(void)
{
}
#endif

static void fail(struct ini_source *source, const char *why)
{
    if (source->fault_line != 0) {
        return;
    }
    source->fault_line = source->line;
    error_set(source->error, ERROR_USAGE, "%s:%u: %s", source->path, source->line, why);
}

/* The next line without its indent: inih takes an indented line for more of the value before. */
static struct slice take_line(struct ini_source *source)
{
    size_t size = text_find(source->rest, '\n');
    struct slice line = slice_of(source->rest.data, size);
    source->rest = slice_skip(source->rest, size < source->rest.size ? size + 1 : size);
    source->line++;
    return text_trim(line);
}

static char *read_line(char *text, int size, void *context)
{
    struct ini_source *source = context;
    if (source->fault_line != 0 || source->rest.size == 0) {
        return NULL;
    }
    struct slice line = take_line(source);
    bool is_comment = line.size > 0 && (line.data[0] == '#' || line.data[0] == ';');
    if (is_comment) {
        line.size = 0;
    }
    if (text_find(line, '\0') < line.size) {
        fail(source, "a zero byte stands in the line: this is no text file");
        return NULL;
    }
    if (line.size + LINE_END > (size_t)size) {
        char why[96];
        (void)snprintf(why, sizeof(why), "the line is too long: allowed are %d bytes",
                       size - LINE_END);
        fail(source, why);
        return NULL;
    }
    if (line.size > 0) {
        memcpy(text, line.data, line.size);
    }
    text[line.size] = '\n';
    text[line.size + 1] = '\0';
    return text;
}

static int on_value(void *context, const char *section, const char *name, const char *value)
{
    struct ini_source *source = context;
    char origin[BLOCK];
    if (source->fault_line != 0) {
        return 0;
    }
    (void)snprintf(origin, sizeof(origin), "%s:%u", source->path, source->line);
    const struct config_key *key =
        config_key_find(slice_from_string(section), slice_from_string(name));
    if (key == NULL) {
        source->fault_line = source->line;
        config_unknown_key(source->error, origin, slice_from_string(section),
                           slice_from_string(name));
        return 0;
    }
    unsigned *seen = &source->seen[key - config_keys];
    if (*seen != 0) {
        source->fault_line = source->line;
        error_set(source->error, ERROR_USAGE, "%s: %s.%s is set a second time: line %u has it too",
                  origin, section, name, *seen);
        return 0;
    }
    *seen = source->line;
    if (config_assign(source->config, key, value, origin, source->error)) {
        return 1;
    }
    source->fault_line = source->line;
    return 0;
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

static bool parse(struct ini_source *source)
{
    widen_lines();
    int bad_line = ini_parse_stream(read_line, source, on_value, source);
    bool is_ours =
        source->fault_line != 0 && (bad_line <= 0 || source->fault_line <= (unsigned)bad_line);
    if (is_ours) {
        return false;
    }
    if (bad_line == 0) {
        return true;
    }
    source->line = bad_line > 0 ? (unsigned)bad_line : source->line;
    source->fault_line = 0;
    fail(source, "the line is neither [section] nor key = value: correct it, or start it with #");
    return false;
}

bool config_read_file(struct config *config, const char *path, struct error *error)
{
    struct buffer text = {0};
    bool is_good = config_read_whole(path, FILE_LIMIT, &text, error);
    if (is_good) {
        struct slice rest = buffer_slice(&text);
        if (slice_starts_with(rest, SLICE("\xEF\xBB\xBF"))) {
            rest = slice_skip(rest, 3);
        }
        struct ini_source source = {.config = config, .error = error, .path = path, .rest = rest};
        is_good = parse(&source);
    }
    buffer_deinit(&text);
    return is_good;
}
