#include "atproto/invalid.h"

#include <stddef.h>

_Static_assert(INVALID_REASON_COUNT <= 32, "reasons are kept as bits of a uint32_t");

static const char *const texts[INVALID_REASON_COUNT] = {
    [INVALID_NONE] = "",
    [INVALID_BAD_PATH] = "bad path",
    [INVALID_UNKNOWN_ACTION] = "unknown action",
    [INVALID_MISSING_BLOCK] = "missing block",
    [INVALID_MALFORMED] = "malformed cbor",
    [INVALID_TRUNCATED] = "truncated",
    [INVALID_INDEFINITE] = "indefinite length",
    [INVALID_KEY_NOT_TEXT] = "key is not text",
    [INVALID_TOO_DEEP] = "nested too deep",
    [INVALID_NOT_A_MAP] = "not a map",
    [INVALID_TRAILING] = "trailing bytes",
    [INVALID_UTF8] = "invalid utf-8",
    [INVALID_NUL] = "nul in text",
    [INVALID_LARGE_INTEGER] = "integer beyond 2^53-1",
    [INVALID_FLOAT] = "float",
    [INVALID_TAG] = "unknown tag",
    [INVALID_UNDEFINED] = "undefined",
    [INVALID_LINK] = "bad link",
    [INVALID_DUPLICATE_KEY] = "duplicate key",
    [INVALID_UNSORTED_KEYS] = "unsorted keys",
    [INVALID_NOT_MINIMAL] = "not minimal",
    [INVALID_PLAIN_LINK] = "$link in a map",
    [INVALID_PLAIN_BYTES] = "$bytes in a map",
    [INVALID_TYPE] = "bad $type",
    [INVALID_BLOB] = "bad blob",
};

const char *invalid_reason_text(enum invalid_reason reason)
{
    return reason < INVALID_REASON_COUNT ? texts[reason] : "";
}
