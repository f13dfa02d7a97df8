#include "http/token.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "config/text.h"

/* The first line without blanks around it; empty where there is none. */
static struct slice first_line(struct slice text)
{
    return text_trim(slice_of(text.data, text_find(text, '\n')));
}

static bool read_file(const char *path, char *text, size_t *size, struct error *error)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        error_set(error, ERROR_USAGE, "http.token_file: cannot open `%s`: %s", path,
                  strerror(errno));
        return false;
    }
    *size = fread(text, 1, TOKEN_MAX_BYTES + 1, file);
    bool is_bad = ferror(file) != 0;
    (void)fclose(file);
    if (is_bad || *size > TOKEN_MAX_BYTES) {
        error_set(error, ERROR_USAGE, "http.token_file: cannot read `%s`: %s", path,
                  is_bad ? "input/output error or a folder" : "it is longer than 4,096 bytes");
        return false;
    }
    return true;
}

bool token_load(struct token *token, const char *path, struct error *error)
{
    char text[TOKEN_MAX_BYTES + 1];
    size_t size = 0;
    if (path == NULL || path[0] == '\0') {
        buffer_clear(&token->secret);
        return true;
    }
    if (!read_file(path, text, &size, error)) {
        return false;
    }
    struct slice secret = first_line(slice_of(text, size));
    if (secret.size == 0 || !text_is_printable(secret)) {
        error_set(error, ERROR_USAGE,
                  "http.token_file: the first line of `%s` is no token (visible ASCII expected)",
                  path);
        return false;
    }
    buffer_clear(&token->secret);
    buffer_append_slice(&token->secret, secret);
    explicit_bzero(text, sizeof(text));
    return true;
}

void token_deinit(struct token *token)
{
    if (token->secret.data != NULL) {
        explicit_bzero(token->secret.data, token->secret.capacity);
    }
    buffer_deinit(&token->secret);
}

static bool equals_in_constant_time(struct slice secret, struct slice given)
{
    volatile unsigned difference = secret.size != given.size;
    for (size_t i = 0; i < secret.size; i++) {
        unsigned char wanted = (unsigned char)secret.data[i];
        unsigned char other = i < given.size ? (unsigned char)given.data[i] : 0;
        difference = difference | (unsigned)(wanted ^ other);
    }
    return difference == 0;
}

bool token_admits(const struct token *token, struct slice authorization)
{
    if (token->secret.size == 0) {
        return true;
    }
    if (!text_starts_ignoring_case(authorization, "Bearer ")) {
        return false;
    }
    struct slice given = text_trim(slice_skip(authorization, sizeof("Bearer ") - 1));
    return equals_in_constant_time(buffer_slice(&token->secret), given);
}
