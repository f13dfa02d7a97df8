/*
 * Reload: SIGHUP --> read, compare --> CHECKING (servers, certificates) --> swap --> close what a change concerns,
 * readers first --> open it with the new configuration --> verdict.
 *
 * Up to the swap nothing has changed, and a bad configuration ends there. What is closed drains as at a stop, and
 * Redis keeps what is in flight: entries that were not acknowledged are read first by the consumers that come back.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/panic.h"
#include "runtime/daemon_private.h"

#include <stdio.h>

enum {
    DRAIN_MS = 5000, /* for what is in flight; the rest stays pending */
    READERS = PART_SCHEMA | PART_WORKERS | PART_INGESTER,
};

static void begin(struct daemon *daemon);

/* ---- the verdict --------------------------------------------------------------------------------- */

static void finish(struct daemon *daemon)
{
    struct reload *reload = &daemon->reload;
    reload_plan_deinit(&reload->plan);
    generation_release(reload->next);
    reload->next = NULL;
    reload->state = RELOAD_IDLE;
    reload->report.number++;
    reload->report.verdict_us = clock_wall_us();
    reload->report.is_running = false;
    daemon_supervise_reloaded(daemon);
    if (reload->is_asked_again) {
        reload->is_asked_again = false;
        begin(daemon);
    }
}

static void refuse(struct daemon *daemon, const struct error *error)
{
    struct reload_report *report = &daemon->reload.report;
    log_error("config", "reload refused, the old configuration stays",
              LOG_TEXT("why", error->text));
    report->was_refused = true;
    (void)snprintf(report->why, sizeof(report->why), "%s", error->text);
    buffer_clear(&report->changes);
    finish(daemon);
}

static void succeed(struct daemon *daemon)
{
    struct reload_report *report = &daemon->reload.report;
    struct reload_plan *plan = &daemon->reload.plan;
    report->was_refused = false;
    report->success_us = clock_wall_us();
    report->why[0] = '\0';
    buffer_clear(&report->changes);
    buffer_append_slice(&report->changes, buffer_slice(&plan->changes));
    log_info("config", "reloaded", LOG_INT("at_once", plan->counts[CONFIG_APPLY_AT_ONCE]),
             LOG_INT("reconnected", plan->counts[CONFIG_APPLY_RECONNECT]),
             LOG_INT("need_restart", plan->counts[CONFIG_APPLY_RESTART]),
             LOG_INT("took_ms", clock_monotonic_ms() - daemon->reload.begun_ms));
    finish(daemon);
}

/* ---- closing and opening ------------------------------------------------------------------------- */

/* Drained before a stop that begins meanwhile has used up its own time. */
static uint64_t drain_ms(const struct daemon *daemon)
{
    uint64_t half = daemon->config->shutdown.timeout_ms / 2;
    return half < DRAIN_MS ? half : DRAIN_MS;
}

static void open_again(struct daemon *daemon)
{
    unsigned parts = daemon->reload.plan.parts;
    if (daemon->state == DAEMON_STARTING) {
        if ((parts & PART_SCHEMA) != 0) {
            daemon_start_schema(daemon);
        }
    } else {
        daemon_open_stages(daemon, parts);
        daemon_note_letters(daemon);
    }
    succeed(daemon);
}

/* With everything closed that uses the old consumer names. */
static void move_to_redis(struct daemon *daemon)
{
    struct error error;
    if (!daemon_take_slot(daemon, &error)) {
        log_warning("standpipe", "consumer names stay as they were", LOG_TEXT("why", error.text));
    }
}

void daemon_reload_proceed(struct daemon *daemon)
{
    struct reload *reload = &daemon->reload;
    unsigned parts = reload->plan.parts;
    if (reload->state == RELOAD_CLOSING_READERS &&
        daemon_open_parts(daemon, parts & READERS) == 0) {
        reload->state = RELOAD_CLOSING_REST;
        daemon_close_parts(daemon, parts, drain_ms(daemon));
    }
    if (reload->state == RELOAD_CLOSING_REST && daemon_open_parts(daemon, parts) == 0) {
        if ((reload->plan.checks & CHECK_REDIS) != 0) {
            move_to_redis(daemon);
        }
        open_again(daemon);
    }
}

