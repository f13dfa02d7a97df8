#include "base/log.h"
#include "cli/cli.h"
#include "runtime/daemon.h"

int cli_run(const struct cli_options *options)
{
    struct config config;
    if (!cli_load_config(options, &config)) {
        return EXIT_USAGE;
    }
    log_configure(config.log.level, config.log.format);
    struct error error = {0};
    struct config_arguments arguments;
    cli_config_arguments(options, &arguments);
    bool has_run = daemon_run(&config, &arguments, &error);
    return has_run ? EXIT_DONE : cli_fail("run", &error);
}
