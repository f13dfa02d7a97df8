#include "http/address.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/panic.h"
#include "config/text.h"

/* Linux asks both sockets, at bind(2) and once more at listen(2); where it refuses, so will these. */
static void set_shared(int socket, int is_shared)
{
    (void)setsockopt(socket, SOL_SOCKET, SO_REUSEPORT, &is_shared, sizeof(is_shared));
}

void address_keep(int socket)
{
    set_shared(socket, 0);
}

static int bind_to(const struct addrinfo *address, bool is_shared)
{
    static const int yes = 1;
    static const int no = 0;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
    if (fd < 0) {
        return -1;
    }
    bool is_set = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) == 0;
    set_shared(fd, is_shared);
    if (address->ai_family == AF_INET6) { /* so that [::] is IPv4 too */
        is_set = setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof(no)) == 0 && is_set;
    }
    if (is_set && bind(fd, address->ai_addr, address->ai_addrlen) == 0) {
        return fd;
    }
    int reason = errno;
    (void)close(fd);
    errno = reason;
    return -1;
}

static int bind_first(const struct addrinfo *addresses, bool is_shared)
{
    int fd = -1;
    for (const struct addrinfo *next = addresses; next != NULL && fd < 0; next = next->ai_next) {
        fd = bind_to(next, is_shared);
    }
    return fd;
}

int address_bind(const char *listen, int beside, struct error *error)
{
    struct text_authority parts;
    if (!text_parse_authority(slice_from_string(listen), &parts) || !parts.has_port) {
        error_set(error, ERROR_USAGE, "http.listen: `%s` is no host:port or [address]:port",
                  listen);
        return -1;
    }
    char host[256];
    char port[8];
    (void)snprintf(host, sizeof(host), "%.*s", SLICE_ARGS(parts.host));
    (void)snprintf(port, sizeof(port), "%u", parts.port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int code = getaddrinfo(host[0] == '\0' ? "0.0.0.0" : host, port, &hints, &found);
    if (code != 0) {
        error_set(error, ERROR_USAGE, "http.listen: `%s`: %s", listen, gai_strerror(code));
        return -1;
    }
    bool is_shared = beside >= 0 && address_port(beside) == parts.port;
    if (is_shared) {
        set_shared(beside, 1);
    }
    int fd = bind_first(found, is_shared);
    if (fd < 0) {
        error_set(error, ERROR_USAGE, "http.listen: cannot listen on `%s`: %s", listen,
                  strerror(errno));
    }
    freeaddrinfo(found);
    return fd;
}

uint16_t address_port(int socket)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } name = {0};
    socklen_t size = sizeof(name);
    ASSERT(getsockname(socket, &name.any, &size) == 0);
    return ntohs(name.any.sa_family == AF_INET6 ? name.v6.sin6_port : name.v4.sin_port);
}
