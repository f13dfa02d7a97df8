#include "runtime/consumer_slot.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/hash.h"

enum {
    SLOT_MAX = 1024
};

static bool bind_slot(int descriptor, uint64_t scope, unsigned number)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int size = snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "standpipe:%016llx:%u",
                        (unsigned long long)scope, number);
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)size);
    return bind(descriptor, (const struct sockaddr *)(const void *)&address, length) == 0;
}

bool consumer_slot_take(struct consumer_slot *slot, const char *scope, unsigned wanted,
                        struct error *error)
{
    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) {
        error_set(error, ERROR_INTERNAL, "no socket for the consumer slot: %s", strerror(errno));
        return false;
    }
    /* A socket's name is limited to 107 bytes, a scope is not. */
    uint64_t hash = hash_64(slice_from_string(scope));
    for (unsigned i = 0; i <= SLOT_MAX; i++) {
        unsigned number = i == 0 ? wanted : i - 1;
        if (bind_slot(descriptor, hash, number)) {
            *slot = (struct consumer_slot){.descriptor = descriptor, .number = number};
            return true;
        }
        if (errno != EADDRINUSE) {
            break;
        }
    }
    error_set(error, ERROR_INTERNAL, "no consumer slot is free among %d: %s", SLOT_MAX,
              strerror(errno));
    (void)close(descriptor);
    return false;
}

void consumer_slot_release(struct consumer_slot *slot)
{
    if (slot->descriptor >= 0) {
        (void)close(slot->descriptor);
    }
    slot->descriptor = -1;
}
