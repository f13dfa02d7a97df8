#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

void help_append_usage(struct buffer *out)
{
    buffer_append_string(out,
                         "standpipe COMMAND [options]: an AT Protocol firehose into PostgreSQL, "
                         "through a Redis Stream\n\n");
    for (const struct cli_command *command = cli_commands; command->name != NULL; command++) {
        buffer_append_format(out, "  %-13s %s\n", command->name, command->sentence);
    }
    buffer_append_string(out, "\n`standpipe COMMAND --help` shows a command's options, `standpipe "
                              "help configuration` every key.\n"
                              "Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 a "
                              "dependency could not be reached.\n");
}

void help_append_command(const struct cli_command *command, struct buffer *out)
{
    buffer_append_format(out, "standpipe %s %s\n%s\n\n", command->name, command->synopsis,
                         command->sentence);
    cli_options_describe(command, out);
    if (command->details != NULL) {
        buffer_append_format(out, "\n%s", command->details);
    }
}

int cli_help(const struct cli_options *options)
{
    struct buffer page = {0};
    struct error error;
    const char *topic = options->argument_count > 0 ? options->arguments[0] : NULL;
    const struct cli_command *command = topic != NULL ? cli_command_find(topic) : NULL;
    if (topic == NULL) {
        help_append_usage(&page);
    } else if (strcmp(topic, "configuration") == 0) {
        config_reference(&page);
    } else if (strcmp(topic, "standpipe.1") == 0) {
        help_append_manual(&page);
    } else if (strcmp(topic, "standpipe.conf.5") == 0) {
        config_manual(&page);
    } else if (command != NULL) {
        help_append_command(command, &page);
    } else {
        error_set(&error, ERROR_USAGE, "%s: no such page: see `standpipe help`", topic);
        return cli_fail("help", &error);
    }
    (void)fwrite(page.data, 1, page.size, stdout);
    buffer_deinit(&page);
    return cli_finish_output(EXIT_DONE);
}
