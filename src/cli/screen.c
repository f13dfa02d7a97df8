#include "cli/screen.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    TEXT_SIZE = 512
};

static const char *const style_codes[] = {
    [SCREEN_PLAIN] = "",          [SCREEN_BOLD] = "\x1b[1m",  [SCREEN_DIM] = "\x1b[2m",
    [SCREEN_GOOD] = "\x1b[32m",   [SCREEN_WARN] = "\x1b[33m", [SCREEN_BAD] = "\x1b[1;31m",
    [SCREEN_ACCENT] = "\x1b[36m",
};

void screen_clear(struct screen *screen)
{
    buffer_clear(&screen->out);
    buffer_clear(&screen->text);
    buffer_clear(&screen->styles);
    screen->column = 0;
    screen->line = 0;
}

void screen_deinit(struct screen *screen)
{
    buffer_deinit(&screen->out);
    buffer_deinit(&screen->text);
    buffer_deinit(&screen->styles);
}

unsigned screen_lines_left(const struct screen *screen)
{
    if (screen->height == 0) {
        return UINT_MAX;
    }
    return screen->line < screen->height ? screen->height - screen->line : 0;
}

static bool is_start(char byte)
{
    return ((unsigned char)byte & 0xc0) != 0x80;
}

static unsigned columns_of(const char *text, size_t size)
{
    unsigned columns = 0;
    for (size_t i = 0; i < size; i++) {
        columns += is_start(text[i]);
    }
    return columns;
}

void screen_text(struct screen *screen, enum screen_style style, const char *text)
{
    size_t size = strlen(text);
    if (screen_lines_left(screen) == 0) {
        return;
    }
    buffer_append(&screen->text, text, size);
    for (size_t i = 0; i < size; i++) {
        buffer_append_byte(&screen->styles, (char)style);
    }
    screen->column += columns_of(text, size);
}

void screen_format(struct screen *screen, enum screen_style style, const char *format, ...)
{
    char text[TEXT_SIZE];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    screen_text(screen, style, text);
}

void screen_go_to(struct screen *screen, unsigned column)
{
    if (screen->column > 0 && column <= screen->column) {
        column = screen->column + 1;
    }
    while (screen->column < column && screen_lines_left(screen) > 0) {
        screen_text(screen, SCREEN_PLAIN, " ");
    }
}

/* ---- cutting ------------------------------------------------------------------------------------ */

/* Bytes of `text` that fill at most `columns`. */
static size_t fit(struct slice text, unsigned columns)
{
    size_t size = 0;
    unsigned filled = 0;
    while (size < text.size && (!is_start(text.data[size]) || filled < columns)) {
        filled += is_start(text.data[size]);
        size++;
    }
    return size;
}

static size_t without_blanks(const char *text, size_t size)
{
    while (size > 0 && text[size - 1] == ' ') {
        size--;
    }
    return size;
}

static size_t word_start(const char *text, size_t size)
{
    while (size > 0 && text[size - 1] != ' ') {
        size--;
    }
    return size;
}

static bool is_figure(const char *word, size_t size)
{
    bool has_sign = size > 1 && word[0] == '-';
    return size > 0 && word[has_sign] >= '0' && word[has_sign] <= '9';
}

/* What is kept of the first `size` bytes: no part of a figure, and none whose unit is cut away. */
static size_t without_figure(struct slice text, size_t size)
{
    size_t end = without_blanks(text.data, size);
    size_t start = word_start(text.data, end);
    bool is_part = end == size && size < text.size && text.data[size] != ' ';
    while (is_figure(text.data + start, end - start) && (is_part || text.data[end - 1] != ',')) {
        end = without_blanks(text.data, start);
        start = word_start(text.data, end);
        is_part = false;
    }
    return end;
}

/* Leaves on the open line what fits, with a mark where something was cut. */
static void cut_line(struct screen *screen)
{
    struct slice text = buffer_slice(&screen->text);
    size_t used = without_blanks(text.data, text.size);
    if (columns_of(text.data, used) > screen->width) {
        size_t kept = without_figure(text, fit(text, screen->width - 1));
        enum screen_style style =
            kept > 0 ? (enum screen_style)screen->styles.data[kept - 1] : SCREEN_PLAIN;
        screen->text.size = kept;
        screen->styles.size = kept;
        screen_text(screen, style, screen->is_utf8 ? "…" : "~");
    } else {
        screen->text.size = fit(text, screen->width);
    }
    screen->column = columns_of(screen->text.data, screen->text.size);
}

static void put_line(struct screen *screen)
{
    const struct slice text = buffer_slice(&screen->text);
    for (size_t at = 0, end = 0; at < text.size; at = end) {
        unsigned char style = (unsigned char)screen->styles.data[at];
        while (end < text.size && (unsigned char)screen->styles.data[end] == style) {
            end++;
        }
        bool is_styled = screen->is_coloured && style != SCREEN_PLAIN;
        buffer_append_string(&screen->out, is_styled ? style_codes[style] : "");
        buffer_append(&screen->out, text.data + at, end - at);
        buffer_append_string(&screen->out, is_styled ? "\x1b[0m" : "");
    }
}

void screen_end_line(struct screen *screen)
{
    if (screen_lines_left(screen) == 0) {
        return;
    }
    cut_line(screen);
    put_line(screen);
    if (screen->is_redrawn) {
        /* Not at the last column: a terminal that waits with its wrap would erase the character there. */
        buffer_append_string(&screen->out, screen->column < screen->width ? "\x1b[K" : "");
        /* A line feed on the last line would scroll. */
        buffer_append_string(&screen->out, screen_lines_left(screen) > 1 ? "\r\n" : "");
    } else {
        buffer_append_byte(&screen->out, '\n');
    }
    buffer_clear(&screen->text);
    buffer_clear(&screen->styles);
    screen->column = 0;
    screen->line++;
}
