// The reference worker (facts of its code): five pipelines on one connection read 300 entries each and run all of them at
// once, eighty ops at a time, each op with statements of its own that commit by themselves; an XACK for each entry.
//
// Charitable: what is known of users and posts is remembered, a count is one upsert, no notification, one XACK a batch.
import { Redis } from "ioredis";
import pg from "pg";
import { count, given, tell } from "./meter.mjs";

const KEY = "firehose:events", GROUP = "firehose-processors", PIPELINES = 5, BATCH = 300, OPS = 80, POOL = 20;
const redis = new Redis({ path: given.redis, maxRetriesPerRequest: null });
const pool = new pg.Pool({ ...given.postgres, max: POOL });
const full = !given.charitable, known = new Set();
let statements = 0, running = 0;
const waiting = [];

async function sql(text, ...values) {
    statements++;
    try {
        return (await pool.query(text, values)).rows;
    } catch (error) {
        if (error.code === "23505" || error.code === "23503") return [];
        throw error;
    }
}

async function gated(work) {
    if (running >= OPS) await new Promise((resolve) => waiting.push(resolve));
    running++;
    try {
        return await work();
    } finally {
        running--;
        waiting.shift()?.();
    }
}

async function ensureUser(did) {
    if (!full && known.has(did)) return;
    const [found] = await sql("SELECT * FROM users WHERE did = $1", did);
    if (!found) await sql("INSERT INTO users (did, handle) VALUES ($1, 'handle.invalid') ON CONFLICT DO NOTHING", did);
    known.add(did);
}

async function addCount(uri, column) {
    if (!full) {
        return sql(`INSERT INTO post_aggregations AS a (post_uri, ${column}) VALUES ($1, 1)
            ON CONFLICT (post_uri) DO UPDATE SET ${column} = a.${column} + 1`, uri);
    }
    const [found] = await sql("SELECT * FROM post_aggregations WHERE post_uri = $1", uri);
    if (found) await sql(`UPDATE post_aggregations SET ${column} = $2 WHERE post_uri = $1`, uri, found[column] + 1);
    else await sql(`INSERT INTO post_aggregations (post_uri, ${column}) VALUES ($1, 1)`, uri);
    redis.del(`post_aggregations:${uri}`);
}

async function notify(uri, did, reason, subject) {
    if (!full) return;
    const [post] = await sql("SELECT * FROM posts WHERE uri = $1", subject);
    if (post && post.author_did !== did) {
        await sql(`INSERT INTO notifications (uri, recipient_did, author_did, reason, reason_subject, created_at)
            VALUES ($1, $2, $3, $4, $5, now()) ON CONFLICT DO NOTHING`, `${uri}#notification`, post.author_did, did, reason, subject);
    }
}

async function point(table, column, uri, did, subject, time) {
    await sql(`INSERT INTO ${table} (uri, user_did, post_uri, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
        uri, did, subject, time);
    await addCount(subject, column);
    const state = table === "likes" ? "like_uri" : "repost_uri";
    await sql(`INSERT INTO post_viewer_states (post_uri, viewer_did, ${state}) VALUES ($1, $2, $3)
        ON CONFLICT (post_uri, viewer_did) DO UPDATE SET ${state} = excluded.${state}`, subject, did, uri);
    await notify(uri, did, table.slice(0, -1), subject);
}

async function pair(table, uri, did, subject, time) {
    await ensureUser(subject);
    await sql(`INSERT INTO ${table} (uri, follower_did, following_did, created_at) VALUES ($1, $2, $3, $4)
        ON CONFLICT DO NOTHING`, uri, did, subject, time);
}

async function post(uri, did, op, time) {
    const { text = "", reply, embed = null, facets = null } = op.record;
    await sql(`INSERT INTO posts (uri, cid, author_did, text, parent_uri, root_uri, embed, facets, created_at, indexed_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9) ON CONFLICT DO NOTHING`, uri, op.cid, did, text,
        reply?.parent?.uri, reply?.root?.uri, embed && JSON.stringify(embed), facets && JSON.stringify(facets), time);
    if (full) await sql("INSERT INTO post_aggregations (post_uri) VALUES ($1)", uri);
    if (reply?.parent) {
        await addCount(reply.parent.uri, "reply_count");
        await notify(uri, did, "reply", reply.parent.uri);
    }
    await sql(`INSERT INTO feed_items (uri, post_uri, originator_did, type, sort_at, cid, created_at)
        VALUES ($1, $1, $2, 'post', $3, $4, $3)`, uri, did, time, op.cid);
}

const DELETES = {
    "app.bsky.feed.post": ["posts", "feed_items"], "app.bsky.feed.like": ["likes"], "app.bsky.feed.repost": ["reposts", "feed_items"],
    "app.bsky.graph.follow": ["follows"], "app.bsky.graph.block": ["blocks"],
};

async function remove(uri, collection) {
    for (const table of DELETES[collection] ?? ["generic_records"]) await sql(`DELETE FROM ${table} WHERE uri = $1`, uri);
}

async function write(did, op) {
    const uri = `at://${did}/${op.path}`, [collection] = op.path.split("/");
    if (op.action === "delete") return remove(uri, collection);
    const record = op.record, date = new Date(record.createdAt), time = isNaN(date) ? new Date() : date;
    await ensureUser(did);
    if (full) await sql("SELECT * FROM user_settings WHERE user_did = $1", did);
    switch (record.$type) {
        case "app.bsky.feed.post": return post(uri, did, op, time);
        case "app.bsky.feed.like": return point("likes", "like_count", uri, did, record.subject.uri, time);
        case "app.bsky.feed.repost": return point("reposts", "repost_count", uri, did, record.subject.uri, time);
        case "app.bsky.graph.follow": return pair("follows", uri, did, record.subject, time);
        case "app.bsky.graph.block": return pair("blocks", uri, did, record.subject, time);
        default: return sql(`INSERT INTO generic_records (uri, cid, author_did, record_type, record, created_at)
            VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`, uri, op.cid, did, record.$type ?? collection, JSON.stringify(record), time);
    }
}

async function run(type, data) {
    if (type === "commit") for (const op of data.ops) await gated(() => write(data.repo, op));
    else if (type === "identity") {
        await sql(`INSERT INTO users (did, handle) VALUES ($1, $2) ON CONFLICT (did) DO UPDATE SET handle = excluded.handle`,
            data.did, data.handle);
    }
}

async function handle([id, fields]) {
    await run(fields[1], JSON.parse(fields[3]));
    if (full) await redis.xack(KEY, GROUP, id);
    count();
    return id;
}

async function pipeline(number) {
    for (;;) {
        const read = await redis.xreadgroup("GROUP", GROUP, `worker-0-p${number}`, "COUNT", BATCH, "BLOCK", 100, "STREAMS", KEY, ">");
        if (!read) continue;
        const done = await Promise.allSettled(read[0][1].map(handle));
        const ids = done.filter(({ status }) => status === "fulfilled").map(({ value }) => value);
        if (!full && ids.length) await redis.xack(KEY, GROUP, ...ids);
        for (const { reason } of done.filter(({ status }) => status === "rejected").slice(0, 1)) throw reason;
    }
}

await redis.xgroup("CREATE", KEY, GROUP, "0", "MKSTREAM").catch(() => {});
console.log(JSON.stringify({ ready: true }));
for (let number = 0; number < PIPELINES; number++) pipeline(number);
await tell({ get statements_per_event() { return statements / given.count; } });
