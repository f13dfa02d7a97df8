/* The path of an event without its sockets, for counting instructions (instructions.py): the work of a thread, again and
 * again the same. Usage: standpipe-walk decode|ingest|sink FRAMES COUNT TABLES
 *
 *   decode: a frame's bytes to JSON            ingest: WebSocket, decode, the append script's call
 *   sink: Redis' reply to XREADGROUP, entries, the columns of a transaction with typed tables, the acknowledging call
 *
 * Only measure() is counted: what prepares its input stands outside. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "atproto/frame.h"
#include "base/panic.h"
#include "config/tables.h"
#include "net/framer.h"
#include "sink/batch.h"
#include "sink/table_plan.h"
#include "stream/reader_commands.h"
#include "stream/reader_entries.h"
#include "stream/redis.h"
#include "stream/redis_reply.h"
#include "stream/reply_builder.h"
#include "stream/writer_batch.h"
#include <hiredis/hiredis.h>

enum {
    ENTRIES = 300, /* of a batch, as XREADGROUP brings them at full speed */
    LENGTH_BYTES = 4,
    MESSAGE_MAX = 5 << 20,
    HEADER_MAX = 10,
    SHORT_MAX = 125,
    LENGTH_16 = 126,
    LENGTH_64 = 127
};

struct walk {
    struct slice *frames;
    size_t count;
    struct frame_decoder *decoder;
    struct buffer wire; /* of ingest: WebSocket frames; of sink: replies */
    size_t *ends;       /* of each piece of the wire */
    size_t piece_count;
    struct writer_batch *pending;
    struct script_call call;
    struct reader_entries entries;
    struct batch batch;
    size_t seen;
    void (*step)(struct walk *walk, struct slice piece);
};

void measure(struct walk *walk);

static struct slice read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    struct buffer bytes = {0};
    ASSERT(file != NULL);
    for (size_t got = 1; got > 0;) {
        char *to = buffer_reserve(&bytes, 1 << 20);
        got = fread(to, 1, 1 << 20, file);
        bytes.size += got;
    }
    ASSERT(fclose(file) == 0);
    return buffer_slice(&bytes); /* kept until the end */
}

static uint32_t read_length(const char *bytes)
{
    uint32_t length = 0;
    memcpy(&length, bytes, sizeof(length)); /* little-endian, as the only machines that run this */
    return length;
}

static void read_frames(struct walk *walk, const char *path, size_t count)
{
    struct slice file = read_file(path);
    walk->frames = memory_allocate(count * sizeof(*walk->frames));
    for (size_t at = 0; walk->count < count; walk->count++) {
        ASSERT(at + LENGTH_BYTES <= file.size);
        uint32_t length = read_length(file.data + at);
        walk->frames[walk->count] = slice_of(file.data + at + LENGTH_BYTES, length);
        at += LENGTH_BYTES + length;
    }
}

static void end_piece(struct walk *walk)
{
    walk->ends[walk->piece_count++] = walk->wire.size;
}

static bool decode(struct walk *walk, struct slice frame, struct frame_event *event)
{
    struct frame_fault fault;
    return frame_decoder_decode(walk->decoder, frame, event, &fault) == PARSE_DONE;
}

/* --- decode --- */

static void step_decode(struct walk *walk, struct slice piece)
{
    struct frame_event event;
    ASSERT(decode(walk, piece, &event));
    walk->seen++;
}

/* --- ingest --- */

static void append_message(struct walk *walk, struct slice frame)
{
    uint64_t size = frame.size;
    buffer_append_byte(&walk->wire, (char)0x82); /* whole, binary, from the server: no mask */
    if (size <= SHORT_MAX) {
        buffer_append_byte(&walk->wire, (char)size);
    } else {
        unsigned bytes = size <= UINT16_MAX ? 2 : 8;
        buffer_append_byte(&walk->wire, (char)(bytes == 2 ? LENGTH_16 : LENGTH_64));
        for (unsigned i = bytes; i > 0; i--) {
            buffer_append_byte(&walk->wire, (char)(size >> (8 * (i - 1)) & 0xff));
        }
    }
    buffer_append_slice(&walk->wire, frame);
}

static void send_pending(struct walk *walk)
{
    static const struct slice keys[WRITER_BATCH_KEYS] = {SLICE("firehose:events"),
                                                         SLICE("firehose:events:meta"),
                                                         SLICE("firehose:events:ledger"),
                                                         SLICE("dead"),
                                                         SLICE("frames"),
                                                         SLICE(STREAM_METRICS_KEY)};
    const struct writer_expected expected = {
        .last_id = SLICE("1767225600000-1"), .host = SLICE("relay"), .epoch = 1767225600000};
    writer_batch_format(walk->pending, &walk->call, keys, &expected);
    writer_batch_destroy(walk->pending);
    walk->pending = writer_batch_create(0);
}

static void on_message(void *owner, struct slice message, bool is_binary)
{
    struct walk *walk = owner;
    struct frame_event event;
    ASSERT(is_binary && decode(walk, message, &event));
    const struct stream_event appended = {.type = slice_from_string(frame_type_name(event.type)),
                                          .data = event.data,
                                          .time = event.time,
                                          .rev = event.rev,
                                          .sequence = event.sequence};
    writer_batch_add_event(walk->pending, &appended);
    if (writer_batch_is_full(walk->pending)) {
        send_pending(walk);
    }
    walk->seen++;
}

static struct framer *framer;

static bool on_send(void *owner, struct slice bytes)
{
    (void)owner;
    (void)bytes;
    return true;
}

static void step_ingest(struct walk *walk, struct slice piece)
{
    struct error error;
    size_t consumed = 0;
    (void)walk;
    ASSERT(framer_receive(framer, piece, &consumed, &error) && consumed == piece.size);
}

