#include "cli/http_get.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "config/text.h"
#include "http/token.h"
#include "runtime/tcp_connect.h"

enum {
    TIMEOUT_MS = 5000,
    CHUNK_BYTES = 16 * 1024,
    ANSWER_BYTES_MAX = 16 * 1024 * 1024,
    HOST_SIZE = 256,
    STATUS_AT = 9, /* behind "HTTP/1.1 " */
    STATUS_OK = 200,
    STATUS_UNAUTHORIZED = 401,
};

static const char advice[] =
    "does standpipe run, and http.listen stand as the daemon has it (--set http.listen=...)?";

static bool wait_for(int descriptor, short events, uint64_t deadline_ms, struct error *error)
{
    uint64_t now_ms = clock_monotonic_ms();
    struct pollfd event = {.fd = descriptor, .events = events};
    int left_ms = now_ms < deadline_ms ? (int)(deadline_ms - now_ms) : 0;
    if (poll(&event, 1, left_ms) > 0) {
        return true;
    }
    error_set(error, ERROR_UNREACHABLE, "no answer within %d s: %s", TIMEOUT_MS / 1000, advice);
    return false;
}

static bool send_all(int descriptor, struct slice text, uint64_t deadline_ms, struct error *error)
{
    while (text.size > 0) {
        ssize_t sent = send(descriptor, text.data, text.size, MSG_NOSIGNAL);
        if (sent >= 0) {
            text = slice_skip(text, (size_t)sent);
        } else if (errno != EAGAIN && errno != EINTR) {
            error_set(error, ERROR_UNREACHABLE, "%s: %s", strerror(errno), advice);
            return false;
        } else if (!wait_for(descriptor, POLLOUT, deadline_ms, error)) {
            return false;
        }
    }
    return true;
}

/* Until the server closes, as it was asked to. */
static bool receive_all(int descriptor, struct buffer *answer, uint64_t deadline_ms,
                        struct error *error)
{
    char chunk[CHUNK_BYTES];
    while (answer->size < ANSWER_BYTES_MAX) {
        ssize_t count = recv(descriptor, chunk, sizeof(chunk), 0);
        if (count == 0) {
            return true;
        }
        if (count > 0) {
            buffer_append(answer, chunk, (size_t)count);
        } else if (errno != EAGAIN && errno != EINTR) {
            error_set(error, ERROR_UNREACHABLE, "%s: %s", strerror(errno), advice);
            return false;
        } else if (!wait_for(descriptor, POLLIN, deadline_ms, error)) {
            return false;
        }
    }
    error_set(error, ERROR_PROTOCOL,
              "the answer does not end: is it standpipe that listens there?");
    return false;
}

static bool take_body(struct slice answer, const char *path, struct buffer *body,
                      struct error *error)
{
    uint64_t status = 0;
    const char *end = memmem(answer.data, answer.size, "\r\n\r\n", 4);
    bool is_http = end != NULL && slice_starts_with(answer, SLICE("HTTP/1.")) &&
                   text_parse_number(slice_of(answer.data + STATUS_AT, 3), &status);
    if (!is_http) {
        error_set(error, ERROR_PROTOCOL, "no HTTP: is it standpipe that listens there?");
        return false;
    }
    if (status == STATUS_UNAUTHORIZED) {
        error_set(
            error, ERROR_REFUSED,
            "the token is not taken: give the daemon's http.token_file; where the configuration "
            "names another file since its last reload, give the one of before "
            "(--set http.token_file=...), or send it SIGHUP");
        return false;
    }
    if (status != STATUS_OK) {
        error_set(error, ERROR_REFUSED, "%s answers %d: is the daemon of another version?", path,
                  (int)status);
        return false;
    }
    buffer_append_slice(body, slice_skip(answer, (size_t)(end + 4 - answer.data)));
    return true;
}

/* What listens on every address is asked on this machine's own. */
static bool split_listen(const char *listen, char host[HOST_SIZE], char *port, size_t port_size,
                         struct error *error)
{
    struct text_authority parts;
    if (*listen == '\0' || !text_parse_authority(slice_from_string(listen), &parts)) {
        error_set(error, ERROR_UNREACHABLE,
                  "http.listen is empty, so the daemon cannot be asked: signals still reach it, "
                  "and its log answers");
        return false;
    }
    struct slice name = parts.host;
    if (slice_equals(name, SLICE("0.0.0.0"))) {
        name = SLICE("127.0.0.1");
    } else if (slice_equals(name, SLICE("::"))) {
        name = SLICE("::1");
    }
    (void)snprintf(host, HOST_SIZE, "%.*s", SLICE_ARGS(name));
    (void)snprintf(port, port_size, "%u", parts.port);
    return true;
}

static bool ask(int descriptor, const struct config *config, const char *path,
                struct buffer *answer, struct error *error)
{
    uint64_t deadline_ms = clock_monotonic_ms() + TIMEOUT_MS;
    struct token token = {0};
    struct buffer request = {0};
    bool is_good = token_load(&token, config->http.token_file, error);
    buffer_append_format(&request, "GET %s HTTP/1.1\r\nHost: standpipe\r\nConnection: close\r\n",
                         path);
    if (token.secret.size > 0) {
        buffer_append_string(&request, "Authorization: Bearer ");
        buffer_append_slice(&request, buffer_slice(&token.secret));
        buffer_append_string(&request, "\r\n");
    }
    buffer_append_string(&request, "\r\n");
    is_good = is_good && send_all(descriptor, buffer_slice(&request), deadline_ms, error) &&
              receive_all(descriptor, answer, deadline_ms, error);
    explicit_bzero(request.data, request.size);
    buffer_deinit(&request);
    token_deinit(&token);
    return is_good;
}

bool http_get(const struct config *config, const char *path, struct buffer *body,
              struct error *error)
{
    char host[HOST_SIZE];
    char port[8];
    struct buffer answer = {0};
    if (!split_listen(config->http.listen, host, port, sizeof(port), error)) {
        return false;
    }
    int descriptor = tcp_connect(host, port, clock_monotonic_ms() + TIMEOUT_MS, advice, error);
    if (descriptor < 0) {
        return false;
    }
    bool is_good = ask(descriptor, config, path, &answer, error) &&
                   take_body(buffer_slice(&answer), path, body, error);
    (void)close(descriptor);
    buffer_deinit(&answer);
    return is_good;
}
