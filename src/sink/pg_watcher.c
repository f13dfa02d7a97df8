#include "sink/pg_watcher.h"

#include <stdlib.h>

#include "base/panic.h"

#include <uv.h>

struct pg_watch {
    uv_poll_t poll;
    struct pg_watcher *watcher; /* NULL once it is being closed */
};

static void on_poll(uv_poll_t *poll, int status, int events)
{
    const struct pg_watch *watch = poll->data;
    if (watch->watcher != NULL) {
        watch->watcher->on_event(watch->watcher->owner, status, events);
    }
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void pg_watcher_stop(struct pg_watcher *watcher)
{
    struct pg_watch *watch = watcher->watch;
    if (watch == NULL) {
        return;
    }
    watcher->watch = NULL;
    watcher->events = 0;
    watch->watcher = NULL;
    (void)uv_poll_stop(&watch->poll); /* cannot fail */
    uv_close((uv_handle_t *)&watch->poll, on_closed);
}

static int open_watch(struct pg_watcher *watcher, int socket)
{
    struct pg_watch *watch = memory_allocate(sizeof(*watch));
    int result = uv_poll_init(watcher->loop, &watch->poll, socket);
    if (result != 0) {
        free(watch);
        return result;
    }
    watch->poll.data = watch;
    watch->watcher = watcher;
    watcher->watch = watch;
    return 0;
}

int pg_watcher_start(struct pg_watcher *watcher, int socket, int events)
{
    if (watcher->watch != NULL && watcher->events == events) {
        return 0;
    }
    int result = watcher->watch == NULL ? open_watch(watcher, socket) : 0;
    if (result == 0) {
        result = uv_poll_start(&watcher->watch->poll, events, on_poll);
    }
    watcher->events = result == 0 ? events : 0;
    return result;
}
