#include "stream/dead_letter_mirror.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/backoff.h"
#include "base/panic.h"
#include "stream/redis_reply.h"
#include "stream/scripts.h"

enum {
    TOKEN_SIZE = 40,
    NUMBER_SIZE = 24,
    LETTER_FIELDS = 10,
    LETTERS_MAX = 256
};

#define CONSUMER "courier"

/* A script's text without its zero byte. */
#define SLICE_OF_TEXT(text) slice_of((text), sizeof(text) - 1)

struct dead_letter_mirror;
typedef void reply_handler(struct dead_letter_mirror *mirror, const struct redisReply *reply);

struct dead_letter_mirror {
    struct dead_letter_mirror_callbacks callbacks;
    void *owner;
    struct redis *redis;
    char *key;
    char *mirrored_key;
    char token[TOKEN_SIZE];
    bool is_closing;
    reply_handler *running; /* NULL: none */
    struct buffer command;
    struct buffer read_ids; /* the frames of the last read, each with its zero byte */
    size_t read_count;
};

/*
 * hold: from now on only this token adds.
 *   KEYS mirrored   ARGV token, limit   ->  {row ID, entry ID, ...} that nobody has noted
 */
static const char hold_text[] = "redis.call('HSET', KEYS[1], 'holder', ARGV[1])\n"
                                "local all, left = redis.call('HGETALL', KEYS[1]), {}\n"
                                "for i = 1, #all, 2 do\n"
                                "  if all[i] ~= 'holder' and #left < 2 * tonumber(ARGV[2]) then\n"
                                "    left[#left + 1], left[#left + 2] = all[i], all[i + 1]\n"
                                "  end\n"
                                "end\n"
                                "return left\n";

/*
 * read: frames through the group, pending ones first; mirrored rows are acknowledged unseen.
 *   KEYS dead letters   ARGV group, consumer, frames, bytes, entries looked at
 *   ->  {{id, {field, value, ...}}, ...}
 * The group begins at the first entry. XREADGROUP and XACK pass while Redis is full.
 */
static const char read_text[] =
    "if redis.call('EXISTS', KEYS[1]) == 0 then return {} end\n"
    "local found, bytes, from, group = {}, 0, '0', ARGV[1]\n"
    "local made = false\n"
    "for i = 1, tonumber(ARGV[5]) do\n"
    "  if #found >= tonumber(ARGV[3]) or bytes >= tonumber(ARGV[4]) then break end\n"
    "  local reply = redis.pcall('XREADGROUP', 'GROUP', group, ARGV[2], 'COUNT', '1',\n"
    "                            'STREAMS', KEYS[1], from)\n"
    "  if reply and reply.err then\n"
    "    if made or not string.find(reply.err, 'NOGROUP', 1, true) then return reply end\n"
    "    local created = redis.pcall('XGROUP', 'CREATE', KEYS[1], group, '0')\n"
    "    if created.err then return created end\n"
    "    made = true\n"
    "  elseif not reply or #reply[1][2] == 0 then\n"
    "    if from == '>' then break end\n"
    "    from = '>'\n"
    "  else\n"
    "    local entry = reply[1][2][1]\n"
    "    local fields = entry[2]\n"
    "    if from ~= '>' then from = entry[1] end\n"
    "    if fields and fields[1] == 'type' and fields[2] == 'frame' then\n"
    "      found[#found + 1] = entry\n"
    "      for j = 1, #fields do bytes = bytes + #fields[j] end\n"
    "    else\n"
    "      redis.call('XACK', KEYS[1], group, entry[1])\n"
    "    end\n"
    "  end\n"
    "end\n"
    "return found\n";

/*
 * add: each row once.
 *   KEYS dead letters, mirrored
 *   ARGV token, then per row  row ID and the nine values   ->  {1, entry ID, ...} | {0} not the holder
 * Order matters: a full Redis refuses the first write and nothing after it.
 */
