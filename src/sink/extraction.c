#include "sink/extraction.h"

#include <stdlib.h>
#include <string.h>

#include "atproto/json_scan.h"
#include "base/panic.h"

/* Where a path ends: the value goes to this slot. */
struct path_end {
    size_t slot;
    struct column_kind kind;
};

/* Paths of one table that begin alike share their steps. */
struct path_node {
    enum path_step_kind kind;
    struct slice name;
    struct path_node **children;
    size_t child_count;
    bool has_keys, has_types;
    struct path_end *ends;
    size_t end_count;
    size_t *arrays; /* of a PATH_EACH: slots of text[] that have a value once its array is there */
    size_t array_count;
    struct slice found; /* of a PATH_KEY: its member's value in the object that is being walked */
};

struct extraction {
    const struct table *table;
    struct path_node *root;
    struct column_value *slots; /* one a path, in the order of columns and their alternatives */
    size_t slot_count;
    struct column_value **values; /* of each column: the slot that counts */
    size_t bad_column;
    struct arena *arena; /* while it runs, as the next one */
    size_t less;         /* bytes that each limit is lowered by */
};

static const struct column_value no_value;

/* --- the tree --- */

/* `#main` names the same as none. */
static struct slice type_name(struct slice name)
{
    static const char suffix[] = "#main";
    size_t size = sizeof(suffix) - 1;
    if (name.size > size && memcmp(name.data + name.size - size, suffix, size) == 0) {
        name.size -= size;
    }
    return name;
}

static struct slice step_name(const struct path_step *step)
{
    struct slice name = slice_from_string(step->name);
    return step->kind == PATH_TYPE ? type_name(name) : name;
}

static struct path_node *add_child(struct path_node *node, const struct path_step *step)
{
    struct slice name = step_name(step);
    for (size_t i = 0; i < node->child_count; i++) {
        struct path_node *child = node->children[i];
        if (child->kind == step->kind && slice_equals(child->name, name)) {
            return child;
        }
    }
    node->children =
        memory_resize(node->children, (node->child_count + 1) * sizeof(struct path_node *));
    struct path_node *child = memory_allocate(sizeof(*child));
    *child = (struct path_node){.kind = step->kind, .name = name};
    node->children[node->child_count++] = child;
    node->has_keys = node->has_keys || step->kind == PATH_KEY;
    node->has_types = node->has_types || step->kind == PATH_TYPE;
    return child;
}

static void add_array(struct path_node *node, size_t slot)
{
    node->arrays = memory_resize(node->arrays, (node->array_count + 1) * sizeof(*node->arrays));
    node->arrays[node->array_count++] = slot;
}

static void add_path(struct path_node *root, const struct column_path *path, struct path_end end)
{
    struct path_node *node = root;
    bool has_array = end.kind.type != COLUMN_TEXT_ARRAY;
    ASSERT(path->step_count <= TABLES_STEPS_MAX);
    for (size_t i = 0; i < path->step_count; i++) {
        node = add_child(node, &path->steps[i]);
        if (!has_array && node->kind == PATH_EACH) {
            add_array(node, end.slot);
            has_array = true;
        }
    }
    node->ends = memory_resize(node->ends, (node->end_count + 1) * sizeof(*node->ends));
    node->ends[node->end_count++] = end;
}

static void destroy_node(struct path_node *node) /* as deep as TABLES_STEPS_MAX */
{
    for (size_t i = 0; i < node->child_count; i++) {
        destroy_node(node->children[i]);
    }
    free(node->children);
    free(node->ends);
    free(node->arrays);
    free(node);
}

static size_t path_count(const struct table_column *column)
{
    return column->source == COLUMN_PATH ? column->path_count : 0;
}

struct extraction *extraction_create(const struct table *table)
{
    struct extraction *extraction = memory_allocate(sizeof(*extraction));
    extraction->table = table;
    extraction->root = memory_allocate(sizeof(*extraction->root));
    for (size_t c = 0; c < table->column_count; c++) {
        const struct table_column *column = &table->columns[c];
        for (size_t p = 0; p < path_count(column); p++) {
            const struct path_end end = {
                .slot = extraction->slot_count++,
                .kind = {.type = column->type, .bytes_max = column->bytes_max}};
            add_path(extraction->root, &column->paths[p], end);
        }
    }
    extraction->slots = memory_allocate((extraction->slot_count + 1) * sizeof(struct column_value));
    extraction->values = memory_allocate((table->column_count + 1) * sizeof(struct column_value *));
    return extraction;
}

void extraction_destroy(struct extraction *extraction)
{
    if (extraction == NULL) {
        return;
    }
    destroy_node(extraction->root);
    free(extraction->slots);
    free(extraction->values);
    free(extraction);
}

/* --- the walk: as deep as the longest path, whatever the record nests --- */

static bool walk(struct extraction *extraction, struct path_node *node, struct slice json);

static void forget_found(struct path_node *node)
{
    for (size_t i = 0; i < node->child_count; i++) {
        node->children[i]->found = (struct slice){0};
    }
}

static void note_member(struct path_node *node, struct slice key, struct slice value)
{
    for (size_t i = 0; i < node->child_count; i++) {
        struct path_node *child = node->children[i];
        if (child->kind == PATH_KEY && slice_equals(child->name, key)) {
            child->found = value;
            return;
        }
    }
}

