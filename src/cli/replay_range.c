#include "cli/replay_range.h"

#include "atproto/event_time.h"
#include "config/text.h"

#include <string.h>

/* `<epoch>-<sequence>`. */
static bool parse_id(struct position *id, const char *text)
{
    const char *dash = strchr(text, '-');
    uint64_t sequence = 0;
    if (dash == NULL || !text_parse_number(slice_of(text, (size_t)(dash - text)), &id->epoch) ||
        !text_parse_number(slice_from_string(dash + 1), &sequence) || sequence > INT64_MAX) {
        return false;
    }
    id->sequence = (int64_t)sequence;
    return true;
}

static bool parse_bound(struct replay_bound *bound, const char *option, const char *text,
                        struct error *error)
{
    uint64_t number = 0;
    struct position id = {0};
    *bound = (struct replay_bound){.text = text};
    if (parse_id(&id, text)) {
        bound->id = id;
        bound->kind = BOUND_ID;
        return true;
    }
    if (text_parse_number(slice_from_string(text), &number) && number <= INT64_MAX) {
        bound->kind = BOUND_SEQUENCE;
        bound->sequence = (int64_t)number;
        return true;
    }
    bound->time_us = event_time_parse(slice_from_string(text));
    if (bound->time_us != TIME_UNKNOWN) {
        bound->kind = BOUND_TIME;
        return true;
    }
    error_set(error, ERROR_USAGE,
              "%s %.100s: neither an entry's ID, a sequence nor a time: give 1700000000000-42, 42 "
              "or 2026-01-31T12:00:00Z",
              option, text);
    return false;
}

static bool is_backwards(const struct replay_bound *from, const struct replay_bound *to)
{
    if (from->kind != to->kind) {
        return false;
    }
    return position_compare(to->id, from->id) < 0 || to->sequence < from->sequence ||
           to->time_us < from->time_us;
}

bool replay_range_parse(struct replay_range *range, const char *from, const char *to,
                        struct error *error)
{
    *range = (struct replay_range){0};
    if (!parse_bound(&range->from, "--from", from, error) ||
        (to != NULL && !parse_bound(&range->to, "--to", to, error))) {
        return false;
    }
    if (is_backwards(&range->from, &range->to)) {
        error_set(error, ERROR_USAGE, "--to %.100s lies before --from %.100s: turn them round", to,
                  from);
        return false;
    }
    bool is_all = (range->from.kind == BOUND_SEQUENCE && range->from.sequence == 0) ||
                  (range->from.kind == BOUND_ID && range->from.id.epoch == 0);
    range->is_reached = is_all;
    return true;
}

/* Below 0: before the bound; 0 also where the entry does not say. */
static int compare(const struct entry *entry, const struct replay_bound *bound)
{
    uint64_t sequence = 0;
    int64_t time_us = 0;
    switch (bound->kind) {
    case BOUND_NONE:
        return 0;
    case BOUND_ID:
        return position_compare(entry->id, bound->id);
    case BOUND_SEQUENCE:
        if (!text_parse_number(entry->sequence, &sequence) || sequence > INT64_MAX) {
            return 0;
        }
        return position_compare((struct position){0, (int64_t)sequence},
                                (struct position){0, bound->sequence});
    case BOUND_TIME:
        time_us = event_time_parse(entry->time);
        if (time_us == TIME_UNKNOWN) {
            return 0;
        }
        return time_us < bound->time_us ? -1 : time_us > bound->time_us;
    }
    return 0;
}

bool replay_range_takes(struct replay_range *range, const struct entry *entry)
{
    int from = compare(entry, &range->from);
    int to = compare(entry, &range->to);
    range->is_reached = range->is_reached || from <= 0;
    range->is_over = range->is_over || (range->to.kind == BOUND_ID && to >= 0);
    return from >= 0 && to <= 0;
}
