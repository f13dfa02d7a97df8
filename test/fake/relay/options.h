/*
 * Options of standpipe-relay: one table (options.c) drives parsing and --help.
 * Strings are borrowed from argv.
 */
#ifndef RELAY_OPTIONS_H
#define RELAY_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct options {
    bool help;
    /* what is served */
    const char *file;
    int64_t generate; /* frames; 0: endless, -1: not asked for */
    int64_t seed;
    int64_t repos; /* 0: a 200th of the frames, 20 to 10,000 */
    int64_t frame_bytes;
    int64_t first_sequence;
    int64_t base_time_ms;
    int64_t window; /* frames that an endless history can replay */
    const char *write;
    const char *truth;
    /* how */
    const char *listen; /* NULL: nothing is served */
    const char *tls_cert;
    const char *tls_key;
    int64_t rate; /* events a second; 0: as fast as it can */
    const char *clock_file;
    const char *release_log;
    bool cursor_inclusive;
    bool exit_when_done;
    int64_t ping_interval_ms;
    /* misbehaviour; -1: never */
    int64_t drop_after;
    int64_t reset_after;
    int64_t stall_after;
    int64_t half_frame_after;
    int64_t regress_after;
    int64_t error_after;
    const char *error_frame;
    int64_t duplicate;        /* per mille */
    int64_t garbage;          /* per mille */
    int64_t text_frames;      /* per mille */
    int64_t ping_flood;       /* pings before each frame */
    int64_t reconnect_replay; /* frames */
    bool slow_bytes;
};

/* False with the reason in `error` where the command line is wrong. */
bool options_parse(struct options *options, int argc, char **argv, struct error *error)
    __attribute__((warn_unused_result));
void options_print_help(void);

#endif
