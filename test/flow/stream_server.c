#include "flow/stream_server.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include <hiredis/hiredis.h>
#include <uv.h>

enum {
    DEADLINE_MS = 60000, /* a machine that does other things may need most of it */
    PATH_SIZE = 128,
    TEXT_SIZE = 4096
};

static char directory[PATH_SIZE];
static char socket_path[PATH_SIZE + 16];
static char url[PATH_SIZE + 32];
static pid_t server;
static redisContext *client;

static void run_server(void)
{
    /* A test that is killed takes its server along. */
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", socket_path,
                 "--save", "", "--appendonly", "no", "--dir", directory, "--loglevel", "warning",
                 "--logfile", "redis.log", (char *)NULL);
    _exit(127);
}

static bool connect_client(void)
{
    client = redisConnectUnix(socket_path);
    if (client != NULL && client->err == 0) {
        return true;
    }
    if (client != NULL) {
        redisFree(client);
    }
    client = NULL;
    return false;
}

void stream_server_start(void)
{
    (void)unlink(socket_path);
    server = fork();
    assert_true(server >= 0);
    if (server == 0) {
        run_server();
    }
    uint64_t deadline = clock_monotonic_ms() + DEADLINE_MS;
    while (!connect_client()) {
        assert_true(clock_monotonic_ms() < deadline);
        assert_int_equal(waitpid(server, NULL, WNOHANG), 0);
        (void)usleep(1000);
    }
}

void stream_server_kill(void)
{
    if (client != NULL) {
        redisFree(client);
        client = NULL;
    }
    if (server > 0) {
        (void)kill(server, SIGKILL);
        (void)waitpid(server, NULL, 0);
    }
    server = 0;
}

void stream_server_freeze(bool is_frozen)
{
    assert_int_equal(kill(server, is_frozen ? SIGSTOP : SIGCONT), 0);
}

int stream_server_setup(void **state)
{
    (void)state;
    (void)signal(SIGPIPE, SIG_IGN);
    log_configure(getenv("STREAM_TEST_VERBOSE") != NULL ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR,
                  LOG_FORMAT_TEXT);
    (void)snprintf(directory, sizeof(directory), "/tmp/standpipe-stream-XXXXXX");
    if (mkdtemp(directory) == NULL) {
        return -1;
    }
    (void)snprintf(socket_path, sizeof(socket_path), "%s/redis.sock", directory);
    (void)snprintf(url, sizeof(url), "unix://%s", socket_path);
    stream_server_start();
    return 0;
}

int stream_server_teardown(void **state)
{
    (void)state;
    stream_server_kill();
    char path[PATH_SIZE + 16];
    (void)snprintf(path, sizeof(path), "%s/redis.log", directory);
    (void)unlink(path);
    (void)unlink(socket_path);
    return rmdir(directory);
}

const char *stream_server_url(void)
{
    return url;
}

const char *stream_server_socket(void)
{
    return socket_path;
}

static redisReply *call(const char *format, va_list arguments)
{
    redisReply *reply = redisvCommand(client, format, arguments);
    assert_non_null(reply);
    return reply;
}

struct redisReply *stream_server_call(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    redisReply *reply = call(format, arguments);
    va_end(arguments);
    return reply;
}

int64_t stream_server_number(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    redisReply *reply = call(format, arguments);
    va_end(arguments);
    int64_t number = reply->type == REDIS_REPLY_INTEGER ? reply->integer
                     : reply->str != NULL               ? strtoll(reply->str, NULL, 10)
                                                        : 0;
    freeReplyObject(reply);
    return number;
}

const char *stream_server_text(const char *format, ...)
{
    static char text[TEXT_SIZE];
    va_list arguments;
    va_start(arguments, format);
    redisReply *reply = call(format, arguments);
    va_end(arguments);
    (void)snprintf(text, sizeof(text), "%s", reply->str != NULL ? reply->str : "");
    freeReplyObject(reply);
    return text;
}

static void on_tick(uv_timer_t *timer)
{
    (void)timer; /* only wakes the loop up, so that the deadline is seen */
}

static void give_up(void)
{
    fail_msg("what was waited for did not come");
}

void stream_wait(struct uv_loop_s *loop, bool (*is_true)(void *data), void *data)
{
    uv_timer_t tick;
    uint64_t deadline = clock_monotonic_ms() + DEADLINE_MS;
    (void)uv_timer_init(loop, &tick);
    (void)uv_timer_start(&tick, on_tick, 5, 5);
    while (!is_true(data)) {
        if (clock_monotonic_ms() >= deadline) {
            give_up();
        }
        (void)uv_run(loop, UV_RUN_ONCE);
    }
    uv_close((uv_handle_t *)&tick, NULL);
    (void)uv_run(loop, UV_RUN_NOWAIT);
}

void stream_finish(struct uv_loop_s *loop)
{
    (void)uv_run(loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(loop), 0);
}
