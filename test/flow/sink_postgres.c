#include "flow/sink_postgres.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <glob.h>
#include <pwd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <libpq-fe.h>

enum {
    PATH_MAX_SIZE = 512,
    DEADLINE_ROUNDS = 3000,
    ROUND_US = 10000
};

static char binaries[PATH_MAX_SIZE];
static char folder[64];
static char conninfo[PATH_MAX_SIZE];
static char tcp[PATH_MAX_SIZE];
static int port;
static pid_t postmaster;
static bool with_fsync;

/* The server refuses to run as root. */
static void become_postgres(void)
{
    struct passwd *user = getuid() == 0 ? getpwnam("postgres") : NULL;
    if (user != NULL && (setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0)) {
        _exit(126);
    }
}

/* `arguments[0]` becomes the whole path: PostgreSQL's programs find each other by it. */
static pid_t spawn(const char *program, const char **arguments)
{
    static char path[PATH_MAX_SIZE + 32]; /* the caller's array keeps pointing to it */
    (void)snprintf(path, sizeof(path), "%s/%s", binaries, program);
    arguments[0] = path;
    pid_t child = fork();
    if (child != 0) {
        return child;
    }
    become_postgres();
    char log[PATH_MAX_SIZE];
    (void)snprintf(log, sizeof(log), "%s/log", folder);
    int out = open(log, O_WRONLY | O_CREAT | O_APPEND, 0644);
    if (out < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0 || chdir(folder) != 0) {
        _exit(126);
    }
    execv(path, (char *const *)(uintptr_t)arguments);
    _exit(127);
}

static void wait_for_server(void)
{
    for (int round = 0; round < DEADLINE_ROUNDS; round++) {
        if (PQping(conninfo) == PQPING_OK) {
            return;
        }
        (void)usleep(ROUND_US); /* between two looks at a fact, with a deadline */
    }
    fail_msg("PostgreSQL did not start in time");
}

static void start_postmaster(void)
{
    char data[PATH_MAX_SIZE];
    char port_text[16];
    (void)snprintf(data, sizeof(data), "%s/data", folder);
    (void)snprintf(port_text, sizeof(port_text), "%d", port);
    const char *arguments[] = {"postgres",
                               "-D",
                               data,
                               "-k",
                               folder,
                               "-c",
                               "listen_addresses=127.0.0.1",
                               "-p",
                               port_text,
                               "-c",
                               with_fsync ? "fsync=on" : "fsync=off",
                               "-c",
                               "shared_buffers=32MB",
                               "-c",
                               "deadlock_timeout=100ms",
                               NULL};
    postmaster = spawn("postgres", arguments);
    wait_for_server();
}

static bool find_binaries(void)
{
    glob_t found;
    if (glob("/usr/lib/postgresql/*/bin/initdb", 0, NULL, &found) != 0) {
        return false;
    }
    (void)snprintf(binaries, sizeof(binaries), "%s", found.gl_pathv[found.gl_pathc - 1]);
    globfree(&found);
    *strrchr(binaries, '/') = '\0';
    return true;
}

/* A port of 127.0.0.1 that nobody has. */
static int find_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(address);
    int found = socket(AF_INET, SOCK_STREAM, 0);
    if (found < 0 || bind(found, (const struct sockaddr *)&address, size) != 0 ||
        getsockname(found, (struct sockaddr *)&address, &size) != 0) {
        fail_msg("no free port");
    }
    (void)close(found);
    return ntohs(address.sin_port);
}

/* Whose name begins with `locked` needs a password over TCP; all others are trusted. */
static bool write_access_rules(void)
{
    char path[PATH_MAX_SIZE];
    (void)snprintf(path, sizeof(path), "%s/data/pg_hba.conf", folder);
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        return false;
    }
    (void)fputs("local all all trust\nhost all locked 127.0.0.1/32 scram-sha-256\n"
                "host all all 127.0.0.1/32 trust\n",
                file);
    return fclose(file) == 0;
}

bool sink_postgres_start(bool fsync)
{
    if (!find_binaries()) {
        return false;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    with_fsync = fsync;
    (void)snprintf(folder, sizeof(folder), "/tmp/standpipe-sink-XXXXXX");
    if (mkdtemp(folder) == NULL) {
        return false;
    }
    struct passwd *user = getuid() == 0 ? getpwnam("postgres") : NULL;
    if (user != NULL && chown(folder, user->pw_uid, user->pw_gid) != 0) {
        return false;
    }
    char data[PATH_MAX_SIZE];
    (void)snprintf(data, sizeof(data), "%s/data", folder);
    const char *arguments[] = {"initdb", "-D",        data, "-U",   "standpipe",        "-A",
                               "trust",  "--no-sync", "-E", "UTF8", "--locale=C.UTF-8", NULL};
    int status = 0;
    pid_t child = spawn("initdb", arguments);
    if (waitpid(child, &status, 0) != child || status != 0) {
        return false;
    }
    if (!write_access_rules()) {
        return false;
    }
    port = find_port();
    (void)snprintf(conninfo, sizeof(conninfo), "host=%s port=%d user=standpipe dbname=postgres",
                   folder, port);
    start_postmaster();
    return true;
}

static void end_postmaster(int signal_number)
{
    if (postmaster <= 0) {
        return;
    }
    (void)kill(postmaster, signal_number);
    (void)waitpid(postmaster, NULL, 0);
    postmaster = 0;
}

void sink_postgres_kill(void)
{
    end_postmaster(SIGQUIT);
}

void sink_postgres_restart(void)
{
    start_postmaster();
}

void sink_postgres_stop(void)
{
    const char *const arguments[] = {"rm", "-rf", folder, NULL};
    end_postmaster(SIGQUIT);
    pid_t child = fork();
    if (child == 0) {
        execv("/bin/rm", (char *const *)(uintptr_t)arguments);
        _exit(127);
    }
    (void)waitpid(child, NULL, 0);
}

int sink_postgres_setup(void **state)
{
    (void)state;
    return sink_postgres_start(false) ? 0 : -1;
}

int sink_postgres_teardown(void **state)
{
    (void)state;
    sink_postgres_stop();
    return 0;
}

const char *sink_postgres_socket(void)
{
    static char path[PATH_MAX_SIZE];
    (void)snprintf(path, sizeof(path), "%s/.s.PGSQL.%d", folder, port);
    return path;
}

const char *sink_postgres_conninfo(void)
{
    return conninfo;
}

const char *sink_postgres_tcp(const char *hosts, const char *ports, const char *rest)
{
    char ours[16];
    (void)snprintf(ours, sizeof(ours), "%d", port);
    (void)snprintf(tcp, sizeof(tcp), "host=%s port=%s%s %s", hosts, ports, ours, rest);
    return tcp;
}

const char *sink_postgres_query(const char *sql)
{
    static char answer[1 << 16];
    PGconn *native = PQconnectdb(conninfo);
    PQclear(PQexec(native, "SET client_min_messages = warning"));
    PGresult *result = PQexec(native, sql);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        fail_msg("%s: %s", sql, PQerrorMessage(native));
    }
    bool has_field = status == PGRES_TUPLES_OK && PQntuples(result) > 0;
    (void)snprintf(answer, sizeof(answer), "%s", has_field ? PQgetvalue(result, 0, 0) : "");
    PQclear(result);
    PQfinish(native);
    return answer;
}
