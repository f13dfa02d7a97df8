/*
 * Server, private: what connections share with it. Only server.c and connection.c read this.
 */
#ifndef HTTP_SERVER_PRIVATE_H
#define HTTP_SERVER_PRIVATE_H

#include "base/list.h"
#include "base/log.h"
#include "http/pace.h"
#include "http/server.h"

#include <uv.h>

struct server {
    uv_tcp_t listener;
    struct server_limits limits;
    struct server_callbacks callbacks;
    void *owner;
    struct list connections;   /* those that are served or refused, not those that close */
    unsigned connection_count; /* closing ones too: each has memory */
    struct pace pace;
    uv_timer_t pace_timer;  /* runs while work waits */
    bool is_accept_waiting; /* the listener says nothing more until that client is accepted */
    unsigned open_handles;  /* listener and timer */
    bool is_closing;
    uint16_t port;
    struct snapshot_server counters;
    struct log_limit cap_log;
    struct log_limit accept_log;
};

/* False: HTTP has had its share of the thread; connection_resume() follows once it may go on. */
bool server_may_work(struct server *server);
/* The last thing that a connection says, once its memory is gone. */
void server_connection_closed(struct server *server);

#endif
