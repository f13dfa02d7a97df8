/* Identifiers and times: no text is too strange, and the rules agree among each other. */
#include "fuzz/fuzz.h"

#include "atproto/event_time.h"
#include "atproto/syntax.h"

static void check_path(struct slice text)
{
    struct slice collection;
    struct slice rkey;
    if (record_path_split(text, &collection, &rkey)) {
        FUZZ_HOLDS(nsid_is_valid(collection) && record_key_is_valid(rkey));
        FUZZ_HOLDS(collection.size + 1 + rkey.size == text.size);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of(data, size);
    char tid[EVENT_TID_SIZE];
    bool is_identifier = at_identifier_is_valid(text);
    FUZZ_HOLDS(is_identifier == (did_is_valid(text) || handle_is_valid(text)));
    FUZZ_HOLDS(!tid_is_valid(text) || record_key_is_valid(text));
    FUZZ_HOLDS(!at_uri_is_valid(text) || slice_starts_with(text, SLICE("at://")));
    FUZZ_HOLDS(!datetime_is_valid(text) || datetime_has_syntax(text));
    FUZZ_HOLDS(!language_is_valid(text) || language_has_syntax(text));
    (void)nsid_is_valid(text);
    (void)uri_is_valid(text);
    (void)cid_text_is_valid(text);
    check_path(text);
    int64_t time_us = event_time_parse(text);
    if (time_us != TIME_UNKNOWN) {
        event_time_tid(time_us, tid);
        FUZZ_HOLDS(tid_is_valid(slice_of(tid, sizeof(tid))));
    }
    return 0;
}
