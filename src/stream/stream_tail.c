#include "stream/stream_tail.h"

#include <sys/time.h>

#include "base/buffer.h"
#include "config/urls.h"
#include "stream/reader_entries.h"
#include "stream/redis_reply.h"
#include "stream/redis_tls.h"
#include <hiredis/hiredis.h>

enum {
    TIMEOUT_S = 10, /* longer than BLOCK */
    ARGUMENTS_MAX = 8
};

#define TAIL_COUNT    "100"
#define TAIL_BLOCK_MS "2000"

struct tail {
    redisContext *context;
    struct redis_tls *tls;
    stream_tail_callback *on_entry;
    void *owner;
    struct reader_entries entries;
    struct buffer last_id; /* of what was told; empty: nothing yet */
    bool is_ended;         /* by the callback */
};

/* NULL, with `error`, where Redis answers with an error or not at all. */
static redisReply *call(struct tail *tail, const struct slice *arguments, int count,
                        struct error *error)
{
    const char *texts[ARGUMENTS_MAX];
    size_t sizes[ARGUMENTS_MAX];
    for (int i = 0; i < count; i++) {
        texts[i] = arguments[i].data;
        sizes[i] = arguments[i].size;
    }
    redisReply *reply = redisCommandArgv(tail->context, count, texts, sizes);
    if (reply == NULL) {
        error_set(error, ERROR_UNREACHABLE, "Redis went away: %s", tail->context->errstr);
        return NULL;
    }
    if (reply_is_error(reply)) {
        reply_error(reply, error);
        freeReplyObject(reply);
        return NULL;
    }
    return reply;
}

static bool command(struct tail *tail, const struct slice *arguments, int count,
                    struct error *error)
{
    redisReply *reply = call(tail, arguments, count, error);
    freeReplyObject(reply);
    return reply != NULL;
}

static bool log_in(struct tail *tail, const struct redis_address *address, struct error *error)
{
    struct buffer database = {0};
    const struct slice password = slice_from_string(address->password);
    const struct slice with_user[] = {SLICE("AUTH"), slice_from_string(address->user), password};
    const struct slice without_user[] = {SLICE("AUTH"), password};
    bool is_in = address->password == NULL ||
                 (address->user != NULL ? command(tail, with_user, 3, error)
                                        : command(tail, without_user, 2, error));
    buffer_append_int64(&database, address->database);
    const struct slice select[] = {SLICE("SELECT"), buffer_slice(&database)};
    is_in = is_in && (address->database == 0 || command(tail, select, 2, error));
    buffer_deinit(&database);
    return is_in;
}

static bool connect_to(struct tail *tail, const struct redis_address *address, struct error *error)
{
    static const struct timeval timeout = {.tv_sec = TIMEOUT_S};
    tail->context = address->path != NULL
                        ? redisConnectUnixWithTimeout(address->path, timeout)
                        : redisConnectWithTimeout(address->host, address->port, timeout);
    if (tail->context == NULL || tail->context->err != 0) {
        error_set(error, ERROR_UNREACHABLE, "Redis cannot be reached: %s: check redis.url",
                  tail->context != NULL ? tail->context->errstr : "no memory");
        return false;
    }
    if (redisSetTimeout(tail->context, timeout) != REDIS_OK) {
        error_set(error, ERROR_INTERNAL, "no timeout can be set on the connection to Redis");
        return false;
    }
    if (address->is_tls) {
        tail->tls = redis_tls_create(address->host, error);
        if (tail->tls == NULL) {
            return false;
        }
        if (!redis_tls_start(tail->tls, tail->context)) {
            error_set(error, ERROR_UNREACHABLE, "TLS with Redis failed: %s", tail->context->errstr);
            return false;
        }
    }
    return log_in(tail, address, error);
}

/* Tells all entries of `list`; returns how many there were. */
static size_t tell(struct tail *tail, const redisReply *list)
{
    struct reader_entries *entries = &tail->entries;
    reader_entries_parse(entries, list);
    for (size_t i = 0; i < entries->count && !tail->is_ended; i++) {
        buffer_clear(&tail->last_id);
        buffer_append_slice(&tail->last_id, entries->ids[i]);
        tail->is_ended = !tail->on_entry(tail->owner, entries->ids[i], &entries->items[i]);
    }
    return entries->count;
}

static bool read_stored(struct tail *tail, const char *key, const char *from, struct error *error)
{
    size_t count = 1;
    struct buffer start = {0};
    buffer_append_string(&start, from != NULL ? from : "-");
    while (count > 0 && !tail->is_ended) {
        const struct slice range[] = {SLICE("XRANGE"), slice_from_string(key), buffer_slice(&start),
                                      SLICE("+"),      SLICE("COUNT"),         SLICE(TAIL_COUNT)};
        redisReply *reply = call(tail, range, 6, error);
        if (reply == NULL) {
            break;
        }
        count = tell(tail, reply);
        freeReplyObject(reply);
        buffer_clear(&start);
        buffer_append_byte(&start, '(');
        buffer_append_slice(&start, buffer_slice(&tail->last_id));
    }
    buffer_deinit(&start);
    return count == 0 || tail->is_ended;
}

/* An ID and not "$" for the first read: what comes between two reads would be missed. */
static bool find_end(struct tail *tail, const char *key, struct error *error)
{
    const struct slice last[] = {SLICE("XREVRANGE"), slice_from_string(key), SLICE("+"),
                                 SLICE("-"),         SLICE("COUNT"),         SLICE("1")};
    redisReply *reply = call(tail, last, 6, error);
    if (reply == NULL) {
        return false;
    }
    struct slice id = reply_text(reply_element(reply_element(reply, 0), 0));
    buffer_append_slice(&tail->last_id, id);
    freeReplyObject(reply);
    return true;
}

static bool follow(struct tail *tail, const char *key, struct error *error)
{
    while (!tail->is_ended) {
        bool is_first = tail->last_id.size == 0;
        const struct slice read[] = {
            SLICE("XREAD"),         SLICE("COUNT"),
            SLICE(TAIL_COUNT),      SLICE("BLOCK"),
            SLICE(TAIL_BLOCK_MS),   SLICE("STREAMS"),
            slice_from_string(key), is_first ? SLICE("0-0") : buffer_slice(&tail->last_id),
        };
        redisReply *reply = call(tail, read, ARGUMENTS_MAX, error);
        if (reply == NULL) {
            return false;
        }
        (void)tell(tail, reply_element(reply_element(reply, 0), 1));
        freeReplyObject(reply);
    }
    return true;
}

static bool run(struct tail *tail, const struct stream_tail_options *options, struct error *error)
{
    bool wants_stored = options->from != NULL || !options->should_follow;
    if (wants_stored && !read_stored(tail, options->key, options->from, error)) {
        return false;
    }
    if (!options->should_follow) {
        return true;
    }
    return (wants_stored || find_end(tail, options->key, error)) &&
           follow(tail, options->key, error);
}

bool stream_tail(const struct stream_tail_options *options, stream_tail_callback *on_entry,
                 void *owner, struct error *error)
{
    struct redis_address address;
    struct tail tail = {.on_entry = on_entry, .owner = owner};
    if (!redis_address_parse(&address, slice_from_string(options->url), error)) {
        return false;
    }
    bool is_done = connect_to(&tail, &address, error) && run(&tail, options, error);
    if (tail.context != NULL) {
        redisFree(tail.context);
    }
    redis_tls_destroy(tail.tls);
    reader_entries_deinit(&tail.entries);
    buffer_deinit(&tail.last_id);
    redis_address_deinit(&address);
    return is_done;
}
