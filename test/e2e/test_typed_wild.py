"""Values as they are in the wild, and accounts that come and go: the typed tables hold what described.py expects."""
import base64
import itertools
import random
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

import described
import oracle
from handmade import START_US, Create, Repo, Sequence, cid_of, link, write_frames
from harness.waiting import wait_until
from typed_oracle import all_differences

DONE = 0
BUILT_IN = Path(__file__).resolve().parents[2] / "conf" / "tables.conf"
ANNA, BERT = (f"did:plc:{letter * 24}" for letter in "ab")
THING = "com.example.thing"
TABLES = f"""[things]
collection = {THING}
t = text v
i = integer v
b = boolean v
z = timestamptz v
j = jsonb v
items = text[] v[]
c = cid v
chosen = text u<com.example.one>.x | u<com.example.two#main>.y
deep = text v.a.a.a.a.a.a.a.a
first = integer v[].n
kind = text 'it''s'
fallback = integer v default='7'
index = t, deep
index = items using gin
count = thing_counts(text).things by t
"""
LONG = base64.b64encode(random.Random(1).randbytes(6000)).decode()  # no index can make it short
LINK = link(cid_of(b"x"))
BLOB = {"$type": "blob", "ref": LINK, "mimeType": "image/png", "size": 3}
TIMES = [
    "2024-02-30T00:00:00Z", "2023-02-29T00:00:00Z", "2024-02-29T00:00:00Z", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00Z",
    "10000-01-01T00:00:00Z", "-0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "2024-01-01T00:00:00+05:30",
    "2024-01-01T00:00:00-00:00", "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01",
    "2024-01-01T00:00:00+24:00", "2024-01-01T24:00:00Z", "2024-06-30T23:59:60Z",
    "2024-01-01T00:00:61Z", "2024-01-01", "2024-01-01T00:00:00", "2024-01-01 00:00:00Z", "2024-01-01T00:00:00.Z",
    "2024-01-01T00:00:00.123456789123Z", "2024-13-01T00:00:00Z", "2024-00-10T00:00:00Z", "now", "infinity", " 2024-01-01T00:00:00Z",
    "2024-01-01T00:00:00Z\n", "2024-01-01T00:00:00Z\0", "٢٠٢٤-01-01T00:00:00Z",
]
VALUES = [
    None, True, False, 0, -1, 2**53 - 1, -(2**53) + 1, 2**53 + 1, 2**63 - 1, -(2**63), 2**63, 2**64 - 1, "12", "1e400", "", "\0",
    "a\0b", "\\u0000", "é\u2028😀", "{a,b}", '"\\', "NULL", "x" * 3000, LONG, LONG[:1024], LONG[:1025], ["a", LONG[:2049], LONG[:2048]], [], [None], ["a", None, 1, "b\0", "", "NULL", 'q"\\'],
    [["a"], ["b"]], [{"n": "1"}, {"n": 5}, {"n": 6}], {}, {"a": {}}, {"$type": 5}, [1, 2], LINK, BLOB, {"cid": "bafy"}, "password1",
    {"cid": "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku", "mimeType": "image/jpeg"},
    {"cid": "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"}, {"ref": "text", "mimeType": "x"}, b"bytes", *TIMES,
]
UNIONS = [
    {"$type": "com.example.one", "x": "1", "y": "2"}, {"$type": "com.example.one#main", "x": "1"}, {"$type": "com.example.two", "y": "2"},
    {"$type": "com.example.unknown", "x": "1"}, {"x": "1"}, {"$type": None, "x": "1"}, {"$type": ["com.example.one"], "x": "1"},
    {"$type": "com.example.one#other", "x": "1"}, "com.example.one", [{"$type": "com.example.one", "x": "1"}],
]


def nested(depth):
    """{"v": [[[...0]]]}"""
    return b"\xa1av" + b"\x81" * depth + b"\x00"


@pytest.fixture
def send(setup, start_relay, folder, describe):
    """send(frames, last, text) -> the fold of the frames, after all of them are applied."""

    def run(frames, last, text, folded=True):
        describe(text)
        file = write_frames(frames, folder / f"{last}.bin")
        setup.relay = start_relay(file)
        daemon = setup.run(relay__cursor="oldest")
        setup.wait_drained(last)
        assert daemon.terminate() == DONE
        return oracle.fold(file) if folded else None

    return run


def wild_things():
    for number, value in enumerate(VALUES):
        yield Create(f"{THING}/v{number}", {"v": value, "createdAt": value})
    for number, value in enumerate(UNIONS):
        yield Create(f"{THING}/u{number}", {"u": value})
    yield Create(f"{THING}/facets", {"v": [{"n": n} for n in range(100_000)]})
    yield Create(f"{THING}/words", {"v": [f"w{n}" for n in range(100_000)]})
    for depth in (31, 100, 4000):
        yield Create(f"{THING}/deep{depth}", block=nested(depth))


