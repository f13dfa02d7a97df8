/* Typed tables and counts anew, out of what is in PostgreSQL. */
#include "cli/rebuild.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/panic.h"
#include "cli/cli.h"

#include <libpq-fe.h>

enum {
    BAR_WIDTH = 30,
    SHOW_TERMINAL_US = 200 * 1000,
    SHOW_LOG_US = 5 * 1000 * 1000,
    REST_MAX_US = 1000 * 1000,
    SECOND_US = 1000 * 1000,
};

/* --- what both kinds need --- */

bool rebuild_do(struct rebuild *rebuild, const char *sql, const char *const *values,
                struct error *error)
{
    PGresult *result = sql_client_query(&rebuild->client, sql, values, error);
    PQclear(result);
    return result != NULL;
}

bool rebuild_ask_number(struct rebuild *rebuild, const char *sql, const char *const *values,
                        uint64_t *number, struct error *error)
{
    PGresult *result = sql_client_query(&rebuild->client, sql, values, error);
    if (result == NULL) {
        return false;
    }
    *number = PQntuples(result) > 0 ? strtoull(PQgetvalue(result, 0, 0), NULL, 10) : 0;
    PQclear(result);
    return true;
}

static void take_text(struct buffer *out, const PGresult *result, int column)
{
    buffer_clear(out);
    buffer_append_string(out, PQgetvalue(result, 0, column));
    buffer_append_byte(out, '\0');
}

bool rebuild_load(struct rebuild *rebuild, struct buffer *first, struct buffer *second,
                  struct error *error)
{
    PGresult *result =
        sql_client_query(&rebuild->client,
                         "SELECT coalesce(rebuild->>'first', ''), coalesce(rebuild->>'second', ''),"
                         " rebuild->>'first' IS NOT NULL, description FROM standpipe_tables"
                         " WHERE name = $1",
                         (const char *[]){rebuild->name, NULL}, error);
    if (result == NULL) {
        return false;
    }
    bool is_known = PQntuples(result) == 1;
    if (is_known) {
        take_text(first, result, 0);
        take_text(second, result, 1);
        rebuild->is_resumed = *PQgetvalue(result, 0, 2) == 't';
        take_text(&rebuild->description, result, 3);
    } else {
        error_set(error, ERROR_REFUSED,
                  "%s: PostgreSQL has no such table of ours: run `standpipe migrate`",
                  rebuild->name);
    }
    PQclear(result);
    return is_known;
}

/* A migration may give the table another description meanwhile, by which it begins anew: what we have done by the old one is
 * then neither half of it nor all of it. */
static bool change_book(struct rebuild *rebuild, const char *sql, const char *const *values,
                        struct error *error)
{
    PGresult *result = sql_client_query(&rebuild->client, sql, values, error);
    if (result == NULL) {
        return false;
    }
    bool is_same = strcmp(PQcmdTuples(result), "1") == 0;
    PQclear(result);
    if (!is_same) {
        error_set(error, ERROR_REFUSED,
                  "%s: `standpipe migrate` changed its description meanwhile: run "
                  "`standpipe rebuild` again, with the new one",
                  rebuild->name);
    }
    return is_same;
}

bool rebuild_save(struct rebuild *rebuild, const char *first, const char *second,
                  struct error *error)
{
    return change_book(
        rebuild,
        "UPDATE standpipe_tables SET rebuild = jsonb_build_object('first',"
        " $3::text, 'second', $4::text), updated_at = now()"
        " WHERE name = $1 AND description = $2",
        (const char *[]){rebuild->name, rebuild->description.data, first, second, NULL}, error);
}

bool rebuild_doubt(struct rebuild *rebuild, const char *name, struct error *error)
{
    return rebuild_do(rebuild,
                      "UPDATE standpipe_tables SET rebuild = NULL, filled = false,"
                      " updated_at = now() WHERE name = $1",
                      (const char *[]){name, NULL}, error);
}

bool rebuild_finish(struct rebuild *rebuild, struct error *error)
{
    return change_book(rebuild,
                       "UPDATE standpipe_tables SET rebuild = NULL, filled = true,"
                       " updated_at = now() WHERE name = $1 AND description = $2",
                       (const char *[]){rebuild->name, rebuild->description.data, NULL}, error);
}

/* --- progress --- */

