#include "runtime/tcp_connect.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

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

/* A connected descriptor, or -1 and errno's words in `fault`. */
static int try_address(const struct addrinfo *address, uint64_t deadline_ms, int *fault)
{
    int descriptor = socket(address->ai_family, address->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC,
                            address->ai_protocol);
    *fault = descriptor < 0 ? errno : 0;
    if (descriptor >= 0 && connect(descriptor, address->ai_addr, address->ai_addrlen) != 0) {
        *fault = errno == EINPROGRESS ? wait_connected(descriptor, deadline_ms) : errno;
    }
    if (descriptor >= 0 && *fault != 0) {
        (void)close(descriptor);
        descriptor = -1;
    }
    return descriptor;
}

int tcp_connect(const char *host, const char *port, uint64_t deadline_ms, const char *advice,
                struct error *error)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int code = getaddrinfo(host, port, &hints, &found);
    if (code != 0) {
        error_set(error, ERROR_UNREACHABLE, "%s: %s: %s", host, gai_strerror(code), advice);
        return -1;
    }
    int fault = EADDRNOTAVAIL;
    int descriptor = -1;
    for (const struct addrinfo *address = found; address != NULL && descriptor < 0;
         address = address->ai_next) {
        descriptor = try_address(address, deadline_ms, &fault);
    }
    freeaddrinfo(found);
    if (descriptor < 0) {
        error_set(error, ERROR_UNREACHABLE, "%s port %s: %s: %s", host, port, strerror(fault),
                  advice);
    }
    return descriptor;
}
