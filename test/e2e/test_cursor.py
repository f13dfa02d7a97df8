"""Where ingestion goes on: shown, set by an operator, taken over from another system; a real start obeys it."""
import json

import pytest

from handmade import Create, Repo, Sequence, write_frames
from harness.journal import start_journal, writes
from harness.waiting import wait_until

DONE, FAILED, USAGE, UNREACHABLE = 0, 1, 2, 3
LEASE = "firehose:events:lease"
META = "firehose:events:meta"
DID = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
EVENTS = 40
FOREIGN = "CREATE TABLE firehose_cursor (service text PRIMARY KEY, cursor text NOT NULL)"


def cursor(setup, *words, code=DONE, **options):
    done = setup.command("cursor", *words, **options)
    assert done.returncode == code, (done.stdout, done.stderr)
    return done


def show(setup):
    return json.loads(cursor(setup, "show", "--json").stdout)


def marks(setup):
    return setup.database.query("SELECT host, epoch, queued, committed FROM standpipe_cursor ORDER BY epoch")


def rkeys(setup):
    return {row[0] for row in setup.database.query("SELECT rkey FROM records")}


def sequences(setup):
    """Of all entries in the stream, in order."""
    return [int(fields[b"seq"]) for _, fields in setup.stream().xrange("firehose:events")]


@pytest.fixture
def migrated(setup, start_relay, folder):
    """A relay that has EVENTS posts, r1 with sequence 1 and so on; nothing was ingested."""
    repo = Repo(Sequence(), DID)
    frames = [repo.commit(Create(f"com.example.x/r{n}", {"n": n})) for n in range(1, EVENTS + 1)]
    setup.relay = start_relay(write_frames(frames, folder / "posts.bin"))
    assert setup.command("migrate").returncode == DONE
    return setup


@pytest.fixture
def ingested(migrated):
    """The same, all of it taken, and the daemon gone."""
    ingest(migrated, relay__cursor="oldest")
    return migrated


def ingest(setup, **settings):
    daemon = setup.run(**settings)
    setup.wait_drained(EVENTS)
    assert daemon.terminate() == 0
    return daemon


def test_show_says_the_marks_and_where_the_next_start_goes_on(ingested):
    found = show(ingested)
    assert found["next"]["after"] == EVENTS and not found["next"]["new_epoch"]
    assert found["redis"]["queued"] == EVENTS and found["redis"]["length"] == EVENTS
    assert found["redis"]["last_id"] == f"{found['redis']['epoch']}-{EVENTS}"
    (row,) = found["postgres"]
    assert row["host"] == found["host"] == found["redis"]["host"]
    assert (row["epoch"], row["committed"]) == (found["redis"]["epoch"], EVENTS)
    assert not found["redis"]["leased"]
    text = cursor(ingested, "show").stdout
    assert f"after {EVENTS}" in text and f"committed {EVENTS}" in text and found["host"] in text


def test_show_says_that_a_first_start_is_live(migrated):
    found = show(migrated)
    assert found["next"]["after"] is None and found["postgres"] == []
    assert "live" in cursor(migrated, "show").stdout


def test_a_lower_sequence_is_replayed_from_and_nothing_that_is_there_changes(ingested):
    before, epoch = ingested.database.dump(), show(ingested)["redis"]["epoch"]
    start_journal(ingested.database)
    cursor(ingested, "set", 10)
    ingest(ingested)
    assert show(ingested)["redis"]["epoch"] > epoch
    assert sequences(ingested) == [*range(1, EVENTS + 1), *range(11, EVENTS + 1)]
    assert ingested.database.dump() == before
    assert writes(ingested.database) == 0


def test_what_was_lost_below_the_mark_comes_back(ingested):
    before = ingested.database.state()
    ingested.database.query("DELETE FROM standpipe_records WHERE rkey IN ('r7', 'r30')")
    cursor(ingested, "set", 0)
    ingest(ingested)
    assert ingested.database.state().rows == before.rows