static uint64_t seconds_left(const struct rebuild *rebuild, uint64_t rate)
{
    uint64_t left = rebuild->total > rebuild->done ? rebuild->total - rebuild->done : 0;
    return rate > 0 ? left / rate : 0;
}

static uint64_t rate_of(const struct rebuild *rebuild)
{
    uint64_t took_us = clock_monotonic_us() - rebuild->started_us;
    return took_us > 0 ? (rebuild->done - rebuild->resumed_from) * SECOND_US / took_us : 0;
}

static void show_bar(const struct rebuild *rebuild, unsigned percent, uint64_t rate)
{
    char bar[BAR_WIDTH + 1];
    size_t filled = (size_t)percent * BAR_WIDTH / 100;
    memset(bar, '.', BAR_WIDTH);
    memset(bar, '#', filled);
    bar[BAR_WIDTH] = '\0';
    uint64_t left = seconds_left(rebuild, rate);
    (void)fprintf(stderr,
                  "\r%s [%s] %3u %%  %" PRIu64 " of %" PRIu64 "  %" PRIu64 "/s  %" PRIu64
                  ":%02" PRIu64 " left \x1b[K",
                  rebuild->name, bar, percent, rebuild->done, rebuild->total, rate, left / 60,
                  left % 60);
}

/* On a terminal a bar, elsewhere a line now and then. */
static void show(struct rebuild *rebuild, bool is_end)
{
    bool is_terminal = isatty(STDERR_FILENO) != 0;
    uint64_t now_us = clock_monotonic_us();
    if (!is_end && now_us - rebuild->shown_us < (is_terminal ? SHOW_TERMINAL_US : SHOW_LOG_US)) {
        return;
    }
    rebuild->shown_us = now_us;
    uint64_t of = rebuild->total > rebuild->done ? rebuild->total : rebuild->done;
    unsigned percent = of > 0 ? (unsigned)(rebuild->done * 100 / of) : 100;
    uint64_t rate = rate_of(rebuild);
    if (is_terminal) {
        show_bar(rebuild, percent, rate);
        (void)fputs(is_end ? "\n" : "", stderr);
    } else if (!is_end) {
        (void)fprintf(stderr, "%s: %" PRIu64 " of %" PRIu64 " (%u %%), %" PRIu64 "/s\n",
                      rebuild->name, rebuild->done, rebuild->total, percent, rate);
    }
}

void rebuild_begin_chunk(struct rebuild *rebuild)
{
    rebuild->chunk_us = clock_monotonic_us();
}

/* Half of the time PostgreSQL is the daemon's alone. */
void rebuild_end_chunk(struct rebuild *rebuild)
{
    uint64_t took_us = clock_monotonic_us() - rebuild->chunk_us;
    show(rebuild, false);
    (void)usleep((useconds_t)(took_us < REST_MAX_US ? took_us : REST_MAX_US));
}

/* --- the command --- */

/* One at a time: a second one would count the first one's rows as its own. */
static bool take_lock(struct rebuild *rebuild, struct error *error)
{
    uint64_t is_ours = 0;
    if (!rebuild_ask_number(rebuild, "SELECT pg_try_advisory_lock(6076279138282)::int", NULL,
                            &is_ours, error)) {
        return false;
    }
    if (is_ours == 0) {
        error_set(error, ERROR_REFUSED,
                  "another `standpipe rebuild` is at work: wait for its end, or stop it");
    }
    return is_ours != 0;
}

static bool set_up(struct rebuild *rebuild, struct error *error)
{
    return rebuild_do(rebuild,
                      "SELECT set_config('search_path', $1, false),"
                      " set_config('statement_timeout', '0', false),"
                      " set_config('synchronous_commit', 'on', false)",
                      (const char *[]){rebuild->client.schema, NULL}, error) &&
           take_lock(rebuild, error);
}

static void begin_one(struct rebuild *rebuild)
{
    rebuild->done = rebuild->total = rebuild->made = 0;
    rebuild->gone = rebuild->refused = rebuild->resumed_from = 0;
    rebuild->started_us = rebuild->shown_us = clock_monotonic_us();
}

static void tell_rows(const struct rebuild *rebuild)
{
    (void)printf("%s: %" PRIu64 " rows made, %" PRIu64 " without a record removed, %" PRIu64
                 " refused",
                 rebuild->name, rebuild->made, rebuild->gone, rebuild->refused);
    if (rebuild->resumed_from > 0) {
        (void)printf(", %" PRIu64 " were done before", rebuild->resumed_from);
    }
    (void)printf("\n");
}

