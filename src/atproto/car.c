#include "atproto/car.h"

#include <stdlib.h>
#include <string.h>

#include "atproto/cid.h"
#include "atproto/sha256.h"
#include "base/backoff.h"
#include "base/panic.h"

enum {
    CAR_BLOCKS_KEEP = 1024,
    CAR_SLOT_BITS_MINIMUM = 5
};

void car_init(struct car *car)
{
    *car = (struct car){0};
    for (size_t i = 0; i < sizeof(car->keys) / sizeof(car->keys[0]); i++) {
        car->keys[i] = random_bits() | 1;
    }
}

static void free_tables(struct car *car)
{
    free(car->blocks);
    free(car->slots);
    car->blocks = NULL;
    car->slots = NULL;
    car->capacity = 0;
    car->slot_capacity = 0;
}

void car_deinit(struct car *car)
{
    free_tables(car);
    *car = (struct car){0};
}

void car_clear(struct car *car)
{
    car->count = 0;
    if (car->capacity > CAR_BLOCKS_KEEP) {
        free_tables(car);
    }
}

/* `version` must be 1; `roots` an array of links. What else there is does not matter. */
static bool read_header_field(struct dag_reader *reader, struct slice key, unsigned *seen)
{
    struct dag_item item;
    if (!dag_reader_next(reader, &item)) {
        return false;
    }
    if (slice_equals(key, SLICE("version"))) {
        *seen |= 1;
        return item.kind == DAG_UNSIGNED && item.number == 1;
    }
    if (!slice_equals(key, SLICE("roots"))) {
        return dag_reader_skip(reader, &item);
    }
    *seen |= 2;
    if (item.kind != DAG_ARRAY) {
        return false;
    }
    do {
        if (!dag_reader_next(reader, &item)) {
            return false;
        }
    } while (item.kind == DAG_LINK);
    return item.kind == DAG_END;
}

static bool read_header(struct slice header, struct dag_stack *stack)
{
    struct dag_reader reader = dag_reader_strict(header, stack);
    struct dag_item item;
    unsigned seen = 0;
    if (!dag_reader_next(&reader, &item) || item.kind != DAG_MAP) {
        return false;
    }
    for (;;) {
        if (!dag_reader_next(&reader, &item)) {
            return false;
        }
        if (item.kind == DAG_END) {
            break;
        }
        if (!read_header_field(&reader, item.bytes, &seen)) {
            return false;
        }
    }
    return seen == 3 && dag_reader_rest(&reader).size == 0;
}

/* One `uvarint length, bytes` section. */
static bool take_section(struct slice *bytes, struct slice *section)
{
    uint64_t size;
    if (!varint_take(bytes, &size) || size == 0 || size > bytes->size) {
        return false;
    }
    *section = slice_of(bytes->data, (size_t)size);
    *bytes = slice_skip(*bytes, (size_t)size);
    return true;
}

static void add_block(struct car *car, struct slice section)
{
    if (car->count == car->capacity) {
        car->capacity = car->capacity == 0 ? 32 : car->capacity * 2;
        car->blocks = memory_resize(car->blocks, car->capacity * sizeof(*car->blocks));
    }
    car->blocks[car->count++] = (struct car_block){.cid = (const uint8_t *)section.data,
                                                   .data = slice_skip(section, CID_SIZE)};
}

/* Multiply-shift hashing of the digest under secret odd keys: universal on its upper bits, so the
 * expected chain is short whatever CIDs the sender has picked. */
static size_t slot_of(const struct car *car, const uint8_t *cid)
{
    uint64_t words[4];
    memcpy(words, cid + CID_DIGEST_OFFSET, sizeof(words));
    uint64_t sum = 0;
    for (size_t i = 0; i < 4; i++) {
        sum += car->keys[i] * words[i];
    }
    return (size_t)(sum >> (64 - car->slot_bits));
}

/* The slot that has `cid`, or the free one where it belongs: at most half of them are taken. */
static uint32_t *find_slot(const struct car *car, const uint8_t *cid)
{
    size_t mask = ((size_t)1 << car->slot_bits) - 1;
    size_t slot = slot_of(car, cid);
    while (car->slots[slot] != 0 &&
           memcmp(car->blocks[car->slots[slot] - 1].cid, cid, CID_SIZE) != 0) {
        slot = (slot + 1) & mask;
    }
    return &car->slots[slot];
}

static void build_index(struct car *car)
{
    car->slot_bits = CAR_SLOT_BITS_MINIMUM;
    while ((size_t)1 << car->slot_bits < car->count * 2) {
        car->slot_bits++;
    }
    size_t needed = (size_t)1 << car->slot_bits;
    if (needed > car->slot_capacity) {
        car->slots = memory_resize(car->slots, needed * sizeof(*car->slots));
        car->slot_capacity = needed;
    }
    memset(car->slots, 0, needed * sizeof(*car->slots));
    for (size_t i = 0; i < car->count; i++) {
        uint32_t *slot = find_slot(car, car->blocks[i].cid);
        if (*slot == 0) {
            *slot = (uint32_t)i + 1;
        }
    }
}

static enum car_result read_blocks(struct car *car, struct slice bytes, const char **why)
{
    for (size_t sections = 0; bytes.size > 0; sections++) {
        struct slice section;
        if (!take_section(&bytes, &section)) {
            *why = "a section's length is wrong";
            return CAR_BAD;
        }
        size_t cid_size = cid_prefix_size(section);
        if (cid_size == 0) {
            *why = "a section starts with no CID";
            return CAR_BAD;
        }
        if (sections == CAR_BLOCKS_MAX) {
            *why = "too many blocks";
            return CAR_OVER_LIMIT;
        }
        if (cid_is_blessed(slice_of(section.data, cid_size))) {
            add_block(car, section);
        }
    }
    return CAR_DONE;
}

enum car_result car_parse(struct car *car, struct slice bytes, struct dag_stack *stack,
                          const char **why)
{
    car_clear(car);
    struct slice header;
    if (!take_section(&bytes, &header) || !read_header(header, stack)) {
        *why = "the header is not {roots, version: 1}";
        return CAR_BAD;
    }
    enum car_result result = read_blocks(car, bytes, why);
    if (result == CAR_DONE) {
        build_index(car);
    }
    return result;
}

bool car_find(const struct car *car, struct slice cid, struct slice *data)
{
    if (car->count == 0 || cid.size != CID_SIZE) {
        return false;
    }
    uint32_t slot = *find_slot(car, (const uint8_t *)cid.data);
    if (slot == 0) {
        return false;
    }
    *data = car->blocks[slot - 1].data;
    return true;
}

bool car_verify(const struct car *car, const struct car_block **bad)
{
    uint8_t digest[SHA256_SIZE];
    for (size_t i = 0; i < car->count; i++) {
        sha256_digest(car->blocks[i].data, digest);
        if (memcmp(digest, car->blocks[i].cid + CID_DIGEST_OFFSET, SHA256_SIZE) != 0) {
            *bad = &car->blocks[i];
            return false;
        }
    }
    return true;
}
