/*
 * Command line: one table of commands; each lives in a file of its own and is called with its
 * options parsed.
 *
 *   argv --cli_main--> [command table] --> options --> cli_<name>() --> exit code
 *
 * Ownership: options borrow from argv and live until the command returns.
 * Threading: the main thread, before any other is started.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "base/error.h"
#include "cli/options.h"
#include "config/config.h"

enum exit_code {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,       /* wrong usage or configuration */
    EXIT_UNREACHABLE = 3, /* a dependency could not be reached */
};

struct cli_command {
    const char *name;
    const char *synopsis; /* what follows the name in the usage line */
    const char *sentence;
    const char *details; /* for --help; may be NULL */
    unsigned accepted;   /* enum cli_option_bit, besides --help */
    size_t arguments_min;
    size_t arguments_max;
    int (*run)(const struct cli_options *options); /* returns the exit code */
};

/* Ends with an empty row. */
extern const struct cli_command cli_commands[];
/* NULL where there is none. */
const struct cli_command *cli_command_find(const char *name);

/* The whole program. */
int cli_main(int argc, char **argv);

/* Prints `standpipe: <what>: <error>` on stderr and returns the exit code of the error's kind. */
int cli_fail(const char *what, const struct error *error);
/* Where a configuration comes from, for config_load(): -c FILE (else the default file, where it
 * exists), the environment, --set. Kept by a daemon that reads it again. */
void cli_config_arguments(const struct cli_options *options, struct config_arguments *arguments);
/* Loads it. On failure it has been printed, and `config` needs no deinit. */
bool cli_load_config(const struct cli_options *options, struct config *config)
    __attribute__((warn_unused_result));
/* Flushes standard output; EXIT_FAILED, and said, where what was printed did not get through. */
int cli_finish_output(int exit_code);

int cli_run(const struct cli_options *options);
int cli_check_config(const struct cli_options *options);
int cli_migrate(const struct cli_options *options);
int cli_dead(const struct cli_options *options);
int cli_replay(const struct cli_options *options);
int cli_cursor(const struct cli_options *options);
int cli_rebuild(const struct cli_options *options);
int cli_status(const struct cli_options *options);
int cli_tail(const struct cli_options *options);
int cli_reload(const struct cli_options *options);
int cli_decode(const struct cli_options *options);
int cli_version(const struct cli_options *options);
int cli_help(const struct cli_options *options);

/* The usage of all commands, and the page of one. */
void help_append_usage(struct buffer *out);
/* standpipe(1), as the source of a manual page. */
void help_append_manual(struct buffer *out);
void help_append_command(const struct cli_command *command, struct buffer *out);

#endif
