"""What an event costs as things grow: pipelines, processes, rows that are there already, entries that wait.

Each walk changes one of them; the others stay as in the first step. `--wide` walks to the ends that the goals name, six
minutes a run; without it each walk has its first steps, in one. The runs take turns, step by step: what the machine gives
moves within minutes, and is not to look like a cost that grows.
"""
import time

from benches import fill
from usage import MEGABYTE, Usage, medians, rss_bytes

PIPELINES, PIPELINES_WIDE = (1, 8, 32), (1, 2, 4, 8, 16, 32)
PROCESSES, PROCESSES_WIDE = (1, 2, 4), (1, 2, 3, 4)
ROWS, ROWS_WIDE = (0, 200_000), (0, 100_000, 1_000_000, 5_000_000)
WAITING, WAITING_WIDE = (10_000, 40_000), (50_000, 200_000, 500_000)
EVENTS, EVENTS_WIDE = 20_000, 100_000  # of a step; with too few four processes share out less than they read at a time

# As many rows of other accounts, as wide as ours; the index is as deep as after years.
ROWS_SQL = """
INSERT INTO standpipe_records (did, collection, rkey, cid, rev, record, seq, event_time, indexed_at)
SELECT 'did:plc:' || substr(md5((number / 200)::text), 1, 24), 'app.bsky.feed.like', substr(md5(number::text), 1, 13),
    'bafyrei' || md5(number::text), '3kaaaaaaaaaaa', record, 0, now(), now()
FROM generate_series(1, %s) AS number, (SELECT record FROM standpipe_records WHERE record IS NOT NULL LIMIT 1) AS one
"""
ONE_ROW = """
INSERT INTO standpipe_records (did, collection, rkey, cid, rev, record, seq, indexed_at) VALUES
('did:plc:first', 'app.bsky.feed.like', 'first', 'bafyfirst', '3kaaaaaaaaaaa', jsonb_build_object('$type',
    'app.bsky.feed.like', 'subject', jsonb_build_object('cid', 'bafyrei' || md5('a') || md5('b'), 'uri',
    'at://did:plc:' || md5('c') || '/app.bsky.feed.post/' || md5('d')), 'createdAt', now()), 0, now())
"""


def add_rows(setup, rows):
    if rows > 0:
        setup.database.query(ONE_ROW)
        setup.database.query(ROWS_SQL, rows)
        setup.database.query("VACUUM ANALYZE standpipe_records")
        setup.database.query("CHECKPOINT")  # gigabytes are not to be written out while the step is measured


def drain(stage, events, processes=1, rows=0, settings=()):
    """A stream of `events` is worked off by so many processes; the start of the last one is not in it."""
    setup, ingest = fill(stage, events, settings)
    stage.relay.stop()
    add_rows(setup, rows)
    with setup.database.transaction() as lock:
        lock.execute("LOCK TABLE repos IN ACCESS EXCLUSIVE MODE")
        daemons = [setup.run(f"bench-{number}", ingest__mode="never").wait_running() for number in range(processes)]
        watched = {f"standpipe-{number}": daemon.pid for number, daemon in enumerate(daemons)}
        usage = Usage({**watched, "redis": stage.redis.pid, "postgresql": stage.cluster.pid})
        started = time.monotonic()
    setup.wait_drained(events, 900)
    seconds, cpu = time.monotonic() - started, usage.per_event_us(events)
    resident = sum(rss_bytes(daemon.pid) for daemon in daemons)
    for daemon in daemons:
        assert daemon.terminate() == 0
    return {
        "events": events,
        "events_per_second": round(events / seconds),
        "cpu_us_per_event": {
            "standpipe": round(sum(cpu[name] for name in watched), 1),
            "redis": cpu["redis"],
            "postgresql": cpu["postgresql"],
        },
        "rss_mb": round(resident / MEGABYTE, 1),
        "ingest_cpu_us_per_event": ingest["cpu_us_per_event"]["standpipe"],
    }


def walks(arguments):
    """(name, [(step, arguments of drain)])"""
    wide, alone = arguments.wide, dict(arguments.settings)
    yield "pipelines", [
        (count, {"settings": {**alone, "workers.pipelines": count}}) for count in (PIPELINES_WIDE if wide else PIPELINES)
    ]
    yield "processes", [
        (count, {"processes": count, "settings": alone}) for count in (PROCESSES_WIDE if wide else PROCESSES)
    ]
    yield "rows", [(count, {"rows": count, "settings": alone}) for count in (ROWS_WIDE if wide else ROWS)]
    yield "waiting", [(count, {"events": count, "settings": alone}) for count in (WAITING_WIDE if wide else WAITING)]


def flatness(steps):
    """The dearest step by the cheapest one, standpipe's CPU and Redis' apart; 1.15 is what the goals allow."""
    costs = {name: [step["cpu_us_per_event"][name] for step in steps] for name in ("standpipe", "redis")}
    return {f"{name}_dearest_by_cheapest": round(max(found) / max(min(found), 0.1), 2) for name, found in costs.items()}


def scale(stage, arguments):
    runs = arguments.runs if arguments.wide else 1
    events = EVENTS_WIDE if arguments.wide else EVENTS
    for name, steps in walks(arguments):
        if arguments.walk not in (None, name):
            continue
        found = [[] for _ in steps]
        for _ in range(runs):
            for of_step, (_, given) in zip(found, steps, strict=True):
                of_step.append(drain(stage, **{"events": events, **given}))
        walked = [medians(of_step) for of_step in found]
        for (step, _), figures in zip(steps, walked, strict=True):
            yield f"scale-{name}", {name: step, **figures, "runs": runs}
        yield f"scale-{name}-flat", flatness(walked)
