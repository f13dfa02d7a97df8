/*
 * Configuration: one struct, filled from a file (INI), the environment and --set, the later wins.
 * ONE table of keys (keys.c) drives parsing, environment names, --print, docs and the reference.
 *
 * Ownership: a config owns its strings until config_deinit(). Threading: immutable once loaded.
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/log.h"

struct tables; /* config/tables.h */

enum cursor_start {
    CURSOR_SAVED,
    CURSOR_LIVE,
    CURSOR_OLDEST,
    CURSOR_SEQUENCE
};
enum ingest_mode {
    INGEST_AUTO,
    INGEST_NEVER
};
enum relay_verify {
    RELAY_VERIFY_NONE,
    RELAY_VERIFY_BLOCKS
};
enum prepared_mode {
    PREPARED_AUTO,
    PREPARED_ON,
    PREPARED_OFF
};

/* How many keys there are. */
enum {
    CONFIG_KEY_COUNT = 49
};

/* When a changed key is felt after a reload. */
enum config_apply {
    CONFIG_APPLY_AT_ONCE,
    CONFIG_APPLY_RECONNECT, /* the connection that it is about is closed and opened again */
    CONFIG_APPLY_RESTART,   /* not before the process starts again */
};

/* One key that differs between two configurations; texts are borrowed for the call, secrets masked. */
struct config_change {
    const char *section;
    const char *key;
    enum config_apply apply;
    const char *before;
    const char *after;
};

/* One key as it may be shown; texts are borrowed for the call, secrets masked. */
struct config_shown {
    const char *section;
    const char *key;
    const char *value;
    const char *origin; /* "default", "conf/standpipe.conf:12", ... */
    enum config_apply apply;
};

/* A comma list; `items` are owned strings. */
struct config_list {
    char **items;
    size_t count;
};

struct config_relay {
    char *url; /* complete: ws[s]://host[:port]/xrpc/com.atproto.sync.subscribeRepos */
    enum cursor_start cursor;
    int64_t cursor_sequence; /* with CURSOR_SEQUENCE */
    uint64_t idle_timeout_ms;
    uint64_t max_frame_bytes;
    struct config_list collections; /* empty: all */
    char *ca_file;                  /* NULL: the system's */
    bool tls_verify;
    enum relay_verify verify;
    bool accept_sequence_reset;
};

struct config_redis {
    char *url; /* redis://[user[:password]@]host[:port][/db], rediss://..., unix:///path[?db=n] */
};

struct config_stream {
    char *key;
    char *group;
    char *dead_letter_key;
    uint64_t max_length;
    uint64_t max_backlog;
    uint64_t max_backlog_bytes;
    uint64_t dead_letter_max;
    uint64_t dead_letter_max_bytes;
    struct config_list trim_groups; /* empty: all */
};

struct config_workers {
    uint64_t threads; /* 0 is never stored: resolved to the cores allowed by the cgroup's quota */
    uint64_t pipelines;
    uint64_t batch_size;
    uint64_t block_ms;
    uint64_t claim_interval_ms;
    uint64_t claim_min_idle_ms;
    uint64_t max_deliveries;
    char *consumer_id; /* prefix of our consumer names; default: the host name */
};

struct config_postgres {
    char *url; /* any libpq conninfo */
    char *schema;
    bool migrate;
    uint64_t connections; /* per process, at least one a thread; 0 is never stored */
    uint64_t batch_bytes;
    uint64_t batch_age_ms;
    uint64_t tombstone_age_ms; /* 0: tombstones are kept for ever */
    enum prepared_mode prepared;
    char *tables_file; /* NULL: the built-in description; "none": no typed tables */
};

struct config_alerts {
    uint64_t interval_ms;
    uint64_t depth_warning;
    uint64_t depth_critical;
    uint64_t lag_warning_ms;
    uint64_t stall_warning_ms; /* 0: never */
};

struct config_http {
    char *listen; /* host:port; empty: no server */
    char *token_file;
};

struct config {
    struct config_relay relay;
    struct {
        enum ingest_mode mode;
        uint64_t lease_ms;
    } ingest;
    struct config_redis redis;
    struct config_stream stream;
    struct config_workers workers;
    struct config_postgres postgres;
    struct config_alerts alerts;
    struct config_http http;
    struct {
        uint64_t timeout_ms;
    } shutdown;
    struct {
        enum log_level level;
        enum log_format format;
        bool core_dumps;
    } log;
    struct tables *tables; /* what postgres.tables_file describes; never NULL once loaded */
    void *sources;         /* where each value came from, for config_print(); private */
};

/* What the command line gives. */
struct config_arguments {
    const char *file;       /* NULL: none is read */
    const char *const *set; /* section.key=value */
    size_t set_count;
    const char *const *environment; /* like environ */
};

/* Fills `config` or says in `error` file, line, key, value and what is allowed; on failure `config`
 * needs no deinit. */
bool config_load(struct config *config, const struct config_arguments *arguments,
                 struct error *error) __attribute__((warn_unused_result));
void config_deinit(struct config *config);
/* Every key, its value (secrets masked) and where it came from, one a line. */
void config_print(const struct config *config, struct buffer *out);
/* The same, for other forms: calls `on_key` for every key, in the order of the table. */
void config_each(const struct config *config,
                 void (*on_key)(void *owner, const struct config_shown *shown), void *owner);
/* The reference of every key as Markdown (docs/configuration.md). */
void config_reference(struct buffer *out);
/* standpipe.conf(5), as the source of a manual page. */
void config_manual(struct buffer *out);
/* Calls `on_change` once for each key whose value differs, in the order of the table; postgres.tables_file differs
 * too where the file describes something else than before. */
void config_compare(const struct config *before, const struct config *after,
                    void (*on_change)(void *owner, const struct config_change *change),
                    void *owner);
/* Gives `next` the values of `running` for every key that only a restart applies. */
void config_hold_back(struct config *next, const struct config *running);
/* Host and port of the relay's URL, the name of its sequence space: "bsky.network", "127.0.0.1:3000". */
void config_relay_host(const struct config *config, struct buffer *out);

#endif
