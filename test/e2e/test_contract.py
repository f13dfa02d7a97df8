"""What parts 6 and 7 of the public contract list, looked for in the real daemon; contract.md names the test of each row."""
import json
import re
from pathlib import Path

import pytest

from harness.waiting import wait_until

HERE = Path(__file__).resolve().parent
# The contract's "at least", in its order.
METRICS = """
    build_info relay_connected relay_frames_total relay_bytes_total relay_reconnects_total relay_sequence relay_gaps_total
    appended_events_total duplicate_events_total filtered_events_total decode_errors_total stream_entries stream_backlog_entries
    stream_oldest_pending_seconds stream_claimed_entries_total stream_trimmed_entries_total batch_rows_bucket batch_seconds_bucket
    commit_seconds_bucket rows_total postgres_errors_total event_to_commit_seconds_bucket queued_sequence committed_sequence
    relay_paused_seconds_total worker_loop_lag_seconds config_last_reload_successful config_last_reload_success_timestamp_seconds
    last_commit_timestamp_seconds stream_lag_known ingest_leader stream_trimmed_unread_entries_total
    relay_certificate_expiry_timestamp_seconds
""".split()
PROCESS = {"process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds", "process_max_fds"}
LABELS = {"table": "rows_total", "class": "postgres_errors_total", "reason": "decode_errors_total", "worker": "worker_loop_lag_seconds"}


def references():
    return re.findall(r"`(test_\w+\.py)::(test_\w+)`", (HERE / "contract.md").read_text())


@pytest.mark.parametrize("file, name", references())
def test_each_test_that_the_table_names_is_there(file, name):
    assert f"\ndef {name}(" in (HERE / file).read_text()


def test_no_row_of_the_table_is_without_a_test():
    rows = [line for line in (HERE / "contract.md").read_text().splitlines() if line.startswith("| ") and "| tests |" not in line]
    assert len(rows) > 20 and [row for row in rows if "::test_" not in row] == []


def test_every_metric_of_the_contract_is_on_the_page(setup, start_relay, generated, certificate):
    setup.relay = start_relay(generated.frames, tls=certificate)
    daemon = setup.run(relay__cursor="oldest", relay__ca_file=certificate.certificate).wait_ready()
    setup.wait_drained(generated.last_sequence)
    wait_until(lambda: daemon.metrics().get("standpipe_committed_sequence", 0) > 0, "the mark is saved", 30, [daemon.process])
    page = daemon.metrics()
    names = {name.partition("{")[0] for name in page}
    assert {f"standpipe_{name}" for name in METRICS} | PROCESS <= names
    for label, name in LABELS.items():
        assert any(key.startswith(f'standpipe_{name}{{{label}="') for key in page), name
    assert page["standpipe_stream_trimmed_unread_entries_total"] == 0
    assert page["standpipe_stream_lag_known"] == page["standpipe_config_last_reload_successful"] == 1
    assert daemon.terminate() == 0


def test_the_lag_is_known_from_the_first_look_on(setup, start_relay, generated):
    setup.relay = start_relay(generated.frames, "--rate", 500)
    daemon = setup.run(relay__cursor="oldest")
    seen = []
    while setup.queued() < generated.last_sequence:
        daemon.process.check_alive()
        seen.append(daemon.metrics().get("standpipe_stream_lag_known"))
    assert 1 in seen and 0 not in seen  # None: there was no look yet
    assert daemon.terminate() == 0


def test_the_reference_system_s_health_pages_say_what_ours_do(setup, start_relay, generated):
    setup.relay = start_relay(generated.frames)
    daemon = setup.run(relay__cursor="oldest").wait_ready()
    assert json.loads(daemon.get("/health")[1])["status"] == "healthy"
    status, body = daemon.get("/ready")
    assert (status, json.loads(body)["checks"]["firehose"], json.loads(body)["checks"]["database"]) == (200, "connected", "healthy")
    setup.wait_drained(generated.last_sequence)
    setup.relay.stop()
    wait_until(lambda: daemon.get("/ready")[0] == 503, "not ready", 30, [daemon.process])
    body = json.loads(daemon.get("/ready")[1])
    assert (body["status"], body["checks"]["firehose"], body["details"]["firehose"]["connected"]) == ("not ready", "disconnected", False)
    assert daemon.get("/health")[0] == 200
    assert daemon.terminate() == 0


def test_a_bad_reload_changes_nothing_and_shows(setup, start_relay, generated):
    setup.relay = start_relay(generated.frames)
    daemon = setup.run_from_file(relay__cursor="oldest", alerts__interval_ms=500).wait_ready()
    before = daemon.get("/api/config")[1]
    assert daemon.reload(workers__batch_size=0)["wasRefused"]
    assert daemon.metrics()["standpipe_config_last_reload_successful"] == 0
    assert daemon.get("/api/config")[1] == before
    daemon.process.wait_for_line("config reload refused, the old configuration stays why=")
    daemon.process.wait_for_line("alert[reload_failed] raised")
    assert not daemon.reload(workers__batch_size=300)["wasRefused"]
    assert daemon.metrics()["standpipe_config_last_reload_successful"] == 1
    setup.wait_drained(generated.last_sequence)
    assert daemon.terminate() == 0
