/*
 * Client: one subscriber, from its upgrade to its end, and what we do to it on purpose.
 *
 * Ownership: heap; the relay's list holds it until its channel is closed, then it frees itself.
 * Memory: about 256 KiB of frames in the making and as much on its way. Threading: the loop's.
 */
#ifndef RELAY_CLIENT_H
#define RELAY_CLIENT_H

#include "relay.h"

/* Takes the next connection off the relay's socket. */
void client_accept(struct relay *relay);
/* There may be more to send: frames were released, or time went by. Safe at any time. */
void client_proceed(struct client *client);
void client_ping(struct client *client);
void client_close(struct client *client);

#endif
