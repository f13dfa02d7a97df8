#include "sink/schema_steps.h"

/* repos: what is known of each account. Hidden from the contract, and used by the guards:
 *   floor            TID of the newest deletion: nothing below it is accepted again
 *   identity_time,   of the event that set the state: orders events of different epochs
 *   account_time
 *   recent_revs      the highest revs (4 at most, highest first) whose commits came whole
 *   sync_rev         the highest rev that a #sync, or a commit that lacked a block, says exists;
 *                    `desynchronized` is: that rev is none that came whole
 * fillfactor leaves room for HOT updates: every commit updates its repo, and touches no indexed column.
 *
 * standpipe_merge_revs: the highest four of both, none below `floor`: the same whatever came first. */
static const char repos[] =
    "CREATE TABLE repos (\n"
    "    did text COLLATE \"C\" PRIMARY KEY,\n"
    "    handle text,\n"
    "    active boolean NOT NULL DEFAULT true,\n"
    "    status text NOT NULL DEFAULT 'active',\n"
    "    rev text COLLATE \"C\",\n"
    "    commit_cid text COLLATE \"C\",\n"
    "    desynchronized boolean NOT NULL DEFAULT false,\n"
    "    identity_epoch bigint,\n"
    "    identity_seq bigint,\n"
    "    identity_time timestamptz,\n"
    "    account_epoch bigint,\n"
    "    account_seq bigint,\n"
    "    account_time timestamptz,\n"
    "    floor text COLLATE \"C\",\n"
    "    floor_time timestamptz,\n"
    "    sync_rev text COLLATE \"C\",\n"
    "    recent_revs text[] COLLATE \"C\" NOT NULL DEFAULT '{}',\n"
    "    updated_at timestamptz NOT NULL DEFAULT now()\n"
    ") WITH (fillfactor = 85);\n"
    "CREATE INDEX repos_inactive ON repos (did) WHERE NOT active;\n"
    "CREATE INDEX repos_floor ON repos (did) WHERE floor IS NOT NULL;\n"
    "CREATE FUNCTION standpipe_merge_revs(a text[], b text[], floor text) RETURNS text[]\n"
    "    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$\n"
    "    SELECT coalesce(array_agg(rev ORDER BY rev COLLATE \"C\" DESC), '{}') FROM (\n"
    "        SELECT DISTINCT rev COLLATE \"C\" AS rev FROM unnest(a || b) AS u (rev)\n"
    "        WHERE rev COLLATE \"C\" >= coalesce(floor, '') ORDER BY 1 DESC LIMIT 4) AS highest\n"
    "$$;\n";

/* cid null is a tombstone; a live record whose cid was not sent has an empty one. */
static const char records[] =
    "CREATE TABLE standpipe_records (\n"
    "    did text COLLATE \"C\" NOT NULL,\n"
    "    collection text COLLATE \"C\" NOT NULL,\n"
    "    rkey text COLLATE \"C\" NOT NULL,\n"
    "    cid text COLLATE \"C\",\n"
    "    rev text COLLATE \"C\" NOT NULL,\n"
    "    record jsonb,\n"
    "    record_cbor bytea,\n"
    "    invalid text,\n"
    "    seq bigint NOT NULL,\n"
    "    event_time timestamptz,\n"
    "    indexed_at timestamptz NOT NULL,\n"
    "    PRIMARY KEY (did, collection, rkey)\n"
    ") WITH (fillfactor = 95, autovacuum_vacuum_insert_scale_factor = 0.05);\n"
    "CREATE VIEW records AS\n"
    "    SELECT did, collection, rkey, cid, rev, record, seq, event_time, indexed_at, invalid, "
    "record_cbor\n"
    "    FROM standpipe_records AS r\n"
    "    WHERE cid IS NOT NULL\n"
    "      AND NOT EXISTS (SELECT FROM repos AS p WHERE p.did = r.did AND NOT p.active);\n";

static const char bookkeeping[] =
    "CREATE TABLE standpipe_cursor (\n"
    "    host text COLLATE \"C\" NOT NULL,\n"
    "    epoch bigint NOT NULL,\n"
    "    queued bigint NOT NULL,\n"
    "    committed bigint NOT NULL,\n"
    "    updated_at timestamptz NOT NULL DEFAULT now(),\n"
    "    PRIMARY KEY (host, epoch)\n"
    ") WITH (fillfactor = 50);\n"
    "CREATE TABLE standpipe_dead_letters (\n"
    "    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,\n"
    "    host text COLLATE \"C\" NOT NULL,\n"
    "    epoch bigint NOT NULL,\n"
    "    seq bigint NOT NULL,\n"
    "    op integer NOT NULL,\n" /* index of the op, -1 for the entry */
    "    reason text COLLATE \"C\" NOT NULL,\n"
    "    sqlstate text,\n"
    "    detail text,\n"
    "    did text COLLATE \"C\",\n"
    "    collection text COLLATE \"C\",\n"
    "    rkey text COLLATE \"C\",\n"
    "    type text,\n"
    "    data text,\n"   /* as in the stream; where an op is at fault, with that op alone */
    "    frame bytea,\n" /* raw bytes, where data cannot hold them */
    "    created_at timestamptz NOT NULL DEFAULT now(),\n"
    "    UNIQUE (host, epoch, seq, op, reason)\n"
    ");\n"
    "CREATE INDEX standpipe_dead_letters_did ON standpipe_dead_letters (did);\n"
    "CREATE INDEX standpipe_dead_letters_created_at ON standpipe_dead_letters (created_at);\n";

