#include "record.h"

#include <stdio.h>

#include "base/clock.h"
#include "identifier.h"

enum {
    URI_SIZE = 128,
    TEXT_SIZE = 640,
    INVALID_DATE_PER_MILLE = 2
};

static const struct {
    const char *collection;
    bool is_self;
} kinds[RECORD_KIND_COUNT] = {
    [RECORD_LIKE] = {"app.bsky.feed.like", false},
    [RECORD_POST] = {"app.bsky.feed.post", false},
    [RECORD_REPOST] = {"app.bsky.feed.repost", false},
    [RECORD_FOLLOW] = {"app.bsky.graph.follow", false},
    [RECORD_BLOCK] = {"app.bsky.graph.block", false},
    [RECORD_LIST] = {"app.bsky.graph.list", false},
    [RECORD_LIST_ITEM] = {"app.bsky.graph.listitem", false},
    [RECORD_LIST_BLOCK] = {"app.bsky.graph.listblock", false},
    [RECORD_PROFILE] = {"app.bsky.actor.profile", true},
    [RECORD_GENERATOR] = {"app.bsky.feed.generator", false},
    [RECORD_STARTER_PACK] = {"app.bsky.graph.starterpack", false},
    [RECORD_LABELER] = {"app.bsky.labeler.service", true},
    [RECORD_THREAD_GATE] = {"app.bsky.feed.threadgate", false},
    [RECORD_POST_GATE] = {"app.bsky.feed.postgate", false},
    [RECORD_VERIFICATION] = {"app.bsky.graph.verification", false},
};

const char *record_collection(enum record_kind kind)
{
    return kinds[kind].collection;
}

bool record_is_self(enum record_kind kind)
{
    return kinds[kind].is_self;
}

/* A few clients write dates that are none; the record is valid CBOR all the same. */
static void write_created(struct buffer *out, const struct record_inputs *inputs)
{
    char time[CLOCK_RFC3339_SIZE];
    clock_format_rfc3339(inputs->time_us, time);
    bool is_broken = random_chance(inputs->random, INVALID_DATE_PER_MILLE);
    cbor_write_pair(out, "createdAt", is_broken ? "yesterday at noon" : time);
}

static void format_uri(const struct record_inputs *inputs, const char *collection, char *uri)
{
    char tid[TID_LENGTH + 1];
    tid_format(inputs->target_tid, tid);
    (void)snprintf(uri, URI_SIZE, "at://%s/%s/%s", inputs->target_did, collection, tid);
}

static void write_uri(struct buffer *out, const char *key, const struct record_inputs *inputs,
                      enum record_kind target)
{
    char uri[URI_SIZE];
    format_uri(inputs, kinds[target].collection, uri);
    cbor_write_pair(out, key, uri);
}

static void write_reference(struct buffer *out, const char *key, const struct record_inputs *inputs)
{
    cbor_write_string(out, key);
    cbor_write_map(out, 2);
    cbor_write_string(out, "cid");
    struct buffer text = {0};
    cid_append_text(&text, inputs->target_cid);
    cbor_write_text(out, buffer_slice(&text));
    buffer_deinit(&text);
    write_uri(out, "uri", inputs, RECORD_POST);
}

static void write_blob(struct buffer *out, const char *key, const struct record_inputs *inputs)
{
    struct cid raw = *inputs->target_cid;
    raw.bytes[1] = 0x55; /* blobs are addressed as raw bytes */
    cbor_write_string(out, key);
    cbor_write_map(out, 4);
    cbor_write_string(out, "ref");
    cbor_write_link(out, &raw);
    cbor_write_string(out, "size");
    cbor_write_unsigned(out, 1000 + random_below(inputs->random, 900000));
    cbor_write_pair(out, "$type", "blob");
    cbor_write_pair(out, "mimeType", "image/jpeg");
}

