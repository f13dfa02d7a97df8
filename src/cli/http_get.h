/*
 * HTTP get: asks the running daemon of the same configuration for one of its pages, blocking.
 *
 *   http.listen, http.token_file --> GET path --> status, body
 *
 * Ownership: `body` is the caller's. Threading: a command's main thread.
 * Errors: ERROR_UNREACHABLE where nothing answers in time, ERROR_REFUSED where HTTP is off or the token is not taken;
 * the text says what to do.
 */
#ifndef CLI_HTTP_GET_H
#define CLI_HTTP_GET_H

#include <stdbool.h>

#include "base/buffer.h"
#include "base/error.h"
#include "config/config.h"

/* True: `body` holds the page of a 200. */
bool http_get(const struct config *config, const char *path, struct buffer *body,
              struct error *error) __attribute__((warn_unused_result));

#endif
