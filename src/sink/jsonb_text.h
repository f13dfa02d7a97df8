/*
 * jsonb text: what PostgreSQL's jsonb takes of a JSON text. Pure functions.
 */
#ifndef SINK_JSONB_TEXT_H
#define SINK_JSONB_TEXT_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/slice.h"

/* `json` with U+FFFD for each escaped U+0000, which jsonb refuses (22P05); `json` itself where there
 * is none. A backslash that is itself escaped (`\\u0000`) is left alone. */
struct slice jsonb_text_without_nul(struct slice json, struct arena *arena);
/* Appends `text` as a JSON string, quotes included; `text` is valid UTF-8. */
void json_append_string(struct buffer *out, struct slice text);

#endif
