/*
 * Screen: lines of text with a column count, cut to a width and a height, with colours where they are wanted.
 *
 *   screen_text, screen_go_to ... --> the open line --screen_end_line--> one buffer, for one write(2)
 *
 * On a terminal that is redrawn, each line also erases what was behind it, so nothing flickers.
 * Ownership: embedded; deinit frees the buffers. Threading: pure functions. Source: ECMA-48.
 */
#ifndef CLI_SCREEN_H
#define CLI_SCREEN_H

#include <stdbool.h>

#include "base/buffer.h"

enum screen_style {
    SCREEN_PLAIN,
    SCREEN_BOLD,
    SCREEN_DIM,
    SCREEN_GOOD,
    SCREEN_WARN,
    SCREEN_BAD,
    SCREEN_ACCENT,
};

struct screen {
    struct buffer out;
    unsigned width;  /* columns */
    unsigned height; /* lines; 0: as many as there are */
    bool is_coloured;
    bool is_utf8;
    bool is_redrawn; /* in place */
    unsigned column, line;
    struct buffer text, styles; /* of the line that is open; a style for each byte */
};

/* Forgets what was drawn. */
void screen_clear(struct screen *screen);
void screen_deinit(struct screen *screen);
/* What does not fit on the line is cut where the line ends, by `…` (or `~`): a figure is left out whole, because a part
 * of one looks like another. `text` has no control characters; a character is one column. */
void screen_text(struct screen *screen, enum screen_style style, const char *text);
void screen_format(struct screen *screen, enum screen_style style, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Blanks up to `column`; one blank at least where text is there already. */
void screen_go_to(struct screen *screen, unsigned column);
void screen_end_line(struct screen *screen);
/* Lines that still fit. */
unsigned screen_lines_left(const struct screen *screen);

#endif