/* Finds the members that paths go on with, and the $type; the last one of a name counts. */
static bool scan_object(struct extraction *extraction, struct path_node *node, struct slice json,
                        struct slice *type)
{
    struct json_scan scan = json_scan_over(json, extraction->arena);
    struct slice key;
    bool is_first = true;
    forget_found(node);
    if (!json_scan_open(&scan, '{')) {
        return false;
    }
    while (json_scan_object_next(&scan, &is_first, &key)) {
        struct slice value;
        if (!json_scan_value(&scan, &value)) {
            return false;
        }
        if (node->has_types && slice_equals(key, SLICE("$type"))) {
            *type = value;
        }
        note_member(node, key, value);
    }
    return scan.problem == NULL;
}

static bool type_text(struct extraction *extraction, struct slice json, struct slice *text)
{
    if (json.size == 0 || json.data[0] != '"') {
        *text = (struct slice){0};
        return true;
    }
    struct json_scan scan = json_scan_over(json, extraction->arena);
    return json_scan_string(&scan, text);
}

static bool walk_object(struct extraction *extraction, struct path_node *node, struct slice json)
{
    struct slice type = {0};
    if (!node->has_keys && !node->has_types) {
        return true;
    }
    if (!scan_object(extraction, node, json, &type) || !type_text(extraction, type, &type)) {
        return false;
    }
    type = type_name(type);
    for (size_t i = 0; i < node->child_count; i++) {
        struct path_node *child = node->children[i];
        bool is_type = child->kind == PATH_TYPE && slice_equals(child->name, type);
        struct slice next = is_type ? json : child->found;
        if (next.size > 0 && !walk(extraction, child, next)) {
            return false;
        }
    }
    return true;
}

static bool walk_items(struct extraction *extraction, struct path_node *node, struct slice json)
{
    struct json_scan scan = json_scan_over(json, extraction->arena);
    struct slice item;
    bool is_first = true;
    if (!json_scan_open(&scan, '[')) {
        return false;
    }
    for (size_t i = 0; i < node->array_count; i++) {
        extraction->slots[node->arrays[i]].has_value = true;
    }
    while (json_scan_array_next(&scan, &is_first)) {
        if (!json_scan_value(&scan, &item) || !walk(extraction, node, item)) {
            return false;
        }
    }
    return scan.problem == NULL;
}

static bool walk_array(struct extraction *extraction, struct path_node *node, struct slice json)
{
    for (size_t i = 0; i < node->child_count; i++) {
        struct path_node *child = node->children[i];
        if (child->kind == PATH_EACH && !walk_items(extraction, child, json)) {
            return false;
        }
    }
    return true;
}

/* Never 0, which is no limit. */
static struct column_kind lower_limit(struct column_kind kind, size_t less)
{
    if (kind.bytes_max > 0) {
        kind.bytes_max = kind.bytes_max > less ? kind.bytes_max - (uint32_t)less : 1;
    }
    return kind;
}

static bool walk(struct extraction *extraction, struct path_node *node, struct slice json)
{
    for (size_t i = 0; i < node->end_count; i++) {
        const struct path_end *end = &node->ends[i];
        struct column_kind kind =
            extraction->less > 0 ? lower_limit(end->kind, extraction->less) : end->kind;
        if (!column_value_take(&extraction->slots[end->slot], kind, json, extraction->arena)) {
            return false;
        }
    }
    if (node->child_count == 0) {
        return true;
    }
    if (json.data[0] == '{') {
        return walk_object(extraction, node, json);
    }
    return json.data[0] != '[' || walk_array(extraction, node, json);
}

/* --- what counts --- */

/* False where the column has met a bad value that it must not pass over. */
static bool choose_value(struct extraction *extraction, size_t index, size_t first_slot)
{
    const struct table_column *column = &extraction->table->columns[index];
    extraction->values[index] = NULL;
    for (size_t p = 0; p < path_count(column); p++) {
        struct column_value *slot = &extraction->slots[first_slot + p];
        if (slot->is_bad && column->bad_value == BAD_VALUE_DEAD_LETTER) {
            return false;
        }
        if (slot->has_value) {
            extraction->values[index] = slot;
            return true;
        }
    }
    return true;
}

static bool is_missing(const struct extraction *extraction, size_t index)
{
    const struct table_column *column = &extraction->table->columns[index];
    return column->is_required && column->source == COLUMN_PATH && column->fallback == NULL &&
           extraction->values[index] == NULL;
}

/* That a record has no row here comes before what is wrong with it. */
static enum extraction_result choose_values(struct extraction *extraction)
{
    enum extraction_result result = EXTRACTION_ROW;
    size_t slot = 0;
    for (size_t c = 0; c < extraction->table->column_count; c++) {
        if (!choose_value(extraction, c, slot) && result == EXTRACTION_ROW) {
            extraction->bad_column = c;
            result = EXTRACTION_BAD;
        } else if (is_missing(extraction, c)) {
            return EXTRACTION_NO_ROW;
        }
        slot += path_count(&extraction->table->columns[c]);
    }
    return result;
}

enum extraction_result extraction_run(struct extraction *extraction, struct slice record,
                                      size_t own_bytes, struct arena *arena)
{
    size_t beyond = own_bytes > TABLE_OWN_BYTES ? own_bytes - TABLE_OWN_BYTES : 0;
    extraction->less = beyond * extraction->table->own_max;
    memset(extraction->slots, 0, extraction->slot_count * sizeof(*extraction->slots));
    extraction->arena = arena;
    if (record.size > 0 && !walk(extraction, extraction->root, record)) {
        return EXTRACTION_BROKEN;
    }
    return choose_values(extraction);
}

const struct column_value *extraction_value(const struct extraction *extraction, size_t column)
{
    const struct column_value *value = extraction->values[column];
    return value != NULL ? value : &no_value;
}

size_t extraction_bad_column(const struct extraction *extraction)
{
    return extraction->bad_column;
}
