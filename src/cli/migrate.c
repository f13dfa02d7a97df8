#include <stdio.h>

#include "base/buffer.h"
#include "cli/cli.h"
#include "sink/migrations.h"

int cli_migrate(const struct cli_options *options)
{
    struct config config;
    if (!cli_load_config(options, &config)) {
        return EXIT_USAGE;
    }
    struct migrations_options migrations = {
        .conninfo = config.postgres.url,
        .schema = config.postgres.schema,
        .tables = config.tables,
        .dry_run = options->is_dry_run,
    };
    struct buffer report = {0};
    struct error error = {0};
    bool is_done = migrations_run(&migrations, &report, &error);
    if (report.size > 0) {
        (void)fwrite(report.data, 1, report.size, stdout); /* cli_finish_output() sees a failure */
    }
    buffer_deinit(&report);
    config_deinit(&config);
    return is_done ? cli_finish_output(EXIT_DONE) : cli_fail("migrate", &error);
}
