/* The files beside the code say what the table of keys says. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/config.h"
#include "config/keys.h"
#include "unit/test.h"

static char path[64];
static struct config config;

static int start(void **state)
{
    (void)state;
    (void)snprintf(path, sizeof(path), "/tmp/standpipe-sample-XXXXXX");
    int file = mkstemp(path);
    config = (struct config){0};
    return file < 0 ? -1 : close(file);
}

static int finish(void **state)
{
    (void)state;
    config_deinit(&config);
    return unlink(path);
}

static void put_file(struct slice text)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(text.data, 1, text.size, file), text.size);
    assert_int_equal(fclose(file), 0);
}

static void load(const char *file)
{
    static const char *const nothing[] = {NULL};
    const struct config_arguments arguments = {.file = file, .environment = nothing};
    struct error error = {0};
    assert_case(config_load(&config, &arguments, &error), error.text);
}

static void read_whole(const char *name, struct buffer *out)
{
    FILE *file = fopen(name, "re");
    assert_non_null(file);
    size_t count = 0;
    do {
        count = fread(buffer_reserve(out, 4096), 1, 4096, file);
        out->size += count;
    } while (count > 0);
    assert_int_equal(fclose(file), 0);
    buffer_append_byte(out, '\0');
}

static void append_sample(const struct config_key *key, struct buffer *out)
{
    buffer_append_format(out, "\n# %s\n", key->sentence);
    if (key->initial_words != NULL) {
        buffer_append_format(out, "# (%s: %s)\n", key->initial[0] != '\0' ? key->initial : "empty",
                             key->initial_words);
    }
    buffer_append_format(out, "#%s =%s%s\n", key->name, key->initial[0] != '\0' ? " " : "",
                         key->initial);
    buffer_append_byte(out, '\0');
}

static void the_sample_file_has_every_key_with_its_sentence_and_default(void **state)
{
    (void)state;
    struct buffer text = {0};
    read_whole(SAMPLE_FILE, &text);
    const char *at = text.data;
    for (size_t i = 0; i < config_key_count && at != NULL; i++) {
        struct buffer wanted = {0};
        append_sample(&config_keys[i], &wanted);
        at = strstr(at, wanted.data);
        assert_case(at != NULL, wanted.data);
        buffer_deinit(&wanted);
    }
    buffer_deinit(&text);
    load(SAMPLE_FILE);
}

static void the_sample_file_loads_with_every_line_taken_in(void **state)
{
    (void)state;
    struct buffer text = {0};
    struct buffer taken_in = {0};
    struct buffer print = {0};
    read_whole(SAMPLE_FILE, &text);
    for (const char *at = text.data; *at != '\0'; at++) {
        bool is_key =
            *at == '#' && at > text.data && at[-1] == '\n' && at[1] != ' ' && at[1] != '\n';
        if (!is_key) {
            buffer_append_byte(&taken_in, *at);
        }
    }
    put_file(buffer_slice(&taken_in));
    load(path);
    config_print(&config, &print);
    buffer_append_byte(&print, '\0');
    assert_null(strstr(print.data, "; default"));
    buffer_deinit(&print);
    buffer_deinit(&taken_in);
    buffer_deinit(&text);
}

static void the_reference_page_is_what_the_program_prints(void **state)
{
    (void)state;
    struct buffer page = {0};
    struct buffer printed = {0};
    read_whole(REFERENCE_FILE, &page);
    config_reference(&printed);
    buffer_append_byte(&printed, '\0');
    if (strcmp(page.data, printed.data) != 0) {
        fail_msg("docs/configuration.md is old: write `standpipe help configuration` into it");
    }
    buffer_deinit(&page);
    buffer_deinit(&printed);
}

#define SAMPLE_TEST(test) cmocka_unit_test_setup_teardown(test, start, finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SAMPLE_TEST(the_sample_file_has_every_key_with_its_sentence_and_default),
        SAMPLE_TEST(the_sample_file_loads_with_every_line_taken_in),
        SAMPLE_TEST(the_reference_page_is_what_the_program_prints),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