static const char add_text[] =
    "if redis.call('HGET', KEYS[2], 'holder') ~= ARGV[1] then return {0} end\n"
    "local done = {1}\n"
    "for i = 2, #ARGV, 10 do\n"
    "  local id = redis.call('HGET', KEYS[2], ARGV[i])\n"
    "  if not id then\n"
    "    id = redis.call('XADD', KEYS[1], '*', 'type', ARGV[i + 1], 'data', ARGV[i + 2],\n"
    "                    'seq', ARGV[i + 3], 'origId', ARGV[i + 4], 'deliveries', ARGV[i + 5],\n"
    "                    'reason', ARGV[i + 6], 'error', ARGV[i + 7], 'frame', ARGV[i + 8],\n"
    "                    'time', ARGV[i + 9])\n"
    "    redis.call('HSET', KEYS[2], ARGV[i], id)\n"
    "  end\n"
    "  done[#done + 1] = id\n"
    "end\n"
    "return done\n";

/*
 * forget: rows that are noted, and the entries of rows that are gone.
 *   KEYS dead letters, mirrored   ARGV token, rows, row ID..., entry ID...   ->  {1} | {0} not the holder
 */
static const char forget_text[] =
    "if redis.call('HGET', KEYS[2], 'holder') ~= ARGV[1] then return {0} end\n"
    "local rows = tonumber(ARGV[2])\n"
    "for i = 3 + rows, #ARGV do redis.call('XDEL', KEYS[1], ARGV[i]) end\n"
    "for i = 3, 2 + rows do redis.call('HDEL', KEYS[2], ARGV[i]) end\n"
    "return {1}\n";

/* ---- commands ---- */

static void append(struct dead_letter_mirror *mirror, struct slice argument)
{
    redis_format_argument(&mirror->command, argument);
}

static void append_number(struct dead_letter_mirror *mirror, int64_t number)
{
    char text[NUMBER_SIZE];
    int size = snprintf(text, sizeof(text), "%lld", (long long)number);
    append(mirror, slice_of(text, (size_t)size));
}

/* The scripts are short and seldom run: EVAL spares the search for a script that Redis has forgotten. */
static void begin_script(struct dead_letter_mirror *mirror, struct slice text, bool has_stream,
                         bool has_hash, size_t arguments)
{
    size_t keys = (has_stream ? 1U : 0U) + (has_hash ? 1U : 0U);
    buffer_clear(&mirror->command);
    redis_format_head(&mirror->command, 3 + keys + arguments);
    append(mirror, SLICE("EVAL"));
    append(mirror, text);
    append_number(mirror, (int64_t)keys);
    if (has_stream) {
        append(mirror, slice_from_string(mirror->key));
    }
    if (has_hash) {
        append(mirror, slice_from_string(mirror->mirrored_key));
    }
}

static void fail(struct dead_letter_mirror *mirror, const struct error *error)
{
    mirror->callbacks.on_failed(mirror->owner, error);
}

static void on_reply(void *owner, struct redisReply *reply)
{
    struct dead_letter_mirror *mirror = owner;
    reply_handler *handler = mirror->running;
    struct error error;
    mirror->running = NULL;
    if (mirror->is_closing) {
        return;
    }
    if (reply == NULL) {
        error_set(&error, ERROR_UNREACHABLE, "redis: the connection was lost");
        fail(mirror, &error);
    } else if (reply_is_error(reply)) {
        reply_error(reply, &error);
        fail(mirror, &error);
    } else {
        handler(mirror, reply);
    }
}

static bool send(struct dead_letter_mirror *mirror, reply_handler *handler)
{
    ASSERT(mirror->running == NULL);
    if (mirror->is_closing || !redis_is_ready(mirror->redis)) {
        return false;
    }
    mirror->running = handler;
    if (!redis_send_formatted(mirror->redis, buffer_slice(&mirror->command), on_reply, mirror)) {
        mirror->running = NULL;
        return false;
    }
    return true;
}

/* ---- hold ---- */

static void on_hold_reply(struct dead_letter_mirror *mirror, const struct redisReply *reply)
{
    struct mirror_left left[MIRROR_LEFT_MAX];
    size_t count = 0;
    for (size_t i = 0; i + 1 < reply_count(reply) && count < MIRROR_LEFT_MAX; i += 2) {
        left[count++] = (struct mirror_left){.row = reply_number(reply_element(reply, i)),
                                             .id = reply_text(reply_element(reply, i + 1))};
    }
    mirror->callbacks.on_held(mirror->owner, left, count);
}

