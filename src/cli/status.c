/* What the running daemon says of itself: one screen, one line, or JSON. */
#include <stdio.h>
#include <stdlib.h>

#include "base/panic.h"
#include "cli/cli.h"
#include "cli/http_get.h"
#include "cli/status_view.h"
#include "cli/terminal.h"

enum {
    REDRAW_MS = 1000
};

static bool ask(const struct config *config, struct buffer *body, struct status_sample *sample,
                struct error *error)
{
    buffer_clear(body);
    return http_get(config, "/api/metrics", body, error) &&
           status_sample_read(sample, buffer_slice(body), error);
}

/* ---- one line, for HEALTHCHECK ------------------------------------------------------------------ */

static int check_alive(const struct config *config, struct error *error)
{
    struct buffer body = {0};
    bool is_alive = http_get(config, "/livez", &body, error);
    buffer_deinit(&body);
    if (is_alive) {
        (void)puts("alive");
        return EXIT_DONE;
    }
    if (error->kind == ERROR_REFUSED) { /* it has answered, and not with 200 */
        (void)puts("stalled: the loop of a worker does not turn");
        return EXIT_FAILED;
    }
    (void)cli_fail("status", error);
    return EXIT_UNREACHABLE;
}

static int check_ready(const struct config *config, struct error *error)
{
    struct buffer body = {0};
    struct status_sample *sample = memory_allocate(sizeof(*sample));
    int code = EXIT_UNREACHABLE;
    if (!ask(config, &body, sample, error)) {
        (void)cli_fail("status", error);
    } else if (sample->is_ready) {
        (void)puts("ready");
        code = EXIT_DONE;
    } else {
        const struct status_dependency *trouble = status_sample_trouble(sample);
        (void)printf("not ready: %s %s: %s\n", trouble != NULL ? trouble->name : "standpipe",
                     trouble != NULL ? trouble->state : "", trouble != NULL ? trouble->reason : "");
        code = EXIT_FAILED;
    }
    free(sample);
    buffer_deinit(&body);
    return code;
}

/* ---- once ----------------------------------------------------------------------------------------- */

static int print_json(const struct config *config, struct error *error)
{
    struct buffer body = {0};
    bool is_asked = http_get(config, "/api/metrics", &body, error);
    if (is_asked) {
        (void)fwrite(body.data, 1, body.size, stdout);
    }
    buffer_deinit(&body);
    return is_asked ? EXIT_DONE : cli_fail("status", error);
}

static int print_screen(const struct config *config, struct error *error)
{
    struct buffer body = {0};
    struct status_sample *sample = memory_allocate(sizeof(*sample));
    struct status_history *history = memory_allocate(sizeof(*history));
    unsigned height = 0;
    struct screen screen = {.is_coloured = terminal_wants_colours(), .is_utf8 = terminal_is_utf8()};
    terminal_size(&screen.width, &height);
    bool is_asked = ask(config, &body, sample, error);
    if (is_asked) {
        const struct status_view view = {.history = history};
        status_history_note(history, sample);
        status_view_draw(&view, &screen);
        (void)fwrite(screen.out.data, 1, screen.out.size, stdout);
    }
    screen_deinit(&screen);
    buffer_deinit(&body);
    free(history);
    free(sample);
    return is_asked ? EXIT_DONE : cli_fail("status", error);
}

/* ---- every second ----------------------------------------------------------------------------------- */

struct watcher {
    const struct config *config;
    struct buffer body;
    struct screen screen;
    struct status_sample sample;
    struct status_history history;
    struct error error;
    bool is_away;
};

static void look(struct watcher *watcher)
{
    watcher->is_away = !ask(watcher->config, &watcher->body, &watcher->sample, &watcher->error);
    status_history_note(&watcher->history, watcher->is_away ? NULL : &watcher->sample);
}

static bool draw(struct watcher *watcher)
{
    const struct status_view view = {
        .history = &watcher->history,
        .trouble = watcher->is_away ? watcher->error.text : NULL,
        .has_sparklines = true,
    };
    screen_clear(&watcher->screen);
    terminal_size(&watcher->screen.width, &watcher->screen.height);
    status_view_draw(&view, &watcher->screen);
    return terminal_draw(buffer_slice(&watcher->screen.out));
}

static int watch(const struct config *config, struct error *error)
{
    if (!terminal_is_there()) {
        error_set(error, ERROR_USAGE, "--watch: standard output is no terminal: use --json");
        return cli_fail("status", error);
    }
    struct watcher *watcher = memory_allocate(sizeof(*watcher));
    watcher->config = config;
    watcher->screen = (struct screen){
        .is_coloured = terminal_wants_colours(), .is_utf8 = terminal_is_utf8(), .is_redrawn = true};
    terminal_take();
    enum terminal_event event = TERMINAL_TIME;
    while (event != TERMINAL_QUIT) {
        if (event == TERMINAL_TIME) {
            look(watcher);
        }
        event = draw(watcher) ? terminal_wait(REDRAW_MS) : TERMINAL_QUIT;
    }
    terminal_give_back();
    screen_deinit(&watcher->screen);
    buffer_deinit(&watcher->body);
    free(watcher);
    return EXIT_DONE;
}

static int run(const struct cli_options *options, const struct config *config)
{
    struct error error = {0};
    if (options->should_check) {
        return options->is_live ? check_alive(config, &error) : check_ready(config, &error);
    }
    if (options->is_json) {
        return print_json(config, &error);
    }
    return options->should_watch ? watch(config, &error) : print_screen(config, &error);
}

int cli_status(const struct cli_options *options)
{
    struct config config;
    if (!cli_load_config(options, &config)) {
        return EXIT_USAGE;
    }
    int code = run(options, &config);
    config_deinit(&config);
    return cli_finish_output(code);
}