/* Bounds, and the mirror in Redis. A broken frame has no sequence that can be trusted: its hash says which it is. */
static const char letters[] =
    "ALTER TABLE standpipe_dead_letters\n"
    "    ADD COLUMN deliveries bigint NOT NULL DEFAULT 0,\n" /* of the entry, before it was one */
    "    ADD COLUMN frame_hash text COLLATE \"C\" NOT NULL DEFAULT '',\n" /* base64 of SHA-256 */
    "    ADD COLUMN cut_from bigint,\n"                   /* bytes before it was cut; null: whole */
    "    ADD COLUMN letters bigint NOT NULL DEFAULT 1,\n" /* a summary stands for several */
    "    ADD COLUMN last_seq bigint,\n"                   /* summary: they lie in seq..last_seq */
    "    ADD COLUMN mirror_id text COLLATE \"C\",\n" /* in the dead-letter stream; null: not yet */
    "    DROP CONSTRAINT standpipe_dead_letters_host_epoch_seq_op_reason_key,\n"
    "    ADD CONSTRAINT standpipe_dead_letters_key\n"
    "        UNIQUE (host, epoch, seq, op, reason, frame_hash);\n"
    "CREATE UNIQUE INDEX standpipe_dead_letters_frame\n"
    "    ON standpipe_dead_letters (host, frame_hash) WHERE frame_hash <> '';\n"
    "CREATE INDEX standpipe_dead_letters_unmirrored\n"
    "    ON standpipe_dead_letters (id) WHERE mirror_id IS NULL;\n";

/* A deletion says at once what it removes; the rows go in bounded pieces, and until then `clearing` hides them: those
 * below the floor, by the same rule as the statement that deletes them. The first condition stands apart so that the
 * partial index serves it. repos_clearing is the list of what is still to be done. */
static const char hidden_rows[] =
    "ALTER TABLE repos ADD COLUMN clearing boolean NOT NULL DEFAULT false;\n"
    "CREATE INDEX repos_hidden ON repos (did) WHERE NOT active OR clearing;\n"
    "CREATE INDEX repos_clearing ON repos (did) WHERE clearing;\n"
    "CREATE OR REPLACE VIEW records AS\n"
    "    SELECT did, collection, rkey, cid, rev, record, seq, event_time, indexed_at, invalid, "
    "record_cbor\n"
    "    FROM standpipe_records AS r\n"
    "    WHERE cid IS NOT NULL\n"
    "      AND NOT EXISTS (SELECT FROM repos AS p WHERE p.did = r.did\n"
    "          AND (NOT p.active OR p.clearing)\n"
    "          AND (NOT p.active OR (r.rev < p.floor\n"
    "              AND (r.rev <> '' OR coalesce(r.event_time < p.floor_time, true)))));\n"
    "DROP INDEX repos_inactive;\n";

/* What we made of each description (typed_schema.h): an object that is not in here is not ours to change or drop. A
 * table that first appears beside stored records, or whose description changed, is not `filled` until it is rebuilt. */
static const char tables[] =
    "CREATE TABLE standpipe_tables (\n"
    "    name text COLLATE \"C\" PRIMARY KEY,\n" /* of the view, the table of counts, the user's table */
    "    kind text NOT NULL,\n"                  /* rows, counts or existing */
    "    description text NOT NULL,\n"           /* what fills it */
    "    columns text[] NOT NULL DEFAULT '{}',\n" /* that we made */
    "    indexes text[] NOT NULL DEFAULT '{}',\n" /* that we made, or were about to make */
    "    view_sql text,\n"                        /* that made the view as it is */
    "    filled boolean NOT NULL,\n"
    "    rebuild jsonb,\n" /* how far a rebuild has come; null: none is under way */
    "    updated_at timestamptz NOT NULL DEFAULT now()\n"
    ");\n";

/* A tombstone goes when it lies at or below the horizon (tombstones.h); with `epoch`, which no other row has, `seq` is its
 * position. The index is on that column so that no write of a live record moves an entry of it. */
static const char tombstones[] =
    "ALTER TABLE standpipe_records ADD COLUMN epoch bigint;\n"
    "CREATE INDEX standpipe_records_tombstones ON standpipe_records (epoch, seq)\n"
    "    WHERE epoch IS NOT NULL;\n"
    "CREATE TABLE standpipe_horizon (\n"
    "    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),\n"
    "    epoch bigint NOT NULL DEFAULT 0,\n"
    "    seq bigint NOT NULL DEFAULT 0,\n"
    "    next_epoch bigint,\n" /* the committed mark at next_at: the horizon to be */
    "    next_seq bigint,\n"
    "    next_at timestamptz\n"
    ");\n"
    "INSERT INTO standpipe_horizon DEFAULT VALUES;\n";

const struct schema_step schema_steps[] = {
    {"repos", repos},
    {"records", records},
    {"cursor and dead letters", bookkeeping},
    {"bounds and mirror of dead letters", letters},
    {"rows hidden until they are cleared", hidden_rows},
    {"typed tables", tables},
    {"horizon of tombstones", tombstones},
};
const int schema_step_count = sizeof(schema_steps) / sizeof(schema_steps[0]);
