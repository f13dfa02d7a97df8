#include "cli/terminal.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"

enum {
    DEFAULT_WIDTH = 80,
    DEFAULT_HEIGHT = 24,
    NS_PER_MS = 1000000,
    MS_PER_SECOND = 1000,
    CTRL_D = 4,
};

/* Another page of the terminal without its cursor; and back. */
static const char take_codes[] = "\x1b[?1049h\x1b[?25l";
static const char give_back_codes[] = "\x1b[?25h\x1b[?1049l";

/* Signals that end us; they may come at any time, so that a daemon that hangs does not hold Ctrl-C up. */
static const int ending_signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
enum {
    ENDING_SIGNALS = sizeof(ending_signals) / sizeof(ending_signals[0])
};

static struct termios before; /* as we found it */
static bool has_keys;         /* standard input is a terminal, and its settings are `before` */
static volatile sig_atomic_t is_taken;
static volatile sig_atomic_t was_resized;
static volatile sig_atomic_t must_stop;
static sigset_t outside; /* of the wait: without ours blocked */

bool terminal_is_there(void)
{
    return isatty(STDOUT_FILENO) == 1;
}

bool terminal_wants_colours(void)
{
    const char *no_color = getenv("NO_COLOR"); // NOLINT(concurrency-mt-unsafe): one thread
    const char *kind = getenv("TERM");         // NOLINT(concurrency-mt-unsafe): one thread
    bool is_refused = no_color != NULL && no_color[0] != '\0';
    return terminal_is_there() && !is_refused && (kind == NULL || strcmp(kind, "dumb") != 0);
}

bool terminal_is_utf8(void)
{
    // NOLINTNEXTLINE(concurrency-mt-unsafe): one thread
    return setlocale(LC_CTYPE, "") != NULL && strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

void terminal_size(unsigned *width, unsigned *height)
{
    struct winsize size = {0};
    bool is_known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
    *width = is_known ? size.ws_col : DEFAULT_WIDTH;
    *height = is_known && size.ws_row > 0 ? size.ws_row : DEFAULT_HEIGHT;
}

/* ---- signals: what is called here is safe in a handler (signal-safety(7)) ------------------------ */

static void write_codes(const char *codes, size_t size)
{
    ssize_t written = write(STDOUT_FILENO, codes, size);
    (void)written; /* a terminal that is gone needs nothing */
}

static void give_back(void)
{
    if (!is_taken) {
        return;
    }
    is_taken = 0;
    write_codes(give_back_codes, sizeof(give_back_codes) - 1);
    if (has_keys) {
        (void)tcsetattr(STDIN_FILENO, TCSANOW, &before);
    }
}

static void on_ending(int number)
{
    give_back();
    if (number == SIGINT) {
        _exit(EXIT_SUCCESS); /* that is how one leaves */
    }
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

static void on_resized(int number)
{
    (void)number;
    was_resized = 1;
}

static void on_stop(int number)
{
    (void)number;
    must_stop = 1;
}

static void handle(int number, void (*handler)(int number))
{
    struct sigaction action = {.sa_handler = handler};
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(number, &action, NULL);
}

/* ---- taking and giving back ------------------------------------------------------------------------ */

static void enter(void)
{
    if (has_keys) {
        struct termios raw = before;
        raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        raw.c_cc[VMIN] = 0;
        raw.c_cc[VTIME] = 0;
        (void)tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    }
    is_taken = 1;
    write_codes(take_codes, sizeof(take_codes) - 1);
}

void terminal_take(void)
{
    sigset_t ours;
    has_keys = tcgetattr(STDIN_FILENO, &before) == 0;
    (void)sigemptyset(&ours);
    (void)sigaddset(&ours, SIGWINCH);
    (void)sigaddset(&ours, SIGTSTP);
    (void)sigprocmask(SIG_BLOCK, &ours, &outside); /* they are taken in the wait only */
    for (size_t i = 0; i < ENDING_SIGNALS; i++) {
        handle(ending_signals[i], on_ending);
    }
    handle(SIGWINCH, on_resized);
    handle(SIGTSTP, on_stop);
    handle(SIGPIPE, SIG_IGN);
    enter();
}

void terminal_give_back(void)
{
    give_back();
}

/* Until somebody says SIGCONT. */
static void stop(void)
{
    must_stop = 0;
    give_back();
    (void)raise(SIGSTOP);
    enter();
    was_resized = 1; /* or may have been, meanwhile */
}

bool terminal_draw(struct slice text)
{
    struct buffer out = {0};
    size_t sent = 0;
    /* 2026: terminals that know it show the whole at once. */
    buffer_append_string(&out, "\x1b[?2026h\x1b[H");
    buffer_append_slice(&out, text);
    buffer_append_string(&out, "\x1b[J\x1b[?2026l");
    while (sent < out.size) {
        ssize_t count = write(STDOUT_FILENO, out.data + sent, out.size - sent);
        if (count < 0 && errno != EINTR) {
            break;
        }
        sent += count > 0 ? (size_t)count : 0;
    }
    bool is_drawn = sent == out.size;
    buffer_deinit(&out);
    return is_drawn;
}

static bool is_quit_typed(void)
{
    char key = 0;
    ssize_t count = read(STDIN_FILENO, &key, 1);
    return count == 1 && (key == 'q' || key == 'Q' || key == CTRL_D);
}

enum terminal_event terminal_wait(unsigned milliseconds)
{
    uint64_t until_ms = clock_monotonic_ms() + milliseconds;
    for (;;) {
        uint64_t now_ms = clock_monotonic_ms();
        uint64_t left_ms = until_ms > now_ms ? until_ms - now_ms : 0;
        struct timespec left = {.tv_sec = (time_t)(left_ms / MS_PER_SECOND),
                                .tv_nsec = (long)(left_ms % MS_PER_SECOND) * NS_PER_MS};
        struct pollfd input = {.fd = has_keys ? STDIN_FILENO : -1, .events = POLLIN};
        int count = ppoll(&input, 1, &left, &outside);
        if (must_stop) {
            stop();
        }
        if (was_resized) {
            was_resized = 0;
            return TERMINAL_RESIZED;
        }
        if (count > 0 && ((input.revents & (POLLHUP | POLLERR)) != 0 || is_quit_typed())) {
            return TERMINAL_QUIT;
        }
        if (count == 0) {
            return TERMINAL_TIME;
        }
    }
}
