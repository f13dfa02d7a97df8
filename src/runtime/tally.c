#include "runtime/tally.h"

#include <string.h>

static bool is_named(const struct tally_place *place, struct slice name)
{
    return place->size == name.size && memcmp(place->name, name.data, name.size) == 0;
}

/* One step up where it has overtaken its neighbour: the order is kept by swaps as rare as they are small. */
static void move_up(struct tally *tally, unsigned at)
{
    struct tally_place *places = tally->places;
    if (at > 0 && places[at].count > places[at - 1].count) {
        struct tally_place overtaken = places[at - 1];
        places[at - 1] = places[at];
        places[at] = overtaken;
    }
}

bool tally_add(struct tally *tally, struct slice name)
{
    for (unsigned i = 0; name.size > 0 && i < tally->used; i++) {
        if (is_named(&tally->places[i], name)) {
            tally->places[i].count++;
            move_up(tally, i);
            return true;
        }
    }
    return false;
}

void tally_learn(struct tally *tally, struct slice name)
{
    if (name.size == 0 || name.size > TALLY_NAME_MAX) {
        tally->other++;
        return;
    }
    if (tally->used < TALLY_PLACES) {
        tally->used++;
    }
    struct tally_place *place = &tally->places[tally->used - 1];
    tally->other += place->count; /* of the rarest, which goes; 0 where the place is new */
    *place = (struct tally_place){.count = 1, .size = (uint16_t)name.size};
    memcpy(place->name, name.data, name.size);
}
