/*
 * Options: what stood on the command line behind the command's name.
 *
 * Ownership: texts are borrowed from argv; the settings are copies, which cli_options_deinit() frees: passwords in
 * them are masked in argv.
 */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "base/error.h"

struct cli_command;

/* Which options a command accepts. */
enum cli_option_bit {
    OPTION_CONFIG = 1 << 0, /* -c FILE and --set */
    OPTION_PRINT = 1 << 1,
    OPTION_CONNECT = 1 << 2,
    OPTION_DRY_RUN = 1 << 3,
    OPTION_JSON = 1 << 4,
    OPTION_FROM = 1 << 5,
    OPTION_COLLECTION = 1 << 6,
    OPTION_FOLLOW = 1 << 7,
    OPTION_REASON = 1 << 8,
    OPTION_SINCE = 1 << 9,
    OPTION_TO = 1 << 13,
    OPTION_WAIT = 1 << 10,
    OPTION_WATCH = 1 << 11,
    OPTION_CHECK = 1 << 12, /* --check, --live */
};

struct cli_options {
    const char *file; /* -c FILE; NULL: not given */
    char **set;       /* --set section.key=value, in order */
    size_t set_count;
    const char *from;       /* --from ID; NULL: not given */
    const char *to;         /* --to ID; NULL: not given */
    const char *collection; /* --collection NSID; NULL: not given */
    const char *reason;     /* --reason TEXT; NULL: not given */
    const char *since;      /* --since TIME; NULL: not given */
    char *const *arguments; /* what is no option, in order */
    size_t argument_count;
    bool is_help;
    bool should_print;
    bool should_connect;
    bool is_dry_run;
    bool is_json;
    bool should_watch;
    bool should_check;
    bool is_live;
    bool should_follow;
    bool should_wait;
};

/* `argv[0]` is the command's name. False where an option or a number of arguments is wrong; there is
 * then nothing to free. With --help nothing else is checked. */
bool cli_options_parse(struct cli_options *options, const struct cli_command *command, int argc,
                       char **argv, struct error *error) __attribute__((warn_unused_result));
void cli_options_deinit(struct cli_options *options);
/* The options of a command, a line each, for its help page. */
void cli_options_describe(const struct cli_command *command, struct buffer *out);

#endif