static bool is_meant(const struct cli_options *options, const char *name)
{
    for (size_t i = 0; i < options->argument_count; i++) {
        if (strcmp(options->arguments[i], name) == 0 || strcmp(options->arguments[i], "all") == 0) {
            return true;
        }
    }
    return false;
}

static bool run_tables(struct rebuild *rebuild, const struct cli_options *options,
                       struct error *error)
{
    const struct tables *tables = rebuild->plan->tables;
    for (size_t i = 0; i < tables->count; i++) {
        if (!is_meant(options, tables->items[i].name)) {
            continue;
        }
        begin_one(rebuild);
        if (!rebuild_rows(rebuild, i, error)) {
            return false;
        }
        show(rebuild, true);
        tell_rows(rebuild);
    }
    return true;
}

/* Whether it was named, or counts a table that was. */
static bool is_meant_to_count(const struct rebuild *rebuild, const struct cli_options *options,
                              size_t count_table)
{
    const struct tables *tables = rebuild->plan->tables;
    bool is_found = is_meant(options, tables->count_tables[count_table].name);
    for (size_t i = 0; i < tables->count; i++) {
        is_found = is_found || (table_plan_feeds(rebuild->plan, i, count_table) &&
                                is_meant(options, tables->items[i].name));
    }
    return is_found;
}

static bool run_counts(struct rebuild *rebuild, const struct cli_options *options,
                       struct error *error)
{
    for (size_t i = 0; i < rebuild->plan->tables->count_table_count; i++) {
        if (!is_meant_to_count(rebuild, options, i)) {
            continue;
        }
        begin_one(rebuild);
        if (!rebuild_counts(rebuild, i, error)) {
            return false;
        }
        show(rebuild, true);
        (void)printf("%s: %" PRIu64 " keys counted, %" PRIu64 " changed\n", rebuild->name,
                     rebuild->total, rebuild->made);
    }
    return true;
}

/* Tables first: counts are made of them. */
static bool run_all(struct rebuild *rebuild, const struct cli_options *options, struct error *error)
{
    return run_tables(rebuild, options, error) && run_counts(rebuild, options, error);
}

static bool is_known(const struct tables *tables, const char *name)
{
    bool is_found = strcmp(name, "all") == 0;
    for (size_t i = 0; i < tables->count; i++) {
        is_found = is_found || strcmp(tables->items[i].name, name) == 0;
    }
    for (size_t i = 0; i < tables->count_table_count; i++) {
        is_found = is_found || strcmp(tables->count_tables[i].name, name) == 0;
    }
    return is_found;
}

static bool check_names(const struct tables *tables, const struct cli_options *options,
                        struct error *error)
{
    for (size_t i = 0; i < options->argument_count; i++) {
        if (!is_known(tables, options->arguments[i])) {
            error_set(error, ERROR_USAGE,
                      "%.100s: no such table: give a table or a table of counts of "
                      "postgres.tables_file, or `all`",
                      options->arguments[i]);
            return false;
        }
    }
    return true;
}

static bool run_rebuild(struct rebuild *rebuild, const struct cli_options *options,
                        struct error *error)
{
    if (!sql_client_open(&rebuild->client, rebuild->config, error)) {
        return false;
    }
    rebuild->plan = table_plan_create(rebuild->config->tables);
    rebuild->rows = table_rows_create(rebuild->plan);
    bool is_done = set_up(rebuild, error) && run_all(rebuild, options, error);
    table_rows_destroy(rebuild->rows);
    table_plan_destroy(rebuild->plan);
    arena_deinit(&rebuild->arena);
    buffer_deinit(&rebuild->description);
    sql_client_close(&rebuild->client);
    return is_done;
}

int cli_rebuild(const struct cli_options *options)
{
    struct config config;
    struct error error = {0};
    if (!cli_load_config(options, &config)) {
        return EXIT_USAGE;
    }
    struct rebuild rebuild = {.config = &config};
    bool is_done = check_names(config.tables, options, &error) &&
                   (config.tables->count == 0 || run_rebuild(&rebuild, options, &error));
    config_deinit(&config);
    return is_done ? cli_finish_output(EXIT_DONE) : cli_fail("rebuild", &error);
}
