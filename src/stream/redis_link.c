#include "stream/redis_link.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/panic.h"
#include "stream/redis_tls.h"
#include "stream/reply_builder.h"
#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <uv.h>

enum {
    REPLY_ELEMENTS_MAX = 1 << 20,
    DRAIN_READS_MAX = 16
};

#if HIREDIS_MAJOR >= 1
typedef size_t element_count;
#else
typedef int element_count;
#endif

struct redis_link {
    redisAsyncContext *context; /* NULL once hiredis lets go of it */
    const redisReplyObjectFunctions *builder;
    redisReplyObjectFunctions
        functions; /* the builder's with a look at what is expected in front */
    uv_poll_t poll;
    uv_prepare_t flush;  /* sends what this turn of the loop has gathered */
    uv_timer_t deferred; /* ends the link from a clean stack */
    int events;          /* that the poll watches */
    unsigned handles;    /* that are not closed yet */
    unsigned in_flight;  /* commands without their reply */
    bool is_ending;
    bool is_polled;     /* the poll handle exists */
    bool is_plain;      /* no TLS, which may have to read before it can write */
    struct error error; /* the first cause wins */
    struct redis_link_callbacks callbacks;
    void *owner;
};

struct command {
    struct redis_link *link;
    redis_reply_callback *on_reply;
    void *owner;
};

static void note_error(struct redis_link *link, enum error_kind kind, const char *text)
{
    if (link->error.kind == ERROR_NONE) {
        error_set(&link->error, kind, "%s", text);
    }
}

/* -- the reader's hooks -- */

/* A reply that nobody asked for would make hiredis abort the process (an assert in its async.c): refuse to
 * build it, and the connection ends with an error instead. */
static struct redis_link *expecting_link(const redisReadTask *task)
{
    struct redis_link *link = task->privdata;
    if (task->parent == NULL && link->in_flight == 0) {
        note_error(link, ERROR_PROTOCOL, "Redis sent a reply that nobody asked for");
        return NULL;
    }
    return link;
}

static void *create_string(const redisReadTask *task, char *text, size_t size)
{
    struct redis_link *link = task->privdata;
    /* An error without a question is how Redis refuses a client ("max number of clients reached"). */
    if (task->type != REDIS_REPLY_ERROR && expecting_link(task) == NULL) {
        return NULL;
    }
    return link->builder->createString(task, text, size);
}

/* `*1000000000` would make hiredis allocate 8 GB before the first element is there. */
static void *create_array(const redisReadTask *task, element_count count)
{
    struct redis_link *link = expecting_link(task);
    if (link == NULL) {
        return NULL;
    }
    if ((size_t)count > REPLY_ELEMENTS_MAX) {
        note_error(link, ERROR_PROTOCOL, "Redis announced an array of more than 1048576 elements");
        return NULL;
    }
    return link->builder->createArray(task, count);
}

static void *create_integer(const redisReadTask *task, long long number)
{
    struct redis_link *link = expecting_link(task);
    return link == NULL ? NULL : link->builder->createInteger(task, number);
}

static void *create_nil(const redisReadTask *task)
{
    struct redis_link *link = expecting_link(task);
    return link == NULL ? NULL : link->builder->createNil(task);
}

static void hook_reader(struct redis_link *link)
{
    redisReader *reader = link->context->c.reader;
    link->builder = reply_builder_functions();
    link->functions = *link->builder;
    link->functions.createString = create_string;
    link->functions.createArray = create_array;
    link->functions.createInteger = create_integer;
    link->functions.createNil = create_nil;
    reader->fn = &link->functions;
    reader->privdata = link;
}

/* -- the end -- */

static void on_handle_closed(uv_handle_t *handle)
{
    struct redis_link *link = handle->data;
    if (--link->handles > 0) {
        return;
    }
    ASSERT(link->context == NULL);
    note_error(link, ERROR_CLOSED, "connection ended");
    link->callbacks.on_gone(link->owner, &link->error);
    free(link);
}

static void close_handles(struct redis_link *link)
{
    if (link->is_polled) {
        uv_close((uv_handle_t *)&link->poll, on_handle_closed);
    }
    uv_close((uv_handle_t *)&link->flush, on_handle_closed);
    uv_close((uv_handle_t *)&link->deferred, on_handle_closed);
}

/* hiredis is about to close the socket (0.14: after the commands ended with NULL, 1.x: before). The
 * poll must be gone first. The last fact about the error is taken here: the context dies next. */
