/*
 * Token: the secret of http.token_file, and whether a request carries it.
 * Ownership: embedded. Threading: one thread. Source: RFC 6750 part 2.1.
 */
#ifndef HTTP_TOKEN_H
#define HTTP_TOKEN_H

#include <stdbool.h>
#include <sys/stat.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"

enum {
    TOKEN_MAX_BYTES = 4096
};

enum token_look {
    TOKEN_SAME,
    TOKEN_CHANGED,
    TOKEN_BAD
};

struct token {
    struct buffer secret; /* empty: everything is open */
    struct buffer path;   /* where it was read; zero-terminated */
    struct stat seen;     /* the file as it was then; zero: it was not there */
    bool was_young;       /* then its times may not tell what was written since */
};

/* Reads the first line of `path`; NULL or an empty path opens everything. False: the secret stays as it
 * was. An empty file is an error, so that an accident opens nothing. */
bool token_load(struct token *token, const char *path, struct error *error)
    __attribute__((warn_unused_result));
/* Reads its file again where that has changed; else it costs a stat(2), so that whoever comes with a wrong token may
 * cause it. `error` is set with TOKEN_BAD, and the token stays; that file is read once. */
enum token_look token_look_again(struct token *token, struct error *error);
void token_deinit(struct token *token);
/* Whether the Authorization header lets one in; takes equally long wherever it differs. */
bool token_admits(const struct token *token, struct slice authorization);

#endif
