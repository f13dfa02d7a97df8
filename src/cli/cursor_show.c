#include <inttypes.h>
#include <stdio.h>

#include "atproto/json.h"
#include "cli/cursor.h"
#include "stream/redis_reply.h"

#include <libpq-fe.h>

/* ---- lines ---- */

static void print_next(const struct origin *next)
{
    if (next->is_impossible) {
        (void)printf("next start   stops: %s\n", next->why);
    } else if (next->cursor == ORIGIN_LIVE) {
        (void)printf("next start   live, without a cursor: %s\n", next->why);
    } else {
        (void)printf("next start   after %" PRId64 ", %s %" PRIu64 ": %s\n", next->cursor,
                     next->is_new_epoch ? "in a new epoch, like" : "epoch", next->queued.epoch,
                     next->why);
    }
}

static void print_lease(const struct cursor_job *job)
{
    if (!job->is_leased) {
        (void)printf("lease        free: no process ingests\n");
    } else {
        (void)printf("lease        held: a process ingests, and may be ahead of this page\n");
    }
}

static void print_stream(const struct cursor_job *job)
{
    struct slice last = reply_text(reply_element(job->found, 0));
    (void)printf("stream       %s: %" PRIu64 " entries, last ID %.*s\n", job->config->stream.key,
                 job->length, SLICE_ARGS(last.size > 0 ? last : SLICE("none")));
    if (job->facts.has_meta) {
        (void)printf("  meta       host %.*s, epoch %" PRIu64 ", queued %" PRId64 "\n",
                     SLICE_ARGS(reply_text(reply_element(job->found, 1))), job->facts.queued.epoch,
                     job->facts.queued.sequence);
    } else {
        (void)printf("  meta       none\n");
    }
}

static void print_rows(const struct cursor_job *job)
{
    int rows = PQntuples(job->rows);
    (void)printf("PostgreSQL   %d mark%s in standpipe_cursor%s\n", rows, rows == 1 ? "" : "s",
                 rows > 0 ? ", the newest epoch first" : "");
    for (int row = 0; row < rows; row++) {
        (void)printf(
            "  %s  epoch %s, queued %s, committed %s, saved %s\n",
            PQgetvalue(job->rows, row, CURSOR_HOST), PQgetvalue(job->rows, row, CURSOR_EPOCH),
            PQgetvalue(job->rows, row, CURSOR_QUEUED), PQgetvalue(job->rows, row, CURSOR_COMMITTED),
            PQgetvalue(job->rows, row, CURSOR_UPDATED_AT));
    }
}

/* ---- JSON ---- */

static void append_text(struct buffer *out, const char *name, struct slice text)
{
    buffer_append_string(out, name);
    if (text.size > 0) {
        (void)json_append_text(out, text);
    } else {
        buffer_append_string(out, "null");
    }
}

static void append_next(struct buffer *out, const struct origin *next)
{
    buffer_append_string(out, ",\"next\":{\"after\":");
    if (next->cursor == ORIGIN_LIVE || next->is_impossible) {
        buffer_append_string(out, "null");
    } else {
        buffer_append_int64(out, next->cursor);
    }
    buffer_append_format(out, ",\"epoch\":%" PRIu64 ",\"new_epoch\":%s", next->queued.epoch,
                         next->is_new_epoch ? "true" : "false");
    append_text(out, ",\"why\":", slice_from_string(next->why));
    buffer_append_byte(out, '}');
}

static void append_redis(struct buffer *out, const struct cursor_job *job)
{
    append_text(out, ",\"redis\":{\"key\":", slice_from_string(job->config->stream.key));
    buffer_append_format(out, ",\"length\":%" PRIu64, job->length);
    append_text(out, ",\"last_id\":", reply_text(reply_element(job->found, 0)));
    append_text(out, ",\"host\":", reply_text(reply_element(job->found, 1)));
    if (job->facts.has_meta) {
        buffer_append_format(out, ",\"epoch\":%" PRIu64 ",\"queued\":%" PRId64,
                             job->facts.queued.epoch, job->facts.queued.sequence);
    } else {
        buffer_append_string(out, ",\"epoch\":null,\"queued\":null");
    }
    buffer_append_format(out, ",\"leased\":%s}", job->is_leased ? "true" : "false");
}

static void append_rows(struct buffer *out, const struct cursor_job *job)
{
    buffer_append_string(out, ",\"postgres\":[");
    for (int row = 0; row < PQntuples(job->rows); row++) {
        append_text(out, row == 0 ? "{\"host\":" : ",{\"host\":",
                    slice_from_string(PQgetvalue(job->rows, row, CURSOR_HOST)));
        buffer_append_format(out, ",\"epoch\":%s,\"queued\":%s,\"committed\":%s",
                             PQgetvalue(job->rows, row, CURSOR_EPOCH),
                             PQgetvalue(job->rows, row, CURSOR_QUEUED),
                             PQgetvalue(job->rows, row, CURSOR_COMMITTED));
        append_text(out, ",\"updated_at\":",
                    slice_from_string(PQgetvalue(job->rows, row, CURSOR_UPDATED_AT)));
        buffer_append_byte(out, '}');
    }
    buffer_append_string(out, "]}\n");
}

bool cursor_show(struct cursor_job *job, struct error *error)
{
    if (!cursor_look(job, error)) {
        return false;
    }
    struct origin next = cursor_next(job);
    if (!job->is_json) {
        (void)printf("relay        %s\n", job->host.data);
        print_next(&next);
        print_lease(job);
        print_stream(job);
        print_rows(job);
        return true;
    }
    struct buffer page = {0};
    append_text(&page, "{\"host\":", slice_from_string(job->host.data));
    append_next(&page, &next);
    append_redis(&page, job);
    append_rows(&page, job);
    (void)fwrite(page.data, 1, page.size, stdout); /* cli_finish_output() looks */
    buffer_deinit(&page);
    return true;
}
