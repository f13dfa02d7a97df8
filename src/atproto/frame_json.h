/*
 * Frame JSON: the `data` of a stream entry, key for key as the contract lists them.
 *
 * Ownership: appends to the caller's buffer. Threading: pure functions.
 */
#ifndef ATPROTO_FRAME_JSON_H
#define ATPROTO_FRAME_JSON_H

#include "atproto/car.h"
#include "atproto/frame.h"
#include "atproto/frame_body.h"
#include "base/buffer.h"

/* More than any frame of 5 MiB gives, unless its ops name one block over and over. */
enum {
    FRAME_DATA_MAX_BYTES = 64 * 1024 * 1024
};

struct frame_json {
    struct buffer *out;
    struct dag_stack *stack;
    const struct car *car;
    const struct collection_filter *filter;
};

/* What stands before the first slash of an op's path; all of it where there is none. */
struct slice frame_op_collection(const struct body_op *op);
/* Appends a commit and counts its ops in `event`. False: it grew over FRAME_DATA_MAX_BYTES. */
bool frame_json_append_commit(const struct frame_json *json, const struct frame_body *body,
                              struct frame_event *event) __attribute__((warn_unused_result));
/* `handle` may be empty: the DID stands for it. */
void frame_json_append_identity(struct buffer *out, const struct frame_event *event,
                                struct slice handle);
/* `status` may be NULL. */
void frame_json_append_account(struct buffer *out, const struct frame_event *event, bool is_active,
                               const struct slice *status);
void frame_json_append_sync(struct buffer *out, const struct frame_event *event);

#endif