static void prepare_ingest(struct walk *walk)
{
    static const struct framer_callbacks callbacks = {.on_message = on_message, .send = on_send};
    framer = framer_create(MESSAGE_MAX, &callbacks, walk);
    walk->pending = writer_batch_create(0);
    for (size_t i = 0; i < walk->count; i++) {
        append_message(walk, walk->frames[i]);
        end_piece(walk);
    }
}

/* --- sink --- */

static void append_bulk(struct buffer *out, struct slice text)
{
    buffer_append_format(out, "$%zu\r\n", text.size);
    buffer_append_slice(out, text);
    buffer_append_string(out, "\r\n");
}

static void append_entry(struct buffer *out, const struct frame_event *event)
{
    char text[64];
    int size = snprintf(text, sizeof(text), "1767225600000-%lld", (long long)event->sequence);
    struct slice id = slice_of(text, (size_t)size);
    buffer_append_string(out, "*2\r\n");
    append_bulk(out, id);
    buffer_append_string(out, "*10\r\n");
    append_bulk(out, SLICE("type"));
    append_bulk(out, slice_from_string(frame_type_name(event->type)));
    append_bulk(out, SLICE("data"));
    append_bulk(out, event->data);
    append_bulk(out, SLICE("seq"));
    append_bulk(out, slice_skip(id, sizeof("1767225600000-") - 1));
    append_bulk(out, SLICE("time"));
    append_bulk(out, event->time);
    append_bulk(out, SLICE("rev"));
    append_bulk(out, event->rev);
}

static void prepare_sink(struct walk *walk, const char *path)
{
    struct error error;
    struct tables *tables = tables_parse(read_file(path), path, &error);
    ASSERT(tables != NULL);
    batch_init(&walk->batch, table_plan_create(tables)); /* both are kept until the end */
    for (size_t i = 0; i < walk->count; i++) {
        struct frame_event event;
        if (i % ENTRIES == 0) {
            size_t left = walk->count - i;
            buffer_append_format(&walk->wire, "*1\r\n*2\r\n$15\r\nfirehose:events\r\n*%zu\r\n",
                                 left < ENTRIES ? left : ENTRIES);
        }
        ASSERT(decode(walk, walk->frames[i], &event));
        append_entry(&walk->wire, &event);
        if (i % ENTRIES == ENTRIES - 1 || i + 1 == walk->count) {
            end_piece(walk);
        }
    }
}

static void finish_columns(struct pg_array *columns, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        (void)pg_array_finish(&columns[i]);
    }
}

static void build(struct walk *walk)
{
    struct sink_outcome outcome = {0};
    batch_begin(&walk->batch);
    for (size_t i = 0; i < walk->entries.count; i++) {
        batch_add(&walk->batch, &walk->entries.items[i], &outcome);
    }
    batch_build(&walk->batch);
    for (unsigned i = 0; i < BATCH_TABLE_COUNT; i++) {
        finish_columns(walk->batch.tables[i].columns, walk->batch.tables[i].column_count);
    }
}

static void step_sink(struct walk *walk, struct slice piece)
{
    static const struct reader_names names = {.key = "firehose:events",
                                              .group = "firehose-processors",
                                              .consumer = "walk",
                                              .ledger_key = "ledger",
                                              .meta_key = "meta"};
    const struct stream_verdict verdict = {0};
    redisReplyObjectFunctions functions = *reply_builder_functions();
    redisReader *reader = redisReaderCreate();
    reader->fn = &functions;
    void *reply = NULL;
    ASSERT(redisReaderFeed(reader, piece.data, piece.size) == REDIS_OK);
    ASSERT(redisReaderGetReply(reader, &reply) == REDIS_OK && reply != NULL);
    reader_entries_parse(&walk->entries, reply_element(reply_element(reply, 0), 1));
    build(walk);
    reader_format_acknowledge(&walk->call, &names, &walk->entries, 0, &verdict);
    walk->seen += walk->entries.count;
    redis_free_reply(reply);
    redisReaderFree(reader);
}

/* --- all --- */

__attribute__((noinline)) void measure(struct walk *walk)
{
    for (size_t i = 0; i < walk->piece_count; i++) {
        size_t from = i > 0 ? walk->ends[i - 1] : 0;
        walk->step(walk, slice_of(walk->wire.data + from, walk->ends[i] - from));
    }
}

static void prepare_decode(struct walk *walk)
{
    for (size_t i = 0; i < walk->count; i++) {
        buffer_append_slice(&walk->wire, walk->frames[i]);
        end_piece(walk);
    }
}

int main(int argc, char **argv)
{
    static struct walk walk;
    const struct frame_decoder_options options = {
        .verify_blocks = false}; /* four fifths of decoding are OpenSSL's, and would hide ours */
    if (argc != 5) {
        (void)fprintf(stderr, "usage: standpipe-walk decode|ingest|sink FRAMES COUNT TABLES\n");
        return 2;
    }
    size_t count = strtoul(argv[3], NULL, 10);
    read_frames(&walk, argv[2], count);
    walk.ends = memory_allocate(count * sizeof(*walk.ends));
    walk.decoder = frame_decoder_create(&options);
    if (strcmp(argv[1], "decode") == 0) {
        walk.step = step_decode;
        prepare_decode(&walk);
    } else if (strcmp(argv[1], "ingest") == 0) {
        walk.step = step_ingest;
        prepare_ingest(&walk);
    } else {
        walk.step = step_sink;
        prepare_sink(&walk, argv[4]);
    }
    measure(&walk);
    ASSERT(walk.seen == count);
    (void)printf("%zu\n", walk.seen);
    return 0;
}
