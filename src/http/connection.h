/*
 * Connection: one client; requests one after the other, each with its response, until one side leaves.
 *
 *   READING --request--> ANSWERING --response--> WRITING --keep-alive--> READING
 *                            (may wait)           |  ^      \--close--> LINGERING -> CLOSING
 *                                             STREAMING (the next event)
 *
 * One deadline at a time, that of the state. What the client pipelines waits in the input, and when
 * that is full, in the socket.
 * Ownership: heap; in its server's list until it closes; freed in the last close callback.
 * Threading: the loop's thread only.
 */
#ifndef HTTP_CONNECTION_H
#define HTTP_CONNECTION_H

struct connection;
struct list;
struct server;

enum connection_welcome {
    CONNECTION_SERVE,
    CONNECTION_REFUSE,   /* 503, and time to read it */
    CONNECTION_TURN_AWAY /* 503 as far as it is sent at once, and goodbye */
};

/* Accepts what waits at the server's listener. server_connection_closed() follows one day. */
void connection_open(struct server *server, enum connection_welcome welcome);
/* Safe twice. */
void connection_close(struct connection *connection);
/* The server may work again: takes up a request that waits in the input. */
void connection_resume(struct connection *connection);
struct connection *connection_at(struct list *node);

#endif
