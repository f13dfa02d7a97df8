#include "ingest/subscription_url.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "base/slice.h"

bool subscription_url_is_secure(const char *url)
{
    return strncasecmp(url, "wss://", strlen("wss://")) == 0;
}

static bool is_cursor(struct slice parameter)
{
    return slice_starts_with(parameter, SLICE("cursor=")) ||
           slice_equals(parameter, SLICE("cursor"));
}

void subscription_url_append(struct buffer *out, const char *url, int64_t cursor)
{
    size_t path_size = strcspn(url, "?");
    const char *query = url + path_size;
    char separator = '?';
    buffer_append(out, url, path_size);
    while (*query != '\0') {
        query++; /* the '?' or '&' before it */
        size_t size = strcspn(query, "&");
        struct slice parameter = slice_of(query, size);
        query += size;
        if (size == 0 || is_cursor(parameter)) {
            continue;
        }
        buffer_append_byte(out, separator);
        buffer_append_slice(out, parameter);
        separator = '&';
    }
    if (cursor >= 0) {
        buffer_append_format(out, "%ccursor=%" PRId64, separator, cursor);
    }
    buffer_append_byte(out, '\0');
}
