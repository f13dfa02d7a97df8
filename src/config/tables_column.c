/* One column: "type source [| path]... [default='x'] [required] [bad=null|dead_letter]". */
#include "config/tables_private.h"
#include "config/text.h"

static const char *const type_names[] = {
    [COLUMN_TEXT] = "text",       [COLUMN_INTEGER] = "integer",
    [COLUMN_BOOLEAN] = "boolean", [COLUMN_TIMESTAMPTZ] = "timestamptz",
    [COLUMN_JSONB] = "jsonb",     [COLUMN_TEXT_ARRAY] = "text[]",
    [COLUMN_CID] = "cid",
};

static const struct {
    const char *name;
    enum column_source source;
    enum column_type type;
} known_sources[] = {
    {"@uri", COLUMN_URI, COLUMN_TEXT},
    {"@did", COLUMN_DID, COLUMN_TEXT},
    {"@rkey", COLUMN_RKEY, COLUMN_TEXT},
    {"@cid", COLUMN_RECORD_CID, COLUMN_CID},
    {"@rev", COLUMN_REV, COLUMN_TEXT},
    {"@indexed_at", COLUMN_INDEXED_AT, COLUMN_TIMESTAMPTZ},
    {"@seq", COLUMN_SEQ, COLUMN_INTEGER},
    {"@event_time", COLUMN_EVENT_TIME, COLUMN_TIMESTAMPTZ},
    {"@record", COLUMN_RECORD, COLUMN_JSONB},
};

/* The column that is being read. */
struct column_words {
    struct tables_parser *parser;
    struct table_column column;
    struct column_path paths[COLUMN_PATHS_MAX];
    bool says_bad;
    struct slice rest;
};

const char *tables_type_name(enum column_type type)
{
    return type_names[type];
}

static const char *table_name(const struct column_words *words)
{
    return words->parser->now.table.name;
}

#define FAIL(words, format, ...)                                                                   \
    tables_fail((words)->parser, "%s.%s: " format, table_name(words), (words)->column.name,        \
                __VA_ARGS__)

static bool read_type(struct column_words *words, struct slice name)
{
    for (size_t i = 0; i < sizeof(type_names) / sizeof(type_names[0]); i++) {
        if (slice_equals(slice_from_string(type_names[i]), name)) {
            words->column.type = (enum column_type)i;
            return true;
        }
    }
    return FAIL(words,
                "%.*s is no type: write `type path`; types are text, integer, boolean, "
                "timestamptz, jsonb, text[] and cid",
                SLICE_ARGS(name));
}

/* 'it''s' without its quotes; false where it does not end where the word ends. */
static bool unquote(struct tables_parser *parser, struct slice word, char **out)
{
    struct buffer text = {0};
    bool is_closed = word.size >= 2 && word.data[0] == '\'' && word.data[word.size - 1] == '\'';
    struct slice inner = slice_of(word.data + 1, is_closed ? word.size - 2 : 0);
    for (size_t i = 0; i < inner.size && is_closed; i++) {
        if (inner.data[i] == '\'') {
            i++;
            is_closed = i < inner.size && inner.data[i] == '\'';
        }
        if (is_closed) {
            buffer_append_byte(&text, inner.data[i]);
        }
    }
    *out = is_closed ? tables_copy(parser, buffer_slice(&text)) : NULL;
    buffer_deinit(&text);
    return is_closed;
}

static bool read_constant(struct column_words *words, struct slice word)
{
    struct table_column *column = &words->column;
    if (!unquote(words->parser, word, &column->fallback)) {
        return FAIL(words, "%.*s is no constant: write it 'so', a quote in it twice",
                    SLICE_ARGS(word));
    }
    const char *fault = tables_constant_fault(column->type, slice_from_string(column->fallback));
    return fault == NULL ||
           FAIL(words, "'%s' is no %s: %s", column->fallback, type_names[column->type], fault);
}

static bool read_known_source(struct column_words *words, struct slice word)
{
    struct table_column *column = &words->column;
    for (size_t i = 0; i < sizeof(known_sources) / sizeof(known_sources[0]); i++) {
        if (!slice_equals(slice_from_string(known_sources[i].name), word)) {
            continue;
        }
        enum column_type type = known_sources[i].type;
        column->source = known_sources[i].source;
        bool is_fit = column->type == type || (type == COLUMN_CID && column->type == COLUMN_TEXT);
        return is_fit || FAIL(words, "%.*s is %s and not %s: give it that type", SLICE_ARGS(word),
                              type_names[type], type_names[column->type]);
    }
    return FAIL(words,
                "%.*s is no source: there are @uri, @did, @rkey, @cid, @rev, @indexed_at, @seq, "
                "@event_time and @record",
                SLICE_ARGS(word));
}

static bool has_each(const struct column_path *path)
{
    for (size_t i = 0; i < path->step_count; i++) {
        if (path->steps[i].kind == PATH_EACH) {
            return true;
        }
    }
    return false;
}