def test_every_kind_of_event_may_come_again(setup, start_relay, generated):
    setup.relay = start_relay(generated.frames)
    daemon = setup.run(relay__cursor="oldest")
    setup.wait_drained(generated.last_sequence)
    assert daemon.terminate() == 0
    before = setup.database.dump()
    cursor(setup, "set", generated.last_sequence // 3)
    daemon = setup.run()
    setup.wait_drained(generated.last_sequence)
    assert daemon.terminate() == 0
    after = setup.database.dump()
    assert (after["repos"], after["records"]) == (before["repos"], before["records"])
    assert generated.differences(setup.database) == []


def test_a_higher_sequence_leaves_out_what_lies_before_it(migrated):
    cursor(migrated, "set", 30)
    assert show(migrated)["next"]["after"] == 30
    ingest(migrated)
    assert sequences(migrated) == list(range(31, EVENTS + 1))
    assert rkeys(migrated) == {f"r{n}" for n in range(31, EVENTS + 1)}


def test_what_the_stream_still_holds_is_worked_off_after_a_set(migrated):
    ingest(migrated, relay__cursor="oldest")
    migrated.database.query("TRUNCATE standpipe_records")
    migrated.stream().xgroup_setid("firehose:events", "firehose-processors", "0")  # as if nobody had read
    cursor(migrated, "set", 35)
    ingest(migrated)
    assert rkeys(migrated) == {f"r{n}" for n in range(1, EVENTS + 1)}


def test_the_mark_that_was_set_outlives_a_redis_that_comes_back_empty(ingested):
    cursor(ingested, "set", 10)
    ingested.stream().flushall()
    assert show(ingested)["next"]["after"] == 10
    ingest(ingested)
    assert sequences(ingested) == list(range(11, EVENTS + 1))


def test_it_goes_on_there_where_only_redis_was_reached(ingested):
    """A crash between the two steps."""
    cursor(ingested, "set", 10)
    ingested.database.query("DELETE FROM standpipe_cursor WHERE committed = 10")
    assert show(ingested)["next"]["after"] == 10
    ingest(ingested)
    assert sequences(ingested)[EVENTS:] == list(range(11, EVENTS + 1))


def test_a_set_while_a_process_ingests_is_refused_and_changes_nothing(ingested):
    daemon = ingested.run()
    wait_until(lambda: ingested.stream().exists(LEASE), "the lease", 30, [daemon.process])
    before = marks(ingested), ingested.stream().hget(META, "epoch")
    for words in (["set", "10"], ["set", "10", "--dry-run"]):
        refusal = cursor(ingested, *words, code=FAILED).stderr
        assert "lease" in refusal and "stop every standpipe" in refusal
    assert (marks(ingested), ingested.stream().hget(META, "epoch")) == before
    assert show(ingested)["redis"]["leased"]
    assert daemon.terminate() == 0
    cursor(ingested, "set", 10)
    assert not ingested.stream().exists(LEASE)


def test_a_dry_run_changes_nothing(ingested):
    before = marks(ingested), ingested.stream().hgetall(META)
    said = json.loads(cursor(ingested, "set", 10, "--dry-run", "--json").stdout)
    assert (said["would_go_on_after"], said["before"]) == (10, EVENTS)
    assert "would go on after 10" in cursor(ingested, "set", 10, "--dry-run").stdout
    assert (marks(ingested), ingested.stream().hgetall(META)) == before


def test_setting_what_is_set_changes_nothing(ingested):
    cursor(ingested, "set", 10)
    before = marks(ingested), ingested.stream().hgetall(META)
    cursor(ingested, "set", 10)
    assert (marks(ingested), ingested.stream().hgetall(META)) == before


def test_an_import_takes_over_the_cursor_of_the_table(migrated):
    migrated.database.query(FOREIGN)
    migrated.database.query("INSERT INTO firehose_cursor VALUES ('firehose', '25'), ('other', '3')")
    assert "would go on after 25" in cursor(migrated, "import", "--dry-run").stdout
    assert marks(migrated) == []
    cursor(migrated, "import")
    ingest(migrated)
    assert sequences(migrated) == list(range(26, EVENTS + 1))


def test_an_import_goes_on_beside_the_entries_of_another_producer(migrated):
    """Three fields under `*` IDs, as the system before wrote them: they are applied, and there is no alarm."""
    data = json.dumps({"did": DID, "handle": "a.example", "time": "2024-01-01T00:00:00.000Z", "seq": 25})
    migrated.stream().xadd("firehose:events", {"type": "identity", "data": data, "seq": "25"})
    migrated.database.query(FOREIGN)
    migrated.database.query("INSERT INTO firehose_cursor VALUES ('firehose', '25')")
    cursor(migrated, "import")
    daemon = ingest(migrated)
    assert sequences(migrated)[1:] == list(range(26, EVENTS + 1))
    assert migrated.database.scalar("SELECT handle FROM repos WHERE did = %s", DID) == "a.example"
    assert "another producer" not in daemon.process.text()


def test_an_import_never_takes_the_place_of_a_mark_of_our_own(migrated):
    migrated.database.query(FOREIGN)
    migrated.database.query("INSERT INTO firehose_cursor VALUES ('firehose', '25')")
    cursor(migrated, "import")
    cursor(migrated, "import")  # a script that runs twice
    ingest(migrated)
    before = marks(migrated)
    assert "cursor set 25" in cursor(migrated, "import", code=FAILED).stderr
    assert marks(migrated) == before


@pytest.mark.parametrize("rows", [[], ["not a number"], ["-5"], ["9223372036854775808"]])
def test_an_import_without_a_good_cursor_is_refused(migrated, rows):
    assert "no table firehose_cursor" in cursor(migrated, "import", code=FAILED).stderr
    migrated.database.query(FOREIGN)
    for row in rows:
        migrated.database.query("INSERT INTO firehose_cursor VALUES ('firehose', %s)", row)
    assert "cursor set SEQ" in cursor(migrated, "import", code=FAILED).stderr
    assert marks(migrated) == []


@pytest.mark.parametrize("words", [["set"], ["set", "x"], ["set", "-1"], ["set", str(2**63)], ["forget"], ["show", "1"]])
def test_wrong_usage_is_said(setup, words):
    assert cursor(setup, *words, code=USAGE).stderr.startswith("standpipe: cursor: ")


def test_a_configuration_that_would_not_obey_the_mark_is_said(migrated):
    refusal = cursor(migrated, "set", 10, code=USAGE, overrides={"relay.cursor": "live"}).stderr
    assert "relay.cursor" in refusal and marks(migrated) == []


@pytest.mark.parametrize("what", ["redis.url=unix:///nonexistent/r.sock", "postgres.url=host=/nonexistent dbname=x"])
def test_what_is_away_is_unreachable(migrated, what):
    key, _, value = what.partition("=")
    assert key.split(".")[0] in cursor(migrated, "set", 3, code=UNREACHABLE, overrides={key: value}).stderr
