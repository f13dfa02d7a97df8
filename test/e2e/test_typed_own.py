"""Tables that a user described: of a lexicon nobody foresaw, and with constraints of the user's own."""
import pytest

import described
import oracle
from handmade import Create, Delete, Repo, Sequence, cid_of, link, write_frames
from test_typed_schema import examples
from typed_oracle import all_differences

DONE, FAILED = 0, 1
ENTRY = "com.whtwnd.blog.entry"
ANNA, BERT = (f"did:plc:{letter * 24}" for letter in "ab")
BLOB = {"$type": "blob", "ref": link(cid_of(b"image")), "mimeType": "image/png", "size": 3}
SCHEMA = """
CREATE TABLE authors (did text PRIMARY KEY);
CREATE TABLE articles (id text PRIMARY KEY, author text NOT NULL REFERENCES authors, title text UNIQUE,
                       CONSTRAINT decent CHECK (title <> 'forbidden'));
CREATE TABLE comments (article text REFERENCES articles);
"""
TABLES = f"""[articles]
collection = {ENTRY}
existing = true
id = text @uri
author = text @did
title = text title
"""


@pytest.fixture
def send(setup, start_relay, folder, describe):
    """send(frames, last) -> /metrics after all of them; the daemon has the tables of `send.text`."""

    def run(frames, last):
        describe(run.text)
        port = setup.relay.port if setup.relay else None
        if setup.relay:
            setup.relay.stop()
        setup.relay = start_relay(write_frames(frames, folder / f"{last}.bin"), port=port)
        daemon = setup.run(relay__cursor="oldest")
        setup.wait_drained(last)
        metrics = daemon.metrics()
        assert daemon.terminate() == DONE
        return metrics

    run.text = TABLES
    return run


def entry(rkey, title, **more):
    return Create(f"{ENTRY}/{rkey}", {"$type": ENTRY, "title": title, **more})


def articles(setup):
    return dict(setup.database.query("SELECT right(id, 1), title FROM articles ORDER BY id"))


def test_a_blog_entry_of_the_documentation_is_filled_by_events(setup, send, folder):
    send.text = next(text for text in examples() if text.startswith("[blog_entries]"))
    assert len(send.text.strip().splitlines()) <= 10
    repo = Repo(Sequence(), ANNA)
    whole = {"subtitle": "b", "content": "c", "visibility": "author", "isDraft": True, "theme": "github-light",
             "createdAt": "2024-05-01T10:00:00Z", "blobs": [{"blobref": BLOB}, {"blobref": None}, {"blobref": BLOB}]}
    frames = [
        repo.commit(entry("1", "whole", **whole), entry("2", "plain", content="x"), entry("3", "no content")),
        repo.commit(entry("4", "gone", content="x")),
        repo.commit(Delete(f"{ENTRY}/4")),
        repo.commit(Create(f"{ENTRY}/2", {"title": "edited", "content": "y"}, action="update")),
    ]
    send(frames, 4)
    state = oracle.fold(folder / "4.bin")
    assert all_differences(setup.database, described.tables(send.text), state, state) == []
    found = setup.database.query("SELECT rkey, title, visibility, is_draft, cardinality(image_cids) FROM blog_entries ORDER BY rkey")
    assert found == [("1", "whole", "author", True, 2), ("2", "edited", "public", None, None)]


def test_a_missing_parent_and_a_taken_key_are_skipped_and_filled_later(setup, send):
    setup.database.query(SCHEMA)
    setup.database.query("INSERT INTO authors VALUES (%s)", ANNA)
    sequence = Sequence()
    anna, bert = Repo(sequence, ANNA), Repo(sequence, BERT)
    frames = [
        anna.commit(entry("1", "first"), entry("2", "first"), entry("3", "third")),
        bert.commit(entry("4", "orphan")),
        anna.commit(entry("5", "last")),
    ]
    metrics = send(frames, 3)
    assert articles(setup) in ({"1": "first", "3": "third", "5": "last"}, {"2": "first", "3": "third", "5": "last"})
    assert setup.database.scalar("SELECT count(*) FROM records") == 5
    assert setup.database.scalar("SELECT count(*) FROM standpipe_dead_letters") == 0
    skipped = {name: value for name, value in metrics.items() if "skipped" in name and "articles" in name}
    assert list(skipped.values()) == [2], skipped
    setup.database.query("INSERT INTO authors VALUES (%s)", BERT)
    setup.database.query("ALTER TABLE articles DROP CONSTRAINT articles_title_key")
    done = setup.command("rebuild", "articles")
    assert done.returncode == DONE, done.stderr
    assert articles(setup) == {"1": "first", "2": "first", "3": "third", "4": "orphan", "5": "last"}


def test_a_refusing_check_is_a_dead_letter_that_names_the_table_and_the_others_commit(setup, send):
    setup.database.query(SCHEMA)
    setup.database.query("INSERT INTO authors VALUES (%s), (%s)", ANNA, BERT)
    sequence = Sequence()
    anna, bert = Repo(sequence, ANNA), Repo(sequence, BERT)
    frames = [anna.commit(entry("1", "good"), entry("2", "forbidden"), entry("3", "fine")), bert.commit(entry("4", "also"))]
    send(frames, 2)
    assert articles(setup) == {"1": "good", "3": "fine", "4": "also"}
    assert setup.database.scalar("SELECT count(*) FROM records") == 4
    letters = setup.database.query("SELECT reason, sqlstate, rkey FROM standpipe_dead_letters")
    assert letters == [("refused by table articles", "23514", "2")]


