/*
 * Token: the secret of http.token_file, and whether a request carries it.
 * Ownership: embedded. Threading: one thread. Source: RFC 6750 part 2.1.
 */
#ifndef HTTP_TOKEN_H
#define HTTP_TOKEN_H

#include <stdbool.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"

enum {
    TOKEN_MAX_BYTES = 4096
};

struct token {
    struct buffer secret; /* empty: everything is open */
};

/* Reads the first line of `path`; NULL or an empty path opens everything. False: `token` stays as it
 * was. An empty file is an error, so that an accident opens nothing. */
bool token_load(struct token *token, const char *path, struct error *error)
    __attribute__((warn_unused_result));
void token_deinit(struct token *token);
/* Whether the Authorization header lets one in; takes equally long wherever it differs. */
bool token_admits(const struct token *token, struct slice authorization);

#endif
