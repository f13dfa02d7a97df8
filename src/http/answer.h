/*
 * Answer: a response that comes later, and outlives whoever asked for it.
 *
 *   handler -> answer_create() ... http_answer_add() ... http_answer_end() -> response.on_answered
 *                     \-- the client goes, or it takes too long: answer_abandon(), end() just frees
 *
 * Ownership: heap; owned by whoever has to end it, freed by http_answer_end().
 * Threading: the loop's thread only.
 */
#ifndef HTTP_ANSWER_H
#define HTTP_ANSWER_H

#include "base/buffer.h"
#include "base/list.h"
#include "http/response.h"

/* How many may be outstanding: what the dependency is asked at once has a bound. */
enum {
    ANSWERS_MAX = 16
};

/* Sets `response->answer`; the answer sits in `answers` until it ends. NULL: there are enough. */
struct http_answer *answer_create(struct response *response, struct list *answers);
/* Nobody waits any more. Nothing to do where there is no answer. */
void answer_abandon(struct response *response);
/* The list of `answers` goes; those in it may still be ended. */
void answer_forget_all(struct list *answers);

#endif
