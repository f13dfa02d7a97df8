/* Constants of tables.conf: only what PostgreSQL is sure to take, since it would otherwise refuse every row. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "base/panic.h"
#include "config/tables_private.h"
#include "config/text.h"

static bool is_integer(struct slice text)
{
    char copy[32] = "";
    char *end = copy;
    bool is_signed = text.size > 0 && text.data[0] == '-';
    struct slice digits = slice_skip(text, is_signed ? 1 : 0);
    if (digits.size == 0 || text.size >= sizeof(copy) || !isdigit((unsigned char)digits.data[0])) {
        return false;
    }
    memcpy(copy, text.data, text.size);
    errno = 0;
    (void)strtoll(copy, &end, 10); /* `end` and errno say all */
    return *end == '\0' && errno == 0;
}

/* `9` stands for a digit: 2026-01-31T23:59:59Z. Days and hours are checked as far as any month has them. */
static bool is_time(struct slice text)
{
    static const char shape[] = "9999-99-99T99:99:99Z";
    if (text.size != sizeof(shape) - 1) {
        return false;
    }
    for (size_t i = 0; i < text.size; i++) {
        bool is_fit =
            shape[i] == '9' ? isdigit((unsigned char)text.data[i]) != 0 : text.data[i] == shape[i];
        if (!is_fit) {
            return false;
        }
    }
    int month = (text.data[5] - '0') * 10 + text.data[6] - '0';
    int day = (text.data[8] - '0') * 10 + text.data[9] - '0';
    int hour = (text.data[11] - '0') * 10 + text.data[12] - '0';
    return memcmp(text.data, "0000", 4) != 0 && month >= 1 && month <= 12 && day >= 1 &&
           day <= 28 && hour <= 23 && text.data[14] <= '5' && text.data[17] <= '5';
}

static bool is_one_of(struct slice text, const char *const *words)
{
    for (; *words != NULL; words++) {
        if (slice_equals(slice_from_string(*words), text)) {
            return true;
        }
    }
    return false;
}

static bool is_plain_word(struct slice word)
{
    for (size_t i = 0; i < word.size; i++) {
        char byte = word.data[i];
        if (!isalnum((unsigned char)byte) && (byte == '\0' || strchr("_-.:#/!", byte) == NULL)) {
            return false;
        }
    }
    return word.size > 0;
}

static bool is_array(struct slice text)
{
    bool is_good = text.size >= 2 && text.data[0] == '{' && text.data[text.size - 1] == '}';
    struct slice rest = is_good ? slice_of(text.data + 1, text.size - 2) : SLICE("");
    bool has_more = rest.size > 0;
    while (is_good && has_more) {
        size_t comma = text_find(rest, ',');
        has_more = comma < rest.size;
        is_good = is_plain_word(slice_of(rest.data, comma));
        rest = slice_skip(rest, has_more ? comma + 1 : comma);
    }
    return is_good;
}

static bool is_ascii(struct slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        if ((unsigned char)text.data[i] >= 0x80) {
            return false;
        }
    }
    return true;
}

const char *tables_constant_fault(enum column_type type, struct slice text)
{
    static const char *const booleans[] = {"true", "false", NULL};
    static const char *const documents[] = {"{}", "[]", "true", "false", "null", NULL};
    switch (type) {
    case COLUMN_TEXT:
    case COLUMN_CID:
        return is_ascii(text) ? NULL : "use ASCII letters";
    case COLUMN_INTEGER:
        return is_integer(text) ? NULL : "write a whole number that fits into 64 bits";
    case COLUMN_BOOLEAN:
        return is_one_of(text, booleans) ? NULL : "write true or false";
    case COLUMN_TIMESTAMPTZ:
        return is_time(text) ? NULL : "write 2026-01-01T00:00:00Z, a day up to the 28th";
    case COLUMN_JSONB:
        return is_one_of(text, documents) || is_integer(text)
                   ? NULL
                   : "write {}, [], true, false, null or a whole number";
    case COLUMN_TEXT_ARRAY:
        return is_array(text) ? NULL : "write {} or {plain,words}";
    }
    PANIC("no such type");
}
