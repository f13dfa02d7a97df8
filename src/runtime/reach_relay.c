#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/panic.h"
#include "config/text.h"
#include "runtime/reach.h"

static const uint64_t timeout_ms = REACH_TIMEOUT_S * UINT64_C(1000);

/* errno's words for how the connection ended; 0: it is open. */
static int wait_connected(int descriptor, uint64_t deadline_ms)
{
    for (;;) {
        struct pollfd event = {.fd = descriptor, .events = POLLOUT};
        uint64_t now_ms = clock_monotonic_ms();
        int count = now_ms < deadline_ms ? poll(&event, 1, (int)(deadline_ms - now_ms)) : 0;
        int fault = 0;
        socklen_t size = sizeof(fault);
        if (count == 0) {
            return ETIMEDOUT;
        }
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0 || getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &fault, &size) != 0) {
            return errno;
        }
        return fault;
    }
}

static int try_address(const struct addrinfo *address, uint64_t deadline_ms)
{
    int descriptor = socket(address->ai_family, address->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC,
                            address->ai_protocol);
    if (descriptor < 0) {
        return errno;
    }
    int fault = 0;
    if (connect(descriptor, address->ai_addr, address->ai_addrlen) != 0) {
        fault = errno == EINPROGRESS ? wait_connected(descriptor, deadline_ms) : errno;
    }
    (void)close(descriptor);
    return fault;
}

static bool try_all(const char *host, const char *port, struct error *error)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int code = getaddrinfo(host, port, &hints, &found);
    if (code != 0) {
        error_set(error, ERROR_UNREACHABLE, "%s: %s: check relay.url and the resolver", host,
                  gai_strerror(code));
        return false;
    }
    int fault = EADDRNOTAVAIL;
    uint64_t deadline_ms = clock_monotonic_ms() + timeout_ms;
    for (const struct addrinfo *address = found; address != NULL && fault != 0;
         address = address->ai_next) {
        fault = try_address(address, deadline_ms);
    }
    freeaddrinfo(found);
    if (fault != 0) {
        error_set(error, ERROR_UNREACHABLE, "%s port %s: %s: check relay.url and the network", host,
                  port, strerror(fault));
    }
    return fault == 0;
}

bool reach_relay(const struct config *config, struct buffer *found, struct error *error)
{
    struct buffer authority = {0};
    struct buffer host = {0};
    struct text_authority parts;
    bool is_tls = slice_starts_with(slice_from_string(config->relay.url), SLICE("wss:"));
    config_relay_host(config, &authority);
    bool is_good = text_parse_authority(buffer_slice(&authority), &parts);
    ASSERT(is_good); /* config_load() has checked it */
    buffer_append_slice(&host, parts.host);
    buffer_append_byte(&host, '\0');
    size_t port = host.size;
    buffer_append_format(&host, "%u", parts.has_port ? (unsigned)parts.port : is_tls ? 443U : 80U);
    buffer_append_byte(&host, '\0');
    is_good = try_all(host.data, host.data + port, error);
    if (is_good) {
        buffer_append_format(found, "%s port %s takes TCP connections", host.data,
                             host.data + port);
    }
    buffer_deinit(&host);
    buffer_deinit(&authority);
    return is_good;
}
