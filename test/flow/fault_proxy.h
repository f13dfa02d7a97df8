/*
 * Fault proxy: the line between a stage and its real server, in a thread of its own, with a protocol that knows where
 * a message ends. It counts the steps that the protocol names, and says which of them meets the fault.
 *
 *   client --requests--> [protocol: step? fault?] --> server --answers--> [protocol] --> client
 *
 * Ownership: one proxy a program, between fault_proxy_start() and _stop(), which ends all its connections.
 * Threading: start, stop, arm and the counts are the test's thread's; everything else is the proxy's own.
 */
#ifndef FLOW_FAULT_PROXY_H
#define FLOW_FAULT_PROXY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"

enum {
    FAULT_PROXY_OWED_MAX = 256
};

struct fault_connection {
    int client, server; /* -1: none */
    struct buffer requests, answers;
    /* The protocol's own, zero at the start. */
    const void
        *owed[FAULT_PROXY_OWED_MAX]; /* the fault of each answer that is due, NULL for none */
    size_t owed_count;
    bool is_started, is_swallowing;
};

/* Each takes as many whole messages as there are. False: the connection has to end. */
struct fault_protocol {
    bool (*pass_requests)(struct fault_connection *connection);
    bool (*pass_answers)(struct fault_connection *connection);
};

/* Listens at the unix socket `path`, and connects each client to the one at `server_path`. */
void fault_proxy_start(const struct fault_protocol *protocol, const char *path,
                       const char *server_path);
void fault_proxy_stop(void);
/* The steps of all connections are counted anew; those from the `first` on (1 is the next one), `times` of them, meet
 * the fault. */
void fault_proxy_arm(const void *fault, unsigned first, unsigned times);
void fault_proxy_disarm(void);
/* Since it was armed. */
unsigned fault_proxy_hits(void);
unsigned fault_proxy_steps(void);

/* For the protocol: counts a step, and tells the fault that it meets. */
const void *fault_proxy_take(void);
/* False: the peer has gone. Blocks; what a test says fits into the sockets' buffers. */
bool fault_proxy_write(int socket_number, const char *data, size_t size);
void fault_proxy_drop_front(struct buffer *buffer, size_t size);

#endif
