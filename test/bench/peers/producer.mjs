// The reference producer (facts of its code): a frame becomes XADD, SETEX of the newest fifty, PUBLISH. Charitable: XADD
// alone. Both send without waiting for the answer, with as many on the way as the client likes.
import { Firehose } from "@skyware/firehose";
import { Redis } from "ioredis";
import { count, given, tell } from "./meter.mjs";

const KEY = "firehose:events", GROUP = "firehose-processors", RECENT = 50, SECONDS = 10, STREAM = 500000;
const redis = new Redis({ path: given.redis, maxRetriesPerRequest: null });
await redis.xgroup("CREATE", KEY, GROUP, "0", "MKSTREAM").catch(() => {});
const recent = [];

function show(type, did, lexicon, action) {
    recent.unshift({ type: `#${type}`, lexicon, did, action, timestamp: new Date().toISOString().slice(11, 19) });
    if (recent.length > RECENT) recent.pop();
    redis.setex("firehose:recent_events", SECONDS, JSON.stringify(recent));
    redis.publish("firehose:events:broadcast", JSON.stringify(recent[0]));
}

async function append(type, data, sequence, lexicon, action) {
    const added = redis.xadd(KEY, "MAXLEN", "~", STREAM, "*", "type", type, "data", JSON.stringify(data), "seq", sequence);
    if (!given.charitable) show(type, data.repo ?? data.did, lexicon, action);
    await added;
    count();
}

const firehose = new Firehose({ relay: given.relay, cursor: "0", autoReconnect: false });
firehose.on("commit", (event) => {
    const ops = event.ops.map(({ action, path, cid, record }) =>
        action === "delete" ? { action, path } : { action, path, cid, record });
    const [first] = ops;
    append("commit", { repo: event.repo, ops }, `${event.seq}`, first?.path.split("/")[0], first?.action);
});
firehose.on("identity", (event) =>
    append("identity", { did: event.did, handle: event.handle ?? event.did }, "", "com.atproto.identity", "update"));
firehose.on("account", (event) =>
    append("account", { did: event.did, active: event.active }, "", "com.atproto.account", event.active ? "active" : "inactive"));
for (const dropped of ["sync", "error"]) firehose.on(dropped, count);
firehose.start();
await tell();
