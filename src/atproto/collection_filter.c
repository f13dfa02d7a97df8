#include "atproto/frame.h"

static bool pattern_matches(struct slice pattern, struct slice collection)
{
    static const char wildcard[] = ".*";
    size_t stem = pattern.size - (sizeof(wildcard) - 1);
    if (pattern.size < sizeof(wildcard) - 1 || memcmp(pattern.data + stem, wildcard, 2) != 0) {
        return slice_equals(pattern, collection);
    }
    /* The stem, a dot, and at least one more segment. */
    return collection.size > stem + 1 && collection.data[stem] == '.' &&
           memcmp(collection.data, pattern.data, stem) == 0;
}

bool collection_filter_matches(const struct collection_filter *filter, struct slice collection)
{
    if (filter->count == 0) {
        return true;
    }
    for (size_t i = 0; i < filter->count; i++) {
        if (pattern_matches(slice_from_string(filter->patterns[i]), collection)) {
            return true;
        }
    }
    return false;
}
