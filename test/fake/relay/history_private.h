/*
 * The history's own state, shared by history.c (what happens next) and truth.c (what is left of it).
 */
#ifndef RELAY_HISTORY_PRIVATE_H
#define RELAY_HISTORY_PRIVATE_H

#include "frames.h"
#include "history.h"
#include "repo.h"

enum {
    RECENT_POSTS = 4096
};

struct recent_post {
    uint32_t repo;
    uint64_t tid;
    struct cid cid;
};

enum birth_stage {
    BIRTH_NONE,
    BIRTH_IDENTITY,
    BIRTH_ACCOUNT,
    BIRTH_COMMIT
};

struct history {
    struct history_options options;
    struct random random;
    struct frame_writer *writer;
    struct frame_stamp stamp;
    int64_t clock_us; /* where time would be without the rounding of account events */
    struct repo *repos;
    uint32_t hidden; /* repos that are not active */
    struct recent_post recent[RECENT_POSTS];
    uint64_t posts; /* ever; the ring's position */
    /* An account's first frames follow each other: identity, account, first commit. */
    struct repo *newborn;
    enum birth_stage birth;
    struct commit_plan plan; /* of the commit being made */
};

#endif
