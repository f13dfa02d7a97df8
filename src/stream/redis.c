#include "stream/redis.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/backoff.h"
#include "base/list.h"
#include "base/log.h"
#include "base/panic.h"
#include "config/urls.h"
#include "net/dns.h"
#include "stream/redis_link.h"
#include "stream/redis_outage.h"
#include "stream/redis_reply.h"
#include "stream/redis_tls.h"
#include <uv.h>

enum {
    BACKOFF_BASE_MS = 50,
    BACKOFF_LIMIT_MS = 5000,
    REFUSED_BACKOFF_MS = 30000, /* only a human can mend it */
    STEADY_MS = 1000,           /* READY for this long: the next loss starts from the base again */
    OBJECT_SIZE = 80
};

enum redis_state {
    REDIS_RESOLVING,
    REDIS_CONNECTING,
    REDIS_GREETING, /* AUTH, SELECT, CLIENT SETNAME, INFO, PING: one pipeline */
    REDIS_READY,
    REDIS_ENDING, /* waits for the link's on_gone */
    REDIS_BACKOFF,
    REDIS_CLOSED
};

static const char *const state_names[] = {
    [REDIS_RESOLVING] = "resolving", [REDIS_CONNECTING] = "connecting",
    [REDIS_GREETING] = "greeting",   [REDIS_READY] = "ready",
    [REDIS_ENDING] = "ending",       [REDIS_BACKOFF] = "backoff",
    [REDIS_CLOSED] = "closed",
};

struct redis {
    struct uv_loop_s *loop;
    struct redis_address url;
    struct error url_error; /* ERROR_NONE where the URL is good */
    char *client_name;
    char object[OBJECT_SIZE]; /* for the log */
    uint64_t connect_timeout_ms, reply_timeout_ms, refused_wait_ms;
    struct redis_callbacks callbacks;
    void *owner;

    enum redis_state state;
    struct dns_query *query;
    struct dns_answer addresses;
    size_t next_address;
    struct redis_link *link;
    struct redis_tls *tls;
    uv_timer_t timer;    /* of the state: connect, reply, backoff */
    struct list waiting; /* commands in flight, in order */
    unsigned greetings;  /* replies of the greeting that are due */
    struct backoff backoff;
    uint64_t ready_since_ms;
    struct redis_absence absence;
    bool is_closing;
    bool is_timer_closed;
};

struct redis_command {
    struct list node;
    struct redis *redis;
    uint64_t due_ms; /* by the loop's clock */
    redis_reply_callback *on_reply;
    void *owner;
};

static void proceed(struct redis *redis);
static void on_state_timer(uv_timer_t *timer);

static void enter_state(struct redis *redis, enum redis_state next)
{
    log_debug(redis->object, "state", LOG_TEXT("from", state_names[redis->state]),
              LOG_TEXT("to", state_names[next]));
    redis->state = next;
}

static void start_timer(struct redis *redis, uint64_t milliseconds)
{
    if (!uv_is_closing((uv_handle_t *)&redis->timer)) {
        ASSERT(uv_timer_start(&redis->timer, on_state_timer, milliseconds, 0) == 0);
    }
}

/* -- the end -- */

static void on_timer_closed(uv_handle_t *handle)
{
    struct redis *redis = handle->data;
    redis->is_timer_closed = true;
    proceed(redis);
}

static void destroy(struct redis *redis)
{
    ASSERT(redis->link == NULL && redis->query == NULL && list_is_empty(&redis->waiting));
    struct redis_callbacks callbacks = redis->callbacks;
    void *owner = redis->owner;
    redis_tls_destroy(redis->tls);
    redis_address_deinit(&redis->url);
    free(redis->client_name);
    free(redis);
    callbacks.on_closed(owner);
}