/* Words of several scripts, quotes and line ends: what escaping and counting must survive. */
static void write_words(struct buffer *out, const char *key, struct random *random, uint32_t most)
{
    static const char *const words[] = {"good",
                                        "morning",
                                        "the",
                                        "firehose",
                                        "is",
                                        "quiet",
                                        "today",
                                        "\"quoted\"",
                                        "a\\b",
                                        "😀",
                                        "日本語",
                                        "tab\there",
                                        "wörld",
                                        "and",
                                        "line\nend",
                                        "مرحبا",
                                        "👩‍👩‍👧‍👦",
                                        "</script>",
                                        "we",
                                        "went",
                                        "there",
                                        "again",
                                        "because",
                                        "of",
                                        "rain",
                                        "https://example.com/x?a=1&b=2"};
    char text[TEXT_SIZE];
    size_t size = 0;
    for (uint32_t left = 1 + random_below(random, most); left > 0; left--) {
        const char *word = words[random_below(random, sizeof(words) / sizeof(words[0]))];
        size += (size_t)snprintf(text + size, sizeof(text) - size, "%s ", word);
        if (size > sizeof(text) - 64) {
            break;
        }
    }
    cbor_write_string(out, key);
    cbor_write_text(out, slice_of(text, size - 1));
}

static void write_embed(struct buffer *out, const struct record_inputs *inputs)
{
    cbor_write_string(out, "embed");
    cbor_write_map(out, 2);
    if (random_chance(inputs->random, 600)) {
        cbor_write_pair(out, "$type", "app.bsky.embed.images");
        cbor_write_string(out, "images");
        cbor_write_array(out, 1);
        cbor_write_map(out, 2);
        write_words(out, "alt", inputs->random, 12);
        write_blob(out, "image", inputs);
        return;
    }
    cbor_write_pair(out, "$type", "app.bsky.embed.external");
    cbor_write_string(out, "external");
    cbor_write_map(out, 3);
    cbor_write_pair(out, "uri", "https://example.com/article");
    write_words(out, "title", inputs->random, 8);
    write_words(out, "description", inputs->random, 20);
}

static void write_post(struct buffer *out, const struct record_inputs *inputs)
{
    bool has_embed = random_chance(inputs->random, 300);
    bool is_reply = random_chance(inputs->random, 450);
    cbor_write_map(out, 4U + has_embed + is_reply);
    write_words(out, "text", inputs->random, 40);
    cbor_write_pair(out, "$type", kinds[RECORD_POST].collection);
    if (has_embed) {
        write_embed(out, inputs);
    }
    cbor_write_string(out, "langs");
    cbor_write_array(out, 1);
    cbor_write_string(out, "en");
    if (is_reply) {
        cbor_write_string(out, "reply");
        cbor_write_map(out, 2);
        write_reference(out, "root", inputs);
        write_reference(out, "parent", inputs);
    }
    write_created(out, inputs);
}

/* like and repost */
static void write_interaction(struct buffer *out, const char *type,
                              const struct record_inputs *inputs)
{
    cbor_write_map(out, 3);
    cbor_write_pair(out, "$type", type);
    write_reference(out, "subject", inputs);
    write_created(out, inputs);
}

/* follow and block; listblock, whose subject is a list */
static void write_relation(struct buffer *out, enum record_kind kind,
                           const struct record_inputs *inputs)
{
    cbor_write_map(out, 3);
    cbor_write_pair(out, "$type", kinds[kind].collection);
    if (kind == RECORD_LIST_BLOCK) {
        write_uri(out, "subject", inputs, RECORD_LIST);
    } else {
        cbor_write_pair(out, "subject", inputs->target_did);
    }
    write_created(out, inputs);
}

static void write_list(struct buffer *out, const struct record_inputs *inputs)
{
    cbor_write_map(out, 5);
    write_words(out, "name", inputs->random, 4);
    cbor_write_pair(out, "$type", kinds[RECORD_LIST].collection);
    cbor_write_pair(out, "purpose", "app.bsky.graph.defs#curatelist");
    write_created(out, inputs);
    write_words(out, "description", inputs->random, 20);
}

