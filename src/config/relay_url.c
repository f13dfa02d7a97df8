#include "config/text.h"
#include "config/urls.h"

enum {
    PORT_WS = 80,
    PORT_WSS = 443
};

static const char xrpc_prefix[] = "/xrpc";
static const char xrpc_method[] = "/com.atproto.sync.subscribeRepos";

static bool ends_with(struct slice text, const char *suffix)
{
    size_t size = strlen(suffix);
    return text.size >= size && memcmp(text.data + text.size - size, suffix, size) == 0;
}

/* Splits the scheme off; `is_tls` says which of the two it was. */
static bool take_scheme(struct slice *url, bool *is_tls, struct error *error)
{
    if (text_starts_ignoring_case(*url, "http://") || text_starts_ignoring_case(*url, "https://")) {
        error_set(error, ERROR_USAGE,
                  "a relay is read over a WebSocket: write wss:// for https://, ws:// for http://");
        return false;
    }
    *is_tls = text_starts_ignoring_case(*url, "wss://");
    if (!*is_tls && !text_starts_ignoring_case(*url, "ws://")) {
        error_set(error, ERROR_USAGE, "the scheme is unknown: use ws:// or wss://");
        return false;
    }
    *url = slice_skip(*url, *is_tls ? sizeof("wss://") - 1 : sizeof("ws://") - 1);
    return true;
}

static bool check_rest(struct slice rest, struct error *error)
{
    if (text_find(rest, '@') < rest.size) {
        error_set(error, ERROR_USAGE, "a relay takes no user and no password: leave them out");
        return false;
    }
    if (text_find(rest, '?') < rest.size || text_find(rest, '#') < rest.size) {
        error_set(error, ERROR_USAGE,
                  "no query is allowed here: the cursor is set by relay.cursor");
        return false;
    }
    return true;
}

static void append_path(struct buffer *out, struct slice path)
{
    while (path.size > 0 && path.data[path.size - 1] == '/') {
        path.size--;
    }
    buffer_append_slice(out, path);
    if (ends_with(path, xrpc_method)) {
        return;
    }
    if (!ends_with(path, xrpc_prefix)) {
        buffer_append_string(out, xrpc_prefix);
    }
    buffer_append_string(out, xrpc_method);
}

static void append_authority(struct buffer *out, const struct text_authority *authority,
                             bool is_tls)
{
    buffer_append_string(out, authority->is_bracketed ? "[" : "");
    for (size_t i = 0; i < authority->host.size; i++) {
        buffer_append_byte(out, text_lower(authority->host.data[i]));
    }
    buffer_append_string(out, authority->is_bracketed ? "]" : "");
    if (authority->has_port && authority->port != (is_tls ? PORT_WSS : PORT_WS)) {
        buffer_append_format(out, ":%u", (unsigned)authority->port);
    }
}

bool relay_url_normalize(struct slice url, struct buffer *out, struct error *error)
{
    struct slice rest = url;
    bool is_tls = false;
    struct text_authority authority;
    if (!text_is_printable(url)) {
        error_set(error, ERROR_USAGE, "a blank or control character stands in it: take it out");
        return false;
    }
    if (!take_scheme(&rest, &is_tls, error) || !check_rest(rest, error)) {
        return false;
    }
    size_t slash = text_find(rest, '/');
    if (!text_parse_authority(slice_of(rest.data, slash), &authority) || authority.host.size == 0 ||
        text_find(authority.host, '*') < authority.host.size ||
        (authority.has_port && authority.port == 0)) {
        error_set(error, ERROR_USAGE,
                  "host or port is wrong: use wss://host, wss://host:port or ws://[address]:port");
        return false;
    }
    buffer_append_string(out, is_tls ? "wss://" : "ws://");
    append_authority(out, &authority, is_tls);
    append_path(out, slice_skip(rest, slash));
    return true;
}
