/*
 * Address: a listening socket out of `host:port`, `[v6]:port`.
 * Ownership: the caller owns the descriptor. Threading: any; names are looked up, which may wait.
 */
#ifndef HTTP_ADDRESS_H
#define HTTP_ADDRESS_H

#include <stdint.h>

#include "base/error.h"

/* A bound, non-blocking socket that does not listen yet; -1 with `error` where there is none. */
int address_bind(const char *listen, struct error *error) __attribute__((warn_unused_result));
/* The port that a bound socket has. */
uint16_t address_port(int socket);

#endif