/* ---- the swap ------------------------------------------------------------------------------------ */

/* The last thing that can refuse. A port that was taken at the start is tried again, and still no reason to. */
static bool prepare_console(struct daemon *daemon, struct error *error)
{
    const struct config *next = &daemon->reload.next->config;
    bool is_asked = (daemon->reload.plan.parts & PART_CONSOLE) != 0;
    if (daemon->console != NULL) {
        return is_asked ? console_move(daemon->console, next, error)
                        : console_reload_token(daemon->console, next->http.token_file, error);
    }
    if (next->http.listen[0] == '\0' || daemon_open_console(daemon, next, error)) {
        return true;
    }
    if (!is_asked) {
        log_error("http", "no page is served", LOG_TEXT("why", error->text));
    }
    return !is_asked;
}

static void swap(struct daemon *daemon)
{
    struct reload *reload = &daemon->reload;
    struct error error;
    if (!prepare_console(daemon, &error)) {
        refuse(daemon, &error);
        return;
    }
    reload_plan_log(daemon->generation, reload->next);
    config_hold_back(&reload->next->config, daemon->config);
    generation_release(daemon->generation);
    daemon->generation = reload->next;
    daemon->config = &daemon->generation->config;
    daemon->console_sources.config = daemon->config;
    reload->next = NULL;
    log_configure(daemon->config->log.level, daemon->config->log.format);
    daemon_note_letters(daemon);
    if (daemon->state == DAEMON_RUNNING) {
        reload->plan.parts &= ~(unsigned)PART_SCHEMA; /* it has run */
    }
    reload->state = RELOAD_CLOSING_READERS;
    daemon_close_parts(daemon, reload->plan.parts & READERS, drain_ms(daemon));
    daemon_reload_proceed(daemon);
}

/* ---- the beginning ------------------------------------------------------------------------------- */

static bool is_stopping(const struct daemon *daemon)
{
    return daemon->state != DAEMON_STARTING && daemon->state != DAEMON_RUNNING;
}

static void check_on_done(void *owner)
{
    struct daemon *daemon = owner;
    if (is_stopping(daemon)) {
        daemon_proceed(daemon);
    } else if (daemon->reload.check.is_good) {
        swap(daemon);
    } else {
        refuse(daemon, &daemon->reload.check.error);
    }
}

static void check(struct daemon *daemon)
{
    struct reload *reload = &daemon->reload;
    reload->check = (struct reload_check){
        .config = &reload->next->config,
        .what = reload->plan.checks,
        .on_done = check_on_done,
        .owner = daemon,
    };
    if (reload->check.what == 0) {
        swap(daemon);
    } else if (!reload_check_start(&reload->check, &daemon->loop)) {
        struct error error;
        error_set(&error, ERROR_INTERNAL, "no thread to try its servers");
        refuse(daemon, &error);
    }
}

static void begin(struct daemon *daemon)
{
    struct reload *reload = &daemon->reload;
    struct config config;
    struct error error;
    reload->state = RELOAD_CHECKING;
    reload->begun_ms = clock_monotonic_ms();
    reload->report.is_running = true;
    reload->plan = (struct reload_plan){0};
    if (!config_load(&config, daemon->arguments, &error)) {
        refuse(daemon, &error);
        return;
    }
    reload->next = generation_create(&config);
    reload_plan_make(&reload->plan, daemon->generation, reload->next);
    check(daemon);
}

void daemon_reload(struct daemon *daemon)
{
    if (is_stopping(daemon)) {
        log_info("config", "no reload any more", LOG_TEXT("why", "the process is stopping"));
        return;
    }
    if (daemon->reload.state != RELOAD_IDLE) {
        daemon->reload.is_asked_again = true;
        return;
    }
    daemon_supervise_reloading(daemon);
    begin(daemon);
}

void daemon_reload_deinit(struct daemon *daemon)
{
    reload_plan_deinit(&daemon->reload.plan);
    generation_release(daemon->reload.next);
    buffer_deinit(&daemon->reload.report.changes);
}