void redis_close(struct redis *redis)
{
    if (redis->is_closing) {
        return;
    }
    redis->is_closing = true;
    redis_outage_forget(&redis->absence);
    if (redis->query != NULL) {
        dns_cancel(redis->query);
        redis->query = NULL;
    }
    if (redis->link != NULL) {
        struct error error;
        error_set(&error, ERROR_CLOSED, "closed by us");
        redis_link_end(redis->link, &error);
    }
    enter_state(redis, REDIS_CLOSED);
    uv_close((uv_handle_t *)&redis->timer, on_timer_closed);
}

/* -- losing -- */

static void back_off(struct redis *redis, const struct error *error)
{
    bool is_refused = error->kind == ERROR_REFUSED || error->kind == ERROR_USAGE;
    uint64_t wait_ms = is_refused ? redis->refused_wait_ms : backoff_next_ms(&redis->backoff);
    enter_state(redis, REDIS_BACKOFF);
    start_timer(redis, wait_ms);
    redis_outage_note_lost(&redis->absence, redis->client_name, error, wait_ms);
    redis->callbacks.on_lost(redis->owner, error);
}

static void fail(struct redis *redis, enum error_kind kind, const char *text)
{
    struct error error;
    error_set(&error, kind, "%s", text);
    if (redis->link == NULL) {
        back_off(redis, &error);
        return;
    }
    enter_state(redis, REDIS_ENDING);
    (void)uv_timer_stop(&redis->timer);
    redis_link_end(redis->link, &error);
}

void redis_reset(struct redis *redis, const char *why)
{
    if (redis->link != NULL && !redis->is_closing) {
        fail(redis, ERROR_PROTOCOL, why);
    }
}

static bool is_lasting(enum error_kind kind)
{
    return kind == ERROR_REFUSED || kind == ERROR_USAGE;
}

static void on_link_gone(void *owner, const struct error *error)
{
    struct redis *redis = owner;
    redis->link = NULL;
    bool was_connecting = redis->state == REDIS_CONNECTING;
    if (redis->is_closing) {
        proceed(redis);
        return;
    }
    if (redis->ready_since_ms != 0 && uv_now(redis->loop) - redis->ready_since_ms >= STEADY_MS) {
        backoff_reset(&redis->backoff);
    }
    redis->ready_since_ms = 0;
    if (was_connecting && redis->next_address < redis->addresses.count &&
        !is_lasting(error->kind)) {
        proceed(redis); /* the next address of the name */
        return;
    }
    back_off(redis, error);
}

/* -- commands -- */

/* Errors that say that the whole connection is of no use. */
static bool ends_connection(struct redis *redis, const struct redisReply *reply)
{
    static const char *const set_up[] = {"NOAUTH", "WRONGPASS", "MOVED", "ASK", "CLUSTERDOWN"};
    for (size_t i = 0; i < sizeof(set_up) / sizeof(set_up[0]); i++) {
        if (reply_has_error(reply, set_up[i])) {
            char text[sizeof(((struct error *)0)->text)];
            (void)snprintf(text, sizeof(text), "%.*s: %s", SLICE_ARGS(reply_text(reply)),
                           i < 2 ? "check user and password in redis.url"
                                 : "Redis Cluster is not supported: use a single Redis or a "
                                   "Sentinel's master");
            fail(redis, ERROR_REFUSED, text);
            return true;
        }
    }
    if (reply_has_error(reply, "READONLY")) {
        /* A demoted master: the name or proxy may lead to the new one by now. */
        fail(redis, ERROR_UNREACHABLE,
             "this Redis is a replica: redis.url must lead to the master");
        return true;
    }
    return false;
}

static void on_command_reply(void *data, struct redisReply *reply)
{
    struct redis_command command = *(struct redis_command *)data;
    struct redis *redis = command.redis;
    list_remove(&((struct redis_command *)data)->node);
    free(data);
    if (reply == NULL && redis->state == REDIS_READY) {
        /* The link is ending; on_gone follows. Nobody may send into it any more. */
        enter_state(redis, REDIS_ENDING);
        (void)uv_timer_stop(&redis->timer);
    }
    if (reply != NULL && reply_is_error(reply) && redis->state == REDIS_READY) {
        (void)ends_connection(redis, reply);
    }
    command.on_reply(command.owner, reply);
}

