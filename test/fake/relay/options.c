#include "options.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum option_type {
    OPTION_FLAG,
    OPTION_TEXT,
    OPTION_NUMBER,
    OPTION_FLAG_OR_NUMBER /* --name is `usual`, --name=N is N */
};

static const struct {
    const char *name;
    enum option_type type;
    size_t offset;
    int64_t initial; /* numbers */
    int64_t most;
    int64_t usual;
    const char *help;
} table[] = {
#define FLAG(name, member, help)                                                                   \
    {                                                                                              \
        name, OPTION_FLAG, offsetof(struct options, member), 0, 0, 0, help                         \
    }
#define TEXT(name, member, help)                                                                   \
    {                                                                                              \
        name, OPTION_TEXT, offsetof(struct options, member), 0, 0, 0, help                         \
    }
#define NUMBER(name, member, initial, most, help)                                                  \
    {                                                                                              \
        name, OPTION_NUMBER, offsetof(struct options, member), initial, most, 0, help              \
    }
#define EITHER(name, member, most, usual, help)                                                    \
    {                                                                                              \
        name, OPTION_FLAG_OR_NUMBER, offsetof(struct options, member), 0, most, usual, help        \
    }
    FLAG("--help", help, "this page"),
    TEXT("--file", file, "serve the frames of this file: [u32 little-endian length][frame]..."),
    NUMBER("--generate", generate, -1, 1000000000, "make so many frames; 0: endless"),
    NUMBER("--seed", seed, 1, INT64_MAX, "of the history and of the misbehaviour"),
    NUMBER("--repos", repos, 0, 1000000, "accounts; 0: a 200th of the frames, 20 to 10,000"),
    NUMBER("--frame-bytes", frame_bytes, 5400, 1000000, "of a commit, on average"),
    NUMBER("--first-seq", first_sequence, 1, (int64_t)1 << 52, "sequence of the first frame"),
    NUMBER("--base-time", base_time_ms, 1767225600000, (int64_t)1 << 42,
           "milliseconds since 1970 before the first frame; 0: now"),
    NUMBER("--window", window, 20000, 10000000, "frames that an endless history can replay"),
    TEXT("--write", write, "keep the frames in this file; ends there without --listen"),
    TEXT("--truth", truth, "write what a correct consumer ends up with, as JSON lines"),
    TEXT("--listen", listen, "ADDRESS:PORT; port 0: any free one"),
    TEXT("--tls-cert", tls_cert, "PEM; with --tls-key: wss"),
    TEXT("--tls-key", tls_key, "PEM"),
    NUMBER("--rate", rate, 0, 10000000, "frames released a second; 0: as fast as they are read"),
    TEXT("--clock-file", clock_file, "endless: go on here where the last run stopped"),
    TEXT("--release-log", release_log, "with --rate: when frames were let out, line by line"),
    FLAG("--cursor-inclusive", cursor_inclusive, "start at the cursor, not after it"),
    FLAG("--exit-when-done", exit_when_done, "close and end once a client has had every frame"),
    NUMBER("--ping-interval-ms", ping_interval_ms, 10000, 3600000, "pings to each client"),
    NUMBER("--drop-after", drop_after, -1, INT64_MAX, "frames, then close the socket"),
    NUMBER("--reset-after", reset_after, -1, INT64_MAX, "frames, then RST"),
    NUMBER("--stall-after", stall_after, -1, INT64_MAX, "frames, then silence on an open socket"),
    NUMBER("--half-frame-after", half_frame_after, -1, INT64_MAX,
           "frames, then half of one and close"),
    NUMBER("--regress-after", regress_after, -1, INT64_MAX,
           "frames, then sequences start at 1; once, for all clients"),
    NUMBER("--error-after", error_after, 0, INT64_MAX, "frames before --error-frame"),
    TEXT("--error-frame", error_frame, "NAME of an error frame, then close"),
    NUMBER("--duplicate", duplicate, 0, 1000, "per mille of frames sent twice"),
    NUMBER("--garbage", garbage, 0, 1000, "per mille: garbage before a frame"),
    EITHER("--text-frames", text_frames, 1000, 10, "per mille: a text message before a frame"),
    EITHER("--ping-flood", ping_flood, 1000, 10, "pings before each frame"),
    NUMBER("--reconnect-replay", reconnect_replay, 0, INT64_MAX,
           "frames before the cursor, from the second connection on"),
    FLAG("--slow-bytes", slow_bytes, "one byte a write"),
#undef FLAG
#undef TEXT
#undef NUMBER
#undef EITHER
};
enum {
    OPTION_COUNT = sizeof(table) / sizeof(table[0]),
    NO_OPTION = OPTION_COUNT
};