bool dead_letter_mirror_hold(struct dead_letter_mirror *mirror)
{
    begin_script(mirror, SLICE_OF_TEXT(hold_text), false, true, 2);
    append(mirror, slice_from_string(mirror->token));
    append_number(mirror, MIRROR_LEFT_MAX);
    return send(mirror, on_hold_reply);
}

/* ---- read and acknowledge ---- */

static struct slice *slot_of(struct mirror_frame *frame, struct slice name)
{
    if (slice_equals(name, SLICE("reason"))) {
        return &frame->reason;
    }
    if (slice_equals(name, SLICE("error"))) {
        return &frame->error;
    }
    return slice_equals(name, SLICE("frame")) ? &frame->frame : NULL;
}

static void read_field(struct mirror_frame *frame, struct slice name,
                       const struct redisReply *value)
{
    struct slice *slot = slot_of(frame, name);
    if (slot != NULL) {
        *slot = reply_text(value);
    } else if (slice_equals(name, SLICE("seq"))) {
        frame->sequence = reply_number(value);
    } else if (slice_equals(name, SLICE("origId")) &&
               !position_parse(reply_text(value), &frame->position)) {
        frame->position = (struct position){0};
    }
}

static void read_frame(struct dead_letter_mirror *mirror, struct mirror_frame *frame,
                       const struct redisReply *entry)
{
    const struct redisReply *fields = reply_element(entry, 1);
    *frame = (struct mirror_frame){.id = reply_text(reply_element(entry, 0))};
    for (size_t i = 0; i + 1 < reply_count(fields); i += 2) {
        read_field(frame, reply_text(reply_element(fields, i)), reply_element(fields, i + 1));
    }
    buffer_append_slice(&mirror->read_ids, frame->id);
    buffer_append_byte(&mirror->read_ids, '\0');
    mirror->read_count++;
}

static void on_read_reply(struct dead_letter_mirror *mirror, const struct redisReply *reply)
{
    struct mirror_frame frames[MIRROR_READ_MAX];
    size_t count = reply_count(reply) < MIRROR_READ_MAX ? reply_count(reply) : MIRROR_READ_MAX;
    buffer_clear(&mirror->read_ids);
    mirror->read_count = 0;
    for (size_t i = 0; i < count; i++) {
        read_frame(mirror, &frames[i], reply_element(reply, i));
    }
    mirror->callbacks.on_frames(mirror->owner, frames, count);
}

bool dead_letter_mirror_read(struct dead_letter_mirror *mirror)
{
    enum {
        LOOKED_AT_MAX = 1000 /* of one script, so that Redis is not held up */
    };
    begin_script(mirror, SLICE_OF_TEXT(read_text), true, false, 5);
    append(mirror, SLICE(DEAD_LETTER_GROUP));
    append(mirror, SLICE(CONSUMER));
    append_number(mirror, MIRROR_READ_MAX);
    append_number(mirror, MIRROR_READ_BYTES);
    append_number(mirror, LOOKED_AT_MAX);
    return send(mirror, on_read_reply);
}

static void on_acknowledge_reply(struct dead_letter_mirror *mirror, const struct redisReply *reply)
{
    (void)reply; /* fewer than asked for: somebody has acknowledged them before */
    mirror->callbacks.on_acknowledged(mirror->owner);
}

bool dead_letter_mirror_acknowledge(struct dead_letter_mirror *mirror)
{
    buffer_clear(&mirror->command);
    redis_format_head(&mirror->command, 3 + mirror->read_count);
    append(mirror, SLICE("XACK"));
    append(mirror, slice_from_string(mirror->key));
    append(mirror, SLICE(DEAD_LETTER_GROUP));
    const char *id = mirror->read_ids.data;
    for (size_t i = 0; i < mirror->read_count; i++) {
        append(mirror, slice_from_string(id));
        id += strlen(id) + 1;
    }
    return send(mirror, on_acknowledge_reply);
}

/* ---- add and forget ---- */

static bool is_holder(struct dead_letter_mirror *mirror, const struct redisReply *reply)
{
    struct error error;
    if (reply_number(reply_element(reply, 0)) == 1) {
        return true;
    }
    error_set(&error, ERROR_CLOSED, "another courier has taken over, or Redis was emptied");
    fail(mirror, &error);
    return false;
}

