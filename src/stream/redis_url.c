#include "stream/redis_url.h"

#include <stdlib.h>
#include <string.h>

#include "base/panic.h"
#include "base/slice.h"

enum {
    PORT_MAX = 65535,
    DATABASE_MAX = 1000000,
    DECIMAL = 10,
    HEX_LETTER = 10
};

static int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    char lower = (char)(digit | ' ');
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + HEX_LETTER : -1;
}

/* NULL where an escape is broken or stands for a zero byte. */
static char *percent_decode(struct slice text)
{
    char *decoded = memory_allocate(text.size + 1);
    size_t used = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] != '%') {
            decoded[used++] = text.data[i];
            continue;
        }
        int high = i + 2 < text.size ? hex_value(text.data[i + 1]) : -1;
        int low = i + 2 < text.size ? hex_value(text.data[i + 2]) : -1;
        if (high < 0 || low < 0 || (high == 0 && low == 0)) {
            free(decoded);
            return NULL;
        }
        decoded[used++] = (char)(high * 16 + low);
        i += 2;
    }
    return decoded;
}

static bool parse_number(struct slice text, uint32_t limit, uint32_t *number)
{
    uint32_t value = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        value = value * DECIMAL + (uint32_t)(text.data[i] - '0');
        if (value > limit) {
            return false;
        }
    }
    *number = value;
    return text.size > 0;
}

/* Splits at the first `separator`: `text` becomes what stands before it. */
static bool split(struct slice *text, char separator, struct slice *rest)
{
    const char *found = text->size == 0 ? NULL : memchr(text->data, separator, text->size);
    *rest = slice_of(NULL, 0);
    if (found == NULL) {
        return false;
    }
    size_t before = (size_t)(found - text->data);
    *rest = slice_skip(*text, before + 1);
    text->size = before;
    return true;
}

/* Takes "user[:password]@" off the front of `rest`. The last @ before the path counts. */
static bool parse_user(struct redis_url *url, struct slice *rest)
{
    size_t end = 0;
    while (end < rest->size && rest->data[end] != '/') {
        end++;
    }
    const char *at = end == 0 ? NULL : memrchr(rest->data, '@', end);
    if (at == NULL) {
        return true;
    }
    struct slice user = slice_of(rest->data, (size_t)(at - rest->data));
    *rest = slice_skip(*rest, user.size + 1);
    struct slice password;
    if (split(&user, ':', &password)) {
        url->password = percent_decode(password);
    } else {
        url->password = memory_copy_string("");
    }
    url->user = percent_decode(user);
    return url->user != NULL && url->password != NULL;
}

static bool parse_unix(struct redis_url *url, struct slice rest, struct error *error)
{
    struct slice query;
    uint32_t database = 0;
    bool has_query = split(&rest, '?', &query);
    if (has_query && (!slice_starts_with(query, SLICE("db=")) ||
                      !parse_number(slice_skip(query, 3), DATABASE_MAX, &database))) {
        error_set(error, ERROR_USAGE, "redis URL: after ? only db=<number> is known");
        return false;
    }
    url->database = database;
    url->path = percent_decode(rest);
    if (url->path == NULL || url->path[0] != '/') {
        error_set(error, ERROR_USAGE,
                  "redis URL: unix:// needs an absolute path, as in "
                  "unix:///run/redis/redis.sock");
        return false;
    }
    return true;
}

/* "[::1]:6379", "host:6379", "host". */
static bool parse_authority(struct redis_url *url, struct slice authority, struct error *error)
{
    struct slice port;
    bool has_port;
    if (authority.size > 0 && authority.data[0] == '[') {
        authority = slice_skip(authority, 1);
        struct slice after;
        bool is_closed = split(&authority, ']', &after);
        has_port = after.size > 0 && after.data[0] == ':';
        port = has_port ? slice_skip(after, 1) : after;
        if (!is_closed || (!has_port && after.size > 0)) {
            error_set(error, ERROR_USAGE, "redis URL: an IPv6 host is written [::1] or [::1]:6379");
            return false;
        }
    } else {
        has_port = split(&authority, ':', &port);
    }
    uint32_t number = REDIS_DEFAULT_PORT;
    if (has_port && (!parse_number(port, PORT_MAX, &number) || number == 0)) {
        error_set(error, ERROR_USAGE, "redis URL: the port must be 1 to 65535, not '%.*s'",
                  SLICE_ARGS(port));
        return false;
    }
    url->port = (uint16_t)number;
    url->host = percent_decode(authority);
    if (url->host == NULL || url->host[0] == '\0') {
        error_set(error, ERROR_USAGE,
                  "redis URL: a host is missing, as in redis://127.0.0.1:6379/0");
        return false;
    }
    return true;
}

static bool parse_tcp(struct redis_url *url, struct slice rest, struct error *error)
{
    struct slice database;
    bool has_database = split(&rest, '/', &database) && database.size > 0;
    if (has_database && !parse_number(database, DATABASE_MAX, &url->database)) {
        error_set(error, ERROR_USAGE, "redis URL: the database must be a number, not '%.*s'",
                  SLICE_ARGS(database));
        return false;
    }
    return parse_authority(url, rest, error);
}

static bool parse_scheme(struct redis_url *url, struct slice text, struct error *error)
{
    const char *slashes = text.size == 0 ? NULL : memmem(text.data, text.size, "://", 3);
    size_t scheme_size = slashes == NULL ? 0 : (size_t)(slashes - text.data);
    struct slice scheme = slice_of(text.data, scheme_size);
    bool is_unix = slice_equals(scheme, SLICE("unix"));
    url->is_tls = slice_equals(scheme, SLICE("rediss"));
    if (!is_unix && !url->is_tls && !slice_equals(scheme, SLICE("redis"))) {
        error_set(error, ERROR_USAGE, "redis URL: must start with redis://, rediss:// or unix://");
        return false;
    }
    struct slice rest = slice_skip(text, scheme_size + 3);
    if (!parse_user(url, &rest)) {
        error_set(error, ERROR_USAGE, "redis URL: broken %%-escape in user or password");
        return false;
    }
    return is_unix ? parse_unix(url, rest, error) : parse_tcp(url, rest, error);
}

bool redis_url_parse(struct redis_url *url, const char *text, struct error *error)
{
    *url = (struct redis_url){0};
    if (parse_scheme(url, slice_from_string(text), error)) {
        return true;
    }
    redis_url_deinit(url);
    return false;
}

void redis_url_deinit(struct redis_url *url)
{
    free(url->host);
    free(url->path);
    free(url->user);
    free(url->password);
    *url = (struct redis_url){0};
}
