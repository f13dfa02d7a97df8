"""Liveness is about the loops alone; readiness names what is away."""
from pathlib import Path

import pytest

from handmade import Create, Repo, Sequence, write_frames
from harness.waiting import wait_until

RUNTIME = Path(__file__).resolve().parents[2] / "src" / "runtime"
HAS_HTTP = any('#include "http/' in source.read_text() for source in RUNTIME.glob("*.c"))
pytestmark = pytest.mark.skipif(not HAS_HTTP, reason="the daemon of this tree serves no HTTP")


def wait_not_ready(daemon, why):
    wait_until(
        lambda: daemon.get("/readyz")[0] == 503 and why in daemon.get("/readyz")[1],
        lambda: f"/readyz is 503 and names {why} ({daemon.get('/readyz')})",
        30,
        [daemon.process],
    )


def test_it_is_ready_once_it_runs(setup, start_relay, generated):
    setup.relay = start_relay(generated.frames)
    daemon = setup.run(relay__cursor="oldest").wait_ready()
    assert daemon.get("/livez")[0] == 200
    assert daemon.terminate() == 0


@pytest.mark.parametrize("what", ["postgres", "redis"])
def test_readiness_names_what_is_away_and_liveness_does_not_care(
    setup, start_relay, generated, what
):
    setup.relay = start_relay(generated.frames)
    away = {"postgres": "host=/nonexistent dbname=x", "redis": "unix:///nonexistent/redis.sock"}
    daemon = setup.run(**{f"{what}__url": away[what]})
    wait_until(lambda: daemon.get("/livez")[0] == 200, "alive", 30, [daemon.process])
    wait_not_ready(daemon, what)
    assert daemon.terminate() == 0


def test_a_cursor_of_the_future_fails_readiness(setup, start_relay, generated):
    setup.relay = start_relay(generated.frames, "--error-frame", "FutureCursor")
    daemon = setup.run(relay__cursor="oldest")
    wait_not_ready(daemon, "FutureCursor")
    assert daemon.terminate() == 0


def test_metrics_tell_where_the_events_went(setup, start_relay, folder):
    repo = Repo(Sequence(), "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa")
    frames = [repo.commit(Create(f"com.example.x/r{n}", {"n": n})) for n in range(50)]
    setup.relay = start_relay(write_frames(frames, folder / "f.bin"))
    daemon = setup.run(relay__cursor="oldest").wait_ready()
    setup.wait_drained(50)
    metrics = daemon.metrics()
    assert any(name.startswith("standpipe_build_info") for name in metrics)
    assert all(name.startswith(("standpipe_", "process_")) for name in metrics)
    wait_until(  # the ledger is as of the last look at Redis, which is up to a second old
        lambda: daemon.api()["ledger"]["appended"] == 50,
        lambda: f"50 are appended ({daemon.api()['ledger']})",
        20,
        [daemon.process],
    )
    assert daemon.terminate() == 0


def test_metrics_tell_what_postgresql_refused_by_class(setup, start_relay, folder):
    repo = Repo(Sequence(), "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa")
    frames = [repo.commit(Create(f"com.example.x/r{n}", {"n": n})) for n in range(10)]
    assert setup.command("migrate").returncode == 0
    setup.database.query("ALTER TABLE standpipe_records ADD CHECK (rkey <> 'r4')")
    setup.relay = start_relay(write_frames(frames, folder / "f.bin"))
    daemon = setup.run(relay__cursor="oldest").wait_ready()
    setup.wait_drained(10)
    assert daemon.metrics()['standpipe_postgres_errors_total{class="23"}'] >= 1
