#include "flow/letters_harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "flow/sink_postgres.h"
#include "flow/stream_server.h"
#include "sink/migrations.h"
#include <hiredis/hiredis.h>

static void on_counted(void *owner, const struct dead_letter_depth *depth,
                       const struct dead_letter_count *count)
{
    struct rig *rig = owner;
    rig->depth = *depth;
    rig->count = *count;
}

static void on_closed(void *owner)
{
    struct rig *rig = owner;
    rig->is_closed = true;
}

static char *text_of(const char *text)
{
    return (char *)(uintptr_t)text; /* the configuration owns its texts; here nobody frees them */
}

void letters_open(struct rig *rig, uv_loop_t *loop, const char *redis_url, const char *name)
{
    static const struct dead_letter_courier_callbacks callbacks = {.on_counted = on_counted,
                                                                   .on_closed = on_closed};
    rig->config = (struct config){0};
    rig->depth = (struct dead_letter_depth){0};
    rig->count = (struct dead_letter_count){0};
    rig->is_closed = false;
    rig->config.redis.url = text_of(redis_url);
    rig->config.stream.dead_letter_key = text_of(KEY);
    rig->config.ingest.lease_ms = LETTERS_LEASE_MS;
    rig->config.postgres.url = text_of(sink_postgres_conninfo());
    rig->config.postgres.schema = text_of("public");
    const struct dead_letter_courier_options options = {
        .config = &rig->config, .process_name = name, .interval_ms = 20, .count_interval_ms = 50};
    rig->courier = dead_letter_courier_open(loop, &options, &callbacks, rig);
}

int letters_reset(void **state)
{
    struct buffer report = {0};
    struct error error;
    const struct migrations_options options = {.conninfo = sink_postgres_conninfo(),
                                               .schema = "public"};
    (void)state;
    sink_postgres_query("DROP SCHEMA public CASCADE");
    if (!migrations_run(&options, &report, &error)) {
        fail_msg("%s", error.text);
    }
    buffer_deinit(&report);
    sink_postgres_query("INSERT INTO standpipe_cursor VALUES ('" HOST "', 7, 40, 40)");
    (void)stream_server_number("CONFIG SET maxmemory 0");
    (void)stream_server_number("FLUSHALL");
    return 0;
}

void letters_add_frame(const char *frame, const char *sequence)
{
    (void)stream_server_number("XADD " KEY " * type frame data {} seq %s origId " ORIGIN
                               " deliveries 0 reason cbor error why frame %s time now",
                               sequence, frame);
}

void letters_add_rows(int first, int last)
{
    char sql[512];
    (void)snprintf(sql, sizeof(sql),
                   "INSERT INTO standpipe_dead_letters (host, epoch, seq, op, reason, sqlstate, "
                   "detail, did, type, data, deliveries) SELECT '" HOST
                   "', 7, n, 0, 'bad path', '22P02', 'because', 'did:plc:a', 'commit', "
                   "'{\"n\":' || n || '}', 3 FROM generate_series(%d, %d) AS g (n)",
                   first, last);
    sink_postgres_query(sql);
}

int64_t letters_query(const char *sql)
{
    return strtoll(sink_postgres_query(sql), NULL, 10);
}

int64_t letters_unmirrored(void)
{
    return letters_query("SELECT count(*) FROM standpipe_dead_letters WHERE mirror_id IS NULL");
}

int64_t letters_pending(void)
{
    redisReply *reply = stream_server_call("XPENDING " KEY " " GROUP);
    int64_t count = reply->type == REDIS_REPLY_ARRAY ? reply->element[0]->integer : -1;
    freeReplyObject(reply);
    return count;
}

void letters_check_each_once(int64_t rows, int64_t frames)
{
    assert_int_equal(letters_query("SELECT count(*) FROM standpipe_dead_letters"), rows + frames);
    assert_int_equal(letters_query("SELECT count(DISTINCT mirror_id) FROM standpipe_dead_letters"),
                     rows + frames);
    assert_int_equal(stream_server_number("XLEN " KEY), rows + frames);
    assert_int_equal(stream_server_number("HLEN " HASH), 1); /* the holder */
}

bool letters_are_carried(void *data)
{
    const struct rig *rig = data;
    return letters_unmirrored() == 0 && letters_pending() == 0 &&
           stream_server_number("HLEN " HASH) == 1 && rig->depth.is_known;
}