static bool send_command(struct redis *redis, struct slice formatted,
                         redis_reply_callback *on_reply, void *owner)
{
    struct redis_command *command = memory_allocate(sizeof(*command));
    *command = (struct redis_command){
        .redis = redis,
        .due_ms = uv_now(redis->loop) + redis->reply_timeout_ms,
        .on_reply = on_reply,
        .owner = owner,
    };
    if (!redis_link_send(redis->link, formatted, on_command_reply, command)) {
        free(command);
        return false;
    }
    list_append(&redis->waiting, &command->node);
    if (redis->state == REDIS_READY && !uv_is_active((uv_handle_t *)&redis->timer)) {
        start_timer(redis, redis->reply_timeout_ms);
    }
    return true;
}

bool redis_is_ready(const struct redis *redis)
{
    return redis->state == REDIS_READY && !redis->is_closing;
}

bool redis_send_formatted(struct redis *redis, struct slice command, redis_reply_callback *on_reply,
                          void *owner)
{
    return redis_is_ready(redis) && send_command(redis, command, on_reply, owner);
}

bool redis_send(struct redis *redis, const struct slice *arguments, size_t count,
                redis_reply_callback *on_reply, void *owner)
{
    if (!redis_is_ready(redis)) {
        return false;
    }
    struct buffer command = {0};
    redis_format(&command, arguments, count);
    bool is_sent = send_command(redis, buffer_slice(&command), on_reply, owner);
    buffer_deinit(&command);
    return is_sent;
}

/* -- the greeting -- */

static void become_ready(struct redis *redis)
{
    (void)uv_timer_stop(&redis->timer);
    enter_state(redis, REDIS_READY);
    redis_outage_note_back(&redis->absence);
    redis->ready_since_ms = uv_now(redis->loop);
    redis->callbacks.on_ready(redis->owner);
}

static void refuse_greeting(struct redis *redis, const struct redisReply *reply, const char *what,
                            enum error_kind kind)
{
    char text[sizeof(((struct error *)0)->text)];
    (void)snprintf(text, sizeof(text), "%s: %.*s", what, SLICE_ARGS(reply_text(reply)));
    fail(redis, kind, text);
}

static void count_greeting(struct redis *redis)
{
    if (--redis->greetings == 0 && redis->state == REDIS_GREETING && !redis->is_closing) {
        become_ready(redis);
    }
}

static bool is_greeting(const struct redis *redis, const struct redisReply *reply)
{
    return reply != NULL && redis->state == REDIS_GREETING && !redis->is_closing;
}

static void on_auth(void *owner, struct redisReply *reply)
{
    struct redis *redis = owner;
    if (is_greeting(redis, reply) && reply_is_error(reply)) {
        bool is_passing = reply_has_error(reply, "LOADING");
        refuse_greeting(redis, reply, "AUTH (check user and password in redis.url)",
                        is_passing ? ERROR_UNREACHABLE : ERROR_REFUSED);
    }
    count_greeting(redis);
}

static void on_select(void *owner, struct redisReply *reply)
{
    struct redis *redis = owner;
    if (is_greeting(redis, reply) && reply_is_error(reply) && !ends_connection(redis, reply)) {
        bool is_passing = reply_has_error(reply, "LOADING");
        refuse_greeting(redis, reply, "SELECT (check the database in redis.url)",
                        is_passing ? ERROR_UNREACHABLE : ERROR_REFUSED);
    }
    count_greeting(redis);
}

/* The name is a courtesy: an old proxy or an ACL may refuse it. */
static void on_set_name(void *owner, struct redisReply *reply)
{
    struct redis *redis = owner;
    if (is_greeting(redis, reply) && reply_is_error(reply)) {
        (void)ends_connection(redis, reply);
    }
    count_greeting(redis);
}

