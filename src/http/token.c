#include "http/token.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "config/text.h"

enum {
    US_PER_SECOND = 1000000,
    YOUNG_S = 2,
};

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

/* A copy, also where `path` is the one that is here already. */
static void take_path(struct token *token, const char *path)
{
    struct buffer copy = {0};
    buffer_append_string(&copy, path);
    buffer_append_byte(&copy, '\0');
    buffer_deinit(&token->path);
    token->path = copy;
}

static struct stat look_at_file(const char *path)
{
    struct stat seen;
    return stat(path, &seen) == 0 ? seen : (struct stat){0};
}

/* What is written within the tick of the clock in which it was read has the same times: it is read once more. */
static bool is_young(const struct stat *seen)
{
    return clock_wall_us() / US_PER_SECOND - seen->st_mtim.tv_sec < YOUNG_S;
}

static bool load(struct token *token, const char *path, struct error *error)
{
    char text[TOKEN_MAX_BYTES + 1];
    size_t size = 0;
    if (!read_file(path, text, &size, error)) {
        return false;
    }
    struct slice secret = first_line(slice_of(text, size));
    bool is_token = secret.size > 0 && text_is_printable(secret);
    if (is_token) {
        buffer_clear(&token->secret);
        buffer_append_slice(&token->secret, secret);
    } else {
        error_set(error, ERROR_USAGE,
                  "http.token_file: the first line of `%s` is no token (visible ASCII expected)",
                  path);
    }
    explicit_bzero(text, sizeof(text));
    return is_token;
}

bool token_load(struct token *token, const char *path, struct error *error)
{
    if (path == NULL || path[0] == '\0') {
        buffer_clear(&token->secret);
        buffer_clear(&token->path);
        return true;
    }
    struct stat seen =
        look_at_file(path); /* first: what is written after it is another file next time */
    bool is_own = token->path.size > 0 && strcmp(token->path.data, path) == 0;
    bool is_good = load(token, path, error);
    if (is_good && !is_own) {
        take_path(token, path);
    }
    if (is_good || is_own) {
        token->seen = seen;
        token->was_young = is_good && is_young(&seen);
    }
    return is_good;
}

static bool is_same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool is_stale(const struct token *token)
{
    if (token->path.size == 0) {
        return false;
    }
    struct stat now = look_at_file(token->path.data);
    if (now.st_mode != 0 && !S_ISREG(now.st_mode)) {
        return false; /* a pipe would hold up the loop until somebody writes */
    }
    return token->was_young || now.st_dev != token->seen.st_dev ||
           now.st_ino != token->seen.st_ino || now.st_size != token->seen.st_size ||
           !is_same_time(now.st_mtim, token->seen.st_mtim) ||
           !is_same_time(now.st_ctim, token->seen.st_ctim);
}

static void wipe(struct buffer *secret)
{
    if (secret->data != NULL) {
        explicit_bzero(secret->data, secret->capacity);
    }
    buffer_deinit(secret);
}

enum token_look token_look_again(struct token *token, struct error *error)
{
    struct buffer before = {0};
    enum token_look found = TOKEN_SAME;
    if (!is_stale(token)) {
        return TOKEN_SAME;
    }
    buffer_append_slice(&before, buffer_slice(&token->secret));
    if (!token_load(token, token->path.data, error)) {
        found = TOKEN_BAD;
    } else if (!slice_equals(buffer_slice(&before), buffer_slice(&token->secret))) {
        found = TOKEN_CHANGED;
    }
    wipe(&before);
    return found;
}

void token_deinit(struct token *token)
{
    wipe(&token->secret);
    buffer_deinit(&token->path);
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
