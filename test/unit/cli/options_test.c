/* Options: each command takes its own and says what it does not know. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/cli.h"

static int run_nothing(const struct cli_options *options)
{
    (void)options;
    return EXIT_DONE;
}

static const struct cli_command command = {.name = "sample",
                                           .synopsis = "FILE",
                                           .sentence = "is a command",
                                           .accepted = OPTION_CONFIG | OPTION_JSON,
                                           .arguments_min = 1,
                                           .arguments_max = 2,
                                           .run = run_nothing};
static struct cli_options options;
static struct error error;

static bool parse(const char *const *words)
{
    char *argv[16];
    int argc = 0;
    for (; words[argc] != NULL; argc++) {
        argv[argc] = (char *)(uintptr_t)words[argc];
    }
    argv[argc] = NULL;
    return cli_options_parse(&options, &command, argc, argv, &error);
}

#define PARSE(...) parse((const char *const[]){"sample", __VA_ARGS__, NULL})

static void options_and_arguments_may_stand_in_any_order(void **state)
{
    (void)state;
    assert_true(PARSE("file", "--set", "a.b=c", "-c", "my.conf", "--set=d.e=f", "--json"));
    assert_string_equal(options.file, "my.conf");
    assert_int_equal(options.set_count, 2);
    assert_string_equal(options.set[0], "a.b=c");
    assert_string_equal(options.set[1], "d.e=f");
    assert_true(options.is_json);
    assert_false(options.is_dry_run);
    cli_options_deinit(&options);
}

/* What ps(1) shows is argv as it is in memory. */
static void a_password_is_kept_and_leaves_the_command_line(void **state)
{
    char url[] = "redis.url=redis://user:hunter2@host:6379/0";
    char conninfo[] = "--set=postgres.url=host=h password=s3 user=u";
    char level[] = "log.level=debug";
    const char *const words[] = {"sample", "file", "--set", url, conninfo, "--set", level, NULL};
    (void)state;
    assert_true(parse(words));
    assert_string_equal(options.set[0], "redis.url=redis://user:hunter2@host:6379/0");
    assert_string_equal(options.set[1], "postgres.url=host=h password=s3 user=u");
    assert_string_equal(url, "redis.url=redis://user:****@host:6379/0   ");
    assert_string_equal(conninfo, "--set=postgres.url=host=h password=**** user");
    assert_string_equal(level, "log.level=debug");
    cli_options_deinit(&options);
}

static void an_option_of_another_command_is_unknown(void **state)
{
    (void)state;
    assert_false(PARSE("file", "--dry-run"));
    assert_int_equal(error.kind, ERROR_USAGE);
    assert_string_equal(error.text,
                        "--dry-run: this option is unknown: see `standpipe sample --help`");
}

static void a_missing_value_is_named(void **state)
{
    (void)state;
    assert_false(PARSE("file", "--set"));
    assert_non_null(strstr(error.text, "--set: a value is missing"));
}

static void too_few_and_too_many_arguments_are_refused(void **state)
{
    (void)state;
    assert_false(PARSE("--json"));
    assert_non_null(strstr(error.text, "an argument is missing"));
    assert_false(PARSE("a", "b", "c"));
    assert_non_null(strstr(error.text, "c: one argument too many"));
}

static void help_needs_no_arguments(void **state)
{
    (void)state;
    assert_true(PARSE("-h"));
    assert_true(options.is_help);
    cli_options_deinit(&options);
}

static void what_follows_two_dashes_is_no_option(void **state)
{
    (void)state;
    assert_true(PARSE("--", "--json"));
    assert_false(options.is_json);
    assert_int_equal(options.argument_count, 1);
    cli_options_deinit(&options);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_and_arguments_may_stand_in_any_order),
        cmocka_unit_test(a_password_is_kept_and_leaves_the_command_line),
        cmocka_unit_test(an_option_of_another_command_is_unknown),
        cmocka_unit_test(a_missing_value_is_named),
        cmocka_unit_test(too_few_and_too_many_arguments_are_refused),
        cmocka_unit_test(help_needs_no_arguments),
        cmocka_unit_test(what_follows_two_dashes_is_no_option),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