static void set_initial(struct options *options)
{
    *options = (struct options){0};
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (table[i].type == OPTION_NUMBER) {
            *(int64_t *)(void *)((char *)options + table[i].offset) = table[i].initial;
        }
    }
}

static size_t find_option(const char *argument)
{
    size_t size = strcspn(argument, "=");
    size_t i = 0;
    while (i < OPTION_COUNT &&
           (strlen(table[i].name) != size || strncmp(table[i].name, argument, size) != 0)) {
        i++;
    }
    return i;
}

static bool set_number(void *target, size_t option, const char *text, struct error *error)
{
    char *end = NULL;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (errno == 0 && end != text && *end == '\0' && number >= 0 && number <= table[option].most) {
        *(int64_t *)target = number;
        return true;
    }
    error_set(error, ERROR_USAGE, "%s %s: expected a number from 0 to %lld", table[option].name,
              text, (long long)table[option].most);
    return false;
}

/* `value` is what stands behind `=`, or NULL. */
static bool set_option(struct options *options, size_t option, const char *value,
                       struct error *error)
{
    void *target = (char *)options + table[option].offset;
    switch (table[option].type) {
    case OPTION_FLAG:
        *(bool *)target = true;
        return true;
    case OPTION_TEXT:
        *(const char **)target = value;
        return true;
    case OPTION_NUMBER:
        return set_number(target, option, value, error);
    case OPTION_FLAG_OR_NUMBER:
        if (value != NULL) {
            return set_number(target, option, value, error);
        }
        *(int64_t *)target = table[option].usual;
        return true;
    }
    return false;
}

static bool check_options(const struct options *options, struct error *error)
{
    const char *problem = NULL;
    if ((options->file == NULL) == (options->generate < 0)) {
        problem = "one of --file and --generate is needed";
    } else if (options->generate == 0 && (options->write != NULL || options->truth != NULL)) {
        problem = "an endless history has no --write and no --truth";
    } else if (options->clock_file != NULL && (options->generate != 0 || options->rate == 0)) {
        problem = "--clock-file belongs to --generate 0 and --rate";
    } else if ((options->tls_cert == NULL) != (options->tls_key == NULL)) {
        problem = "--tls-cert and --tls-key go together";
    } else if (options->window < 1 || options->first_sequence < 1) {
        problem = "--window and --first-seq are at least 1";
    }
    if (problem != NULL) {
        error_set(error, ERROR_USAGE, "%s; --help names them all", problem);
    }
    return problem == NULL;
}

bool options_parse(struct options *options, int argc, char **argv, struct error *error)
{
    set_initial(options);
    for (int i = 1; i < argc; i++) {
        size_t option = find_option(argv[i]);
        if (option == NO_OPTION) {
            error_set(error, ERROR_USAGE, "%s: no such option; --help names them all", argv[i]);
            return false;
        }
        const char *value = strchr(argv[i], '=');
        bool needs_value = table[option].type == OPTION_TEXT || table[option].type == OPTION_NUMBER;
        if (value != NULL) {
            value++;
        } else if (needs_value && i + 1 < argc) {
            value = argv[++i];
        }
        if (needs_value && value == NULL) {
            error_set(error, ERROR_USAGE, "%s: expected a value", table[option].name);
            return false;
        }
        if (!set_option(options, option, value, error)) {
            return false;
        }
    }
    return options->help || check_options(options, error);
}

void options_print_help(void)
{
    (void)printf("standpipe-relay: a relay to test against, well behaved or not\n\n");
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        (void)printf("  %-20s %s\n", table[i].name, table[i].help);
    }
}