static void write_list_item(struct buffer *out, const struct record_inputs *inputs)
{
    cbor_write_map(out, 4);
    write_uri(out, "list", inputs, RECORD_LIST);
    cbor_write_pair(out, "$type", kinds[RECORD_LIST_ITEM].collection);
    cbor_write_pair(out, "subject", inputs->target_did);
    write_created(out, inputs);
}

static void write_profile(struct buffer *out, const struct record_inputs *inputs)
{
    cbor_write_map(out, 5);
    cbor_write_pair(out, "$type", kinds[RECORD_PROFILE].collection);
    write_blob(out, "avatar", inputs);
    write_created(out, inputs);
    write_words(out, "description", inputs->random, 30);
    write_words(out, "displayName", inputs->random, 3);
}

static void write_generator(struct buffer *out, const struct record_inputs *inputs)
{
    cbor_write_map(out, 5);
    cbor_write_pair(out, "did", "did:web:feeds.example.com");
    cbor_write_pair(out, "$type", kinds[RECORD_GENERATOR].collection);
    write_created(out, inputs);
    write_words(out, "description", inputs->random, 20);
    write_words(out, "displayName", inputs->random, 3);
}

static void write_starter_pack(struct buffer *out, const struct record_inputs *inputs)
{
    cbor_write_map(out, 4);
    write_uri(out, "list", inputs, RECORD_LIST);
    write_words(out, "name", inputs->random, 4);
    cbor_write_pair(out, "$type", kinds[RECORD_STARTER_PACK].collection);
    write_created(out, inputs);
}

static void write_labeler(struct buffer *out, const struct record_inputs *inputs)
{
    cbor_write_map(out, 3);
    cbor_write_pair(out, "$type", kinds[RECORD_LABELER].collection);
    cbor_write_string(out, "policies");
    cbor_write_map(out, 1);
    cbor_write_string(out, "labelValues");
    cbor_write_array(out, 2);
    cbor_write_string(out, "spam");
    cbor_write_string(out, "!hide");
    write_created(out, inputs);
}

static void write_gate(struct buffer *out, enum record_kind kind,
                       const struct record_inputs *inputs)
{
    bool is_thread = kind == RECORD_THREAD_GATE;
    cbor_write_map(out, 3U + is_thread);
    write_uri(out, "post", inputs, RECORD_POST);
    cbor_write_pair(out, "$type", kinds[kind].collection);
    if (is_thread) {
        cbor_write_string(out, "allow");
        cbor_write_array(out, 0);
    }
    write_created(out, inputs);
}

static void write_verification(struct buffer *out, const struct record_inputs *inputs)
{
    cbor_write_map(out, 5);
    cbor_write_pair(out, "$type", kinds[RECORD_VERIFICATION].collection);
    cbor_write_pair(out, "handle", "verified.test");
    cbor_write_pair(out, "subject", inputs->target_did);
    write_created(out, inputs);
    write_words(out, "displayName", inputs->random, 3);
}

void record_write(struct buffer *out, enum record_kind kind, const struct record_inputs *inputs)
{
    switch (kind) {
    case RECORD_LIKE:
    case RECORD_REPOST:
        write_interaction(out, kinds[kind].collection, inputs);
        return;
    case RECORD_POST:
        write_post(out, inputs);
        return;
    case RECORD_FOLLOW:
    case RECORD_BLOCK:
    case RECORD_LIST_BLOCK:
        write_relation(out, kind, inputs);
        return;
    case RECORD_LIST:
        write_list(out, inputs);
        return;
    case RECORD_LIST_ITEM:
        write_list_item(out, inputs);
        return;
    case RECORD_PROFILE:
        write_profile(out, inputs);
        return;
    case RECORD_GENERATOR:
        write_generator(out, inputs);
        return;
    case RECORD_STARTER_PACK:
        write_starter_pack(out, inputs);
        return;
    case RECORD_LABELER:
        write_labeler(out, inputs);
        return;
    case RECORD_THREAD_GATE:
    case RECORD_POST_GATE:
        write_gate(out, kind, inputs);
        return;
    case RECORD_VERIFICATION:
        write_verification(out, inputs);
        return;
    case RECORD_KIND_COUNT:
        return;
    }
}
