/* decode: frames of a file to JSON lines on standard output, and the exit code at the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/cli.h"

/* {"op":1,"t":"#info"} {"name":"N","message":"M"} and {"op":-1} {"error":"FutureCursor"} */
#define INFO_FRAME                                                                                 \
    "\x1f\0\0\0"                                                                                   \
    "\xa2\x61t\x65#info\x62op\x01"                                                                 \
    "\xa2\x64name\x61N\x67message\x61M"
#define ERROR_FRAME                                                                                \
    "\x19\0\0\0"                                                                                   \
    "\xa1\x62op\x20"                                                                               \
    "\xa1\x65"                                                                                     \
    "error\x6c"                                                                                    \
    "FutureCursor"

static char input_path[64];
static char output_path[64];
static char output[4096];

/* decode reads the configuration: nothing of who runs the test may be in it. */
static int start(void **state)
{
    (void)state;
    if (clearenv() != 0) {
        return -1;
    }
    (void)snprintf(input_path, sizeof(input_path), "/tmp/standpipe-decode-in-XXXXXX");
    (void)snprintf(output_path, sizeof(output_path), "/tmp/standpipe-decode-out-XXXXXX");
    int input = mkstemp(input_path);
    int result = mkstemp(output_path);
    return input < 0 || result < 0 || close(input) != 0 || close(result) != 0 ? -1 : 0;
}

static int finish(void **state)
{
    (void)state;
    return unlink(input_path) != 0 || unlink(output_path) != 0 ? -1 : 0;
}

/* Runs decode over `bytes` with standard output in `output`; returns the exit code. */
static int decode(const char *bytes, size_t size)
{
    FILE *input = fopen(input_path, "we");
    assert_non_null(input);
    assert_int_equal(fwrite(bytes, 1, size, input), size);
    assert_int_equal(fclose(input), 0);
    assert_int_equal(fflush(stdout), 0);
    int saved = dup(STDOUT_FILENO);
    assert_true(saved >= 0);
    assert_non_null(freopen(output_path, "w", stdout));
    char *const arguments[] = {input_path};
    const struct cli_options options = {.arguments = arguments, .argument_count = 1};
    int code = cli_decode(&options);
    assert_true(dup2(saved, STDOUT_FILENO) >= 0);
    assert_int_equal(close(saved), 0);
    FILE *printed = fopen(output_path, "re");
    assert_non_null(printed);
    output[fread(output, 1, sizeof(output) - 1, printed)] = '\0';
    assert_int_equal(fclose(printed), 0);
    return code;
}

#define DECODE(bytes) decode(bytes, sizeof(bytes) - 1)

static void info_and_error_frames_become_lines_and_no_failure(void **state)
{
    (void)state;
    assert_int_equal(DECODE(INFO_FRAME ERROR_FRAME), EXIT_DONE);
    assert_string_equal(output,
                        "{\"type\":\"info\",\"name\":\"N\",\"message\":\"M\"}\n"
                        "{\"type\":\"error\",\"name\":\"FutureCursor\",\"message\":\"\"}\n");
}

static void a_refused_frame_is_a_line_and_the_next_is_read(void **state)
{
    (void)state;
    assert_int_equal(DECODE("\1\0\0\0\xff" INFO_FRAME), EXIT_FAILED);
    assert_non_null(strstr(output, "{\"error\":\"header\",\"text\":\""));
    assert_non_null(strstr(output, ",\"seq\":0}\n{\"type\":\"info\""));
}

static void a_length_over_the_limit_takes_no_memory_and_ends_it(void **state)
{
    (void)state;
    assert_int_equal(DECODE(INFO_FRAME "\xff\xff\xff\xff" INFO_FRAME), EXIT_FAILED);
    assert_string_equal(output, "{\"type\":\"info\",\"name\":\"N\",\"message\":\"M\"}\n");
}

static void an_input_that_ends_early_is_a_failure(void **state)
{
    (void)state;
    assert_int_equal(decode(INFO_FRAME, sizeof(INFO_FRAME) - 2), EXIT_FAILED);
    assert_int_equal(DECODE("\1\0"), EXIT_FAILED);
    assert_string_equal(output, "");
}

static void an_empty_input_is_done(void **state)
{
    (void)state;
    assert_int_equal(decode("", 0), EXIT_DONE);
    assert_string_equal(output, "");
}

#define DECODE_TEST(test) cmocka_unit_test_setup_teardown(test, start, finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        DECODE_TEST(info_and_error_frames_become_lines_and_no_failure),
        DECODE_TEST(a_refused_frame_is_a_line_and_the_next_is_read),
        DECODE_TEST(a_length_over_the_limit_takes_no_memory_and_ends_it),
        DECODE_TEST(an_input_that_ends_early_is_a_failure),
        DECODE_TEST(an_empty_input_is_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
