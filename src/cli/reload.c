/* Asks the running daemon to read its configuration again, and says what it made of it. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "atproto/json_scan.h"
#include "base/clock.h"
#include "cli/cli.h"
#include "cli/http_get.h"
#include "cli/json_find.h"

enum {
    WAIT_MS =
        120000, /* servers of a new address may take their time, then what is in flight drains */
    POLL_NS = 100 * 1000 * 1000,
    PATH_SIZE = 64,
};

static const char page[] = "/api/metrics";

/* What the page says; slices point into `body`. */
struct answer {
    struct buffer body;
    uint64_t pid;
    uint64_t number; /* verdicts so far */
    bool is_running;
    struct slice reload;
};

static bool ask(const struct config *config, struct answer *answer, struct error *error)
{
    struct slice process;
    buffer_clear(&answer->body);
    if (!http_get(config, page, &answer->body, error)) {
        return false;
    }
    struct slice body = buffer_slice(&answer->body);
    if (!json_find(body, "process", &process) || !json_find(body, "reload", &answer->reload)) {
        error_set(error, ERROR_PROTOCOL, "%s does not name its process: is the daemon older?",
                  page);
        return false;
    }
    answer->pid = json_find_number(process, "pid");
    answer->number = json_find_number(answer->reload, "number");
    answer->is_running = json_find_is_true(answer->reload, "isRunning");
    return true;
}

/* A page may come from another machine, and a number names somebody else here. */
static bool check_process(uint64_t pid, struct error *error)
{
    char path[PATH_SIZE];
    char name[PATH_SIZE] = "";
    (void)snprintf(path, sizeof(path), "/proc/%llu/comm", (unsigned long long)pid);
    FILE *file = fopen(path, "re");
    if (file != NULL) {
        size_t size = fread(name, 1, sizeof(name) - 1, file);
        name[size] = '\0';
        (void)fclose(file);
    }
    if (strcmp(name, "standpipe\n") == 0) {
        return true;
    }
    error_set(error, ERROR_REFUSED,
              "process %llu is no standpipe of this machine: run it where the daemon runs (in its "
              "container), or send SIGHUP there",
              (unsigned long long)pid);
    return false;
}

static bool send_signal(uint64_t pid, struct error *error)
{
    if (kill((pid_t)pid, SIGHUP) == 0) {
        return true;
    }
    error_set(error, ERROR_REFUSED, "process %llu: %s: run it as the daemon's user, or as root",
              (unsigned long long)pid, strerror(errno));
    return false;
}

/* ---- the verdict --------------------------------------------------------------------------------- */

static void print_change(struct slice change, struct arena *arena)
{
    struct slice key = json_find_text(change, "key", arena);
    struct slice applies = json_find_text(change, "applies", arena);
    struct slice before = json_find_text(change, "before", arena);
    struct slice after = json_find_text(change, "after", arena);
    bool is_restart = slice_equals(applies, SLICE("restart"));
    bool is_reconnect = slice_equals(applies, SLICE("reconnect"));
    (void)printf("%.*s: %.*s -> %.*s (%s)\n", SLICE_ARGS(key), SLICE_ARGS(before),
                 SLICE_ARGS(after),
                 is_restart     ? "needs a restart"
                 : is_reconnect ? "reconnected"
                                : "at once");
}

static void print_changes(const struct answer *answer)
{
    struct arena arena = {0};
    struct slice changes = {0};
    struct slice change;
    bool is_first = true;
    unsigned count = 0;
    (void)json_find(answer->reload, "changes", &changes);
    struct json_scan scan = json_scan_over(changes, &arena);
    bool is_open = json_scan_open(&scan, '[');
    while (is_open && json_scan_array_next(&scan, &is_first) && json_scan_value(&scan, &change)) {
        print_change(change, &arena);
        count++;
    }
    (void)printf(count > 0 ? "reloaded\n" : "reloaded: nothing has changed\n");
    arena_deinit(&arena);
}

static int tell(const struct answer *answer)
{
    struct arena arena = {0};
    struct error error;
    if (!json_find_is_true(answer->reload, "wasRefused")) {
        print_changes(answer);
        return EXIT_DONE;
    }
    error_set(&error, ERROR_REFUSED, "refused, the old configuration stays: %.*s",
              SLICE_ARGS(json_find_text(answer->reload, "why", &arena)));
    arena_deinit(&arena);
    return cli_fail("reload", &error);
}

/* Where the daemon may be asked: as the command line says, and where its files move it to. */
struct places {
    const struct config *given;
    const struct config *files; /* NULL: the same */
};

static bool ask_anywhere(const struct places *places, struct answer *answer, struct error *error)
{
    struct error ignored;
    return ask(places->given, answer, error) ||
           (places->files != NULL && ask(places->files, answer, &ignored));
}

/* A listener that moves answers nobody for a moment. */
static bool wait_for(const struct places *places, struct answer *answer, uint64_t number,
                     struct error *error)
{
    static const struct timespec pause = {.tv_nsec = POLL_NS};
    uint64_t deadline_ms = clock_monotonic_ms() + WAIT_MS;
    uint64_t pid = answer->pid;
    while (clock_monotonic_ms() < deadline_ms) {
        bool is_answered = ask_anywhere(places, answer, error);
        if (is_answered && answer->pid == pid && answer->number >= number) {
            return true;
        }
        if (kill((pid_t)pid, 0) != 0 && errno == ESRCH) {
            error_set(error, ERROR_UNREACHABLE, "the daemon has ended: see its log");
            return false;
        }
        (void)nanosleep(&pause, NULL);
    }
    error_set(error, ERROR_TIMEOUT, "no verdict within %d s: see the daemon's log", WAIT_MS / 1000);
    return false;
}

static int reload(const struct places *places, bool should_wait)
{
    struct answer answer = {0};
    struct error error;
    int code = EXIT_DONE;
    bool is_asked = ask_anywhere(places, &answer, &error) && check_process(answer.pid, &error) &&
                    send_signal(answer.pid, &error);
    /* One that runs already may have read the files before they were changed. */
    uint64_t number = answer.number + (answer.is_running ? 2 : 1);
    if (!is_asked) {
        code = cli_fail("reload", &error);
    } else if (!should_wait) {
        (void)printf("asked process %llu; its log has the verdict, --wait prints it\n",
                     (unsigned long long)answer.pid);
    } else {
        code =
            wait_for(places, &answer, number, &error) ? tell(&answer) : cli_fail("reload", &error);
    }
    buffer_deinit(&answer.body);
    return code;
}

int cli_reload(const struct cli_options *options)
{
    struct config given;
    struct config files;
    struct config_arguments arguments;
    struct error error;
    if (!cli_load_config(options, &given)) {
        return EXIT_USAGE; /* the daemon would refuse it too, and is not asked */
    }
    cli_config_arguments(options, &arguments);
    arguments.set_count = 0;
    bool has_files = options->set_count > 0 && config_load(&files, &arguments, &error);
    const struct places places = {.given = &given, .files = has_files ? &files : NULL};
    int code = reload(&places, options->should_wait);
    if (has_files) {
        config_deinit(&files);
    }
    config_deinit(&given);
    return cli_finish_output(code);
}
