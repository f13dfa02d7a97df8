/*
 * Repo: one account of the made-up network and its live records.
 *
 * Ownership: the history owns its repos; a repo owns its live records.
 */
#ifndef RELAY_REPO_H
#define RELAY_REPO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cbor.h"
#include "identifier.h"
#include "record.h"

enum repo_status {
    REPO_UNBORN, /* nothing was said of it yet */
    REPO_ACTIVE,
    REPO_DEACTIVATED,
    REPO_SUSPENDED,
    REPO_TAKENDOWN,
    REPO_DELETED
};

struct live_record {
    uint64_t tid; /* record key, unless the kind's key is `self` */
    enum record_kind kind;
    struct cid cid;
    char *block; /* owned, NULL where nobody asked for the truth */
    uint32_t block_size;
};

struct repo {
    char did[DID_LENGTH + 1];
    char handle[48];
    uint32_t number;
    uint32_t renamed; /* how often */
    enum repo_status status;
    bool has_head;   /* there is a commit: rev, head and data are set */
    uint64_t rev;    /* TID */
    struct cid head; /* of the commit block */
    struct cid data; /* of the tree's root */
    struct buffer commit_block;
    struct live_record *records;
    size_t record_count;
    size_t record_capacity;
};

void repo_deinit(struct repo *repo);
/* `active`, `deleted`, ... as lexicon and truth write it. */
const char *repo_status_name(enum repo_status status);
bool repo_is_hidden(const struct repo *repo);
/* Takes over `record` and the block in it. */
void repo_add_record(struct repo *repo, const struct live_record *record);
/* Forgets record `index`; the last one takes its place. */
void repo_remove_record(struct repo *repo, size_t index);
/* Forgets all records and the head: the account is deleted. */
void repo_clear(struct repo *repo);
/* The index of the first record of `kind`, or record_count. */
size_t repo_find_kind(const struct repo *repo, enum record_kind kind);
/* Record key of `record` into `text`, which holds TID_LENGTH + 1 bytes. */
void live_record_key(const struct live_record *record, char *text);

#endif
