/*
 * Frame: one binary WebSocket message of com.atproto.sync.subscribeRepos (header CBOR + body CBOR)
 * becomes what is appended to the stream: type, sequence, time, rev and compact JSON.
 *
 *   frame bytes --frame_decoder_decode--> struct frame_event   (or a fault with its reason)
 *
 * Ownership: slices of an event point into the frame or into the decoder; they live until the next
 * call. Threading: one decoder per thread; no globals. Nothing recurses on input, no memory is taken
 * before a length is checked against what is there.
 * Sources: lexicon com.atproto.sync.subscribeRepos, the event-stream spec, DAG-CBOR, CAR v1.
 */
#ifndef ATPROTO_FRAME_H
#define ATPROTO_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

enum parse_result {
    PARSE_DONE,
    PARSE_NEED_MORE,
    PARSE_BAD
};

enum frame_type {
    FRAME_COMMIT,
    FRAME_IDENTITY,
    FRAME_ACCOUNT,
    FRAME_SYNC,
    FRAME_INFO,    /* `name` and `message`; no sequence */
    FRAME_ERROR,   /* op -1: `name` is ConsumerTooSlow, FutureCursor, ...; `message` */
    FRAME_IGNORED, /* an op or t that we do not know; `sequence` where the body has one, else 0 */
};

/* Why a frame is refused whole: the label of standpipe_decode_errors_total, so a closed set. */
enum frame_fault_reason {
    FRAME_FAULT_EMPTY,      /* no bytes, or a text message */
    FRAME_FAULT_HEADER,     /* the header is no strict DAG-CBOR map, or lacks op or t */
    FRAME_FAULT_CBOR,       /* the body is no strict DAG-CBOR map */
    FRAME_FAULT_TRAILING,   /* bytes after the body */
    FRAME_FAULT_FIELD,      /* a required field is missing or of the wrong type or syntax */
    FRAME_FAULT_CAR,        /* `blocks` is no CAR v1 */
    FRAME_FAULT_BLOCK_HASH, /* a block does not hash to its CID */
    FRAME_FAULT_LIMIT,      /* more ops, blocks or nesting than allowed */
    FRAME_FAULT_COUNT       /* how many there are */
};

struct frame_fault {
    enum frame_fault_reason reason;
    int64_t sequence; /* 0 where it could not be read */
    char text[160];   /* what, where, what was expected */
};

struct frame_event {
    enum frame_type type;
    int64_t sequence;  /* 1 .. 2^53-1, 0 where the frame has none */
    struct slice did;  /* `repo` or `did` */
    struct slice time; /* as sent */
    struct slice rev;  /* commit and sync, else empty */
    struct slice data; /* compact JSON for the stream; empty for info, error and ignored */
    struct slice name; /* info and error frames; the unknown `t` of an ignored one */
    struct slice message;
    uint32_t ops;          /* in `data` */
    uint32_t filtered_ops; /* left out by the collection filter */
    uint32_t invalid_ops;  /* in `data`, carrying `invalid` */
};

/* Which collections are wanted; `app.bsky.feed.*` matches whole segments. None: all. */
struct collection_filter {
    const char *const *patterns; /* borrowed, must outlive the decoder */
    size_t count;
};
bool collection_filter_matches(const struct collection_filter *filter, struct slice collection);

struct frame_decoder_options {
    bool verify_blocks; /* SHA-256 of every block against its CID */
    struct collection_filter filter;
};

struct frame_decoder;
struct frame_decoder *frame_decoder_create(const struct frame_decoder_options *options);
void frame_decoder_destroy(struct frame_decoder *decoder);
/* PARSE_DONE fills `event`; PARSE_BAD fills `fault`. Never PARSE_NEED_MORE: frames come whole. */
enum parse_result frame_decoder_decode(struct frame_decoder *decoder, struct slice frame,
                                       struct frame_event *event, struct frame_fault *fault)
    __attribute__((warn_unused_result));
/* Walks the collections of the last event's ops, a commit: from `*index` 0 until it says false. Of a bad
 * path it is what stands before the first slash. Borrowed like the event. */
bool frame_decoder_next_collection(const struct frame_decoder *decoder, size_t *index,
                                   struct slice *collection);
/* "header", "cbor", ...: the metric label of a reason. */
const char *frame_fault_reason_name(enum frame_fault_reason reason);
/* "commit", "identity", "account", "sync", "info", "error", "ignored". */
const char *frame_type_name(enum frame_type type);

#endif