def test_wild_values_are_what_the_description_says_and_no_dead_letter(setup, send):
    repo = Repo(Sequence(), ANNA)
    frames = [repo.commit(thing) for thing in wild_things()]
    state = send(frames, len(frames), TABLES)
    assert setup.database.query("SELECT reason, rkey, sqlstate, detail FROM standpipe_dead_letters") == []
    assert all_differences(setup.database, described.tables(TABLES), state, state)[:20] == []
    before = setup.database.typed()
    done = setup.command("rebuild", "all")
    assert done.returncode == DONE, done.stderr
    assert setup.database.typed() == before


STRICT = f"""[things]
collection = {THING}
uri_of = text v bad=dead_letter
index = uri_of
"""


def test_a_text_too_long_for_its_index_is_a_dead_letter_where_the_table_says_so(setup, send):
    repo = Repo(Sequence(), ANNA)
    frames = [repo.commit(Create(f"{THING}/a", {"v": LONG}), Create(f"{THING}/b", {"v": LONG[:2048]}))]
    send(frames, len(frames), STRICT)
    letters = "SELECT rkey, reason, sqlstate FROM standpipe_dead_letters"
    assert setup.database.query(letters) == [("a", "bad value for things.uri_of", None)]
    assert setup.database.query("SELECT rkey FROM things") == [("b",)]
    assert setup.database.query("SELECT rkey FROM records ORDER BY rkey") == [("a",), ("b",)]
    done = setup.command("rebuild", "all")
    assert done.returncode == DONE, done.stderr
    assert setup.database.query("SELECT rkey FROM things") == [("b",)]


LONG_DIDS = f"""[things]
collection = {THING}
t = text v
index = t, did
index = did, rkey, t
count = thing_counts(text).things by t
"""


def test_the_longest_did_and_rkey_beside_a_long_text_in_an_index_are_no_dead_letter(setup, send):
    letters = random.Random(5).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=2000)
    sequence = Sequence()
    long, anna = Repo(sequence, "did:web:" + "".join(letters)), Repo(sequence, ANNA)
    things = [Create(f"{THING}/{rkey}", {"v": LONG[:2048]}) for rkey in ("a", "r" * 512)] + [Create(f"{THING}/b", {"v": "x"})]
    send([long.commit(*things), anna.commit(*things[::2])], 2, LONG_DIDS)
    assert setup.database.query("SELECT rkey, reason, sqlstate FROM standpipe_dead_letters") == []
    found = setup.database.query("SELECT length(did), length(rkey), length(t) FROM things ORDER BY 1, 2, 3 NULLS FIRST")
    assert found == [(32, 1, 1), (32, 1, 2048), (2008, 1, None), (2008, 1, 1), (2008, 512, None)]
    before = setup.database.typed()
    assert setup.command("rebuild", "all").returncode == DONE
    assert setup.database.typed() == before


ODD = {
    "a float": b"\xa1av\xfb\x7f\xef\xff\xff\xff\xff\xff\xff",
    "minus nought": b"\xa1av\xfb\x80\x00\x00\x00\x00\x00\x00\x00",
    "infinity": b"\xa1av\xfb\x7f\xf0\x00\x00\x00\x00\x00\x00",
    "no number": b"\xa1av\xfb\x7f\xf8\x00\x00\x00\x00\x00\x00",
    "twice one key": b"\xa2av\x01av\x02",
    "wrong UTF-8": b"\xa1av\x63\xff\xfe\xfd",
    "no map": b"\x83\x01\x02\x03",
    "a string": b"\x63abc",
    "a tag": b"\xa1av\xc1\x1a\x51\x4b\x67\xb0",
    "an integer below all": b"\xa1av\x3b\xff\xff\xff\xff\xff\xff\xff\xff",
}


def test_records_that_break_the_data_model_hurt_no_other(setup, send):
    repo = Repo(Sequence(), ANNA)
    odd = [Create(f"{THING}/odd{number}", block=block) for number, block in enumerate(ODD.values())]
    frames = [repo.commit(Create(f"{THING}/a{n}", {"v": "fine"}), thing, Create(f"{THING}/b{n}", {"v": "fine"})) for n, thing in enumerate(odd)]
    path_of = {f"odd{number}": name for number, name in enumerate(ODD)}
    send(frames, len(frames), TABLES, folded=False)  # the oracle cannot read them either
    assert setup.database.scalar("SELECT count(*) FROM things WHERE t = 'fine'") == 2 * len(odd)
    stored = {path_of[rkey] for (rkey,) in setup.database.query("SELECT rkey FROM records WHERE rkey LIKE 'odd%%'")}
    typed = {path_of[rkey] for (rkey,) in setup.database.query("SELECT rkey FROM things WHERE rkey LIKE 'odd%%'")}
    assert typed == stored
    before = setup.database.typed()
    assert setup.command("rebuild", "all").returncode == DONE
    assert setup.database.typed() == before


