/*
 * HTTP harness: a server in the test's own loop, and clients on real sockets that pump that loop while
 * they wait. Everything waits for a fact, at most SITE_PATIENCE_MS.
 */
#ifndef TEST_FLOW_HTTP_HARNESS_H
#define TEST_FLOW_HTTP_HARNESS_H

#include <stdbool.h>

#include "base/buffer.h"
#include "http/http.h"

#include <uv.h>

enum {
#ifdef __SANITIZE_THREAD__ /* tens of times slower */
    SITE_PATIENCE_MS = 200000
#else
    SITE_PATIENCE_MS = 20000
#endif
};

struct site {
    uv_loop_t loop;
    struct http *http;
    bool is_closed;
    unsigned fills;             /* pages that were asked for */
    unsigned asked;             /* times that dead letters were asked for */
    unsigned limit;             /* of the last time */
    struct http_answer *answer; /* of the last time, still to come */
    bool answers_at_once;
    unsigned page_costs_ms; /* where the clock is frozen */
    unsigned workers;       /* that pages speak of; 0: one */
};

struct client {
    struct site *site;
    struct buffer got;
    int fd;
    bool has_ended; /* the server closed: FIN or RST */
};

/* Listens on a free port of 127.0.0.1 where `options` does not say more. */
void site_open(struct site *site, const struct http_options *options);
/* Closes, waits, and fails where anything is left in the loop. */
void site_close(struct site *site);
/* Turns the loop once, waiting for a few milliseconds at most. */
void site_pump(struct site *site);

void client_open(struct client *client, struct site *site);
void client_send(struct client *client, struct slice bytes);
void client_send_text(struct client *client, const char *text);
/* Until `got` holds `text` `count` times. */
void client_wait_for(struct client *client, const char *text, unsigned count);
/* Until the server has closed. */
void client_wait_end(struct client *client);
unsigned client_count(const struct client *client, const char *text);
bool client_has(const struct client *client, const char *text);
void client_close(struct client *client);
/* Asks once, reads until the server closes, and gives all that came; the caller deinits. */
struct buffer site_ask(struct site *site, const char *request);

#define GET(path)  "GET " path " HTTP/1.1\r\nHost: test\r\n\r\n"
#define LAST(path) "GET " path " HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"

#endif
