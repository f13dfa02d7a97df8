#include "cli/options.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "base/panic.h"
#include "cli/cli.h"
#include "config/urls.h"

enum {
    OPTION_NONE = 0
};

enum value_type {
    VALUE_NONE,
    VALUE_TEXT,
    VALUE_LIST
};

static const struct option_row {
    const char *name;
    const char *value_name; /* for help; NULL: takes none */
    const char *sentence;
    unsigned bit; /* OPTION_NONE: every command takes it */
    enum value_type type;
    int letter; /* also what getopt_long() returns */
    size_t offset;
} rows[] = {
    {"config", "FILE", "the configuration file", OPTION_CONFIG, VALUE_TEXT, 'c',
     offsetof(struct cli_options, file)},
    {"set", "SECTION.KEY=VALUE", "sets one key; may be repeated", OPTION_CONFIG, VALUE_LIST, 's',
     offsetof(struct cli_options, set)},
    {"print", NULL, "every key, its value and where it came from; secrets masked", OPTION_PRINT,
     VALUE_NONE, 'p', offsetof(struct cli_options, should_print)},
    {"connect", NULL, "also reach the relay, Redis and PostgreSQL", OPTION_CONNECT, VALUE_NONE, 'C',
     offsetof(struct cli_options, should_connect)},
    {"dry-run", NULL, "say what would be done and change nothing", OPTION_DRY_RUN, VALUE_NONE, 'n',
     offsetof(struct cli_options, is_dry_run)},
    {"json", NULL, "print JSON", OPTION_JSON, VALUE_NONE, 'j',
     offsetof(struct cli_options, is_json)},
    {"from", "ID", "the first entry", OPTION_FROM, VALUE_TEXT, 'f',
     offsetof(struct cli_options, from)},
    {"to", "ID", "the last entry", OPTION_TO, VALUE_TEXT, 't', offsetof(struct cli_options, to)},
    {"collection", "NSID", "only operations on this collection", OPTION_COLLECTION, VALUE_TEXT, 'o',
     offsetof(struct cli_options, collection)},
    {"reason", "TEXT", "only letters of this reason", OPTION_REASON, VALUE_TEXT, 'r',
     offsetof(struct cli_options, reason)},
    {"since", "TIME", "only what came since: RFC 3339, or how long ago (30m, 1h, 7d)", OPTION_SINCE,
     VALUE_TEXT, 'S', offsetof(struct cli_options, since)},
    {"wait", NULL, "wait for the verdict and print it", OPTION_WAIT, VALUE_NONE, 'w',
     offsetof(struct cli_options, should_wait)},
    {"watch", NULL, "redraw every second, with how it went of late; q leaves", OPTION_WATCH,
     VALUE_NONE, 'W', offsetof(struct cli_options, should_watch)},
    {"check", NULL, "one line, and 0 where it is ready", OPTION_CHECK, VALUE_NONE, 'k',
     offsetof(struct cli_options, should_check)},
    {"live", NULL, "with --check: ask whether it is alive, not whether it is ready", OPTION_CHECK,
     VALUE_NONE, 'l', offsetof(struct cli_options, is_live)},
    {"follow", NULL, "wait for more at the end", OPTION_FOLLOW, VALUE_NONE, 'F',
     offsetof(struct cli_options, should_follow)},
    {"help", NULL, "this page", OPTION_NONE, VALUE_NONE, 'h',
     offsetof(struct cli_options, is_help)},
};
enum {
    ROW_COUNT = sizeof(rows) / sizeof(rows[0])
};

static bool is_accepted(const struct option_row *row, const struct cli_command *command)
{
    return row->bit == OPTION_NONE || (row->bit & command->accepted) != 0;
}

/* Only what the command accepts is told to getopt_long(), so all else is unknown to it. */
static void fill_long_options(struct option *options, const struct cli_command *command)
{
    size_t count = 0;
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (is_accepted(&rows[i], command)) {
            options[count++] = (struct option){
                .name = rows[i].name,
                .has_arg = rows[i].type == VALUE_NONE ? no_argument : required_argument,
                .val = rows[i].letter};
        }
    }
    options[count] = (struct option){0};
}

