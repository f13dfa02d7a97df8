#include <string.h>

#include "base/buffer.h"
#include "config/text.h"
#include "config/urls.h"

#include <libpq-fe.h>

/* libpq quotes what it does not understand, and that may be a password; only the names of unknown
 * options are safe to repeat. */
static void append_reason(struct buffer *out, struct slice message)
{
    bool is_safe = slice_starts_with(message, SLICE("invalid connection option")) ||
                   slice_starts_with(message, SLICE("invalid URI query parameter"));
    bool is_quoted = false;
    for (size_t i = 0; i < message.size; i++) {
        if (message.data[i] == '"') {
            buffer_append_string(out, is_quoted || is_safe ? "\"" : "\"...");
            is_quoted = !is_quoted;
        } else if (!is_quoted || is_safe) {
            buffer_append_byte(out, message.data[i]);
        }
    }
}

static bool has_foreign_scheme(const char *url)
{
    const char *mark = strstr(url, "://");
    return mark != NULL && strcspn(url, "= ") > (size_t)(mark - url) &&
           strncmp(url, "postgresql://", sizeof("postgresql://") - 1) != 0 &&
           strncmp(url, "postgres://", sizeof("postgres://") - 1) != 0;
}

bool postgres_url_check(const char *url, struct error *error)
{
    char *message = NULL;
    if (has_foreign_scheme(url)) {
        error_set(error, ERROR_USAGE, "the scheme is unknown: use postgresql://");
        return false;
    }
    PQconninfoOption *options = PQconninfoParse(url, &message);
    if (options != NULL && url[0] != '\0') {
        PQconninfoFree(options);
        return true;
    }
    PQconninfoFree(options);
    struct buffer reason = {0};
    append_reason(&reason, text_trim(slice_from_string(message != NULL ? message : "it is empty")));
    error_set(error, ERROR_USAGE, "%.*s: use postgresql://[user@]host[:port]/database",
              SLICE_ARGS(buffer_slice(&reason)));
    buffer_deinit(&reason);
    PQfreemem(message);
    return false;
}
