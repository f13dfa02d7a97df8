/* A path: `reply.parent.uri`, `facets[].features[]<app.bsky.richtext.facet#tag>.tag`, `"odd key".x`. */
#include <ctype.h>

#include "config/tables_private.h"
#include "config/text.h"

struct path_words {
    struct tables_parser *parser;
    const char *column;
    struct slice whole;
    struct slice rest;
    struct path_step steps[TABLES_STEPS_MAX];
    size_t count;
};

static bool fail(struct path_words *words, const char *why)
{
    return tables_fail(words->parser, "%s.%s: the path %.*s: %s", words->parser->now.table.name,
                       words->column, SLICE_ARGS(words->whole), why);
}

static bool add_step(struct path_words *words, enum path_step_kind kind, struct slice name)
{
    if (words->count == TABLES_STEPS_MAX) {
        return fail(words, "it has too many steps: allowed are 16");
    }
    words->steps[words->count++] = (struct path_step){
        .kind = kind, .name = kind == PATH_EACH ? NULL : tables_copy(words->parser, name)};
    return true;
}

static bool read_quoted_key(struct path_words *words)
{
    struct slice inner = slice_skip(words->rest, 1);
    size_t end = text_find(inner, '"');
    if (end == inner.size) {
        return fail(words, "a quote does not end: write \"key\"");
    }
    words->rest = slice_skip(inner, end + 1);
    return add_step(words, PATH_KEY, slice_of(inner.data, end));
}

static bool read_key(struct path_words *words)
{
    size_t size = 0;
    if (words->rest.size > 0 && words->rest.data[0] == '"') {
        return read_quoted_key(words);
    }
    while (size < words->rest.size && (isalnum((unsigned char)words->rest.data[size]) ||
                                       strchr("_$-", words->rest.data[size]) != NULL)) {
        size++;
    }
    if (size == 0) {
        return fail(words, "a key is missing or has odd letters: write key.key, or \"odd key\"");
    }
    struct slice key = slice_of(words->rest.data, size);
    words->rest = slice_skip(words->rest, size);
    return add_step(words, PATH_KEY, key);
}

static bool is_type(struct slice type)
{
    size_t hashes = 0;
    for (size_t i = 0; i < type.size; i++) {
        char byte = type.data[i];
        hashes += byte == '#';
        if (!isalnum((unsigned char)byte) && (byte == '\0' || strchr(".-#", byte) == NULL)) {
            return false;
        }
    }
    return type.size > 0 && hashes <= 1 && type.data[0] != '#' && type.data[type.size - 1] != '#';
}

/* `#main` is what a type without a name means: it is dropped. */
static bool read_type(struct path_words *words)
{
    size_t end = text_find(words->rest, '>');
    struct slice main = SLICE("#main");
    struct slice type = slice_of(words->rest.data + 1, end - 1);
    if (end == words->rest.size || !is_type(type)) {
        return fail(words, "a type test is wrong: write <com.example.thing> or "
                           "<com.example.thing#name>");
    }
    words->rest = slice_skip(words->rest, end + 1);
    if (type.size > main.size && slice_equals(slice_skip(type, type.size - main.size), main)) {
        type.size -= main.size;
    }
    return add_step(words, PATH_TYPE, type);
}

static bool read_step(struct path_words *words)
{
    if (slice_starts_with(words->rest, SLICE("[]"))) {
        words->rest = slice_skip(words->rest, 2);
        return add_step(words, PATH_EACH, SLICE(""));
    }
    if (words->rest.data[0] == '<') {
        return read_type(words);
    }
    if (words->rest.data[0] == '.') {
        words->rest = slice_skip(words->rest, 1);
        return read_key(words);
    }
    return fail(words, "behind a key comes .key, [] or <type>");
}

bool tables_read_path(struct tables_parser *parser, const char *column, struct slice text,
                      struct column_path *path)
{
    struct path_words words = {.parser = parser, .column = column, .whole = text, .rest = text};
    bool is_good = text.data[0] == '<' ? read_type(&words) : read_key(&words);
    while (is_good && words.rest.size > 0) {
        is_good = read_step(&words);
    }
    path->steps = tables_copy_items(parser, words.steps, words.count, sizeof(words.steps[0]));
    path->step_count = words.count;
    return is_good;
}
