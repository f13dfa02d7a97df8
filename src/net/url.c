#include "net/url.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>
#include <strings.h>

enum {
    PORT_HTTP = 80,
    PORT_HTTPS = 443,
    PORT_MAX = 65535,
    DECIMAL = 10
};
enum {
    ASCII_FIRST_VISIBLE = 0x21,
    ASCII_LAST_VISIBLE = 0x7e
};

struct scheme {
    struct slice prefix;
    bool is_secure;
    bool is_http; /* only in redirects */
};

static const struct scheme schemes[] = {
    {.prefix = {"ws://", 5}, .is_secure = false, .is_http = false},
    {.prefix = {"wss://", 6}, .is_secure = true, .is_http = false},
    {.prefix = {"http://", 7}, .is_secure = false, .is_http = true},
    {.prefix = {"https://", 8}, .is_secure = true, .is_http = true},
};

static bool refuse(struct error *error, struct slice text, const char *why)
{
    error_set(error, ERROR_USAGE, "URL '%.*s': %s", SLICE_ARGS(text), why);
    return false;
}

static bool is_visible(struct slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < ASCII_FIRST_VISIBLE || text.data[i] > ASCII_LAST_VISIBLE) {
            return false;
        }
    }
    return true;
}

/* Index of the first of `stops`, or the size. */
static size_t find_any(struct slice text, const char *stops)
{
    for (size_t i = 0; i < text.size; i++) {
        if (strchr(stops, text.data[i]) != NULL) {
            return i;
        }
    }
    return text.size;
}

static const struct scheme *find_scheme(struct slice text)
{
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        const struct slice prefix = schemes[i].prefix;
        if (text.size >= prefix.size && strncasecmp(text.data, prefix.data, prefix.size) == 0) {
            return &schemes[i];
        }
    }
    return NULL;
}

static uint16_t default_port(const struct url *url)
{
    return url->is_secure ? PORT_HTTPS : PORT_HTTP;
}

/* `text` is empty or ":digits". */
static bool parse_port(struct url *url, struct slice text)
{
    url->port = default_port(url);
    if (text.size == 0) {
        return true;
    }
    if (text.data[0] != ':' || text.size == 1) {
        return false;
    }
    unsigned port = 0;
    for (size_t i = 1; i < text.size; i++) {
        if (!isdigit((unsigned char)text.data[i])) {
            return false;
        }
        port = port * DECIMAL + (unsigned)(text.data[i] - '0');
        if (port > PORT_MAX) {
            return false;
        }
    }
    url->port = (uint16_t)port;
    return port > 0;
}

static char lower(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return "abcdefghijklmnopqrstuvwxyz"[c - 'A'];
    }
    return c;
}

static bool store_host(struct url *url, struct slice host)
{
    if (host.size == 0 || host.size >= sizeof(url->host)) {
        return false;
    }
    for (size_t i = 0; i < host.size; i++) {
        url->host[i] = lower(host.data[i]);
    }
    url->host[host.size] = '\0';
    return true;
}

static bool is_name(struct slice host)
{
    for (size_t i = 0; i < host.size; i++) {
        if (!isalnum((unsigned char)host.data[i]) && strchr("-._", host.data[i]) == NULL) {
            return false;
        }
    }
    return true;
}

static bool parse_host(struct url *url, struct slice authority, size_t *used)
{
    if (authority.size > 0 && authority.data[0] == '[') {
        const char *end = memchr(authority.data, ']', authority.size);
        if (end == NULL) {
            return false;
        }
        struct in6_addr address;
        url->is_ipv6 = true;
        *used = (size_t)(end - authority.data) + 1;
        return store_host(url, slice_of(authority.data + 1, *used - 2)) &&
               inet_pton(AF_INET6, url->host, &address) == 1;
    }
    *used = find_any(authority, ":");
    struct slice host = slice_of(authority.data, *used);
    return is_name(host) && store_host(url, host);
}

