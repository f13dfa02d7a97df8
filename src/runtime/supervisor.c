#include "runtime/supervisor.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    MESSAGE_SIZE = 1024,
    US_PER_MS = 1000
};

/* An abstract name starts with a zero byte, has no other at its end, and its length counts. */
static bool read_address(struct supervisor *supervisor, const char *name)
{
    size_t size = strlen(name);
    struct sockaddr_un *address = &supervisor->address;
    if ((name[0] != '/' && name[0] != '@') || size < 2 || size >= sizeof(address->sun_path)) {
        return false;
    }
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, name, size);
    if (name[0] == '@') {
        address->sun_path[0] = '\0';
    }
    supervisor->address_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
    return true;
}

/* WATCHDOG_PID names the process that is meant: a child of it may have inherited the variables. */
static uint64_t watchdog_of(const char *watchdog_us, const char *watchdog_pid)
{
    if (watchdog_us == NULL ||
        (watchdog_pid != NULL && strtoll(watchdog_pid, NULL, 10) != (long long)getpid())) {
        return 0;
    }
    return strtoull(watchdog_us, NULL, 10) / US_PER_MS;
}

bool supervisor_init(struct supervisor *supervisor, const char *socket_name,
                     const char *watchdog_us, const char *watchdog_pid)
{
    *supervisor = (struct supervisor){.descriptor = -1};
    if (socket_name == NULL || *socket_name == '\0') {
        return true;
    }
    if (!read_address(supervisor, socket_name)) {
        return false;
    }
    supervisor->descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    supervisor->watchdog_ms = watchdog_of(watchdog_us, watchdog_pid);
    return supervisor->descriptor >= 0;
}

void supervisor_deinit(struct supervisor *supervisor)
{
    if (supervisor->descriptor >= 0) {
        (void)close(supervisor->descriptor);
    }
    supervisor->descriptor = -1;
}

bool supervisor_listens(const struct supervisor *supervisor)
{
    return supervisor->descriptor >= 0;
}

void supervisor_tell(const struct supervisor *supervisor, const char *format, ...)
{
    char text[MESSAGE_SIZE];
    va_list arguments;
    if (supervisor->descriptor < 0) {
        return;
    }
    va_start(arguments, format);
    int size = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (size <= 0 || (size_t)size >= sizeof(text)) {
        return;
    }
    const struct sockaddr *to = (const struct sockaddr *)(const void *)&supervisor->address;
    ssize_t sent = sendto(supervisor->descriptor, text, (size_t)size, MSG_NOSIGNAL, to,
                          supervisor->address_size);
    (void)sent; /* an init system that is busy or gone is no reason to stop */
}
