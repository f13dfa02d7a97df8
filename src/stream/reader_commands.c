#include "stream/reader_commands.h"

#include <stdio.h>

enum {
    ACKNOWLEDGE_KEYS = 4,
    ACKNOWLEDGE_FIXED = 11,
    NUMBER_SIZE = 24
};

#define DELIVERIES_LIMIT "10000"

static void begin(struct buffer *out, size_t arguments)
{
    buffer_clear(out);
    redis_format_head(out, arguments);
}

static void add(struct buffer *out, const char *text)
{
    redis_format_argument(out, slice_from_string(text));
}

static void add_number(struct buffer *out, uint64_t number)
{
    char text[NUMBER_SIZE];
    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
    add(out, text);
}

static void add_read(struct buffer *out, const struct reader_names *names, size_t count)
{
    add(out, "XREADGROUP");
    add(out, "GROUP");
    add(out, names->group);
    add(out, names->consumer);
    add(out, "COUNT");
    add_number(out, count);
}

static void add_streams(struct buffer *out, const struct reader_names *names, const char *after)
{
    add(out, "STREAMS");
    add(out, names->key);
    add(out, after);
}

void reader_format_read_own(struct buffer *out, const struct reader_names *names, size_t count)
{
    begin(out, 9);
    add_read(out, names, count);
    /* Each batch is acknowledged before the next is read, so "0" always gives what is left. */
    add_streams(out, names, "0");
}

void reader_format_read_new(struct buffer *out, const struct reader_names *names, size_t count,
                            uint32_t block_ms)
{
    begin(out, 11);
    add_read(out, names, count);
    add(out, "BLOCK");
    add_number(out, block_ms);
    add_streams(out, names, ">");
}

void reader_format_consumers(struct buffer *out, const struct reader_names *names)
{
    begin(out, 4);
    add(out, "XINFO");
    add(out, "CONSUMERS");
    add(out, names->key);
    add(out, names->group);
}

void reader_format_claim(struct buffer *out, const struct reader_names *names, uint64_t min_idle_ms,
                         struct slice cursor, size_t count)
{
    begin(out, 8);
    add(out, "XAUTOCLAIM");
    add(out, names->key);
    add(out, names->group);
    add(out, names->consumer);
    add_number(out, min_idle_ms);
    redis_format_argument(out, cursor.size > 0 ? cursor : SLICE("0-0"));
    add(out, "COUNT");
    add_number(out, count);
}

void reader_format_deliveries(struct buffer *out, const struct reader_names *names,
                              struct slice first, struct slice last)
{
    begin(out, 7);
    add(out, "XPENDING");
    add(out, names->key);
    add(out, names->group);
    redis_format_argument(out, first);
    redis_format_argument(out, last);
    add(out, DELIVERIES_LIMIT);
    add(out, names->consumer);
}

void reader_format_forget(struct buffer *out, const struct reader_names *names,
                          const struct reader_entries *entries)
{
    begin(out, 3 + entries->deleted_count);
    add(out, "XACK");
    add(out, names->key);
    add(out, names->group);
    for (size_t i = 0; i < entries->deleted_count; i++) {
        redis_format_argument(out, entries->deleted[i]);
    }
}

void reader_format_acknowledge(struct script_call *call, const struct reader_names *names,
                               const struct reader_entries *entries, int64_t rewinds,
                               const struct stream_verdict *verdict)
{
    const struct slice keys[ACKNOWLEDGE_KEYS] = {
        slice_from_string(names->key), slice_from_string(names->ledger_key),
        SLICE(STREAM_METRICS_KEY), slice_from_string(names->meta_key)};
    script_call_begin(call, SCRIPT_ACKNOWLEDGE, keys, ACKNOWLEDGE_KEYS,
                      ACKNOWLEDGE_FIXED + entries->count);
    script_call_argument(call, slice_from_string(names->group));
    script_call_number(call, verdict->dead_entries);
    script_call_number(call, verdict->written);
    script_call_number(call, verdict->unchanged);
    script_call_number(call, verdict->skipped);
    script_call_number(call, verdict->dead);
    script_call_number(call, verdict->commits);
    script_call_number(call, verdict->identities);
    script_call_number(call, verdict->accounts);
    script_call_number(call, verdict->syncs);
    script_call_number(call, rewinds);
    for (size_t i = 0; i < entries->count; i++) {
        script_call_argument(call, entries->ids[i]);
    }
}
