#include "cli/cli.h"

#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "config/tables.h"

static const char default_file[] = "/etc/standpipe/standpipe.conf";

const struct cli_command cli_commands[] = {
    {.name = "run",
     .synopsis = "[-c FILE] [--set section.key=value]...",
     .sentence = "the daemon: relay to Redis Stream to PostgreSQL",
     .details =
         "SIGHUP reads the configuration again; SIGTERM and SIGINT finish what is in flight\n"
         "and leave; a second one leaves at once; SIGUSR1 logs the state of every worker.\n",
     .accepted = OPTION_CONFIG,
     .run = cli_run},
    {.name = "check-config",
     .synopsis = "[-c FILE] [--set section.key=value]... [--print] [--connect]",
     .sentence = "reads the configuration, checks it whole and says what is wrong",
     .details =
         "Exit code 0: it is good; 1: it is not, or a server refuses us; 3: with --connect,\n"
         "the relay, Redis or PostgreSQL cannot be reached. The relay is only reached by TCP.\n",
     .accepted = OPTION_CONFIG | OPTION_PRINT | OPTION_CONNECT,
     .run = cli_check_config},
    {.name = "migrate",
     .synopsis = "[-c FILE] [--set section.key=value]... [--dry-run]",
     .sentence = "creates or upgrades the PostgreSQL schema",
     .details = "Running it twice changes nothing. --dry-run prints the SQL that would run.\n",
     .accepted = OPTION_CONFIG | OPTION_DRY_RUN,
     .run = cli_migrate},
    {.name = "dead",
     .synopsis = "list|show ID|retry [ID...]|drop ID... [--reason TEXT] [--collection NSID] "
                 "[--since TIME] [--dry-run] [--json]",
     .sentence = "dead letters: looks at them, tries them again, lets them go",
     .details =
         "list   by reason: how many, how long, the newest; then the 20 newest with their IDs\n"
         "show   all that is known of one, with the record or the frame\n"
         "retry  runs letters (all, or those that are chosen) through the same decoding and the\n"
         "       same writing as run does; what is applied is removed, what fails again stays as\n"
         "       it was\n"
         "drop   removes letters and their entries in the dead-letter stream\n"
         "IDs and filters choose together. --dry-run only counts. Exit code 0: done; 1: an ID is\n"
         "not there, or a letter failed again; 3: PostgreSQL or Redis could not be reached.\n",
     .accepted = OPTION_CONFIG | OPTION_REASON | OPTION_COLLECTION | OPTION_SINCE | OPTION_DRY_RUN |
                 OPTION_JSON,
     .arguments_min = 1,
     .arguments_max = SIZE_MAX,
     .run = cli_dead},
    {.name = "replay",
     .synopsis = "--from ID|SEQ|TIME [--to ID|SEQ|TIME] [-c FILE] [--set section.key=value]... "
                 "[--dry-run] [--json]",
     .sentence = "applies retained stream entries again; changes nothing that is there",
     .details =
         "For a PostgreSQL that lost rows and did not say so. ID is an entry's, SEQ a sequence of\n"
         "the relay in relay.url (0: all that the stream has), TIME the event's, RFC 3339; both\n"
         "ends belong to it. Entries go through the same writing as in run, beside a running\n"
         "daemon too; the consumer group and the ledger stay as they are. --dry-run only counts.\n"
         "Exit code 0: done; 1: the stream does not reach back that far (what it has was "
         "applied),\n"
         "or PostgreSQL refuses; 3: Redis or PostgreSQL could not be reached.\n",
     .accepted = OPTION_CONFIG | OPTION_FROM | OPTION_TO | OPTION_DRY_RUN | OPTION_JSON,
     .run = cli_replay},
    {.name = "cursor",
     .synopsis = "show|set SEQ|import [-c FILE] [--set section.key=value]... [--dry-run] [--json]",
     .sentence = "where ingestion goes on: shows it, sets it",
     .details =
         "show    the marks in PostgreSQL and in Redis, and what the next start does with them\n"
         "set     the next start goes on after SEQ, a sequence of the relay in relay.url: the\n"
         "        relay sends what comes after it once more, or what lies before it is left out;\n"
         "        0: from the relay's oldest event. It opens a new epoch; the stream keeps what\n"
         "        it holds, and an event that was applied changes nothing\n"
         "import  the same with the cursor in the table firehose_cursor (service firehose) of the\n"
         "        system before, which read the same relay; only while there is no mark of ours\n"
         "Every process that ingests has to be stopped. --dry-run only says what would be.\n"
         "Exit code 0: done; 1: refused, nothing was changed; 3: Redis or PostgreSQL could not\n"
         "be reached.\n",
     .accepted = OPTION_CONFIG | OPTION_DRY_RUN | OPTION_JSON,
     .arguments_min = 1,
     .arguments_max = 2,
     .run = cli_cursor},
    {.name = "rebuild",
     .synopsis = "TABLE... [-c FILE] [--set section.key=value]...",
     .sentence = "refills typed tables and tables of counts from `records`",
     .details =
         "TABLE is a table or a table of counts of postgres.tables_file, or `all`. It ends in "
         "what\n"
         "the daemon would have written, works beside a running one, rests as long as it works, "
         "and\n"
         "goes on where it was when it is run again. Rows that PostgreSQL refuses are left out "
         "and\n"
         "counted. Exit code 0: done; 1: PostgreSQL says no; 3: it could not be reached: run it\n"
         "again.\n",
     .accepted = OPTION_CONFIG,
     .arguments_min = 1,
     .arguments_max = TABLES_MAX,
     .run = cli_rebuild},
    {.name = "reload",
     .synopsis = "[-c FILE] [--set section.key=value]... [--wait]",
     .sentence = "asks the running daemon to read its configuration again",
     .details =
         "Finds the daemon by http.listen (and http.token_file) of the same configuration and "
         "sends\n"
         "it SIGHUP. --wait prints what has changed, and whether at once, by a reconnect, or not\n"
         "before a restart. Where http.listen itself was changed: --set http.listen=OLD. Exit "
         "code\n"
         "0: done; 1: refused, the old configuration stays; 3: the daemon could not be reached.\n",
     .accepted = OPTION_CONFIG | OPTION_WAIT,
     .run = cli_reload},
    {.name = "status",
     .synopsis = "[-c FILE] [--set section.key=value]... [--json | --watch | --check [--live]]",
     .sentence = "how the running daemon does: relay, stream, PostgreSQL, ledger, alerts",
     .details =
         "Asks the daemon at http.listen (with http.token_file) of the same configuration.\n"
         "--json is its /api/metrics. --check exits with 0 where it is ready and 1 where it is\n"
         "not; --check --live with 0 where its loops turn and 1 where one stands still, whatever\n"
         "PostgreSQL, Redis and the relay do: that is for what restarts a container. Exit code\n"
         "3: the daemon could not be reached.\n",
     .accepted = OPTION_CONFIG | OPTION_JSON | OPTION_WATCH | OPTION_CHECK,
     .run = cli_status},
    {.name = "tail",
     .synopsis =
         "[-c FILE] [--set section.key=value]... [--from ID] [--collection NSID] [--follow]",
     .sentence = "events of the stream as JSON lines",
     .accepted = OPTION_CONFIG | OPTION_FROM | OPTION_COLLECTION | OPTION_FOLLOW,
     .run = cli_tail},
    {.name = "decode",
     .synopsis = "[-c FILE] [--set section.key=value]... FILE|-",
     .sentence = "length-prefixed frames to JSON lines, exactly what run would append",
     .details =
         "The input is [length: 4 bytes, little-endian][frame]... and a line comes out for each\n"
         "frame, in order:\n"
         "  {\"type\":\"commit\",\"seq\":\"1\",\"time\":\"...\",\"rev\":\"...\",\"data\":{...}}\n"
         "      commit, identity, account or sync, with the fields of the stream's entry\n"
         "  {\"type\":\"filtered\",\"seq\":\"1\"}\n"
         "      a commit without an operation on one of relay.collections: not appended\n"
         "  {\"type\":\"info\",\"name\":\"...\",\"message\":\"...\"}\n"
         "      also error and ignored: counted by run, not appended\n"
         "  {\"error\":\"<reason>\",\"text\":\"...\",\"seq\":1}\n"
         "      a frame that is refused; seq is 0 where it could not be read\n"
         "relay.verify, relay.collections and relay.max_frame_bytes are as in run. Exit code 0:\n"
         "every frame was good; 1: one was refused, or the input ends inside a frame or names a\n"
         "length over relay.max_frame_bytes; what comes after such a length is not read.\n",
     .accepted = OPTION_CONFIG,
     .arguments_min = 1,
     .arguments_max = 1,
     .run = cli_decode},
    {.name = "version",
     .synopsis = "[--json]",
     .sentence = "the versions of standpipe and of its libraries",
     .accepted = OPTION_JSON,
     .run = cli_version},
    {.name = "help",
     .synopsis = "[COMMAND|configuration|standpipe.1|standpipe.conf.5]",
     .sentence = "this page, a command's page, or every key of the configuration",
     .details = "standpipe.1 and standpipe.conf.5 are the sources of the manual pages.\n",
     .arguments_max = 1,
     .run = cli_help},
    {.name = NULL},
};