static void adapter_cleanup(void *data)
{
    struct redis_link *link = data;
    redisAsyncContext *context = link->context;
    if (context == NULL) {
        return;
    }
    if (context->c.err != 0) {
        note_error(link, context->c.err == REDIS_ERR_PROTOCOL ? ERROR_PROTOCOL : ERROR_CLOSED,
                   context->c.errstr);
    }
    link->context = NULL;
    link->is_ending = true;
    close_handles(link);
}

static void on_deferred_end(uv_timer_t *timer)
{
    struct redis_link *link = timer->data;
    if (link->context != NULL) {
        redisAsyncFree(link->context);
    }
}

void redis_link_end(struct redis_link *link, const struct error *error)
{
    if (link->error.kind == ERROR_NONE) {
        link->error = *error;
    }
    if (link->is_ending) {
        return;
    }
    link->is_ending = true;
    ASSERT(uv_timer_start(&link->deferred, on_deferred_end, 0, 0) == 0);
}

/* -- the adapter -- */

static void on_poll(uv_poll_t *poll, int status, int events);

static void watch(struct redis_link *link, int events)
{
    if (link->context == NULL || events == link->events) {
        return;
    }
    link->events = events;
    int status =
        events == 0 ? uv_poll_stop(&link->poll) : uv_poll_start(&link->poll, events, on_poll);
    ASSERT(status == 0);
}

static void adapter_add_read(void *data)
{
    struct redis_link *link = data;
    watch(link, link->events | UV_READABLE);
}

static void adapter_delete_read(void *data)
{
    struct redis_link *link = data;
    watch(link, link->events & ~UV_READABLE);
}

/* Right before the loop waits: all commands of a turn in one write, and no look at a socket that nearly always takes
 * it. Nothing may be sent from here: what a prepare callback starts is not run before the loop has waited. So hiredis is
 * told of a failure from the poll, where it may call back; answers that lie unread in a connection that failed are lost
 * then, and the outcome of their commands is unknown. */
static void on_flush(uv_prepare_t *flush)
{
    struct redis_link *link = flush->data;
    int is_done = 0;
    (void)uv_prepare_stop(flush); /* cannot fail */
    if (link->context == NULL || link->is_ending) {
        return;
    }
    if (redisBufferWrite(&link->context->c, &is_done) != REDIS_OK || is_done == 0) {
        watch(link, link->events | UV_WRITABLE);
    }
}

/* hiredis' answer to each command, and to a socket that did not take all. */
static void adapter_add_write(void *data)
{
    struct redis_link *link = data;
    if (link->context == NULL || (link->events & UV_WRITABLE) != 0) {
        return;
    }
    if (link->is_plain && (link->context->c.flags & REDIS_CONNECTED) != 0) {
        ASSERT(uv_prepare_start(&link->flush, on_flush) == 0);
    } else {
        watch(link, link->events | UV_WRITABLE);
    }
}

static void adapter_delete_write(void *data)
{
    struct redis_link *link = data;
    watch(link, link->events & ~UV_WRITABLE);
}

/* libuv tells a refused connection or a reset peer as an error status and stops the poll. Only reading
 * or writing brings the cause to light, so hiredis gets the event all the same. */
static void surface_error(struct redis_link *link, int status)
{
    link->events = 0;
    bool is_connected = (link->context->c.flags & REDIS_CONNECTED) != 0;
    if (is_connected) {
        redisAsyncHandleRead(link->context);
    } else {
        redisAsyncHandleWrite(link->context);
    }
    if (link->context != NULL && link->events == 0) {
        struct error error;
        error_set(&error, ERROR_CLOSED, "poll: %s", uv_strerror(status));
        redis_link_end(link, &error);
    }
}

/* A reply has begun and has not ended. */
static bool is_within_reply(const redisReader *reader)
{
#if HIREDIS_MAJOR >= 1
    int type = reader->task[0]->type;
#else
    int type = reader->rstack[0].type;
#endif
    return reader->ridx > 0 || (reader->ridx == 0 && type >= 0);
}

/* hiredis reads 16 KB a call; a batch is a megabyte. Reading on within a reply saves a turn of the loop for each
 * 16 KB, and a whole one needs no look for more; the bound keeps the loop fair. */
