/*
 * PostgreSQL watcher: when libpq's socket can be read or written.
 *
 * libpq may close a socket and open another with the same number inside PQconnectPoll, and libuv must not
 * be asked about a number that means another socket now: stop before, start after. Each start after a
 * stop is a handle of its own.
 *
 * Ownership: embedded; a handle is freed in its own close callback, which may come after the owner's end.
 * Threading: the loop's thread only.
 */
#ifndef SINK_PG_WATCHER_H
#define SINK_PG_WATCHER_H

struct uv_loop_s;
struct pg_watch;

struct pg_watcher {
    struct uv_loop_s *loop;
    struct pg_watch *watch; /* NULL: none */
    int events;
    /* `status` is a code of libuv below 0, or 0. The watcher may be stopped inside. */
    void (*on_event)(void *owner, int status, int events);
    void *owner;
};

/* Events are libuv's (UV_READABLE, UV_WRITABLE). Returns 0 or a code of libuv. */
int pg_watcher_start(struct pg_watcher *watcher, int socket, int events);
/* Safe twice. */
void pg_watcher_stop(struct pg_watcher *watcher);

#endif
