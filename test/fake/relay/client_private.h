/*
 * The client's own state, shared by client.c (the connection) and faults.c (what we do to it).
 */
#ifndef RELAY_CLIENT_PRIVATE_H
#define RELAY_CLIENT_PRIVATE_H

#include "channel.h"
#include "client.h"
#include "random.h"

enum client_state {
    CLIENT_UPGRADING,
    CLIENT_STREAMING,
    CLIENT_STALLED, /* says nothing any more, and hears nothing */
    CLIENT_ENDING   /* closes once what is written is out */
};

struct client {
    struct list node;
    struct relay *relay;
    struct channel channel;
    enum client_state state;
    bool ends_with_reset;
    struct buffer in;
    struct buffer out;
    int64_t next;  /* index of the next frame */
    int64_t sent;  /* good frames on this connection, duplicates aside */
    unsigned done; /* bit i: fault i was done on this connection */
    struct random random;
};

/* Appends frame `index` as a message. */
void client_put_frame(struct client *client, int64_t index);
/* From here on nothing is added; ends when what is there is out. */
void client_end(struct client *client, bool with_reset);
/* Does what is due before the next frame. False: that frame is not to be sent now. */
bool faults_before_frame(struct client *client);
/* What a rate puts in front of a good frame: garbage, text, pings. */
void faults_put_noise(struct client *client);

#endif
