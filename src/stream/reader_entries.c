#include "stream/reader_entries.h"

#include <stdlib.h>

#include "base/panic.h"
#include "stream/redis_reply.h"

enum {
    ELEMENT_ID,
    ELEMENT_FIELDS
};
enum {
    PENDING_ID,
    PENDING_DELIVERIES = 3
};

static void reserve(struct reader_entries *entries, size_t count)
{
    if (count <= entries->capacity) {
        return;
    }
    entries->items = memory_resize(entries->items, count * sizeof(*entries->items));
    entries->ids = memory_resize(entries->ids, count * sizeof(*entries->ids));
    entries->deleted = memory_resize(entries->deleted, count * sizeof(*entries->deleted));
    entries->capacity = count;
}

/* By name: our entries, the reference system's three fields, and fields that come later all fit. */
static struct slice *field_of(struct entry *entry, struct slice name)
{
    if (slice_equals(name, SLICE("type"))) {
        return &entry->type;
    }
    if (slice_equals(name, SLICE("data"))) {
        return &entry->data;
    }
    if (slice_equals(name, SLICE("seq"))) {
        return &entry->sequence;
    }
    if (slice_equals(name, SLICE("time"))) {
        return &entry->time;
    }
    return slice_equals(name, SLICE("rev")) ? &entry->rev : NULL;
}

static size_t parse_fields(struct entry *entry, const struct redisReply *fields)
{
    size_t bytes = 0;
    for (size_t i = 0; i + 1 < reply_count(fields); i += 2) {
        struct slice name = reply_text(reply_element(fields, i));
        struct slice value = reply_text(reply_element(fields, i + 1));
        struct slice *field = field_of(entry, name);
        if (field != NULL) {
            *field = value;
        }
        bytes += name.size + value.size;
    }
    return bytes;
}

static void parse_element(struct reader_entries *entries, const struct redisReply *element)
{
    struct slice id = reply_text(reply_element(element, ELEMENT_ID));
    const struct redisReply *fields = reply_element(element, ELEMENT_FIELDS);
    if (id.size == 0) {
        entries->lost++;
        return;
    }
    if (!reply_is_array(fields)) {
        entries->deleted[entries->deleted_count++] = id;
        return;
    }
    struct entry entry = {0};
    if (!position_parse(id, &entry.id)) {
        /* The second part exceeds what any relay counts to; acknowledging goes by the text. */
        entry.id.sequence = INT64_MAX;
    }
    entries->bytes += parse_fields(&entry, fields);
    entries->ids[entries->count] = id;
    entries->items[entries->count++] = entry;
}

void reader_entries_parse(struct reader_entries *entries, const struct redisReply *list)
{
    size_t count = reply_count(list);
    reserve(entries, count);
    entries->count = 0;
    entries->deleted_count = 0;
    entries->lost = 0;
    entries->bytes = 0;
    for (size_t i = 0; i < count; i++) {
        parse_element(entries, reply_element(list, i));
    }
}

void reader_entries_note_deliveries(struct reader_entries *entries,
                                    const struct redisReply *pending)
{
    /* Both are in the order of IDs. */
    size_t at = 0;
    for (size_t i = 0; i < reply_count(pending) && at < entries->count; i++) {
        const struct redisReply *row = reply_element(pending, i);
        struct slice id = reply_text(reply_element(row, PENDING_ID));
        size_t found = at;
        while (found < entries->count && !slice_equals(entries->ids[found], id)) {
            found++;
        }
        if (found == entries->count) {
            continue; /* pending on us, but not of this batch */
        }
        int64_t deliveries = reply_number(reply_element(row, PENDING_DELIVERIES));
        entries->items[found].deliveries = deliveries > 1 ? (uint32_t)(deliveries - 1) : 0;
        at = found + 1;
    }
}

void reader_entries_deinit(struct reader_entries *entries)
{
    free(entries->items);
    free(entries->ids);
    free(entries->deleted);
    *entries = (struct reader_entries){0};
}
