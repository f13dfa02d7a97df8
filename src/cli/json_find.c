#include "cli/json_find.h"

#include "atproto/json_scan.h"
#include "config/text.h"

bool json_find(struct slice object, const char *name, struct slice *value)
{
    struct arena arena = {0};
    struct json_scan scan = json_scan_over(object, &arena);
    struct slice key;
    bool is_first = true;
    bool is_found = false;
    bool is_good = json_scan_open(&scan, '{');
    while (is_good && !is_found && json_scan_object_next(&scan, &is_first, &key)) {
        is_found = slice_equals(key, slice_from_string(name));
        is_good = json_scan_value(&scan, value);
    }
    arena_deinit(&arena);
    return is_good && is_found;
}

uint64_t json_find_number(struct slice object, const char *name)
{
    struct slice value;
    uint64_t number = 0;
    return json_find(object, name, &value) && text_parse_number(value, &number) ? number : 0;
}

bool json_find_is_true(struct slice object, const char *name)
{
    struct slice value;
    return json_find(object, name, &value) && slice_equals(value, SLICE("true"));
}

struct slice json_find_text(struct slice object, const char *name, struct arena *arena)
{
    struct slice value;
    struct slice text = {0};
    if (json_find(object, name, &value)) {
        struct json_scan scan = json_scan_over(value, arena);
        if (!json_scan_string(&scan, &text)) {
            text = (struct slice){0};
        }
    }
    return text;
}
