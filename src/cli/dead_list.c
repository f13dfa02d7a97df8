#include "cli/dead.h"

#include <stdio.h>
#include <string.h>

#include <libpq-fe.h>

/* What came from outside may hold escape sequences: a terminal is told none of them. Control characters of one
 * byte, and those that UTF-8 says in two (U+0080 to U+009F). */
static void print_safely(const char *text)
{
    for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at++) {
        bool is_c1 = at[0] == 0xC2 && at[1] >= 0x80 && at[1] <= 0x9F;
        if (is_c1) {
            at++;
        }
        (void)fputc(is_c1 || *at < ' ' || *at == 0x7F ? '?' : *at, stdout);
    }
}

/* ---- list ---- */

/* PostgreSQL makes the JSON: it knows how to quote. */
static const char list_json[] =
    "WITH chosen AS (SELECT * FROM %s WHERE " DEAD_FILTER_SQL ")"
    " SELECT json_build_object('letters', (SELECT count(*) FROM chosen), 'groups',"
    " (SELECT coalesce(json_agg(g ORDER BY g.letters DESC, g.reason), '[]') FROM ("
    " SELECT reason, count(*) AS letters, sum(coalesce(octet_length(data), 0)"
    " + coalesce(octet_length(frame), 0)) AS bytes, min(created_at) AS oldest,"
    " max(created_at) AS newest, max(id) AS newest_id FROM chosen GROUP BY reason) AS g), 'newest',"
    " (SELECT coalesce(json_agg(n ORDER BY n.id DESC), '[]') FROM (SELECT id, created_at, reason,"
    " did, collection, rkey, epoch, seq, op FROM chosen ORDER BY id DESC LIMIT 20) AS n))";

static const char list_groups[] =
    "SELECT count(*), sum(coalesce(octet_length(data), 0) + coalesce(octet_length(frame), 0)),"
    " to_char(max(created_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), max(id),"
    " reason FROM %s WHERE " DEAD_FILTER_SQL " GROUP BY reason ORDER BY count(*) DESC, reason";

static const char list_newest[] =
    "SELECT id, to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), reason,"
    " concat_ws('/', did, collection, rkey) FROM %s WHERE " DEAD_FILTER_SQL
    " ORDER BY id DESC LIMIT 20";

static void print_cell(const char *text, int width)
{
    int padding = width - (int)strlen(text);
    print_safely(text);
    (void)printf("%*s", (padding > 0 ? padding : 0) + 2, "");
}

/* The last column is as wide as it is; the others are aligned. */
static void print_table(const PGresult *result, const char *const *heads, const int *widths)
{
    int last = PQnfields(result) - 1;
    for (int column = 0; column < last; column++) {
        print_cell(heads[column], widths[column]);
    }
    (void)puts(heads[last]);
    for (int row = 0; row < PQntuples(result); row++) {
        for (int column = 0; column < last; column++) {
            print_cell(PQgetvalue(result, row, column), widths[column]);
        }
        print_safely(PQgetvalue(result, row, last));
        (void)putchar('\n');
    }
}

static bool print_query(struct dead_job *job, const char *sql, const char *const *heads,
                        const int *widths, struct error *error)
{
    PGresult *result = dead_store_query(&job->store, sql, &job->filter, NULL, error);
    if (result == NULL) {
        return false;
    }
    if (heads == NULL) {
        (void)printf("%s\n", PQgetvalue(result, 0, 0));
    } else if (PQntuples(result) > 0) {
        print_table(result, heads, widths);
    } else {
        (void)puts("no dead letters");
    }
    PQclear(result);
    return true;
}

bool dead_list(struct dead_job *job, struct error *error)
{
    static const char *const group_heads[] = {"letters", "bytes", "newest", "newest ID", "reason"};
    static const int group_widths[] = {9, 12, 20, 10, 0};
    static const char *const newest_heads[] = {"ID", "time", "reason", "what"};
    static const int newest_widths[] = {9, 20, 24, 0};
    uint64_t count = 0;
    if (job->is_json) {
        return print_query(job, list_json, NULL, NULL, error);
    }
    if (!dead_store_count(&job->store, &job->filter, &count, error) ||
        !print_query(job, list_groups, group_heads, group_widths, error)) {
        return false;
    }
    if (count == 0) {
        return true;
    }
    (void)puts("\nthe newest:");
    return print_query(job, list_newest, newest_heads, newest_widths, error);
}

/* ---- show ---- */

#define SHOW_FIELDS                                                                                \
    "id, created_at, host, epoch, seq, op, reason, sqlstate, detail, did, collection, rkey, type," \
    " deliveries, letters, last_seq, cut_from, mirror_id, octet_length(frame) AS frame_bytes,"     \
    " encode(sha256(frame), 'hex') AS frame_sha256,"                                               \
    " translate(encode(frame, 'base64'), E'=\\n', '') AS frame, data"

static const char show_json[] =
    "SELECT row_to_json(l) FROM (SELECT " SHOW_FIELDS " FROM %s WHERE " DEAD_FILTER_SQL ") AS l";
static const char show_text[] = "SELECT " SHOW_FIELDS " FROM %s WHERE " DEAD_FILTER_SQL;

static void print_letter(const PGresult *result)
{
    for (int column = 0; column < PQnfields(result); column++) {
        if (PQgetisnull(result, 0, column) == 0) {
            (void)printf("%-13s ", PQfname(result, column));
            print_safely(PQgetvalue(result, 0, column));
            (void)putchar('\n');
        }
    }
}

bool dead_show(struct dead_job *job, struct error *error)
{
    const char *sql = job->is_json ? show_json : show_text;
    PGresult *result = dead_store_query(&job->store, sql, &job->filter, NULL, error);
    if (result == NULL) {
        return false;
    }
    bool is_there = PQntuples(result) == 1;
    if (!is_there) {
        error_set(error, ERROR_ROW, "%s: no such letter: `standpipe dead list` shows them",
                  job->filter.ids);
    } else if (job->is_json) {
        (void)printf("%s\n", PQgetvalue(result, 0, 0));
    } else {
        print_letter(result);
    }
    PQclear(result);
    return is_there;
}