def test_a_constraint_checked_at_the_commit_is_as_one_checked_at_once(setup, send):
    setup.database.query(SCHEMA)
    setup.database.query("ALTER TABLE articles ALTER CONSTRAINT articles_author_fkey DEFERRABLE INITIALLY DEFERRED")
    setup.database.query("INSERT INTO authors VALUES (%s)", ANNA)
    sequence = Sequence()
    anna, bert = Repo(sequence, ANNA), Repo(sequence, BERT)
    send([anna.commit(entry("1", "good")), bert.commit(entry("2", "orphan")), anna.commit(entry("3", "more"))], 3)
    assert articles(setup) == {"1": "good", "3": "more"}
    assert setup.database.scalar("SELECT count(*) FROM standpipe_dead_letters") == 0
    assert setup.database.scalar("SELECT count(*) FROM records") == 3


def test_a_row_that_others_refer_to_stays_where_its_record_goes(setup, send):
    setup.database.query(SCHEMA)
    setup.database.query("INSERT INTO authors VALUES (%s), (%s)", ANNA, BERT)
    sequence = Sequence()
    anna, bert = Repo(sequence, ANNA), Repo(sequence, BERT)
    send([anna.commit(entry("1", "kept"), entry("2", "free")), bert.commit(entry("3", "gone"), entry("4", "held"))], 2)
    setup.database.query("INSERT INTO comments SELECT id FROM articles WHERE title IN ('kept', 'held')")
    later = [anna.commit(Delete(f"{ENTRY}/1"), Delete(f"{ENTRY}/2")), bert.account(False, "deleted"), anna.commit(entry("5", "new"))]
    send(later, 5)
    assert setup.database.query("SELECT rkey FROM records") == [("5",)]
    assert setup.database.scalar("SELECT count(*) FROM standpipe_dead_letters") == 0
    left = articles(setup)
    assert left["1"] == "kept" and left["4"] == "held" and left["5"] == "new" and "2" not in left, left


@pytest.mark.parametrize("name", ["x", "u", "w", "d"])
def test_a_table_of_any_name_is_written_to(setup, send, name):
    setup.database.query(f"CREATE TABLE {name} (id text PRIMARY KEY, title text)")
    send.text = f"[{name}]\ncollection = {ENTRY}\nexisting = true\nid = text @uri\ntitle = text title\n"
    anna = Repo(Sequence(), ANNA)
    send([anna.commit(entry("1", "one"), entry("2", "two"))], 1)
    send([anna.commit(Create(f"{ENTRY}/1", {"title": "edited"}, action="update"), Delete(f"{ENTRY}/2"))], 2)
    assert setup.database.query(f"SELECT right(id, 1), title FROM {name}") == [("1", "edited")]
    setup.database.query(f"DELETE FROM {name}")
    assert setup.command("rebuild", name).returncode == DONE
    assert setup.database.query(f"SELECT right(id, 1), title FROM {name}") == [("1", "edited")]


def test_an_update_that_a_constraint_refuses_removes_the_row_unless_others_refer_to_it(setup, send):
    setup.database.query(SCHEMA)
    setup.database.query("INSERT INTO authors VALUES (%s)", ANNA)
    anna = Repo(Sequence(), ANNA)
    send([anna.commit(*[entry(rkey, f"title {rkey}") for rkey in "123"])], 1)
    setup.database.query("INSERT INTO comments SELECT id FROM articles WHERE title = 'title 3'")
    send([anna.commit(*[Create(f"{ENTRY}/{rkey}", {"title": "title 1"}, action="update") for rkey in "23"])], 2)
    assert articles(setup) == {"1": "title 1", "3": "title 3"}
    assert setup.database.scalar("SELECT count(*) FROM standpipe_dead_letters") == 0


@pytest.mark.parametrize("column", ["title json", "title uuid", "title text GENERATED ALWAYS AS ('x') STORED", "title text[]"])
def test_a_column_that_cannot_take_the_value_is_refused_by_migrate_and_not_by_the_daemon(setup, describe, column):
    setup.database.query(f"CREATE TABLE articles (id text PRIMARY KEY, author text, {column})")
    describe(TABLES)
    fresh = setup.command("migrate", "--dry-run")
    assert fresh.returncode == DONE, fresh.stderr  # the tables that its statements name are not there yet
    for arguments in (["migrate"], ["migrate"], ["migrate", "--dry-run"]):
        done = setup.command(*arguments)
        assert done.returncode == FAILED and "articles cannot be written as it is described: " in done.stderr, done
        assert '"title"' in done.stderr and "change the table, or its section" in done.stderr, done.stderr
    assert "-- refused: articles cannot be written" in done.stdout
    daemon = setup.run()
    daemon.process.wait_for_line("articles cannot be written as it is described")
    assert daemon.terminate() == DONE


@pytest.mark.parametrize("column", ["title varchar(40)", "title words", "title text COLLATE \"C\" DEFAULT 'x'"])
def test_a_column_of_another_type_that_takes_the_value_is_filled(setup, send, column):
    setup.database.query("CREATE DOMAIN words AS text CHECK (VALUE <> 'never')")
    setup.database.query(f"CREATE TABLE articles (id text PRIMARY KEY, author text, {column})")
    send([Repo(Sequence(), ANNA).commit(entry("1", "first"))], 1)
    assert articles(setup) == {"1": "first"}
