/*
 * A private PostgreSQL for the sink's flow tests: initdb in a temporary folder, on a unix
 * socket and a free port of 127.0.0.1, where the role `locked` needs a password and others are trusted.
 * Run by root it becomes the user postgres. One per program; its folder goes at the end.
 */
#ifndef FLOW_SINK_POSTGRES_H
#define FLOW_SINK_POSTGRES_H

#include <stdbool.h>

/* False where the machine has no PostgreSQL server: the tests are skipped. */
bool sink_postgres_start(bool fsync);
/* SIGQUIT to the postmaster: nothing is flushed, clients are cut (`-m immediate`). */
void sink_postgres_kill(void);
void sink_postgres_restart(void);
void sink_postgres_stop(void);
/* The same for cmocka, around a group of tests; without fsync. */
int sink_postgres_setup(void **state);
int sink_postgres_teardown(void **state);
/* The path of its unix socket; static. */
const char *sink_postgres_socket(void);
/* A conninfo; static. */
const char *sink_postgres_conninfo(void);
/* The same server by TCP: `hosts` and its port after `ports` (other ports with their commas, or ""), then
 * `rest` of the conninfo; static. */
const char *sink_postgres_tcp(const char *hosts, const char *ports, const char *rest);
/* Runs `sql`, fails the test where the server refuses; the first field of the last answer, static. */
const char *sink_postgres_query(const char *sql);

#endif
