#include "config/ini_text.h"

#include <ini.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/panic.h"
#include "config/text.h"

enum {
    LINE_LIMIT = 8192,
    SECTION_LIMIT = 49, /* inih cuts what is longer */
    LINE_END = 3,       /* inih keeps room for CR, LF and the zero byte */
    WHY_SIZE = 96
};

/* inih reads the lines through our reader, which counts them, so that a fault has its line on every
 * build of inih, and refuses what inih would cut or misread. */

/* Debian builds inih with its limit as a variable, one for all threads; other builds keep the one that they were made
 * with, and then a longer line is refused, never cut. */
#ifdef HAVE_INI_MAX_LINE
static void set_line_limit(void)
{
    ini_max_line = LINE_LIMIT;
}

static void widen_lines(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    ASSERT(pthread_once(&once, set_line_limit) == 0);
}
#else
static void widen_lines(void)
{
}
#endif

static void fail_at(struct ini_text *text, unsigned line, const char *why)
{
    if (text->fault_line == 0) {
        text->fault_line = line;
        error_set(text->error, ERROR_USAGE, "%s:%u: %s", text->path, line, why);
    }
}

static bool check_last_section(struct ini_text *text)
{
    if (text->wants_keys && text->head_line > text->key_line) {
        fail_at(text, text->head_line, "the section is empty: give it keys, or take it out");
        return false;
    }
    return true;
}

/* The next line without its indent: inih takes an indented line for more of the value before. */
static struct slice take_line(struct ini_text *text)
{
    size_t size = text_find(text->rest, '\n');
    struct slice line = slice_of(text->rest.data, size);
    text->rest = slice_skip(text->rest, size < text->rest.size ? size + 1 : size);
    text->line++;
    return text_trim(line);
}

static bool has_comment(struct slice line)
{
    for (size_t i = 1; i < line.size; i++) {
        if (line.data[i] == ';' && (line.data[i - 1] == ' ' || line.data[i - 1] == '\t')) {
            return true;
        }
    }
    return false;
}

static bool check_line(struct ini_text *text, struct slice line, size_t limit)
{
    char why[WHY_SIZE] = "";
    bool is_head = line.size > 0 && line.data[0] == '[';
    if (text_find(line, '\0') < line.size) {
        (void)snprintf(why, sizeof(why), "a zero byte stands in the line: this is no text file");
    } else if (line.size > limit) {
        (void)snprintf(why, sizeof(why), "the line is too long: allowed are %zu bytes", limit);
    } else if (is_head && text_find(line, ']') > SECTION_LIMIT + 1) {
        (void)snprintf(why, sizeof(why), "the section's name is too long: allowed are %d bytes",
                       SECTION_LIMIT);
    }
    if (why[0] == '\0' && text->refuses_comments && has_comment(line)) {
        (void)snprintf(why, sizeof(why), "a ; behind a blank begins a comment: take it out");
    }
    if (why[0] != '\0') {
        fail_at(text, text->line, why);
        return false;
    }
    if (!is_head) {
        return true;
    }
    bool is_good = check_last_section(text);
    text->head_line = text->line;
    return is_good;
}

static char *read_line(char *out, int size, void *context)
{
    struct ini_text *text = context;
    if (text->fault_line != 0 || text->rest.size == 0) {
        return NULL;
    }
    struct slice line = take_line(text);
    bool is_comment = line.size > 0 && (line.data[0] == '#' || line.data[0] == ';');
    if (is_comment) {
        line.size = 0;
    }
    if (!check_line(text, line, (size_t)size - LINE_END)) {
        return NULL;
    }
    if (line.size > 0) {
        memcpy(out, line.data, line.size);
    }
    out[line.size] = '\n';
    out[line.size + 1] = '\0';
    return out;
}

static int take_value(void *context, const char *section, const char *name, const char *value)
{
    struct ini_text *text = context;
    if (text->fault_line != 0) {
        return 0;
    }
    text->key_line = text->line;
    if (text->on_value(text->owner, section, name, value)) {
        return 1;
    }
    text->fault_line = text->line;
    return 0;
}

bool ini_text_parse(struct ini_text *text)
{
    if (slice_starts_with(text->rest, SLICE("\xEF\xBB\xBF"))) {
        text->rest = slice_skip(text->rest, 3);
    }
    widen_lines();
    int bad_line = ini_parse_stream(read_line, text, take_value, text);
    bool is_ours =
        text->fault_line != 0 && (bad_line <= 0 || text->fault_line <= (unsigned)bad_line);
    if (is_ours) {
        return false;
    }
    if (bad_line == 0) {
        return check_last_section(text);
    }
    text->fault_line = 0;
    fail_at(text, bad_line > 0 ? (unsigned)bad_line : text->line,
            "the line is neither [section] nor key = value: correct it, or start it with #");
    return false;
}
