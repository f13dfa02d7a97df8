// @atproto/sync, draining, with the checks that need a network left out.
import { Firehose, MemoryRunner } from "@atproto/sync";
import { count, given, tell } from "./meter.mjs";

// It hands out one event an op: the runner is asked per frame.
class Counting extends MemoryRunner {
    async trackEvent(did, sequence, handler) {
        await super.trackEvent(did, sequence, handler);
        count();
    }
}
const firehose = new Firehose({
    service: given.relay, runner: new Counting({ startCursor: 0 }), idResolver: {}, handleEvent() {}, onError() {},
    unauthenticatedCommits: true, unauthenticatedHandles: true,
});
firehose.start();
await tell();
