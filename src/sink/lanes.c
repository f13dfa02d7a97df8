#include "sink/lanes.h"

#include <stdlib.h>

#include "base/buffer.h"
#include "base/hash.h"
#include "base/panic.h"

#include <uv.h>

enum {
    MEMBERS_MAX = 64, /* more have no lanes, and wait for each other in PostgreSQL */
    NOBODY = -1
};

_Static_assert(LANE_COUNT <= 32, "lanes are bits of a number");

struct lane {
    int holder;       /* NOBODY: free */
    int kept_for;     /* while it is free: only this one may take it */
    uint64_t waiters; /* a bit each */
};

struct lanes {
    uv_mutex_t mutex;
    struct lane items[LANE_COUNT];
    struct lane_member *members[MEMBERS_MAX];
};

struct lane_member {
    struct lanes *lanes;
    int number; /* NOBODY: there was no room */
    uv_async_t woken;
    void (*on_free)(void *owner);
    void (*on_left)(void *owner);
    void *owner;
};

struct lanes *lanes_create(void)
{
    struct lanes *lanes = memory_allocate(sizeof(*lanes));
    ASSERT(uv_mutex_init(&lanes->mutex) == 0);
    for (unsigned i = 0; i < LANE_COUNT; i++) {
        lanes->items[i] = (struct lane){.holder = NOBODY, .kept_for = NOBODY};
    }
    return lanes;
}

void lanes_destroy(struct lanes *lanes)
{
    if (lanes != NULL) {
        uv_mutex_destroy(&lanes->mutex);
        free(lanes);
    }
}

unsigned lanes_of(struct slice did)
{
    uint32_t hash = hash_32(did);
    return (hash ^ hash >> 16) % LANE_COUNT;
}

static uint64_t bit_of(int number)
{
    ASSERT(number >= 0 && number < MEMBERS_MAX);
    return UINT64_C(1) << number;
}

/* The one after `number` in the round, itself last; NOBODY where none waits. */
static int next_waiter(const struct lane *lane, int number)
{
    for (int i = 1; i <= MEMBERS_MAX; i++) {
        int next = (number + i) % MEMBERS_MAX;
        if ((lane->waiters & bit_of(next)) != 0) {
            return next;
        }
    }
    return NOBODY;
}

/* A free lane is for whoever waits; the wake-up is one however many lanes there are. */
static void pass_on(struct lanes *lanes, struct lane *lane, int number)
{
    lane->kept_for = next_waiter(lane, number);
    if (lane->kept_for != NOBODY) {
        (void)uv_async_send(&lanes->members[lane->kept_for]->woken);
    }
}

static void on_woken(uv_async_t *woken)
{
    const struct lane_member *member = woken->data;
    member->on_free(member->owner);
}

struct lane_member *lanes_join(struct lanes *lanes, struct uv_loop_s *loop,
                               void (*on_free)(void *owner), void *owner)
{
    struct lane_member *member = memory_allocate(sizeof(*member));
    *member =
        (struct lane_member){.lanes = lanes, .number = NOBODY, .on_free = on_free, .owner = owner};
    ASSERT(uv_async_init(loop, &member->woken, on_woken) == 0);
    member->woken.data = member;
    uv_mutex_lock(&lanes->mutex);
    for (int i = 0; i < MEMBERS_MAX && member->number == NOBODY; i++) {
        if (lanes->members[i] == NULL) {
            lanes->members[i] = member;
            member->number = i;
        }
    }
    uv_mutex_unlock(&lanes->mutex);
    return member;
}

static void on_closed(uv_handle_t *handle)
{
    struct lane_member *member = handle->data;
    void (*on_left)(void *owner) = member->on_left;
    void *owner = member->owner;
    free(member);
    on_left(owner);
}

void lanes_leave(struct lane_member *member, void (*on_left)(void *owner))
{
    struct lanes *lanes = member->lanes;
    member->on_left = on_left;
    uv_mutex_lock(&lanes->mutex);
    for (unsigned i = 0; i < LANE_COUNT && member->number != NOBODY; i++) {
        struct lane *lane = &lanes->items[i];
        lane->waiters &= ~bit_of(member->number);
        if (lane->holder == member->number) {
            lane->holder = NOBODY;
            pass_on(lanes, lane, member->number);
        } else if (lane->kept_for == member->number) {
            pass_on(lanes, lane, member->number);
        }
    }
    if (member->number != NOBODY) {
        lanes->members[member->number] = NULL; /* nobody wakes it any more */
    }
    uv_mutex_unlock(&lanes->mutex);
    uv_close((uv_handle_t *)&member->woken, on_closed);
}

bool lanes_take(struct lane_member *member, unsigned number)
{
    struct lanes *lanes = member->lanes;
    struct lane *lane = &lanes->items[number];
    if (member->number == NOBODY) {
        return true;
    }
    uv_mutex_lock(&lanes->mutex);
    bool is_free =
        lane->holder == NOBODY && (lane->kept_for == NOBODY || lane->kept_for == member->number);
    if (is_free) {
        lane->holder = member->number;
        lane->kept_for = NOBODY;
        lane->waiters &= ~bit_of(member->number);
    } else {
        lane->waiters |= bit_of(member->number);
    }
    uv_mutex_unlock(&lanes->mutex);
    return is_free;
}

void lanes_give_back(struct lane_member *member, uint32_t held)
{
    struct lanes *lanes = member->lanes;
    if (member->number == NOBODY || held == 0) {
        return;
    }
    uv_mutex_lock(&lanes->mutex);
    for (unsigned i = 0; i < LANE_COUNT; i++) {
        bool is_held = lanes->items[i].holder == member->number;
        if (is_held && (held & UINT32_C(1) << i) != 0) {
            lanes->items[i].holder = NOBODY;
            pass_on(lanes, &lanes->items[i], member->number);
        }
    }
    uv_mutex_unlock(&lanes->mutex);
}

void lanes_settle(struct lane_member *member)
{
    struct lanes *lanes = member->lanes;
    if (member->number == NOBODY) {
        return;
    }
    uv_mutex_lock(&lanes->mutex);
    for (unsigned i = 0; i < LANE_COUNT; i++) {
        struct lane *lane = &lanes->items[i];
        if (lane->kept_for == member->number) {
            lane->waiters &= ~bit_of(member->number);
            pass_on(lanes, lane, member->number);
        }
    }
    uv_mutex_unlock(&lanes->mutex);
}
