/*
 * HTTP: metrics, health and the API, served in thread 0's loop.
 *
 *   client --GET--> [server] -> routes -> handler --fill()--> struct metrics_snapshot --> page
 *                                            \--dead_letters(answer)--> Redis ... http_answer_end()
 *
 * Ownership: heap; freed right after `on_closed`, the last call that it makes.
 * Threading: the loop's thread only. SIGPIPE must be ignored by the process.
 * Memory: per connection one input of 16 KiB and one response of at most HTTP_RESPONSE_MAX_BYTES;
 * connections are capped, and so are answers that are still to come.
 * Source: the public contract, HTTP; RFC 9110 and 9112.
 */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"
#include "http/snapshot.h"

struct config;
struct uv_loop_s;
struct http;
struct http_answer;

enum {
    HTTP_RESPONSE_MAX_BYTES = 8 * 1024 * 1024,
    HTTP_LETTERS_DEFAULT = 100,
    HTTP_LETTERS_MAX = 1000,
};

/* 0 stands for the default in brackets. Strings are copied. */
struct http_options {
    const char *listen;         /* host:port, [v6]:port; port 0: a free one */
    const char *token_file;     /* NULL or empty: nothing is protected */
    unsigned max_connections;   /* [128] more get a 503 */
    uint64_t header_timeout_ms; /* [5,000] from its first byte (or the accept) to a whole request */
    uint64_t idle_timeout_ms;   /* [60,000] between requests */
    uint64_t answer_timeout_ms; /* [10,000] an answer to come; then 504 */
    uint64_t write_timeout_ms;  /* [30,000] for one response */
    uint64_t event_interval_ms; /* [1,000] from one event of a stream to the next */
    uint64_t heartbeat_timeout_ms; /* [15,000] a loop that has not turned for this long is dead */
};

struct http_callbacks {
    /* For each page: `snapshot` is zeroed and becomes the figures of now. No http_ call inside. */
    void (*fill)(void *owner, struct metrics_snapshot *snapshot);
    /* Asks for the newest `limit` dead letters, newest first: http_answer_add() for each, then once
     * http_answer_end(), at once or later, whatever has become of client and server. */
    void (*dead_letters)(void *owner, unsigned limit, struct http_answer *answer);
    /* The configuration of now; NULL, or no callback: /api/config is not there. */
    const struct config *(*config)(void *owner);
    /* Once, last, after http_close(). */
    void (*on_closed)(void *owner);
};

/* Listens. NULL: it could not (address, port in use, token file), and nothing is left behind. */
struct http *http_open(struct uv_loop_s *loop, const struct http_options *options,
                       const struct http_callbacks *callbacks, void *owner, struct error *error);
/* Listens at another address from now on, with the token of `token_file`; an empty `listen`: nowhere. Connections of the
 * old address are closed, and who listens to events is told why; history and counters go on. False: it could not, and
 * nothing has changed. */
bool http_move(struct http *http, const char *listen, const char *token_file, struct error *error)
    __attribute__((warn_unused_result));
/* Reads the token file again, at a reload. False: the token stays as it was. Where nobody is served, nothing is read. */
bool http_reload_token(struct http *http, const char *token_file, struct error *error)
    __attribute__((warn_unused_result));
/* Closes the listener and every connection. Safe twice. */
void http_close(struct http *http);
/* The port that it listens on; not after a move to nowhere. */
uint16_t http_port(const struct http *http);

/* A dead letter as its stream has it; all fields borrowed for the call. */
struct http_letter {
    struct slice id, type, data, seq, orig_id, deliveries, reason;
};

/* False: the answer is full or nobody waits for it; no more need be added. */
bool http_answer_add(struct http_answer *answer, const struct http_letter *letter);
/* Sends what was added, or 503 with the reason where `error` is not NULL; then `answer` is gone. */
void http_answer_end(struct http_answer *answer, const struct error *error);

#endif
