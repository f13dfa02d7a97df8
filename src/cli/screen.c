#include "cli/screen.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>

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
    screen->column = 0;
    screen->line = 0;
}

void screen_deinit(struct screen *screen)
{
    buffer_deinit(&screen->out);
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

/* Bytes of `text` that fill at most `columns`, and how many they fill. */
static size_t fit(const char *text, unsigned columns, unsigned *filled)
{
    size_t size = 0;
    *filled = 0;
    while (text[size] != '\0') {
        if (is_start(text[size]) && *filled == columns) {
            return size;
        }
        *filled += is_start(text[size]);
        size++;
    }
    return size;
}

void screen_text(struct screen *screen, enum screen_style style, const char *text)
{
    unsigned filled = 0;
    bool is_styled = screen->is_coloured && style != SCREEN_PLAIN;
    if (screen_lines_left(screen) == 0 || screen->column >= screen->width) {
        return;
    }
    size_t size = fit(text, screen->width - screen->column, &filled);
    if (size == 0) {
        return;
    }
    buffer_append_string(&screen->out, is_styled ? style_codes[style] : "");
    buffer_append(&screen->out, text, size);
    buffer_append_string(&screen->out, is_styled ? "\x1b[0m" : "");
    screen->column += filled;
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
    while (screen->column < column && screen->column < screen->width) {
        screen_text(screen, SCREEN_PLAIN, " ");
        if (screen_lines_left(screen) == 0) {
            return;
        }
    }
}

void screen_end_line(struct screen *screen)
{
    if (screen_lines_left(screen) == 0) {
        return;
    }
    if (screen->is_redrawn) {
        /* Not at the last column: a terminal that waits with its wrap would erase the character there. */
        buffer_append_string(&screen->out, screen->column < screen->width ? "\x1b[K" : "");
        /* A line feed on the last line would scroll. */
        buffer_append_string(&screen->out, screen_lines_left(screen) > 1 ? "\r\n" : "");
    } else {
        buffer_append_byte(&screen->out, '\n');
    }
    screen->column = 0;
    screen->line++;
}