static void on_info(void *owner, struct redisReply *reply)
{
    struct redis *redis = owner;
    struct slice info = reply_text(reply);
    if (is_greeting(redis, reply) && info.size > 0 &&
        memmem(info.data, info.size, "cluster_enabled:1", sizeof("cluster_enabled:1") - 1) !=
            NULL) {
        fail(redis, ERROR_REFUSED,
             "this Redis runs in cluster mode, which is not supported: use a single Redis, a "
             "Sentinel's master or a proxy in front of it");
    }
    count_greeting(redis);
}

static void on_ping(void *owner, struct redisReply *reply)
{
    struct redis *redis = owner;
    if (is_greeting(redis, reply) && reply_is_error(reply) && !ends_connection(redis, reply)) {
        struct error error;
        reply_error(reply, &error);
        fail(redis, error.kind, error.text);
    }
    count_greeting(redis);
}

static void greet_with(struct redis *redis, const struct slice *arguments, size_t count,
                       redis_reply_callback *on_reply)
{
    struct buffer command = {0};
    redis_format(&command, arguments, count);
    redis->greetings++;
    if (!send_command(redis, buffer_slice(&command), on_reply, redis)) {
        redis->greetings--;
    }
    buffer_deinit(&command);
}

static void greet_with_auth(struct redis *redis)
{
    struct slice password = slice_from_string(redis->url.password);
    struct slice user = slice_from_string(redis->url.user);
    if (redis->url.password == NULL) {
        return;
    }
    if (user.size > 0) {
        const struct slice arguments[] = {SLICE("AUTH"), user, password};
        greet_with(redis, arguments, 3, on_auth);
    } else {
        const struct slice arguments[] = {SLICE("AUTH"), password};
        greet_with(redis, arguments, 2, on_auth);
    }
}

static void on_link_connected(void *owner)
{
    struct redis *redis = owner;
    if (redis->state != REDIS_CONNECTING) {
        return;
    }
    enter_state(redis, REDIS_GREETING); /* the connect timer goes on */
    redis->greetings = 0;
    greet_with_auth(redis);
    if (redis->url.database != 0) {
        char number[16];
        (void)snprintf(number, sizeof(number), "%u", redis->url.database);
        const struct slice select[] = {SLICE("SELECT"), slice_from_string(number)};
        greet_with(redis, select, 2, on_select);
    }
    const struct slice name[] = {SLICE("CLIENT"), SLICE("SETNAME"),
                                 slice_from_string(redis->client_name)};
    greet_with(redis, name, 3, on_set_name);
    const struct slice info[] = {SLICE("INFO"), SLICE("cluster")};
    greet_with(redis, info, 2, on_info);
    const struct slice ping[] = {SLICE("PING")}; /* INFO answers while Redis loads, PING does not */
    greet_with(redis, ping, 1, on_ping);
}

/* -- connecting -- */

static void connect_next(struct redis *redis)
{
    static const struct redis_link_callbacks callbacks = {
        .on_connected = on_link_connected,
        .on_gone = on_link_gone,
    };
    struct redis_link_target target = {.path = redis->url.path, .tls = redis->tls};
    char host[UV_IF_NAMESIZE + INET6_ADDRSTRLEN];
    if (target.path == NULL) {
        const struct sockaddr_storage *address = &redis->addresses.addresses[redis->next_address++];
        ASSERT(uv_ip_name((const struct sockaddr *)address, host, sizeof(host)) == 0);
        target.address = host;
        target.port = redis->url.port;
    }
    enter_state(redis, REDIS_CONNECTING);
    start_timer(redis, redis->connect_timeout_ms);
    redis->link = redis_link_open(redis->loop, &target, &callbacks, redis);
}

