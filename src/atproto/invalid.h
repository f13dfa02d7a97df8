/*
 * Invalid: the one table of reasons that an op or a record may carry as `invalid`. They are part of
 * the stream's data, so their texts are fixed: add, never change.
 *
 * Ownership: texts are static. Threading: pure functions.
 */
#ifndef ATPROTO_INVALID_H
#define ATPROTO_INVALID_H

#include <stdint.h>

/* In the order in which one is chosen where several hold. */
enum invalid_reason {
    INVALID_NONE,
    /* The op could not be applied. */
    INVALID_BAD_PATH,       /* the path is not `<nsid>/<record key>` */
    INVALID_UNKNOWN_ACTION, /* neither create, update nor delete */
    INVALID_MISSING_BLOCK,  /* no CID was sent, or its block is not in the CAR */
    /* The record cannot be read: its JSON is null, its bytes travel as `cbor`. */
    INVALID_MALFORMED,    /* no CBOR */
    INVALID_TRUNCATED,    /* ends early, or a count or length claims more than there is */
    INVALID_INDEFINITE,   /* an indefinite length */
    INVALID_KEY_NOT_TEXT, /* a map key that is no text */
    INVALID_TOO_DEEP,     /* nests deeper than RECORD_DEPTH_MAX */
    /* The record can be read, but breaks the data model or JSON cannot say it exactly. */
    INVALID_NOT_A_MAP,
    INVALID_TRAILING,      /* bytes after the item */
    INVALID_UTF8,          /* JSON has U+FFFD there */
    INVALID_NUL,           /* U+0000 in text, which PostgreSQL cannot hold */
    INVALID_LARGE_INTEGER, /* beyond 2^53-1 in magnitude */
    INVALID_FLOAT,
    INVALID_TAG,       /* a tag other than 42; JSON has what it tags */
    INVALID_UNDEFINED, /* undefined or an unassigned simple value; JSON has null */
    INVALID_LINK,      /* tag 42 without a well-formed CID */
    INVALID_DUPLICATE_KEY,
    INVALID_UNSORTED_KEYS,
    INVALID_NOT_MINIMAL, /* an integer or length in more bytes than it needs */
    INVALID_PLAIN_LINK,  /* a map with the key `$link`, which JSON would take for a link */
    INVALID_PLAIN_BYTES, /* the same with `$bytes` */
    INVALID_TYPE,        /* `$type` is not a non-empty text */
    INVALID_BLOB,        /* `$type` is blob; ref, mimeType or size is missing or of a wrong type */
    INVALID_REASON_COUNT /* how many there are; at most 32, for they are kept as bits */
};

/* The text of a reason, as in `data`; "" for INVALID_NONE. */
const char *invalid_reason_text(enum invalid_reason reason);

static inline uint32_t invalid_bit(enum invalid_reason reason)
{
    return UINT32_C(1) << reason;
}

/* The reason to tell where `bits` hold; INVALID_NONE for 0. */
static inline enum invalid_reason invalid_first(uint32_t bits)
{
    return bits == 0 ? INVALID_NONE : (enum invalid_reason)__builtin_ctz(bits);
}

#endif
