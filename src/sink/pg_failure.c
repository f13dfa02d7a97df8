#include "sink/pg_failure.h"

#include <ctype.h>
#include <string.h>

#include "atproto/utf8.h"
#include "base/buffer.h"

#include <libpq-fe.h>

enum {
    CODE_SIZE = PG_SQLSTATE_SIZE - 1
};

/* Line breaks become spaces; what is too long is cut between two characters. */
static void copy_line(char *to, size_t size, const char *from, size_t from_size)
{
    size_t length = 0;
    for (; length < from_size && length + 1 < size; length++) {
        char c = from[length];
        bool is_break = c == '\n' || c == '\t' || c == '\r';
        to[length] = ' ';
        if (!is_break) {
            to[length] = c;
        }
    }
    while (length > 0 && (to[length - 1] == ' ' || !utf8_is_valid(slice_of(to, length)))) {
        length--;
    }
    to[length] = '\0';
}

/* The code of `SEVERITY:  XXXXX: text`, or of `SEVERITY:  XXXXX` at the end of the line, or NULL. */
static const char *find_code(const char *line, size_t size)
{
    for (size_t at = 0; at + 3 + CODE_SIZE <= size; at++) {
        const char *code = line + at + 3;
        size_t length = 0;
        if (memcmp(line + at, ":  ", 3) != 0) {
            continue;
        }
        while (length < CODE_SIZE &&
               (isdigit((unsigned char)code[length]) || isupper((unsigned char)code[length]))) {
            length++;
        }
        bool is_end = at + 3 + CODE_SIZE == size;
        if (length == CODE_SIZE && (is_end || code[CODE_SIZE] == ':')) {
            return code;
        }
    }
    return NULL;
}

bool pg_failure_parse(const char *message, char sqlstate[PG_SQLSTATE_SIZE], char line[PG_TEXT_SIZE])
{
    sqlstate[0] = '\0';
    copy_line(line, PG_TEXT_SIZE, message, strcspn(message, "\n"));
    while (*message != '\0') {
        size_t size = strcspn(message, "\n");
        const char *code = find_code(message, size);
        if (code != NULL) {
            memcpy(sqlstate, code, CODE_SIZE);
            sqlstate[CODE_SIZE] = '\0';
            copy_line(line, PG_TEXT_SIZE, message, size);
            return true;
        }
        message += size + (message[size] == '\n' ? 1 : 0);
    }
    return false;
}

void pg_failure_set(struct pg_failure *failure, const char *text)
{
    *failure = (struct pg_failure){.is_lost = true, .class = SQLSTATE_OUTAGE};
    copy_line(failure->text, sizeof(failure->text), text, strlen(text));
}

void pg_failure_of_connection(struct pg_failure *failure, const struct pg_conn *native,
                              const char *otherwise)
{
    const char *message = PQerrorMessage(native);
    pg_failure_set(failure, otherwise);
    if (*message != '\0') {
        (void)pg_failure_parse(message, failure->sqlstate, failure->text); /* either is fine */
    }
    failure->class = sqlstate_classify(failure->sqlstate, failure->text);
    if (PQconnectionNeedsPassword(native) != 0) {
        failure->class = SQLSTATE_MISCONFIGURED; /* libpq's own refusal, without a code */
    }
}

/* --- what a server said of a query --- */

static const char *field(const PGresult *native, int code)
{
    const char *text = PQresultErrorField(native, code);
    return text != NULL ? text : "";
}

static bool is_class_of(const char *sqlstate, const char *const *classes)
{
    for (; *classes != NULL; classes++) {
        if (strncmp(sqlstate, *classes, 2) == 0) {
            return true;
        }
    }
    return false;
}

/* True where the primary message can quote no value of a row: classes whose messages name the server and
 * the schema, and no code of the user's had a part in it (RAISE may give any code to any text). */
static bool is_loggable(const PGresult *native, const char *sqlstate)
{
    static const char *const plain[] = {"08", "0A", "0L", "0P", "25", "26", "28", "3D", "3F",
                                        "40", "42", "53", "55", "57", "58", "XX", NULL};
    /* These have a context without any code of the user's: `while locking tuple (0,1)`. */
    static const char *const waiting[] = {"40", "55", "57", NULL};
    bool is_raised = strcmp(field(native, PG_DIAG_SOURCE_FUNCTION), "exec_stmt_raise") == 0;
    bool is_inside = *field(native, PG_DIAG_CONTEXT) != '\0' && !is_class_of(sqlstate, waiting);
    return is_class_of(sqlstate, plain) && !is_raised && !is_inside;
}

static void append_name(struct buffer *line, const char *what, const char *name)
{
    if (*name != '\0') {
        buffer_append_format(line, ", %s %s", what, name);
    }
}

static void name_objects(struct pg_failure *failure, const PGresult *native)
{
    struct buffer line = {0};
    buffer_append_string(&line, "refused");
    append_name(&line, "constraint", field(native, PG_DIAG_CONSTRAINT_NAME));
    append_name(&line, "table", field(native, PG_DIAG_TABLE_NAME));
    append_name(&line, "column", field(native, PG_DIAG_COLUMN_NAME));
    copy_line(failure->text, sizeof(failure->text), line.data, line.size);
    buffer_deinit(&line);
}

void pg_failure_of_result(struct pg_failure *failure, const struct pg_result *native)
{
    const char *sqlstate = field(native, PG_DIAG_SQLSTATE);
    const char *primary = field(native, PG_DIAG_MESSAGE_PRIMARY);
    const char *detail = field(native, PG_DIAG_MESSAGE_DETAIL);
    struct buffer line = {0};
    if (*primary == '\0') {
        primary = PQresultErrorMessage(native); /* libpq's own */
    }
    *failure = (struct pg_failure){.class = sqlstate_classify(sqlstate, primary)};
    copy_line(failure->sqlstate, sizeof(failure->sqlstate), sqlstate, strlen(sqlstate));
    const char *table = field(native, PG_DIAG_TABLE_NAME);
    copy_line(failure->table, sizeof(failure->table), table, strlen(table));
    buffer_append_string(&line, primary);
    if (*detail != '\0') {
        buffer_append_format(&line, ": %s", detail);
    }
    copy_line(failure->detail, sizeof(failure->detail), line.data != NULL ? line.data : "",
              line.size);
    buffer_deinit(&line);
    if (*sqlstate == '\0' || is_loggable(native, sqlstate)) {
        copy_line(failure->text, sizeof(failure->text), primary, strlen(primary));
    } else {
        name_objects(failure, native);
    }
}
