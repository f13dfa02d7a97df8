/*
 * Stream server: a real, private redis-server for flow tests, on a unix socket in a directory of its own.
 *
 * Ownership: one server at a time; stream_server_stop() ends it by its pid and removes the directory.
 * Threading: the test's thread. Waiting is for facts with a deadline, never for time.
 */
#ifndef FLOW_STREAM_SERVER_H
#define FLOW_STREAM_SERVER_H

#include <stdbool.h>
#include <stdint.h>

struct uv_loop_s;
struct redisReply;

/* Group fixtures for cmocka; false fails the group. */
int stream_server_setup(void **state);
int stream_server_teardown(void **state);
void stream_server_start(void);
/* SIGKILL, and waits for its end. */
void stream_server_kill(void);
/* SIGSTOP and SIGCONT. */
void stream_server_freeze(bool is_frozen);
const char *stream_server_url(void);
const char *stream_server_socket(void);

/* One command, printf-like as redisCommand(); the reply is the caller's (freeReplyObject). */
struct redisReply *stream_server_call(const char *format, ...);
/* The same for its integer; strings of digits too. */
int64_t stream_server_number(const char *format, ...);
/* The same for its text in a static buffer; "" for nil. */
const char *stream_server_text(const char *format, ...);

/* Runs the loop until `is_true`; fails the test after ten seconds. */
void stream_wait(struct uv_loop_s *loop, bool (*is_true)(void *data), void *data);
/* Runs the loop until nothing is left in it, and closes it: shows that all was closed. */
void stream_finish(struct uv_loop_s *loop);

#endif
