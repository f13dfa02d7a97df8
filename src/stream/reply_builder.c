#include "stream/reply_builder.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/panic.h"
#include "stream/redis.h"
#include <hiredis/hiredis.h>

#if HIREDIS_MAJOR >= 1
typedef size_t element_count;
#else
typedef int element_count;
#endif

/* What hiredis knows as the reply, and behind it what all its parts lie in. */
struct root {
    struct redisReply reply;
    struct arena arena;
};

static struct root *root_from(void *reply)
{
    return reply; /* its first member */
}

static struct root *root_of(const redisReadTask *task)
{
    while (task->parent != NULL) {
        task = task->parent;
    }
    return root_from(task->obj);
}

/* A part with `size` bytes behind it; in its place in its parent, so that a nil leaves no hole. */
static struct redisReply *add_part(const redisReadTask *task, size_t size)
{
    struct redisReply *parent = task->parent->obj;
    struct redisReply *part = arena_allocate(&root_of(task)->arena, sizeof(*part) + size);
    *part = (struct redisReply){.type = task->type};
    parent->element[task->idx] = part;
    return part;
}

static struct redisReply *create(const redisReadTask *task)
{
    if (task->parent != NULL) {
        return add_part(task, 0);
    }
    struct root *root = memory_allocate(sizeof(*root));
    root->reply.type = task->type;
    return &root->reply;
}

static void *create_string(const redisReadTask *task, char *text, size_t size)
{
    if (task->type != REDIS_REPLY_STRING && task->type != REDIS_REPLY_STATUS &&
        task->type != REDIS_REPLY_ERROR) {
        return NULL;
    }
    struct redisReply *reply;
    if (task->parent != NULL) {
        reply = add_part(task, size + 1);
        reply->str = (char *)(reply + 1);
    } else {
        reply = create(task);
        reply->str = arena_allocate(&root_from(reply)->arena, size + 1);
    }
    memcpy(reply->str, text, size);
    reply->str[size] = '\0';
    reply->len = size;
    return reply;
}

static void *create_array(const redisReadTask *task, element_count count)
{
    if (task->type != REDIS_REPLY_ARRAY) {
        return NULL;
    }
    struct redisReply *reply = create(task);
    if (count > 0) {
        struct root *root = task->parent == NULL ? root_from(reply) : root_of(task);
        reply->element = arena_allocate(&root->arena, (size_t)count * sizeof(struct redisReply *));
        reply->elements = (size_t)count;
    }
    return reply;
}

static void *create_integer(const redisReadTask *task, long long number)
{
    struct redisReply *reply = create(task);
    reply->integer = number;
    return reply;
}

/* The task of a nil string or array has the type that it would have been. */
static void *create_nil(const redisReadTask *task)
{
    struct redisReply *reply = create(task);
    reply->type = REDIS_REPLY_NIL;
    return reply;
}

static void free_reply(void *reply)
{
    if (reply != NULL) {
        arena_deinit(&root_from(reply)->arena);
        free(reply);
    }
}

#if HIREDIS_MAJOR >= 1
static void *refuse_double(const redisReadTask *task, double number, char *text, size_t size)
{
    (void)task;
    (void)number;
    (void)text;
    (void)size;
    return NULL;
}

static void *refuse_boolean(const redisReadTask *task, int value)
{
    (void)task;
    (void)value;
    return NULL;
}
#endif

const struct redisReplyObjectFunctions *reply_builder_functions(void)
{
    static const struct redisReplyObjectFunctions functions = {
        .createString = create_string,
        .createArray = create_array,
        .createInteger = create_integer,
        .createNil = create_nil,
#if HIREDIS_MAJOR >= 1
        .createDouble = refuse_double,
        .createBool = refuse_boolean,
#endif
        .freeObject = free_reply,
    };
    return &functions;
}

struct redisReply *redis_keep_reply(struct redisReply *reply)
{
    /* hiredis frees the root after the callback whatever we do (0.14 knows no flag against it): so the
     * contents move to a root of ours, and a hollow nil is left to free. */
    struct root *kept = memory_allocate(sizeof(*kept));
    *kept = *root_from(reply);
    *root_from(reply) = (struct root){.reply = {.type = REDIS_REPLY_NIL}};
    return &kept->reply;
}

void redis_free_reply(struct redisReply *reply)
{
    free_reply(reply);
}
