/*
 * Roff: text into the source of a manual page (man(7)).
 * Ownership: the caller's buffer. Threading: any thread.
 */
#ifndef BASE_ROFF_H
#define BASE_ROFF_H

#include "base/buffer.h"

/* Plain text: nothing in it is taken for a request or an escape. `at_line_start` says where it goes. */
void roff_append_text(struct buffer *out, const char *text, bool at_line_start);
/* A line of its own. */
void roff_append_line(struct buffer *out, const char *text);
/* Text whose lines stay as they are. */
void roff_append_verbatim(struct buffer *out, const char *text);

#endif