const struct cli_command *cli_command_find(const char *name)
{
    for (const struct cli_command *command = cli_commands; command->name != NULL; command++) {
        if (strcmp(command->name, name) == 0) {
            return command;
        }
    }
    return NULL;
}

static int exit_code_of(enum error_kind kind)
{
    switch (kind) {
    case ERROR_USAGE:
        return EXIT_USAGE;
    case ERROR_UNREACHABLE:
    case ERROR_TIMEOUT:
    case ERROR_CLOSED:
        return EXIT_UNREACHABLE;
    case ERROR_NONE:
    case ERROR_REFUSED:
    case ERROR_PROTOCOL:
    case ERROR_ROW:
    case ERROR_INTERNAL:
        return EXIT_FAILED;
    }
    return EXIT_FAILED;
}

int cli_fail(const char *what, const struct error *error)
{
    (void)fprintf(stderr, "standpipe: %s: %s\n", what, error->text);
    return exit_code_of(error->kind);
}

int cli_finish_output(int exit_code)
{
    if (fflush(stdout) == 0 && ferror(stdout) == 0) {
        return exit_code;
    }
    (void)fputs("standpipe: standard output: not everything could be written: give it room\n",
                stderr);
    return EXIT_FAILED;
}

void cli_config_arguments(const struct cli_options *options, struct config_arguments *arguments)
{
    const char *file = options->file;
    if (file == NULL && access(default_file, F_OK) == 0) {
        file = default_file;
    }
    *arguments = (struct config_arguments){.file = file,
                                           .set = (const char *const *)options->set,
                                           .set_count = options->set_count,
                                           .environment = (const char *const *)environ};
}

