/*
 * Terminal: takes the screen over for as long as a command redraws it, and gives it back however that ends.
 *
 *   terminal_take --> terminal_wait (a second, a key, a new size) ... --> terminal_give_back
 *
 * A signal that ends the process gives it back first; Ctrl-Z too, and takes it again afterwards.
 * Ownership: one a process. Threading: the main thread. Source: termios(3), ECMA-48, xterm's private modes.
 */
#ifndef CLI_TERMINAL_H
#define CLI_TERMINAL_H

#include <stdbool.h>

#include "base/slice.h"

enum terminal_event {
    TERMINAL_TIME, /* the wait is over */
    TERMINAL_RESIZED,
    TERMINAL_QUIT /* q, or the input has ended */
};

/* Whether standard output is one. */
bool terminal_is_there(void);
/* Whether it wants colours: it is one, is not `dumb`, and NO_COLOR is not set (no-color.org). */
bool terminal_wants_colours(void);
/* Whether its characters are UTF-8, by the locale. */
bool terminal_is_utf8(void);
/* 80 x 24 where nobody knows. */
void terminal_size(unsigned *width, unsigned *height);

void terminal_take(void);
/* Draws from the top left; what is below is erased. False: it is gone. */
bool terminal_draw(struct slice text);
enum terminal_event terminal_wait(unsigned milliseconds);
/* Safe twice. */
void terminal_give_back(void);

#endif