static bool add_path(struct column_words *words, struct slice word)
{
    struct table_column *column = &words->column;
    if (column->path_count == COLUMN_PATHS_MAX) {
        return FAIL(words, "there are too many alternatives: allowed are %d", COLUMN_PATHS_MAX);
    }
    struct column_path *path = &words->paths[column->path_count];
    if (!tables_read_path(words->parser, column->name, word, path)) {
        return false;
    }
    if (column->type == COLUMN_TEXT_ARRAY && !has_each(path)) {
        return FAIL(words, "%.*s is one value: text[] takes every item of an array: write %.*s[]",
                    SLICE_ARGS(word), SLICE_ARGS(word));
    }
    column->path_count++;
    return true;
}

static bool read_source(struct column_words *words)
{
    struct slice word;
    if (!tables_next_word(&words->rest, &word)) {
        return FAIL(words,
                    "%s alone says no source: write `type path`, `type @source` or "
                    "`type 'constant'`",
                    type_names[words->column.type]);
    }
    if (word.data[0] == '\'') {
        words->column.source = COLUMN_LITERAL;
        return read_constant(words, word);
    }
    if (word.data[0] == '@') {
        return read_known_source(words, word);
    }
    words->column.source = COLUMN_PATH;
    return add_path(words, word);
}

static bool read_alternative(struct column_words *words)
{
    struct slice word;
    if (words->column.source != COLUMN_PATH) {
        return FAIL(words, "%s: only paths have alternatives: use default='...'", "|");
    }
    if (!tables_next_word(&words->rest, &word)) {
        return FAIL(words, "%s ends the line: write a path behind it", "|");
    }
    return add_path(words, word);
}

static bool read_option(struct column_words *words, struct slice word)
{
    struct table_column *column = &words->column;
    size_t equals = text_find(word, '=');
    struct slice name = slice_of(word.data, equals);
    struct slice value = slice_skip(word, equals < word.size ? equals + 1 : equals);
    bool is_path = column->source == COLUMN_PATH;
    bool is_twice = slice_equals(word, SLICE("required"))  ? column->is_required
                    : slice_equals(name, SLICE("default")) ? column->fallback != NULL && is_path
                    : slice_equals(name, SLICE("bad"))     ? words->says_bad
                                                           : false;
    if (is_twice) {
        return FAIL(words, "%.*s stands twice: keep one", SLICE_ARGS(name));
    }
    if (slice_equals(word, SLICE("required"))) {
        column->is_required = true;
        return is_path || FAIL(words, "%s: it always has a value: take the word out", "required");
    }
    if (slice_equals(name, SLICE("default"))) {
        return is_path ? read_constant(words, value)
                       : FAIL(words, "%s: it always has a value: take it out", "default");
    }
    words->says_bad = slice_equals(name, SLICE("bad"));
    if (words->says_bad && slice_equals(value, SLICE("dead_letter"))) {
        column->bad_value = BAD_VALUE_DEAD_LETTER;
        return true;
    }
    if (words->says_bad && slice_equals(value, SLICE("null"))) {
        column->bad_value = BAD_VALUE_NULL;
        return true;
    }
    return FAIL(words,
                "%.*s is not known here: allowed are required, default='...', bad=null, "
                "bad=dead_letter, and | before another path",
                SLICE_ARGS(word));
}

static bool read_words(struct column_words *words)
{
    struct slice word;
    if (!tables_next_word(&words->rest, &word)) {
        return FAIL(words, "%s: write `type path`", "it is empty");
    }
    bool is_good = read_type(words, word) && read_source(words);
    while (is_good && tables_next_word(&words->rest, &word)) {
        is_good =
            slice_equals(word, SLICE("|")) ? read_alternative(words) : read_option(words, word);
    }
    if (is_good && words->column.is_required && words->column.fallback != NULL) {
        return FAIL(words, "%s: a column with a default is never absent: keep one of them",
                    "required and default");
    }
    return is_good;
}

static bool check_new(struct column_words *words)
{
    const struct table_builder *now = &words->parser->now;
    const char *fault = tables_name_fault(slice_from_string(words->column.name));
    if (fault != NULL) {
        return FAIL(words, "%s", fault);
    }
    for (size_t i = 0; i < now->column_count; i++) {
        if (strcmp(now->columns[i].name, words->column.name) == 0) {
            return FAIL(words, "it stands twice: line %u has it too: keep one",
                        now->column_lines[i]);
        }
    }
    return now->column_count < TABLE_COLUMNS_MAX ||
           FAIL(words, "the table has too many columns: allowed are %d", TABLE_COLUMNS_MAX);
}

bool tables_read_column(struct tables_parser *parser, const char *name, struct slice value)
{
    struct table_builder *now = &parser->now;
    struct column_words words = {.parser = parser, .rest = value};
    words.column.name = tables_copy(parser, slice_from_string(name));
    if (!check_new(&words) || !read_words(&words)) {
        return false;
    }
    words.column.paths =
        tables_copy_items(parser, words.paths, words.column.path_count, sizeof(words.paths[0]));
    now->says_bad[now->column_count] = words.says_bad;
    now->column_lines[now->column_count] = parser->line;
    now->columns[now->column_count++] = words.column;
    return true;
}