/* A copy. What may be a password is overwritten in argv, where ps(1) and /proc/PID/cmdline show it. */
static char *take_setting(char *value)
{
    char *copy = memory_copy_string(value);
    char *text = strchr(value, '=');
    if (text == NULL) {
        return copy;
    }
    size_t size = strlen(++text);
    struct buffer masked = {0};
    url_mask(slice_of(text, size), &masked);
    if (!slice_equals(buffer_slice(&masked), slice_of(text, size))) {
        memset(text, ' ', size);
        memcpy(text, masked.data, masked.size < size ? masked.size : size);
    }
    buffer_deinit(&masked);
    return copy;
}

static void store(struct cli_options *options, int letter, char *value)
{
    for (size_t i = 0; i < ROW_COUNT; i++) {
        char *field = (char *)options + rows[i].offset;
        if (rows[i].letter != letter) {
            continue;
        }
        switch (rows[i].type) {
        case VALUE_NONE:
            *(bool *)field = true;
            return;
        case VALUE_TEXT:
            *(const char **)(void *)field = value;
            return;
        case VALUE_LIST:
            options->set[options->set_count++] = take_setting(value);
            return;
        }
    }
}

static bool refuse(struct error *error, const struct cli_command *command, const char *what,
                   const char *why)
{
    error_set(error, ERROR_USAGE, "%s: %s: see `standpipe %s --help`", what, why, command->name);
    return false;
}

static bool read_options(struct cli_options *options, const struct cli_command *command, int argc,
                         char **argv, struct error *error)
{
    struct option long_options[ROW_COUNT + 1];
    const char *letters = (command->accepted & OPTION_CONFIG) != 0 ? ":c:h" : ":h";
    int letter = 0;
    fill_long_options(long_options, command);
    opterr = 0;
    optind = 0; /* glibc: start over */
    // NOLINTNEXTLINE(concurrency-mt-unsafe): the main thread, before any other
    while ((letter = getopt_long(argc, argv, letters, long_options, NULL)) != -1) {
        if (letter == ':') {
            return refuse(error, command, argv[optind - 1], "a value is missing");
        }
        if (letter == '?') {
            return refuse(error, command, argv[optind - 1], "this option is unknown");
        }
        store(options, letter, optarg);
    }
    options->arguments = argv + optind;
    options->argument_count = (size_t)(argc - optind);
    return true;
}

static bool check_count(const struct cli_options *options, const struct cli_command *command,
                        struct error *error)
{
    if (options->is_help) {
        return true;
    }
    if (options->argument_count > command->arguments_max) {
        return refuse(error, command, options->arguments[command->arguments_max],
                      "one argument too many");
    }
    if (options->argument_count < command->arguments_min) {
        return refuse(error, command, command->synopsis, "an argument is missing");
    }
    return true;
}

bool cli_options_parse(struct cli_options *options, const struct cli_command *command, int argc,
                       char **argv, struct error *error)
{
    *options = (struct cli_options){0};
    options->set = memory_allocate((size_t)argc * sizeof(*options->set));
    if (read_options(options, command, argc, argv, error) && check_count(options, command, error)) {
        return true;
    }
    cli_options_deinit(options);
    return false;
}

void cli_options_deinit(struct cli_options *options)
{
    for (size_t i = 0; i < options->set_count; i++) {
        free(options->set[i]);
    }
    free(options->set);
    *options = (struct cli_options){0};
}

static void append_option(struct buffer *out, const struct option_row *row)
{
    size_t start = out->size;
    enum {
        SENTENCE_COLUMN = 32
    };
    bool has_letter = row->letter == 'c' || row->letter == 'h';
    if (has_letter) {
        buffer_append_format(out, "  -%c, --%s", row->letter, row->name);
    } else {
        buffer_append_format(out, "      --%s", row->name);
    }
    if (row->value_name != NULL) {
        buffer_append_format(out, " %s", row->value_name);
    }
    do {
        buffer_append_byte(out, ' ');
    } while (out->size - start < SENTENCE_COLUMN);
    buffer_append_format(out, "%s\n", row->sentence);
}

void cli_options_describe(const struct cli_command *command, struct buffer *out)
{
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (is_accepted(&rows[i], command)) {
            append_option(out, &rows[i]);
        }
    }
}
