#include "fuzz/json_walk.h"

#include "atproto/json_scan.h"

enum {
    WALK_DEPTH_MAX = 64
};

static bool take_scalar(struct json_scan *scan)
{
    struct slice text;
    bool truth = false;
    switch (json_scan_peek(scan)) {
    case '"':
        return json_scan_string(scan, &text);
    case 't':
    case 'f':
        return json_scan_boolean(scan, &truth);
    default:
        return json_scan_value(scan, &text);
    }
}

/* Goes into containers down to WALK_DEPTH_MAX and takes what is deeper as it stands. */
static bool take_all(struct json_scan *scan)
{
    struct {
        char bracket;
        bool is_first;
    } open[WALK_DEPTH_MAX];
    size_t depth = 0;
    struct slice key;
    do {
        char next = json_scan_peek(scan);
        if ((next == '{' || next == '[') && depth < WALK_DEPTH_MAX) {
            open[depth].bracket = next;
            open[depth++].is_first = true;
            if (!json_scan_open(scan, next)) {
                return false;
            }
        } else if (!take_scalar(scan)) {
            return false;
        }
        while (depth > 0 && !(open[depth - 1].bracket == '{'
                                  ? json_scan_object_next(scan, &open[depth - 1].is_first, &key)
                                  : json_scan_array_next(scan, &open[depth - 1].is_first))) {
            if (scan->problem != NULL) {
                return false;
            }
            depth--;
        }
    } while (depth > 0);
    return true;
}

bool json_is_one_value(struct slice text, struct arena *arena)
{
    struct json_scan scan = json_scan_over(text, arena);
    return take_all(&scan) && json_scan_is_at_end(&scan);
}
