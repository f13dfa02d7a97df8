#include <stdlib.h>

#include "base/panic.h"
#include "config/text.h"
#include "config/urls.h"

enum {
    PORT_REDIS = 6379,
    DATABASE_MAX = 1000000,
    HEX_LETTER = 10
};

#ifdef HAVE_HIREDIS_SSL
static const bool has_redis_tls = true;
#else
static const bool has_redis_tls = false;
#endif

static const char form[] =
    "use redis://[user[:password]@]host[:port][/db], rediss://... or unix:///path[?db=n]";

static bool refuse(struct error *error, const char *why)
{
    error_set(error, ERROR_USAGE, "%s: %s", why, form);
    return false;
}

static int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    char lower = text_lower(digit);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + HEX_LETTER : -1;
}

/* A copy of `text` with %XX undone; NULL where that is malformed or gives a zero byte. */
static char *decode(struct slice text)
{
    char *copy = memory_allocate(text.size + 1);
    size_t used = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] != '%') {
            copy[used++] = text.data[i];
            continue;
        }
        if (text.size - i < 3 || hex_value(text.data[i + 1]) < 0 ||
            hex_value(text.data[i + 2]) < 0) {
            free(copy);
            return NULL;
        }
        copy[used] = (char)(hex_value(text.data[i + 1]) * 16 + hex_value(text.data[i + 2]));
        if (copy[used++] == '\0') {
            free(copy);
            return NULL;
        }
        i += 2;
    }
    return copy;
}

static bool parse_database(struct redis_address *address, struct slice text)
{
    uint64_t number = 0;
    if (text.size == 0) {
        return true;
    }
    if (!text_parse_number(text, &number) || number > DATABASE_MAX) {
        return false;
    }
    address->database = (uint32_t)number;
    return true;
}

/* `user:password`, `:password`, or `user` alone. */
static bool parse_user(struct redis_address *address, struct slice text)
{
    size_t colon = text_find(text, ':');
    if (colon > 0 && (address->user = decode(slice_of(text.data, colon))) == NULL) {
        return false;
    }
    if (colon == text.size) {
        return true;
    }
    address->password = decode(slice_skip(text, colon + 1));
    return address->password != NULL;
}

static bool parse_path(struct redis_address *address, struct slice rest, struct error *error)
{
    size_t query = text_find(rest, '?');
    struct slice path = slice_of(rest.data, query);
    if (path.size < 2 || path.data[0] != '/') {
        return refuse(error, "the path of the socket is missing");
    }
    address->path = decode(path);
    if (address->path == NULL) {
        return refuse(error, "the percent-encoding is wrong");
    }
    if (query == rest.size) {
        return true;
    }
    struct slice value = slice_skip(rest, query + 1);
    if (!slice_starts_with(value, SLICE("db=")) ||
        !parse_database(address, slice_skip(value, sizeof("db=") - 1))) {
        return refuse(error, "the query is not db=number");
    }
    return true;
}

static bool parse_network(struct redis_address *address, struct slice rest, struct error *error)
{
    size_t slash = text_find(rest, '/');
    struct slice authority = slice_of(rest.data, slash);
    struct slice database = slash < rest.size ? slice_skip(rest, slash + 1) : SLICE("");
    size_t at = text_find_last(authority, '@');
    if (at < authority.size) {
        if (!parse_user(address, slice_of(authority.data, at))) {
            return refuse(error, "the percent-encoding of user or password is wrong");
        }
        authority = slice_skip(authority, at + 1);
    }
    struct text_authority parts;
    if (!text_parse_authority(authority, &parts) || parts.host.size == 0 ||
        text_find(parts.host, '*') < parts.host.size || (parts.has_port && parts.port == 0)) {
        return refuse(error, "host or port is wrong (is a / or @ of the password %-encoded?)");
    }
    if (!parse_database(address, database)) {
        return refuse(error, "the database is no number");
    }
    address->host = decode(parts.host);
    if (address->host == NULL) {
        return refuse(error, "the host is wrong");
    }
    address->port = parts.has_port ? parts.port : PORT_REDIS;
    return true;
}

static bool parse(struct redis_address *address, struct slice url, struct error *error)
{
    if (!text_is_printable(url)) {
        return refuse(error, "a blank or control character stands in it");
    }
    if (text_starts_ignoring_case(url, "unix://")) {
        return parse_path(address, slice_skip(url, sizeof("unix://") - 1), error);
    }
    if (text_starts_ignoring_case(url, "redis://")) {
        return parse_network(address, slice_skip(url, sizeof("redis://") - 1), error);
    }
    if (!text_starts_ignoring_case(url, "rediss://")) {
        return refuse(error, "the scheme is unknown");
    }
    if (!has_redis_tls) {
        error_set(error, ERROR_USAGE,
                  "this build has no TLS for Redis (hiredis_ssl, from Debian 13 on): use redis:// "
                  "through a tunnel, or the image");
        return false;
    }
    address->is_tls = true;
    return parse_network(address, slice_skip(url, sizeof("rediss://") - 1), error);
}

bool redis_address_parse(struct redis_address *address, struct slice url, struct error *error)
{
    *address = (struct redis_address){0};
    if (parse(address, url, error)) {
        return true;
    }
    redis_address_deinit(address);
    return false;
}

void redis_address_deinit(struct redis_address *address)
{
    free(address->host);
    free(address->path);
    free(address->user);
    free(address->password);
    *address = (struct redis_address){0};
}
