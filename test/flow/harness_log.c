#include "flow/harness_log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static FILE *captured;
static int stderr_before;
static bool is_captured;

void harness_capture_log(void)
{
    captured = tmpfile();
    assert_non_null(captured);
    stderr_before = dup(STDERR_FILENO);
    is_captured = true;
    assert_true(stderr_before >= 0 && dup2(fileno(captured), STDERR_FILENO) >= 0);
}

const char *harness_captured_log(void)
{
    static char text[1 << 16];
    assert_true(dup2(stderr_before, STDERR_FILENO) >= 0);
    is_captured = false;
    (void)close(stderr_before);
    rewind(captured);
    text[fread(text, 1, sizeof(text) - 1, captured)] = '\0';
    (void)fclose(captured);
    return text;
}

void harness_release_log(void)
{
    if (is_captured) {
        (void)fputs(harness_captured_log(), stderr);
    }
}

unsigned harness_count(const char *text, const char *word)
{
    unsigned count = 0;
    for (const char *at = strstr(text, word); at != NULL; at = strstr(at + 1, word)) {
        count++;
    }
    return count;
}