static void on_add_reply(struct dead_letter_mirror *mirror, const struct redisReply *reply)
{
    struct slice ids[LETTERS_MAX];
    if (!is_holder(mirror, reply)) {
        return;
    }
    size_t count = reply_count(reply) - 1;
    count = count < LETTERS_MAX ? count : LETTERS_MAX;
    for (size_t i = 0; i < count; i++) {
        ids[i] = reply_text(reply_element(reply, i + 1));
    }
    mirror->callbacks.on_added(mirror->owner, ids, count);
}

bool dead_letter_mirror_add(struct dead_letter_mirror *mirror, const struct mirror_letter *letters,
                            size_t count)
{
    ASSERT(count <= LETTERS_MAX);
    begin_script(mirror, SLICE_OF_TEXT(add_text), true, true, 1 + LETTER_FIELDS * count);
    append(mirror, slice_from_string(mirror->token));
    for (size_t i = 0; i < count; i++) {
        const struct mirror_letter *letter = &letters[i];
        const struct slice values[] = {letter->type,   letter->data,       letter->sequence,
                                       letter->origin, letter->deliveries, letter->reason,
                                       letter->error,  letter->frame,      letter->time};
        append_number(mirror, letter->row);
        for (size_t field = 0; field < LETTER_FIELDS - 1; field++) {
            append(mirror, values[field]);
        }
    }
    return send(mirror, on_add_reply);
}

static void on_forget_reply(struct dead_letter_mirror *mirror, const struct redisReply *reply)
{
    if (is_holder(mirror, reply)) {
        mirror->callbacks.on_forgotten(mirror->owner);
    }
}

bool dead_letter_mirror_forget(struct dead_letter_mirror *mirror, const int64_t *rows, size_t count,
                               const struct slice *gone, size_t gone_count)
{
    begin_script(mirror, SLICE_OF_TEXT(forget_text), true, true, 2 + count + gone_count);
    append(mirror, slice_from_string(mirror->token));
    append_number(mirror, (int64_t)count);
    for (size_t i = 0; i < count; i++) {
        append_number(mirror, rows[i]);
    }
    for (size_t i = 0; i < gone_count; i++) {
        append(mirror, gone[i]);
    }
    return send(mirror, on_forget_reply);
}

/* ---- life ---- */

static void on_ready(void *owner)
{
    struct dead_letter_mirror *mirror = owner;
    if (!mirror->is_closing) {
        mirror->callbacks.on_ready(mirror->owner);
    }
}

static void on_lost(void *owner, const struct error *error)
{
    (void)owner;
    (void)error; /* redis.c logs it; a request that was out has told */
}

static void on_redis_closed(void *owner)
{
    struct dead_letter_mirror *mirror = owner;
    struct dead_letter_mirror_callbacks callbacks = mirror->callbacks;
    void *its_owner = mirror->owner;
    free(mirror->key);
    free(mirror->mirrored_key);
    buffer_deinit(&mirror->command);
    buffer_deinit(&mirror->read_ids);
    free(mirror);
    callbacks.on_closed(its_owner);
}

void dead_letter_mirror_close(struct dead_letter_mirror *mirror)
{
    if (mirror->is_closing) {
        return;
    }
    mirror->is_closing = true;
    redis_close(mirror->redis);
}

struct dead_letter_mirror *dead_letter_mirror_open(
    struct uv_loop_s *loop, const struct redis_options *options, const char *dead_letter_key,
    const struct dead_letter_mirror_callbacks *callbacks, void *owner)
{
    static const struct redis_callbacks redis_callbacks = {
        .on_ready = on_ready, .on_lost = on_lost, .on_closed = on_redis_closed};
    struct dead_letter_mirror *mirror = memory_allocate(sizeof(*mirror));
    mirror->callbacks = *callbacks;
    mirror->owner = owner;
    mirror->key = stream_key_derive(dead_letter_key, "");
    mirror->mirrored_key = stream_key_derive(dead_letter_key, ":mirrored");
    (void)snprintf(mirror->token, sizeof(mirror->token), "%016llx%016llx",
                   (unsigned long long)random_bits(), (unsigned long long)random_bits());
    mirror->redis = redis_open(loop, options, &redis_callbacks, mirror);
    return mirror;
}
