/* Bytes of a Redis, through hiredis' reader: whatever it makes of them, our looks into replies are safe. */
#include "fuzz/fuzz.h"

#include "stream/reader_entries.h"
#include "stream/redis.h"
#include "stream/redis_reply.h"
#include "stream/reply_builder.h"

#include <hiredis/hiredis.h>

enum {
    ELEMENTS_MAX =
        1048576 /* as in stream/redis_link.c, whose hook is tried against a living Redis */
};

#if HIREDIS_MAJOR >= 1
typedef size_t element_count;
#else
typedef int element_count;
#endif

static const redisReplyObjectFunctions *builder;

static void *create_array(const redisReadTask *task, element_count count)
{
    return (size_t)count > ELEMENTS_MAX ? NULL : builder->createArray(task, count);
}

static void look(const struct redisReply *reply)
{
    static struct reader_entries entries;
    struct position position;
    struct error error;
    (void)reply_number(reply);
    if (reply_is_error(reply)) {
        reply_error(reply, &error);
    }
    if (position_parse(reply_text(reply), &position)) {
        (void)position_before(position);
    }
    reader_entries_parse(&entries, reply);
    FUZZ_HOLDS(entries.count + entries.deleted_count + entries.lost <= reply_count(reply));
    reader_entries_note_deliveries(&entries, reply);
    for (size_t i = 0; i < reply_count(reply) && i < 8; i++) {
        reader_entries_parse(&entries, reply_element(reply, i));
        reader_entries_note_deliveries(&entries, reply);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    redisReader *reader = redisReaderCreate();
    void *reply = NULL;
    builder = reply_builder_functions();
    redisReplyObjectFunctions limited = *builder;
    limited.createArray = create_array;
    reader->fn = &limited;
    (void)redisReaderFeed(reader, (const char *)data, size);
    while (redisReaderGetReply(reader, &reply) == REDIS_OK && reply != NULL) {
        look(reply);
        redis_free_reply(reply);
        reply = NULL;
    }
    redisReaderFree(reader);
    return 0;
}
