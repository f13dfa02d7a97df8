/*
 * Relay: the server. It listens, releases frames by the clock, counts, and ends on a signal.
 *
 *   store --release--> client... --> sockets
 *
 * Ownership: the relay owns everything that it starts. Threading: one loop, one thread.
 */
#ifndef RELAY_RELAY_H
#define RELAY_RELAY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/list.h"
#include "options.h"
#include "release.h"
#include "store.h"

#include <openssl/ssl.h>
#include <uv.h>

struct client;

struct counters {
    int64_t connections;
    int64_t frames; /* good ones, duplicates aside */
    int64_t bytes;  /* of them */
    int64_t duplicates;
    int64_t garbage;
    int64_t texts;
    int64_t pings;
    int64_t drops;
    int64_t resets;
    int64_t stalls;
    int64_t half_frames;
    int64_t regressions;
    int64_t error_frames;
    int64_t future_cursors;
    int64_t outdated_cursors;
    int64_t too_slow;
};

struct relay {
    const struct options *options;
    struct store *store;
    struct release release;
    struct counters counters;
    uv_loop_t loop;
    uv_tcp_t server;
    uv_timer_t tick;
    uv_timer_t ping;
    uv_signal_t signals[2];
    SSL_CTX *tls; /* NULL: plain */
    struct list clients;
    int64_t regressed_by; /* what the sequences of frames above it are less by; 0: nothing */
    bool is_done;         /* --exit-when-done: some client has had everything */
    bool is_stopping;
};

/* Serves `store` until a signal or the end; prints where it listens and, last, what it counted. */
bool relay_run(struct store *store, const struct options *options, struct error *error)
    __attribute__((warn_unused_result));
/* Called by a client whose channel is closed. */
void relay_forget_client(struct relay *relay, struct list *node);

#endif
