/*
 * Supervisor: what the init system is told, by systemd's notify protocol: one datagram a message to the socket that
 * NOTIFY_SOCKET names (a path, or @name in the abstract space). Without that variable every call does nothing.
 *
 * The protocol is a handful of lines of text, so it needs no library. Source: sd_notify(3), systemd.service(5).
 * Ownership: embedded. Threading: one thread. A message that cannot be sent now is dropped: all are said again.
 */
#ifndef RUNTIME_SUPERVISOR_H
#define RUNTIME_SUPERVISOR_H

#include <stdbool.h>
#include <stdint.h>

#include <sys/socket.h>
#include <sys/un.h>

struct supervisor {
    int descriptor; /* -1: nobody asked to be told */
    struct sockaddr_un address;
    socklen_t address_size;
    uint64_t watchdog_ms; /* silence for longer than this ends us; 0: no watchdog */
};

/* The three variables as the environment has them, NULL where they are not set. False: NOTIFY_SOCKET is no address. */
bool supervisor_init(struct supervisor *supervisor, const char *socket_name,
                     const char *watchdog_us, const char *watchdog_pid);
void supervisor_deinit(struct supervisor *supervisor);
bool supervisor_listens(const struct supervisor *supervisor);

/* Lines of NAME=VALUE, without a newline at the end. */
void supervisor_tell(const struct supervisor *supervisor, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