static void on_resolved(void *owner, const struct dns_answer *answer, const struct error *error)
{
    struct redis *redis = owner;
    redis->query = NULL;
    if (error != NULL) {
        fail(redis, error->kind, error->text);
        return;
    }
    redis->addresses = *answer;
    redis->next_address = 0;
    connect_next(redis);
}

static void resolve(struct redis *redis)
{
    struct error error = redis->url_error;
    if (error.kind == ERROR_NONE && redis->url.is_tls && redis->tls == NULL) {
        redis->tls = redis_tls_create(redis->url.host, &error);
    }
    if (error.kind != ERROR_NONE) {
        fail(redis, error.kind, error.text);
        return;
    }
    if (redis->url.path != NULL) {
        connect_next(redis);
        return;
    }
    enter_state(redis, REDIS_RESOLVING);
    start_timer(redis, redis->connect_timeout_ms);
    redis->query =
        dns_resolve(redis->loop, redis->url.host, redis->url.port, on_resolved, redis, &error);
    if (redis->query == NULL) {
        fail(redis, error.kind, error.text);
    }
}

static void check_replies(struct redis *redis)
{
    if (list_is_empty(&redis->waiting)) {
        return;
    }
    struct redis_command *first = LIST_ENTRY(redis->waiting.next, struct redis_command, node);
    uint64_t now_ms = uv_now(redis->loop);
    if (first->due_ms > now_ms) {
        start_timer(redis, first->due_ms - now_ms);
        return;
    }
    fail(redis, ERROR_TIMEOUT, "no reply in time");
}

static void on_state_timer(uv_timer_t *timer)
{
    struct redis *redis = timer->data;
    switch (redis->state) {
    case REDIS_RESOLVING:
        if (redis->query != NULL) {
            dns_cancel(redis->query);
            redis->query = NULL;
            fail(redis, ERROR_TIMEOUT, "the name was not resolved in time");
            return;
        }
        resolve(redis); /* the very first step */
        return;
    case REDIS_CONNECTING:
    case REDIS_GREETING:
        fail(redis, ERROR_TIMEOUT, "no connection in time");
        return;
    case REDIS_READY:
        check_replies(redis);
        return;
    case REDIS_BACKOFF:
        resolve(redis);
        return;
    case REDIS_ENDING:
    case REDIS_CLOSED:
        return;
    }
}

/* Goes on where an end has come: the next address, or the last call. */
static void proceed(struct redis *redis)
{
    if (!redis->is_closing) {
        connect_next(redis);
    } else if (redis->is_timer_closed && redis->link == NULL) {
        destroy(redis);
    }
}

struct redis *redis_open(struct uv_loop_s *loop, const struct redis_options *options,
                         const struct redis_callbacks *callbacks, void *owner)
{
    struct redis *redis = memory_allocate(sizeof(*redis));
    redis->loop = loop;
    redis->client_name = memory_copy_string(options->client_name);
    redis->connect_timeout_ms = options->connect_timeout_ms;
    redis->refused_wait_ms =
        options->refused_wait_ms > 0 ? options->refused_wait_ms : REFUSED_BACKOFF_MS;
    redis->reply_timeout_ms = options->reply_timeout_ms;
    redis->callbacks = *callbacks;
    redis->owner = owner;
    redis->backoff = (struct backoff){.base_ms = BACKOFF_BASE_MS, .limit_ms = BACKOFF_LIMIT_MS};
    redis->timer.data = redis;
    list_init(&redis->waiting);
    (void)snprintf(redis->object, sizeof(redis->object), "redis[%s]", options->client_name);
    if (!redis_address_parse(&redis->url, slice_from_string(options->url), &redis->url_error)) {
        redis->url = (struct redis_address){0};
    }
    ASSERT(uv_timer_init(loop, &redis->timer) == 0);
    /* From the loop, so that no callback comes before the owner has the pointer. */
    start_timer(redis, 0);
    return redis;
}