/* Passwords are in the environment and on the heap, in buffers of libraries too: nobody but root may read /proc/PID/mem
 * and environ or attach a debugger, and no crash writes them to a disk (prctl(2), PR_SET_DUMPABLE). */
static void hide_memory(bool is_hidden)
{
    (void)prctl(PR_SET_DUMPABLE, is_hidden ? 0L : 1L, 0L, 0L, 0L);
}

bool cli_load_config(const struct cli_options *options, struct config *config)
{
    struct config_arguments arguments;
    struct error error;
    cli_config_arguments(options, &arguments);
    if (config_load(config, &arguments, &error)) {
        hide_memory(!config->log.core_dumps);
        return true;
    }
    (void)cli_fail("configuration", &error);
    return false;
}

static int run_command(const struct cli_command *command, int argc, char **argv)
{
    struct cli_options options;
    struct error error;
    if (!cli_options_parse(&options, command, argc, argv, &error)) {
        return cli_fail(command->name, &error);
    }
    int code = EXIT_DONE;
    if (options.is_help) {
        struct buffer page = {0};
        help_append_command(command, &page);
        (void)fwrite(page.data, 1, page.size, stdout);
        buffer_deinit(&page);
        code = cli_finish_output(code);
    } else {
        code = command->run(&options);
    }
    cli_options_deinit(&options);
    return code;
}

static bool is_any(const char *text, const char *a, const char *b)
{
    return strcmp(text, a) == 0 || strcmp(text, b) == 0;
}

int cli_main(int argc, char **argv)
{
    struct cli_options none = {0};
    hide_memory(true);
    if (argc < 2) {
        struct buffer usage = {0};
        help_append_usage(&usage);
        (void)fwrite(usage.data, 1, usage.size, stderr);
        buffer_deinit(&usage);
        return EXIT_USAGE;
    }
    if (is_any(argv[1], "-h", "--help")) {
        return cli_help(&none);
    }
    if (is_any(argv[1], "-V", "--version")) {
        return cli_version(&none);
    }
    const struct cli_command *command = cli_command_find(argv[1]);
    if (command != NULL) {
        return run_command(command, argc - 1, argv + 1);
    }
    struct error error;
    error_set(&error, ERROR_USAGE, "no such command: see `standpipe help`");
    return cli_fail(argv[1], &error);
}