ORDERS = list(itertools.permutations(["deactivated", "takendown", "active", "deleted"], 4))


def time_of(number):
    """When the commit of that sequence number was made, by its rev."""
    at = datetime.fromtimestamp(0, timezone.utc) + timedelta(microseconds=START_US + number * 1000)
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def test_accounts_that_come_and_go_in_every_order(setup, send):
    sequence, frames = Sequence(), []
    for number, order in enumerate(ORDERS):
        repo = Repo(sequence, f"did:plc:{'abcdefghijklmnopqrstuvwxyz'[number] * 24}")
        other = f"at://{ANNA}/app.bsky.feed.post/1"
        for step, status in enumerate(order):
            frames.append(repo.commit(Create(f"app.bsky.feed.post/{step}", {"text": status, "createdAt": repo.time})))
            subject = {"subject": {"uri": other, "cid": "bafy"}}
            frames.append(repo.commit(Create(f"app.bsky.feed.like/{step}", subject)))
            # The time of a deletion is a floor: what the repo wrote before lies below, what comes after above.
            repo.time = time_of(sequence.next)
            frames.append(repo.account(status == "active", None if status == "active" else status))
    text = BUILT_IN.read_text()
    last = sequence.next - 1
    state = send(frames, last, text)
    tables = described.tables(text)
    assert all_differences(setup.database, tables, state, state)[:20] == []
    before = setup.database.typed()
    setup.redis.client.flushall()
    send(frames, last, text)  # all of it again, under a new epoch
    assert all_differences(setup.database, tables, state, state)[:20] == []
    assert setup.database.typed() == before


MANY = 20_000
COUNT = "SELECT count(*) FROM standpipe_posts WHERE did = %s"


def kill_while_it_deletes(setup):
    """A row of the last to go is held by the test, so that the deletion is under way for as long as it takes to kill it."""
    with setup.database.transaction() as holder:
        holder.execute("SELECT FROM standpipe_records WHERE did = %s ORDER BY rkey DESC LIMIT 1 FOR UPDATE", (ANNA,))
        daemon = setup.run(relay__cursor="oldest")
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        wait_until(lambda: setup.database.scalar(waiting) > 0, "the deletion waits for the row", 60, [daemon.process])
        daemon.kill()
        holder.rollback()


def test_a_large_account_is_deleted_whole_though_the_daemon_is_killed(setup, start_relay, folder):
    sequence = Sequence()
    large, other = Repo(sequence, ANNA), Repo(sequence, BERT)
    post = {"text": "x", "reply": {"parent": {"uri": "at://a/b/c"}}}
    frames = [
        large.commit(*[Create(f"app.bsky.feed.post/{start + n}", post) for n in range(200)]) for start in range(0, MANY, 200)
    ]
    frames += [other.commit(Create("app.bsky.feed.post/before", post))]
    setup.relay = start_relay(write_frames(frames, folder / "large.bin"))
    daemon = setup.run(relay__cursor="oldest")
    setup.wait_drained(sequence.next - 1)
    assert daemon.terminate() == DONE
    assert setup.database.scalar(COUNT, ANNA) == MANY
    setup.relay.stop()
    frames = [large.account(False, "deleted")]
    frames += [other.commit(Create(f"app.bsky.feed.post/{n}", post)) for n in range(50)]
    setup.relay = start_relay(write_frames(frames, folder / "end.bin"), port=setup.relay.port)
    kill_while_it_deletes(setup)
    daemon = setup.run(relay__cursor="oldest")
    setup.wait_drained(sequence.next - 1)
    wait_until(lambda: setup.database.scalar(COUNT, ANNA) == 0, "the typed rows are gone", 60, [daemon.process])
    assert daemon.terminate() == DONE
    assert setup.database.scalar("SELECT count(*) FROM standpipe_records WHERE did = %s", ANNA) == 0
    assert setup.database.query("SELECT did, post_count FROM actor_counts WHERE post_count <> 0") == [(BERT, 51)]
    assert setup.database.scalar("SELECT reply_count FROM post_counts WHERE uri = 'at://a/b/c'") == 51