static void read_on(struct redis_link *link)
{
    for (int i = 0; i < DRAIN_READS_MAX; i++) {
        const redisReader *reader = link->context->c.reader;
        size_t size = reader->len;
        size_t place = reader->pos;
        redisAsyncHandleRead(link->context);
        if (link->context == NULL || link->is_ending || !is_within_reply(reader) ||
            (reader->len == size && reader->pos == place)) {
            return;
        }
    }
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct redis_link *link = poll->data;
    if (link->is_ending) {
        watch(link, 0);
        return;
    }
    if (status < 0) {
        surface_error(link, status);
        return;
    }
    if ((events & UV_READABLE) != 0) {
        read_on(link);
    }
    if ((events & UV_WRITABLE) != 0 && link->context != NULL && !link->is_ending) {
        redisAsyncHandleWrite(link->context);
    }
}

/* A peer that vanished without a word is noticed within a minute, also where nothing is sent. Not by
 * redisEnableKeepAlive(): that marks the whole context as failed on a unix socket. */
static void keep_alive(int socket)
{
    static const struct {
        int level, name, value;
    } options[] = {
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, 15},
        {IPPROTO_TCP, TCP_KEEPINTVL, 5},
        {IPPROTO_TCP, TCP_KEEPCNT, 3},
    };
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        int value = options[i].value;
        (void)setsockopt(socket, options[i].level, options[i].name, &value, sizeof(value));
    }
}

static void on_connect(const redisAsyncContext *context, int status)
{
    struct redis_link *link = context->ev.data;
    /* Nothing may be torn down in here: 0.14 goes on with the context. adapter_cleanup() follows on failure. */
    if (status == REDIS_OK && !link->is_ending) {
        keep_alive((int)context->c.fd);
        link->callbacks.on_connected(link->owner);
    }
}

static void attach(struct redis_link *link)
{
    redisAsyncContext *context = link->context;
    link->is_polled = true;
    link->handles++;
    context->ev.data = link;
    context->ev.addRead = adapter_add_read;
    context->ev.delRead = adapter_delete_read;
    context->ev.addWrite = adapter_add_write;
    context->ev.delWrite = adapter_delete_write;
    context->ev.cleanup = adapter_cleanup;
    hook_reader(link);
    ASSERT(redisAsyncSetConnectCallback(context, on_connect) == REDIS_OK);
}

/* Before attach(): hiredis knows nothing of the loop, so the context can be freed at once. */
static void give_up(struct redis_link *link, const char *text)
{
    note_error(link, ERROR_UNREACHABLE, text);
    if (link->context != NULL) {
        redisAsyncFree(link->context);
        link->context = NULL;
    }
    link->is_ending = true;
    close_handles(link);
}

struct redis_link *redis_link_open(struct uv_loop_s *loop, const struct redis_link_target *target,
                                   const struct redis_link_callbacks *callbacks, void *owner)
{
    struct redis_link *link = memory_allocate(sizeof(*link));
    link->callbacks = *callbacks;
    link->owner = owner;
    link->handles = 2;
    link->is_plain = target->tls == NULL;
    link->poll.data = link;
    link->flush.data = link;
    link->deferred.data = link;
    ASSERT(uv_prepare_init(loop, &link->flush) == 0);
    ASSERT(uv_timer_init(loop, &link->deferred) == 0);
    link->context = target->path != NULL ? redisAsyncConnectUnix(target->path)
                                         : redisAsyncConnect(target->address, target->port);
    if (link->context == NULL) {
        give_up(link, "no memory for a connection");
    } else if (link->context->err != 0) {
        char text[sizeof(link->context->c.errstr)];
        memcpy(text, link->context->c.errstr, sizeof(text));
        give_up(link, text);
    } else if (target->tls != NULL && !redis_tls_start(target->tls, &link->context->c)) {
        give_up(link, "TLS cannot be started");
    } else if (uv_poll_init(loop, &link->poll, (int)link->context->c.fd) != 0) {
        give_up(link, "the socket cannot be polled");
    } else {
        attach(link);
    }
    return link;
}

static void on_command_reply(redisAsyncContext *context, void *reply, void *data)
{
    (void)context;
    struct command command = *(struct command *)data;
    free(data);
    command.link->in_flight--;
    command.on_reply(command.owner, command.link->is_ending ? NULL : reply);
}

bool redis_link_send(struct redis_link *link, struct slice command, redis_reply_callback *on_reply,
                     void *owner)
{
    if (link->is_ending || link->context == NULL) {
        return false;
    }
    struct command *waiting = memory_allocate(sizeof(*waiting));
    *waiting = (struct command){.link = link, .on_reply = on_reply, .owner = owner};
    if (redisAsyncFormattedCommand(link->context, on_command_reply, waiting, command.data,
                                   command.size) != REDIS_OK) {
        free(waiting);
        return false;
    }
    link->in_flight++;
    return true;
}
