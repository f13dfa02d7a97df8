#include "runtime/stream_watch.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"

enum {
    MS_PER_MINUTE = 60000
};

/* ---- groups that nobody reads ------------------------------------------------------------------ */

static struct watched_group *find_group(struct stream_watch *watch, struct slice name)
{
    char text[STREAM_WATCH_NAME_SIZE];
    (void)snprintf(text, sizeof(text), "%.*s", SLICE_ARGS(name));
    for (unsigned i = 0; i < watch->group_count; i++) {
        if (strcmp(watch->groups[i].name, text) == 0) {
            return &watch->groups[i];
        }
    }
    if (watch->group_count == STREAM_GROUPS_MAX) {
        return NULL; /* of the look before; there is room at the next one */
    }
    struct watched_group *group = &watch->groups[watch->group_count++];
    *group = (struct watched_group){0};
    memcpy(group->name, text, sizeof(text));
    return group;
}

/* For how long nobody has asked for its entries. Without a consumer Redis does not know: since we saw that. */
static uint64_t unread_ms(struct watched_group *group, const struct stream_group *seen,
                          uint64_t now_ms)
{
    bool is_alone = seen->is_behind && seen->idle_ms < 0;
    if (is_alone && !group->is_alone) {
        group->alone_since_ms = now_ms;
    }
    group->is_alone = is_alone;
    if (!seen->is_behind) {
        return 0;
    }
    return is_alone ? now_ms - group->alone_since_ms : (uint64_t)seen->idle_ms;
}

static void tell_unread(struct stream_watch *watch, struct watched_group *group, uint64_t for_ms,
                        uint64_t now_ms)
{
    uint64_t minutes = for_ms / MS_PER_MINUTE;
    (void)snprintf(watch->unread, sizeof(watch->unread),
                   "nobody has read group %s for %llu minutes: it holds trimming back", group->name,
                   (unsigned long long)minutes);
    if (now_ms < group->next_warning_ms) {
        return;
    }
    group->next_warning_ms = now_ms + STREAM_WATCH_UNREAD_MS;
    log_warning(
        "stream",
        "a group that nobody reads holds trimming back: read it, destroy it, or leave it out "
        "of stream.trim_groups",
        LOG_TEXT("group", group->name), LOG_INT("unread_minutes", minutes));
}

static void forget_unlisted(struct stream_watch *watch)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < watch->group_count; i++) {
        if (watch->groups[i].is_listed) {
            watch->groups[kept] = watch->groups[i];
            watch->groups[kept++].is_listed = false;
        }
    }
    watch->group_count = kept;
}

static void note_groups(struct stream_watch *watch, const struct stream_depth *depth,
                        uint64_t now_ms)
{
    watch->unread[0] = '\0';
    for (size_t i = 0; i < depth->group_count; i++) {
        const struct stream_group *seen = &depth->groups[i];
        struct watched_group *group = find_group(watch, seen->name);
        if (group == NULL) {
            continue;
        }
        group->is_listed = true;
        uint64_t for_ms = unread_ms(group, seen, now_ms);
        if (for_ms >= STREAM_WATCH_UNREAD_MS) {
            tell_unread(watch, group, for_ms, now_ms);
        }
    }
    forget_unlisted(watch);
}

/* ---- eviction ---------------------------------------------------------------------------------- */

static void note_policy(struct stream_watch *watch, const char *policy)
{
    if (policy[0] == '\0' || strcmp(policy, watch->policy) == 0) {
        return; /* unknown, or told already */
    }
    (void)snprintf(watch->policy, sizeof(watch->policy), "%s", policy);
    watch->eviction[0] = '\0';
    if (strcmp(policy, "noeviction") == 0) {
        return;
    }
    (void)snprintf(watch->eviction, sizeof(watch->eviction),
                   "maxmemory-policy is %s: Redis may throw away what nobody has read", policy);
    log_error(
        "redis",
        "maxmemory-policy is not noeviction: Redis may throw the stream away when it is full, "
        "set noeviction",
        LOG_TEXT("maxmemory_policy", policy));
}

void stream_watch_note(struct stream_watch *watch, const struct stream_depth *depth,
                       uint64_t now_ms)
{
    note_groups(watch, depth, now_ms);
    note_policy(watch, depth->eviction_policy);
}
