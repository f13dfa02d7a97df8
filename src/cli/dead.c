/* Dead letters: looks at them, tries them again, lets them go. */
#include "cli/dead.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "atproto/event_time.h"
#include "base/clock.h"
#include "base/log.h"
#include "cli/cli.h"
#include "config/text.h"

enum {
    DIGITS_MAX = 18
};

static const struct dead_word {
    const char *name;
    bool (*run)(struct dead_job *job, struct error *error);
    size_t ids_min, ids_max;
    bool needs_choice; /* IDs or a filter: never all letters by a slip */
} words[] = {
    {.name = "list", .run = dead_list},
    {.name = "show", .run = dead_show, .ids_min = 1, .ids_max = 1},
    {.name = "retry", .run = dead_retry, .ids_max = SIZE_MAX},
    {.name = "drop", .run = dead_drop, .ids_max = SIZE_MAX, .needs_choice = true},
};

static const struct dead_word *find_word(const char *name, struct error *error)
{
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(words[i].name, name) == 0) {
            return &words[i];
        }
    }
    error_set(error, ERROR_USAGE, "%.100s: no such word: give list, show, retry or drop", name);
    return NULL;
}

/* ---- what is meant ---- */

static bool is_id(const char *text)
{
    size_t digits = strspn(text, "0123456789");
    return digits > 0 && digits <= DIGITS_MAX && text[digits] == '\0';
}

/* `{1,2}`; nothing where none is given. */
static bool read_ids(const struct cli_options *options, struct buffer *ids, struct error *error)
{
    for (size_t i = 1; i < options->argument_count; i++) {
        const char *id = options->arguments[i];
        if (!is_id(id)) {
            error_set(error, ERROR_USAGE,
                      "%.100s: not a letter's ID: `standpipe dead list` shows them", id);
            return false;
        }
        buffer_append_format(ids, "%s%s", i == 1 ? "{" : ",", id);
    }
    if (ids->size > 0) {
        buffer_append_byte(ids, '}');
        buffer_append_byte(ids, '\0');
    }
    return true;
}

/* A time, or how long ago: 90s, 30m, 1h, 7d. */
static bool read_since(const char *text, char since[CLOCK_RFC3339_SIZE], struct error *error)
{
    static const struct {
        char letter;
        int64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    const int64_t us_per_second = 1000000;
    int64_t time_us = event_time_parse(slice_from_string(text));
    size_t digits = strspn(text, "0123456789");
    bool is_span = digits > 0 && digits <= 6 && strlen(text) == digits + 1;
    for (size_t i = 0; is_span && i < sizeof(units) / sizeof(units[0]); i++) {
        if (text[digits] == units[i].letter) {
            time_us = clock_wall_us() - strtoll(text, NULL, 10) * units[i].seconds * us_per_second;
        }
    }
    if (time_us == TIME_UNKNOWN) {
        error_set(error, ERROR_USAGE,
                  "--since %.100s: not a time: give RFC 3339, or how long ago (30m, 1h, 7d)", text);
        return false;
    }
    clock_format_rfc3339(time_us > 0 ? time_us : 0, since);
    return true;
}

static bool check_word(const struct dead_word *word, const struct cli_options *options,
                       struct error *error)
{
    size_t ids = options->argument_count - 1;
    bool has_filter =
        options->reason != NULL || options->collection != NULL || options->since != NULL;
    if (ids > word->ids_max) {
        error_set(error, ERROR_USAGE, "%s: %.100s: one argument too many", word->name,
                  options->arguments[1 + word->ids_max]);
        return false;
    }
    if (ids < word->ids_min || (word->needs_choice && ids == 0 && !has_filter)) {
        error_set(error, ERROR_USAGE, "%s: which letters: give IDs%s", word->name,
                  word->needs_choice ? ", or --reason, --collection, --since" : "");
        return false;
    }
    return true;
}

/* ---- the job ---- */

static bool run_job(const struct dead_word *word, struct dead_job *job, struct error *error)
{
    if (!dead_store_open(&job->store, job->config, error)) {
        return false;
    }
    bool is_done = word->run(job, error);
    dead_store_close(&job->store);
    return is_done;
}

static int run_word(const struct dead_word *word, const struct cli_options *options,
                    const struct dead_filter *filter)
{
    struct config config;
    struct error error;
    if (!cli_load_config(options, &config)) {
        return EXIT_USAGE;
    }
    struct dead_job job = {
        .config = &config,
        .filter = *filter,
        .id_count = options->argument_count - 1,
        .is_json = options->is_json,
        .is_dry_run = options->is_dry_run,
    };
    log_configure(LOG_LEVEL_ERROR, config.log.format); /* stderr is the command's own */
    (void)signal(SIGPIPE, SIG_IGN);
    int code = EXIT_DONE;
    if (!run_job(word, &job, &error)) {
        code = cli_fail("dead", &error);
    } else if (job.is_failed) {
        code = EXIT_FAILED;
    }
    config_deinit(&config);
    return cli_finish_output(code);
}

int cli_dead(const struct cli_options *options)
{
    struct error error;
    char since[CLOCK_RFC3339_SIZE];
    struct buffer ids = {0};
    const struct dead_word *word = find_word(options->arguments[0], &error);
    int code = EXIT_USAGE;
    if (word == NULL || !check_word(word, options, &error) || !read_ids(options, &ids, &error) ||
        (options->since != NULL && !read_since(options->since, since, &error))) {
        code = cli_fail("dead", &error);
    } else {
        const struct dead_filter filter = {.ids = ids.data,
                                           .reason = options->reason,
                                           .collection = options->collection,
                                           .since = options->since != NULL ? since : NULL};
        code = run_word(word, options, &filter);
    }
    buffer_deinit(&ids);
    return code;
}
