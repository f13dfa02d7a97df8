/* standpipe(1), from the table of commands. */
#include <string.h>

#include "base/roff.h"
#include "cli/cli.h"

static const char head[] =
    ".TH STANDPIPE 1 \"\" \"standpipe " STANDPIPE_VERSION "\" \"User Commands\"\n"
    ".SH NAME\n"
    "standpipe \\- an AT Protocol firehose into PostgreSQL, through a Redis Stream\n"
    ".SH SYNOPSIS\n"
    ".B standpipe\n"
    ".I COMMAND\n"
    "[\\fIoptions\\fR]\n"
    ".SH DESCRIPTION\n"
    "standpipe reads the event stream of an AT Protocol relay over WebSocket, appends every event\n"
    "to a Redis Stream, reads that stream through a consumer group, writes PostgreSQL in batches,\n"
    "and acknowledges only after the commit. After a crash of any part it goes on where it was:\n"
    "no event is missing and none counts twice. Any number of processes share the work; one of\n"
    "them reads the relay.\n"
    ".SH COMMANDS\n";

static const char tail[] =
    ".SH \"EXIT STATUS\"\n"
    ".TP\n.B 0\ndone\n"
    ".TP\n.B 1\nfailed\n"
    ".TP\n.B 2\nwrong usage or configuration\n"
    ".TP\n.B 3\na dependency could not be reached\n"
    ".SH SIGNALS\n"
    "Of \\fBstandpipe run\\fR:\n"
    ".TP\n.B SIGTERM, SIGINT\n"
    "stop reading, finish the batches in flight, acknowledge, save the cursor, and exit 0 within\n"
    "\\fBshutdown.timeout_ms\\fR; a second one exits at once\n"
    ".TP\n.B SIGHUP\n"
    "read the configuration again, check it whole, then apply it; a bad one changes nothing\n"
    ".TP\n.B SIGUSR1\n"
    "log the state of every worker\n"
    ".SH FILES\n"
    ".TP\n.I /etc/standpipe/standpipe.conf\n"
    "read where no \\fB\\-c\\fR is given\n"
    ".SH EXAMPLES\n"
    ".nf\n"
    "standpipe check\\-config \\-\\-connect\n"
    "REDIS_URL=redis://localhost DATABASE_URL=postgresql://localhost/standpipe standpipe run\n"
    "standpipe dead list \\-\\-since 1h\n"
    ".fi\n"
    ".SH \"SEE ALSO\"\n"
    ".BR standpipe.conf (5)\n";

static void append_command(struct buffer *out, const struct cli_command *command)
{
    struct buffer options = {0};
    buffer_append_string(out, ".SS \"standpipe ");
    roff_append_text(out, command->name, false);
    buffer_append_byte(out, ' ');
    roff_append_text(out, command->synopsis, false);
    buffer_append_string(out, "\"\n");
    roff_append_line(out, command->sentence);
    cli_options_describe(command, &options);
    buffer_append_byte(&options, '\0');
    if (options.size > 1) {
        buffer_append_string(out, ".PP\n");
        roff_append_verbatim(out, options.data);
    }
    if (command->details != NULL) {
        buffer_append_string(out, ".PP\n");
        roff_append_verbatim(out, command->details);
    }
    buffer_deinit(&options);
}

void help_append_manual(struct buffer *out)
{
    buffer_append_string(out, head);
    for (const struct cli_command *command = cli_commands; command->name != NULL; command++) {
        append_command(out, command);
    }
    buffer_append_string(out, tail);
}
