/*
 * Address: a listening socket out of `host:port`, `[v6]:port`.
 * Ownership: the caller owns the descriptor. Threading: any; names are looked up, which may wait.
 */
#ifndef HTTP_ADDRESS_H
#define HTTP_ADDRESS_H

#include <stdint.h>

#include "base/error.h"

/* A bound, non-blocking socket that does not listen yet; -1 with `error` where there is none. `beside`: -1, or a
 * socket that listens and is about to be replaced. Where both have the same port, 0.0.0.0 and 127.0.0.1 say, they share
 * it until address_keep(): the old one need not go before the new one is there. */
int address_bind(const char *listen, int beside, struct error *error)
    __attribute__((warn_unused_result));
/* The socket no longer offers its port. Linux remembers the offer for processes of the same user that ask for it. */
void address_keep(int socket);
/* The port that a bound socket has. */
uint16_t address_port(int socket);

#endif
