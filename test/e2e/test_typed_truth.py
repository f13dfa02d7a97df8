"""Every column of every typed table is what conf/tables.conf and the truth say, and every count."""
from pathlib import Path

import described
import oracle
from typed_oracle import all_differences, expected_rows

BUILT_IN = Path(__file__).resolve().parents[2] / "conf" / "tables.conf"


def run_to_the_end(setup, start_relay, capture):
    setup.relay = start_relay(capture.frames)
    daemon = setup.run(relay__cursor="oldest")
    setup.wait_drained(capture.last_sequence)
    assert daemon.terminate() == 0


def test_every_typed_column_and_count_is_what_the_truth_says(setup, start_relay, capture):
    run_to_the_end(setup, start_relay, capture)
    tables = described.tables(BUILT_IN.read_text())
    truth, folded = capture.truth(), oracle.fold(capture.frames)
    assert all_differences(setup.database, tables, truth, folded)[:20] == []
    filled = {name for name, table in tables.items() if expected_rows(table, truth.live())}
    assert {"posts", "likes", "reposts", "follows", "profiles"} <= filled, filled
    assert any(not repo.active for repo in truth.repos.values())


def test_the_comparison_sees_one_wrong_value(setup, start_relay, generated):
    run_to_the_end(setup, start_relay, generated)
    tables = described.tables(BUILT_IN.read_text())
    truth, folded = generated.truth(), oracle.fold(generated.frames)
    uri = setup.database.scalar("SELECT uri FROM posts WHERE text IS NOT NULL LIMIT 1")
    for sql, where in [
        ("UPDATE standpipe_posts SET text = text || '!' WHERE uri = %s", f"posts {uri} text"),
        ("UPDATE standpipe_posts SET created_at = created_at + interval '1 us' WHERE uri = %s", f"posts {uri} created_at"),
        ("UPDATE standpipe_posts SET rev = 'x' WHERE uri = %s", "posts: rows that"),
        ("INSERT INTO post_counts (uri, like_count) VALUES (%s, 1) ON CONFLICT (uri) DO UPDATE SET like_count = post_counts.like_count + 1",
         f"('post_counts', '{uri}')"),
        ("DELETE FROM standpipe_posts WHERE uri = %s", f"posts {uri}: missing"),
    ]:
        setup.database.query(sql, uri)
        found = all_differences(setup.database, tables, truth, folded)
        assert any(where in sentence for sentence in found), (where, found[:5])
