#include "runtime/console.h"

#include <stdlib.h>

#include "base/panic.h"
#include "http/http.h"
#include "runtime/watch.h"

struct console {
    const struct console_sources *sources;
    struct console_callbacks callbacks;
    void *owner;
    struct http *http;
    struct watch *watch;
};

static void http_on_fill(void *owner, struct metrics_snapshot *snapshot)
{
    struct console *console = owner;
    watch_fill(console->watch, snapshot);
}

static const struct config *http_on_config(void *owner)
{
    const struct console *console = owner;
    return console->sources->config;
}

/* ---- dead letters --------------------------------------------------------------------------------- */

static void letters_on_letter(void *owner, const struct stream_letter *letter)
{
    const struct http_letter page = {
        .id = letter->id,
        .type = letter->type,
        .data = letter->data,
        .seq = letter->sequence,
        .orig_id = letter->origin,
        .deliveries = letter->deliveries,
        .reason = letter->reason,
    };
    (void)http_answer_add(owner, &page);
}

static void letters_on_end(void *owner, const struct error *error)
{
    http_answer_end(owner, error);
}

static void http_on_dead_letters(void *owner, unsigned limit, struct http_answer *answer)
{
    struct console *console = owner;
    static const struct stream_letters_callbacks callbacks = {
        .on_letter = letters_on_letter,
        .on_end = letters_on_end,
    };
    if (console->sources->monitor != NULL) {
        stream_monitor_letters(console->sources->monitor, limit, &callbacks, answer);
        return;
    }
    struct error error;
    error_set(&error, ERROR_UNREACHABLE, "Redis is not connected");
    http_answer_end(answer, &error);
}

/* ---- life ----------------------------------------------------------------------------------------- */

static void http_on_closed(void *owner)
{
    struct console *console = owner;
    struct console_callbacks callbacks = console->callbacks;
    void *console_owner = console->owner;
    free(console);
    callbacks.on_closed(console_owner);
}

struct console *console_open(struct uv_loop_s *loop, struct watch *watch,
                             const struct config *config, const struct console_callbacks *callbacks,
                             void *owner, struct error *error)
{
    static const struct http_callbacks http_callbacks = {
        .fill = http_on_fill,
        .dead_letters = http_on_dead_letters,
        .config = http_on_config,
        .on_closed = http_on_closed,
    };
    struct console *console = memory_allocate(sizeof(*console));
    console->watch = watch;
    console->sources = watch->sources;
    console->callbacks = *callbacks;
    console->owner = owner;
    struct http_options options = {
        .listen = config->http.listen,
        .token_file = config->http.token_file,
    };
    console->http = http_open(loop, &options, &http_callbacks, console, error);
    if (console->http == NULL) {
        free(console);
        return NULL;
    }
    return console;
}

bool console_move(struct console *console, const struct config *config, struct error *error)
{
    return http_move(console->http, config->http.listen, config->http.token_file, error);
}

bool console_reload_token(struct console *console, const char *token_file, struct error *error)
{
    return http_reload_token(console->http, token_file, error);
}

void console_close(struct console *console)
{
    http_close(console->http);
}
