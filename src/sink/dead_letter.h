/*
 * Dead letter: one row of standpipe_dead_letters out of an entry or one of its ops.
 *
 * The letter is the last place where an event can be seen, so nothing may keep it out for ever: where PostgreSQL
 * refuses the row itself (a constraint or a trigger of the user's), the next try has less in it.
 */
#ifndef SINK_DEAD_LETTER_H
#define SINK_DEAD_LETTER_H

#include "atproto/entry.h"
#include "base/buffer.h"

struct batch_columns;

enum {
    /* A letter's data: JSON of the op at fault, or of the entry. What is longer is cut: an op loses its record,
     * an entry all after this. No record that the network takes is as long. */
    DEAD_LETTER_DATA_MAX = 1 << 20,
    /* Letters of one repo and hour; the others are counted in one summary letter. */
    DEAD_LETTERS_PER_REPO_HOUR = 100
};

/* How much is in a letter. */
enum dead_letter_form {
    DEAD_LETTER_WHOLE,
    DEAD_LETTER_REDUCED, /* texts are printable ASCII, and what would be `data` is in `frame` as bytes */
    DEAD_LETTER_BARE, /* likewise, but the bytes are left out: `cut_from` says how many there were */
};

struct dead_letter {
    const struct entry *entry;
    const struct event *event; /* NULL: the entry could not be read */
    int op;                    /* BATCH_OP_ENTRY: the entry whole */
    struct slice reason;
    struct slice sqlstate; /* empty: PostgreSQL was not asked */
    struct slice detail;
};

/* Appends the columns' values. Text that PostgreSQL could not hold (bad UTF-8, U+0000) goes to `frame`
 * as bytes. `scratch` is cleared and used. */
void dead_letter_append(struct batch_columns *columns, const struct dead_letter *letter,
                        enum dead_letter_form form, struct buffer *scratch);

#endif
