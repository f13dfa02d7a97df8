/*
 * Reader commands: what one consumer of a group says to Redis, as RESP.
 * Ownership: `out` is the caller's and is replaced. Threading: pure functions.
 */
#ifndef STREAM_READER_COMMANDS_H
#define STREAM_READER_COMMANDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "stream/reader_entries.h"
#include "stream/scripts.h"
#include "stream/stream_reader.h"

struct reader_names {
    const char *key, *group, *consumer, *ledger_key, *meta_key;
};

/* XREADGROUP of what is pending on us, from the first on; or BLOCK for what is new. */
void reader_format_read_own(struct buffer *out, const struct reader_names *names, size_t count);
void reader_format_read_new(struct buffer *out, const struct reader_names *names, size_t count,
                            uint32_t block_ms);
/* XINFO CONSUMERS of the group. */
void reader_format_consumers(struct buffer *out, const struct reader_names *names);
/* XAUTOCLAIM from `cursor`; empty: from the start. */
void reader_format_claim(struct buffer *out, const struct reader_names *names, uint64_t min_idle_ms,
                         struct slice cursor, size_t count);
/* XPENDING of ours from `first` to `last`: how often each was delivered. */
void reader_format_deliveries(struct buffer *out, const struct reader_names *names,
                              struct slice first, struct slice last);
/* XACK of the entries that are gone. */
void reader_format_forget(struct buffer *out, const struct reader_names *names,
                          const struct reader_entries *entries);
/* The call of the acknowledge script for all items, which were read when the group had been set back `rewinds` times. */
void reader_format_acknowledge(struct script_call *call, const struct reader_names *names,
                               const struct reader_entries *entries, int64_t rewinds,
                               const struct stream_verdict *verdict);

#endif