static bool store_target(struct url *url, struct slice text)
{
    bool needs_slash = text.size == 0 || text.data[0] != '/';
    if (text.size + needs_slash >= sizeof(url->target)) {
        return false;
    }
    url->target[0] = '/';
    if (text.size > 0) {
        memcpy(url->target + needs_slash, text.data, text.size);
    }
    url->target[text.size + needs_slash] = '\0';
    return true;
}

/* authority [path] [?query] */
static bool parse_rest(struct url *url, struct slice text, struct slice rest, struct error *error)
{
    size_t authority_size = find_any(rest, "/?");
    struct slice authority = slice_of(rest.data, authority_size);
    if (find_any(authority, "@") < authority.size) {
        return refuse(error, SLICE("(hidden)"), "user information has no place in it");
    }
    size_t used = 0;
    if (!parse_host(url, authority, &used)) {
        return refuse(error, text, "expected a host name, an IPv4 or a bracketed IPv6 address");
    }
    if (!parse_port(url, slice_skip(authority, used))) {
        return refuse(error, text, "expected a port between 1 and 65535 after the host");
    }
    if (!store_target(url, slice_skip(rest, authority_size))) {
        return refuse(error, SLICE("(long)"), "path and query are longer than 2,046 bytes");
    }
    return true;
}

bool url_parse(struct url *url, struct slice text, struct error *error)
{
    *url = (struct url){0};
    if (!is_visible(text)) {
        return refuse(error, SLICE("(unprintable)"), "blanks and control bytes must be escaped");
    }
    const struct scheme *scheme = find_scheme(text);
    if (scheme == NULL || scheme->is_http) {
        return refuse(error, text, "expected ws:// or wss://");
    }
    if (find_any(text, "#") < text.size) {
        return refuse(error, text, "a WebSocket URL has no fragment");
    }
    url->is_secure = scheme->is_secure;
    return parse_rest(url, text, slice_skip(text, scheme->prefix.size), error);
}

/* A path relative to that of the base replaces what follows its last slash. */
static bool resolve_path(struct url *url, struct slice location)
{
    size_t keep = 0;
    if (location.size == 0 || location.data[0] != '/') {
        size_t path_size = strcspn(url->target, "?");
        keep = path_size;
        bool is_query = location.size > 0 && location.data[0] == '?';
        while (!is_query && location.size > 0 && url->target[keep - 1] != '/') {
            keep--;
        }
    }
    if (keep + location.size >= sizeof(url->target)) {
        return false;
    }
    if (location.size > 0) {
        memcpy(url->target + keep, location.data, location.size);
    }
    url->target[keep + location.size] = '\0';
    return true;
}

bool url_resolve(struct url *url, const struct url *base, struct slice location,
                 struct error *error)
{
    struct url found = *base;
    location.size = find_any(location, "#");
    const struct scheme *scheme = find_scheme(location);
    if (!is_visible(location)) {
        return refuse(error, SLICE("(unprintable)"), "blanks and control bytes must be escaped");
    }
    bool is_good = false;
    if (scheme != NULL) {
        found = (struct url){.is_secure = scheme->is_secure};
        is_good = parse_rest(&found, location, slice_skip(location, scheme->prefix.size), error);
    } else if (slice_starts_with(location, SLICE("//"))) {
        found = (struct url){.is_secure = base->is_secure};
        is_good = parse_rest(&found, location, slice_skip(location, 2), error);
    } else if (find_any(location, ":") < find_any(location, "/?")) {
        return refuse(error, location, "expected a redirect to ws, wss, http or https");
    } else {
        is_good = resolve_path(&found, location) ||
                  refuse(error, SLICE("(long)"), "path and query are longer than 2,046 bytes");
    }
    if (is_good) {
        *url = found;
    }
    return is_good;
}

void url_append_authority(struct buffer *out, const struct url *url)
{
    buffer_append_format(out, url->is_ipv6 ? "[%s]" : "%s", url->host);
    if (url->port != default_port(url)) {
        buffer_append_format(out, ":%u", url->port);
    }
}

void url_append(struct buffer *out, const struct url *url)
{
    buffer_append_string(out, url->is_secure ? "wss://" : "ws://");
    url_append_authority(out, url);
    buffer_append_string(out, url->target);
}
