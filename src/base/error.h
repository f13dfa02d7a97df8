/*
 * Error: what went wrong, in words for the operator, with a kind for the program.
 * Text says what, where and what was expected. Libraries' own codes are translated in the one file
 * that includes the library.
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

enum error_kind {
    ERROR_NONE,
    ERROR_USAGE,       /* wrong options or configuration: exit code 2 */
    ERROR_UNREACHABLE, /* a dependency is away or busy: try again, exit code 3 */
    ERROR_REFUSED,     /* a dependency said no and will say no again: set-up is wrong */
    ERROR_PROTOCOL,    /* the peer breaks its protocol */
    ERROR_TIMEOUT,     /* no answer in time */
    ERROR_CLOSED,      /* the connection ended */
    ERROR_ROW,         /* one row is refused, the others are fine */
    ERROR_INTERNAL,    /* anything else */
};

struct error {
    enum error_kind kind;
    char text[768];
};

/* Formats `text`, cut where it is too long. */
void error_set(struct error *error, enum error_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
