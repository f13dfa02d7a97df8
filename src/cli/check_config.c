#include <stdio.h>

#include "cli/cli.h"
#include "runtime/reach.h"

struct dependency {
    const char *name;
    bool (*reach)(const struct config *config, struct buffer *found, struct error *error);
};

static const struct dependency dependencies[] = {
    {"relay", reach_relay}, {"redis", reach_redis}, {"postgres", reach_postgres}};

/* Tries all three, whatever the first says; what is unreachable weighs more than what refuses us. */
static int connect_all(const struct config *config)
{
    int code = EXIT_DONE;
    for (size_t i = 0; i < sizeof(dependencies) / sizeof(dependencies[0]); i++) {
        struct buffer found = {0};
        struct error error;
        if (dependencies[i].reach(config, &found, &error)) {
            (void)printf("%s: %.*s\n", dependencies[i].name, SLICE_ARGS(buffer_slice(&found)));
            (void)fflush(stdout);
        } else {
            int failed = cli_fail(dependencies[i].name, &error);
            code = failed > code ? failed : code;
        }
        buffer_deinit(&found);
    }
    return code;
}

static void print_config(const struct config *config)
{
    struct buffer text = {0};
    config_print(config, &text);
    (void)fwrite(text.data, 1, text.size, stdout);
    buffer_deinit(&text);
}

int cli_check_config(const struct cli_options *options)
{
    struct config config;
    struct config_arguments arguments;
    if (!cli_load_config(options, &config)) {
        return EXIT_FAILED; /* here the configuration is the subject, not the usage */
    }
    cli_config_arguments(options, &arguments);
    if (options->should_print) {
        print_config(&config);
    } else {
        (void)printf("%s: the configuration is good\n",
                     arguments.file != NULL ? arguments.file : "no file");
    }
    int code = options->should_connect ? connect_all(&config) : EXIT_DONE;
    config_deinit(&config);
    return cli_finish_output(code);
}
