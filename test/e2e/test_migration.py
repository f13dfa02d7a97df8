"""docs/migration.md, step by step: workers side by side, one producer after the other, and the way back."""
import json

import pytest

from handmade import Create, Delete, Repo, Sequence, write_frames
from harness.database import Database
from harness.waiting import wait_until
from reference import GROUP, STREAM, TABLES, Producer, Worker, at_its_time

OWN_GROUP = "standpipe"
DID = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
POSTS = 60


class InSchema(Database):
    """The same database, seen with standpipe's schema first."""

    @property
    def conninfo(self):
        return f"{super().conninfo} options='-c search_path=standpipe,public'"


@pytest.fixture
def old(setup):
    """The tables of the system before are in `public`, standpipe's will be in a schema of their own."""
    setup.database.query(TABLES)
    setup.settings["postgres.schema"] = "standpipe"
    setup.ours = InSchema(setup.database.cluster, setup.database.name)
    return setup


@pytest.fixture
def posts(old, start_relay, folder):
    """A relay that has POSTS posts, r1 with sequence 1 and so on, and the producer of the system before on it."""
    repo = Repo(Sequence(), DID)
    frames = [repo.commit(Create(f"app.bsky.feed.post/r{n}", {"text": str(n)})) for n in range(1, POSTS + 1)]
    path = write_frames(frames, folder / "posts.bin")
    old.relay = start_relay(path)
    assert_done(old, "migrate")
    return Producer(old, path)


def assert_done(setup, *words, **options):
    finished = setup.command(*words, **options)
    assert finished.returncode == 0, (words, finished.stdout, finished.stderr)
    return finished.stdout


def wait_worked_off(setup, daemon, group, queued=0):
    """Everything in the stream is acknowledged by the group, and it goes up to `queued`."""

    def is_worked_off():
        marked, last, delivered, pending = setup.progress(group=group)
        return marked >= queued and last == delivered and pending == 0

    wait_until(is_worked_off, lambda: f"{group} has it all ({setup.progress(group=group)})", 60, [daemon.process])


def assert_balanced(daemon):
    """Nothing of what the other producer appended is unexplained."""
    def is_balanced():
        ledger = daemon.api()["ledger"]
        return ledger is not None and not any(ledger["unexplained"].values())

    wait_until(is_balanced, lambda: f"the ledger balances ({daemon.api()['ledger']})", 30, [daemon.process])


def work_beside(setup, group, **settings):
    """standpipe's workers while the other producer appends."""
    return setup.run("beside", ingest__mode="never", stream__group=group, **settings)


def our_rkeys(setup):
    return {rkey for (rkey,) in setup.ours.query("SELECT rkey FROM records")}


def their_rkeys(setup):
    return {uri.rsplit("/", 1)[1] for (uri,) in setup.database.query("SELECT uri FROM posts")}


def rkeys(first, last):
    return {f"r{n}" for n in range(first, last + 1)}


def live_posts(events):
    """What their worker makes of events that come in order."""
    live = set()
    for event in events:
        for op in event.ops if event.type == "commit" else ():
            if op.path.startswith("app.bsky.feed.post/") and (op.action == "delete" or op.block is not None):
                (live.discard if op.action == "delete" else live.add)(f"at://{event.did}/{op.path}")
    return live


