/*
 * Extraction: the columns of a typed table out of the JSON of a record.
 *
 *   struct table --extraction_create--> tree of all its paths
 *   record's JSON --extraction_run--> a value for each column with a path, in one walk
 *
 * Only what the record says decides: not the order of keys, not the spelling of numbers and strings; of a key that is
 * there twice the last counts, as in jsonb. So a record as it came and as jsonb prints it give the same row.
 *
 *   - Of the paths of a column the first that leads to a good value counts; null, and what the column cannot hold, is
 *     as if it were absent. A column whose bad values are dead letters looks no further once it has met one.
 *   - An array, and an object of another $type, ends a path that does not expect it. A text[] has a value, maybe an empty
 *     one, where the first array of its path is there.
 *
 * Ownership: heap, its values are reused by the next run and point into the JSON and the arena. Threading: one thread.
 */
#ifndef SINK_EXTRACTION_H
#define SINK_EXTRACTION_H

#include "config/tables.h"
#include "sink/column_value.h"

struct extraction;

enum extraction_result {
    EXTRACTION_ROW,
    EXTRACTION_NO_ROW, /* a column that is required has no value */
    EXTRACTION_BAD, /* a column whose bad values are dead letters has one: extraction_bad_column() */
    EXTRACTION_BROKEN, /* half a surrogate pair: PostgreSQL refuses the record itself */
};

/* `table` is borrowed for the extraction's life. */
struct extraction *extraction_create(const struct table *table) __attribute__((warn_unused_result));
void extraction_destroy(struct extraction *extraction); /* NULL is fine */
/* `record` is valid JSON and has been through jsonb_text_without_nul(). `own_bytes`: of its DID and its rkey, which stand
 * beside its texts in indexes. */
enum extraction_result extraction_run(struct extraction *extraction, struct slice record,
                                      size_t own_bytes, struct arena *arena)
    __attribute__((warn_unused_result));
/* Of the last run: what `column` (its place in the table) holds; without a value it is null, or the fallback. */
const struct column_value *extraction_value(const struct extraction *extraction, size_t column);
size_t extraction_bad_column(const struct extraction *extraction);

#endif
