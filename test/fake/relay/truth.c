/*
 * The truth: what a correct consumer has when the history has run through, as JSON lines.
 * The blocks are our own, strict and shallow; they are walked with a small stack all the same.
 */
#include "history_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/encoding.h"
#include "base/panic.h"

enum {
    MAX_DEPTH = 16
};

static void append_quoted(struct buffer *out, struct slice text)
{
    buffer_append_byte(out, '"');
    for (size_t i = 0; i < text.size; i++) {
        char byte = text.data[i];
        if (byte == '"' || byte == '\\') {
            buffer_append_format(out, "\\%c", byte);
        } else if ((unsigned char)byte < 0x20) {
            buffer_append_format(out, "\\u%04x", (unsigned)byte);
        } else {
            buffer_append_byte(out, byte);
        }
    }
    buffer_append_byte(out, '"');
}

struct level {
    bool is_map;
    uint64_t left; /* items still to come; a map's pair counts as two */
    uint64_t total;
};

static struct slice take(struct slice *in, uint64_t size)
{
    ASSERT(size <= in->size);
    struct slice taken = slice_of(in->data, size);
    *in = slice_skip(*in, size);
    return taken;
}

static void append_link(struct buffer *out, struct slice *in)
{
    struct cbor_head head;
    ASSERT(cbor_read_head(in, &head) && head.number == 37);
    struct slice bytes = take(in, head.number);
    buffer_append_string(out, "{\"$link\":\"b");
    base32_append(out, slice_skip(bytes, 1));
    buffer_append_string(out, "\"}");
}

static void append_simple(struct buffer *out, uint64_t number)
{
    static const char *const names[] = {[20] = "false", [21] = "true", [22] = "null"};
    ASSERT(number >= 20 && number <= 22);
    buffer_append_string(out, names[number]);
}

static void append_container(struct buffer *out, struct level *level, const struct cbor_head *head)
{
    level->is_map = head->major == 5;
    level->total = head->number * (level->is_map ? 2 : 1);
    level->left = level->total;
    buffer_append_byte(out, level->is_map ? '{' : '[');
}

/* One item that is no container. */
static void append_scalar(struct buffer *out, struct slice *in, const struct cbor_head *head)
{
    switch (head->major) {
    case 0:
        buffer_append_int64(out, (int64_t)head->number);
        return;
    case 1:
        buffer_append_int64(out, -1 - (int64_t)head->number);
        return;
    case 2:
        buffer_append_string(out, "{\"$bytes\":\"");
        base64_append(out, take(in, head->number));
        buffer_append_string(out, "\"}");
        return;
    case 3:
        append_quoted(out, take(in, head->number));
        return;
    case 6:
        append_link(out, in);
        return;
    default:
        append_simple(out, head->number);
    }
}

/* What stands before the next item: nothing, a comma or a colon. */
static void append_separator(struct buffer *out, const struct level *level)
{
    bool is_value = level->is_map && level->left % 2 == 1;
    if (is_value) {
        buffer_append_byte(out, ':');
    } else if (level->left < level->total) {
        buffer_append_byte(out, ',');
    }
}

/* The next item, which is not the end of its container; returns how deep it leads. */
static size_t append_item(struct buffer *out, struct slice *block, struct level *levels,
                          size_t depth)
{
    struct level *level = &levels[depth - 1];
    struct cbor_head head;
    append_separator(out, level);
    level->left--;
    ASSERT(cbor_read_head(block, &head) && depth < MAX_DEPTH);
    if (head.major == 4 || head.major == 5) {
        append_container(out, &levels[depth], &head);
        return depth + 1;
    }
    append_scalar(out, block, &head);
    return depth;
}

static void append_json(struct buffer *out, struct slice block)
{
    struct level levels[MAX_DEPTH] = {{.left = 1, .total = 1}};
    size_t depth = 1;
    while (depth > 1 || levels[0].left > 0) {
        struct level *level = &levels[depth - 1];
        if (level->left > 0) {
            depth = append_item(out, &block, levels, depth);
            continue;
        }
        buffer_append_byte(out, level->is_map ? '}' : ']');
        depth--;
    }
}

static int compare_repos(const void *a, const void *b)
{
    const struct repo *const *one = a;
    const struct repo *const *two = b;
    return strcmp((*one)->did, (*two)->did);
}

static int compare_records(const void *a, const void *b)
{
    const struct live_record *one = a;
    const struct live_record *two = b;
    int order = strcmp(record_collection(one->kind), record_collection(two->kind));
    if (order != 0) {
        return order;
    }
    return one->tid < two->tid ? -1 : one->tid > two->tid;
}

static bool write_line(FILE *out, struct buffer *line)
{
    buffer_append_byte(line, '\n');
    bool is_written = fwrite(line->data, 1, line->size, out) == line->size;
    buffer_clear(line);
    return is_written;
}

static bool write_account(FILE *out, struct buffer *line, const struct repo *repo)
{
    bool is_active = repo->status == REPO_ACTIVE;
    buffer_append_format(line,
                         "{\"type\":\"account\",\"did\":\"%s\",\"handle\":\"%s\",\"active\":%s,"
                         "\"status\":\"%s\",",
                         repo->did, repo->handle, is_active ? "true" : "false",
                         repo_status_name(repo->status));
    if (repo->has_head) {
        char rev[TID_LENGTH + 1];
        tid_format(repo->rev, rev);
        buffer_append_format(line, "\"rev\":\"%s\",\"head\":\"", rev);
        cid_append_text(line, &repo->head);
        buffer_append_string(line, "\",");
    } else {
        buffer_append_string(line, "\"rev\":null,\"head\":null,");
    }
    buffer_append_format(line, "\"records\":%zu}", is_active ? repo->record_count : 0);
    return write_line(out, line);
}

static bool write_records(FILE *out, struct buffer *line, struct repo *repo)
{
    bool is_written = true;
    if (repo->record_count > 1) {
        qsort(repo->records, repo->record_count, sizeof(*repo->records), compare_records);
    }
    for (size_t i = 0; i < repo->record_count && is_written; i++) {
        const struct live_record *record = &repo->records[i];
        char key[TID_LENGTH + 1];
        live_record_key(record, key);
        buffer_append_format(line,
                             "{\"type\":\"record\",\"did\":\"%s\",\"collection\":\"%s\","
                             "\"rkey\":\"%s\",\"cid\":\"",
                             repo->did, record_collection(record->kind), key);
        cid_append_text(line, &record->cid);
        buffer_append_string(line, "\",\"value\":");
        append_json(line, slice_of(record->block, record->block_size));
        buffer_append_byte(line, '}');
        is_written = write_line(out, line);
    }
    return is_written;
}

bool history_write_truth(struct history *history, FILE *out)
{
    ASSERT(history->options.keep_records);
    struct repo **sorted = memory_allocate(history->options.repos * sizeof(struct repo *));
    struct buffer line = {0};
    uint32_t count = 0;
    for (uint32_t i = 0; i < history->options.repos; i++) {
        if (history->repos[i].handle[0] != '\0') { /* the stream spoke of it */
            sorted[count++] = &history->repos[i];
        }
    }
    qsort(sorted, count, sizeof(struct repo *), compare_repos);
    bool is_written = true;
    for (uint32_t i = 0; i < count && is_written; i++) {
        is_written = write_account(out, &line, sorted[i]);
    }
    for (uint32_t i = 0; i < count && is_written; i++) {
        if (sorted[i]->status == REPO_ACTIVE) {
            is_written = write_records(out, &line, sorted[i]);
        }
    }
    buffer_deinit(&line);
    free(sorted);
    return is_written;
}
