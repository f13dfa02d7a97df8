/*
 * standpipe-relay: options -> frames -> a file, a truth, or a server.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/panic.h"
#include "history.h"
#include "options.h"
#include "relay.h"
#include "store.h"

enum {
    US_PER_MS = 1000,
    US_PER_SECOND = 1000000,
    USUAL_STEP_US = 2857 /* 350 events a second */
};

static int64_t count_repos(const struct options *options)
{
    int64_t wanted = options->repos > 0 ? options->repos : options->generate / 200;
    if (options->repos == 0 && options->generate == 0) {
        wanted = 1000;
    }
    if (options->repos == 0 && wanted < 20) {
        wanted = 20;
    }
    if (options->repos == 0 && wanted > 10000) {
        wanted = 10000;
    }
    return wanted;
}

/* An endless history's times follow its rate, so that they stay near the clock on the wall. */
static int64_t step_between_frames(const struct options *options)
{
    if (options->generate > 0 || options->rate == 0) {
        return USUAL_STEP_US;
    }
    int64_t step = US_PER_SECOND / options->rate;
    return step > 0 ? step : 1;
}

static struct history *make_history(const struct options *options)
{
    const struct history_options wanted = {
        .seed = (uint64_t)options->seed,
        .repos = (uint32_t)count_repos(options),
        .frame_bytes = (size_t)options->frame_bytes,
        .first_sequence = options->first_sequence,
        .base_time_us =
            options->base_time_ms > 0 ? options->base_time_ms * US_PER_MS : clock_wall_us(),
        .step_us = step_between_frames(options),
        .keep_records = options->truth != NULL,
    };
    return history_create(&wanted);
}

static bool write_truth(struct history *history, const char *path, struct error *error)
{
    if (path == NULL) {
        return true;
    }
    FILE *out = fopen(path, "we");
    bool is_written = out != NULL && history_write_truth(history, out);
    if (out != NULL && fclose(out) != 0) {
        is_written = false;
    }
    if (!is_written) {
        error_set(error, ERROR_USAGE, "%s: the truth could not be written: %s", path,
                  strerror(errno));
    }
    return is_written;
}

/* A name nobody has, for frames that are served and not kept. */
static bool make_temporary(char *path, size_t size, struct error *error)
{
    const char *folder = getenv("TMPDIR");
    (void)snprintf(path, size, "%s/relay-frames-XXXXXX", folder != NULL ? folder : "/tmp");
    int file = mkstemp(path);
    if (file >= 0) {
        return close(file) == 0;
    }
    error_set(error, ERROR_USAGE, "%s: no file could be made: %s", path, strerror(errno));
    return false;
}

static struct store *generate(const struct options *options, struct error *error)
{
    char temporary[256];
    const char *path = options->write;
    if (path == NULL && !make_temporary(temporary, sizeof(temporary), error)) {
        return NULL;
    }
    if (path == NULL) {
        path = temporary;
    }
    struct history *history = make_history(options);
    struct store *store = NULL;
    if (store_write_file(history, options->generate, path, error) &&
        write_truth(history, options->truth, error)) {
        store = store_open_file(path, error);
    }
    history_destroy(history);
    if (options->write == NULL) {
        (void)unlink(path); /* the mapping keeps it */
    }
    return store;
}

static struct store *open_store(const struct options *options, struct error *error)
{
    if (options->file != NULL) {
        return store_open_file(options->file, error);
    }
    if (options->generate > 0) {
        return generate(options, error);
    }
    return store_open_endless(make_history(options), options->first_sequence,
                              (uint32_t)options->window);
}

static bool run(const struct options *options, struct error *error)
{
    struct store *store = open_store(options, error);
    if (store == NULL) {
        return false;
    }
    bool is_done = options->listen == NULL || relay_run(store, options, error);
    store_close(store);
    return is_done;
}

int main(int argc, char **argv)
{
    struct options options;
    struct error error = {0};
    if (!options_parse(&options, argc, argv, &error)) {
        (void)fprintf(stderr, "standpipe-relay: %s\n", error.text);
        return 2;
    }
    if (options.help) {
        options_print_help();
        return 0;
    }
    if (run(&options, &error)) {
        return 0;
    }
    (void)fprintf(stderr, "standpipe-relay: %s\n", error.text);
    return error.kind == ERROR_USAGE ? 2 : 1;
}