def test_step_by_step_nothing_is_missing_on_either_side(old, start_relay, generated):
    old.relay = start_relay(generated.frames)
    last, producer, worker = generated.last_sequence, Producer(old, generated.frames), Worker(old)
    producer.append(1, last // 3, at_its_time)
    worker.work(300)
    assert_done(old, "migrate")
    ours = old.run_from_file(ingest__mode="never", stream__group=OWN_GROUP).wait_ready()  # step 2
    producer.append(last // 3 + 1, last // 2, at_its_time)
    worker.work()
    wait_worked_off(old, ours, OWN_GROUP)
    assert_balanced(ours)
    producer.save_cursor(last // 2)  # step 3: it is stopped
    assert_done(old, "cursor", "set", 0)
    assert not ours.reload(ingest__mode="auto")["wasRefused"]  # step 4
    wait_worked_off(old, ours, OWN_GROUP, last)
    assert_balanced(ours)
    worker.work()
    assert ours.terminate() == 0
    assert generated.differences(old.ours) == []
    uris = {uri for (uri,) in old.database.query("SELECT uri FROM public.posts")}
    assert uris == live_posts(generated.events)
    assert "another producer" not in ours.process.text() and "stream is empty" not in ours.process.text()


def test_a_group_of_its_own_sees_what_the_others_acknowledged(old, posts):
    posts.append(1, 40)
    assert Worker(old).work() == 40
    beside = work_beside(old, OWN_GROUP)
    wait_worked_off(old, beside, OWN_GROUP)
    assert our_rkeys(old) == their_rkeys(old) == rkeys(1, 40)
    assert beside.terminate() == 0


def test_one_group_shares_its_entries_out_and_a_replay_brings_the_others_share(old, posts):
    worker = Worker(old)
    posts.append(1, 40)
    assert worker.work(25) == 25
    assert len(worker.read(5)) == 5  # it is killed with these in its hands
    beside = work_beside(old, GROUP)
    wait_worked_off(old, beside, GROUP)
    assert our_rkeys(old) == rkeys(26, 40)
    assert "40 entries replayed" in assert_done(old, "replay", "--from", "0")
    assert our_rkeys(old) == rkeys(1, 40)
    assert beside.terminate() == 0


def test_a_cursor_that_ran_ahead_of_its_stream_is_set_back(old, posts):
    """It is saved before its events are appended, so the last ones may be in no stream."""
    posts.append(1, 30)
    posts.save_cursor(40)
    assert "would go on after 40" in assert_done(old, "cursor", "import", "--dry-run")
    assert_done(old, "cursor", "import")
    ours = old.run("imported", stream__group=OWN_GROUP)
    wait_worked_off(old, ours, OWN_GROUP, POSTS)
    assert_balanced(ours)
    assert our_rkeys(old) == rkeys(1, 30) | rkeys(41, POSTS)
    assert ours.terminate() == 0
    assert_done(old, "cursor", "set", posts.saved_cursor() - 20)
    ours = old.run("set-back", stream__group=OWN_GROUP)
    wait_worked_off(old, ours, OWN_GROUP, POSTS)
    assert our_rkeys(old) == rkeys(1, POSTS)
    assert ours.terminate() == 0


def test_what_comes_again_says_what_the_old_entries_left_out(old, start_relay, folder):
    """An edit, a deletion and an account's status: theirs have neither rev nor status, ours win over them."""
    repo = Repo(Sequence(), DID)
    other = Repo(repo.sequence, "did:plc:bbbbbbbbbbbbbbbbbbbbbbbb")
    path, gone = "app.bsky.feed.post/edited", "app.bsky.feed.post/gone"
    frames = [repo.commit(Create(path, {"text": "a"}), Create(gone, {"text": "x"})), other.commit(Create(path, {"text": "o"}))]
    frames += [repo.commit(Create(path, {"text": "b"}, action="update"), Delete(gone)), other.account(False, "takendown")]
    producer = Producer(old, write_frames(frames, folder / "edits.bin"))
    old.relay = start_relay(folder / "edits.bin")
    assert_done(old, "migrate")
    producer.append(1, 4)
    beside = work_beside(old, OWN_GROUP)
    wait_worked_off(old, beside, OWN_GROUP)
    state = "SELECT record->>'text', rev <> '' FROM records"
    status = "SELECT active, status FROM repos WHERE did = %s"
    assert old.ours.query(state) == [("b", False)]
    assert old.ours.query(status, other.did) == [(False, "inactive")]
    assert beside.terminate() == 0
    assert_done(old, "cursor", "set", 0)
    ours = old.run("ours", stream__group=OWN_GROUP)
    wait_worked_off(old, ours, OWN_GROUP, 4)
    assert old.ours.query(state) == [("b", True)]
    assert old.ours.query(status, other.did) == [(False, "takendown")]
    assert ours.terminate() == 0


def test_the_way_back_and_forward_again(old, posts):
    worker = Worker(old)
    posts.append(1, 20)
    posts.save_cursor(20)
    assert_done(old, "cursor", "set", 10)
    ours = old.run("ours", stream__group=OWN_GROUP)
    wait_worked_off(old, ours, OWN_GROUP, POSTS)
    assert ours.terminate() == 0
    queued = json.loads(assert_done(old, "cursor", "show", "--json"))["redis"]["queued"]
    assert queued == POSTS
    posts.save_cursor(queued - 10)  # back: its producer goes on where ours stopped, its workers never stopped
    posts.append(posts.saved_cursor() + 1, POSTS)
    worker.work()
    assert their_rkeys(old) == rkeys(1, POSTS)
    before = old.ours.dump()
    beside = work_beside(old, OWN_GROUP)  # ours may go on beside them
    wait_worked_off(old, beside, OWN_GROUP)
    assert beside.terminate() == 0
    assert_done(old, "cursor", "set", POSTS - 20)
    ours = old.run("again", stream__group=OWN_GROUP)
    wait_worked_off(old, ours, OWN_GROUP, POSTS)
    assert old.ours.dump() == before
    assert "another producer" not in ours.process.text()
    assert ours.terminate() == 0


def test_the_old_group_is_to_go_or_it_holds_trimming_back(old, posts):
    Worker(old)
    old.stream().config_set("stream-node-max-entries", 10)  # trimming takes whole nodes
    old.settings["stream.max_length"] = 0
    assert_done(old, "cursor", "set", 0)
    ours = old.run("ours", stream__group=OWN_GROUP)
    wait_worked_off(old, ours, OWN_GROUP, POSTS)
    assert old.stream().xlen(STREAM) == POSTS
    old.stream().xgroup_destroy(STREAM, GROUP)
    wait_until(lambda: old.stream().xlen(STREAM) <= 10, "it is trimmed", 30, [ours.process])
    assert ours.terminate() == 0


def test_tables_of_the_same_name_in_one_schema_are_refused_and_stay_as_they_are(old):
    shape = "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_name = ANY (%s) ORDER BY 1, 2"
    theirs = ["firehose_cursor", "posts", "users"]
    before = old.database.query(shape, theirs)
    refused = old.command("migrate", overrides={"postgres.schema": "public"})
    assert refused.returncode == 1 and "posts" in refused.stderr, refused.stderr
    assert old.database.query(shape, theirs) == before
