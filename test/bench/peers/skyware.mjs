// @skyware/firehose, draining: decodes every frame, does nothing with it.
import { Firehose } from "@skyware/firehose";
import { count, given, tell } from "./meter.mjs";

const firehose = new Firehose({ relay: given.relay, cursor: "0", autoReconnect: false });
for (const event of ["commit", "identity", "account", "sync", "error"]) firehose.on(event, count);
firehose.start();
await tell();
