"""Typed tables as an operator meets them: described in a file, checked by line, shown, made, upgraded, refused."""
import re
from pathlib import Path

import pytest

DONE, FAILED, USAGE = 0, 1, 2
DOCS = Path(__file__).resolve().parents[2] / "docs" / "typed-tables.md"
THINGS = "[things]\ncollection = com.example.thing\nname = text name\n"


@pytest.fixture
def describe(folder):
    """Writes a description and returns the setting that names it."""

    def write(text):
        path = folder / "tables.conf"
        path.write_text(text)
        return {"postgres.tables_file": str(path)}

    return write


def columns(database, table):
    found = database.query(
        "SELECT column_name FROM information_schema.columns WHERE table_name = %s ORDER BY ordinal_position", table
    )
    return [name for (name,) in found]


def test_check_config_explains_a_mistake_by_line(setup, describe):
    wrong = describe(THINGS + "\nsize = number size\n")
    done = setup.command("check-config", overrides=wrong)
    assert done.returncode == FAILED
    path = wrong["postgres.tables_file"]
    assert f"{path}:5: things.size: number is no type: write `type path`" in done.stderr
    assert setup.command("migrate", overrides=wrong).returncode == USAGE
    assert setup.command("check-config", overrides=describe(THINGS)).returncode == DONE


def test_a_file_that_is_not_there_is_named(setup):
    done = setup.command("check-config", overrides={"postgres.tables_file": "/nonexistent/t.conf"})
    assert done.returncode == FAILED and "postgres.tables_file = /nonexistent/t.conf" in done.stderr


def test_migrate_shows_makes_and_upgrades(setup, describe):
    shown = setup.command("migrate", "--dry-run", overrides=describe(THINGS))
    assert shown.returncode == DONE and "CREATE TABLE standpipe_things" in shown.stdout
    assert setup.database.scalar("SELECT to_regclass('standpipe_things')") is None
    made = setup.command("migrate", overrides=describe(THINGS))
    assert "typed table things: standpipe_things created" in made.stdout
    assert columns(setup.database, "things")[-1] == "name"
    more = describe(THINGS + "tags = text[] tags[]\nindex = tags using gin\n")
    shown = setup.command("migrate", "--dry-run", overrides=more)
    assert "ALTER TABLE standpipe_things ADD COLUMN tags text[];" in shown.stdout
    assert "CREATE INDEX standpipe_things_tags_gin" in shown.stdout
    assert setup.command("migrate", overrides=more).returncode == DONE
    assert columns(setup.database, "things")[-1] == "tags"
    again = setup.command("migrate", overrides=more)
    assert again.returncode == DONE and again.stdout == ""


def test_migrate_refuses_to_lose_a_column_and_says_how_it_would_go(setup, describe):
    assert setup.command("migrate", overrides=describe(THINGS)).returncode == DONE
    less = describe("[things]\ncollection = com.example.thing\n")
    for words in (["migrate"], ["migrate", "--dry-run"]):
        done = setup.command(*words, overrides=less)
        assert done.returncode == FAILED
        assert "things.name is no longer described: standpipe drops no data" in done.stderr
    statement = re.search(r"run: (.*;) and migrate again", done.stderr).group(1)
    setup.database.query(statement)
    assert setup.command("migrate", overrides=less).returncode == DONE
    assert "name" not in columns(setup.database, "things")


def test_a_refusal_says_the_whole_statement_however_long_the_names_are(setup, describe):
    table, column = "t" * 49, "c" * 63
    long = f"[{table}]\ncollection = com.example.thing\n"
    assert setup.command("migrate", overrides=describe(long + f"{column} = text name\n")).returncode == DONE
    for less, name in ((long, f"DROP COLUMN {column}"), (THINGS, f"DROP TABLE standpipe_{table}")):
        done = setup.command("migrate", overrides=describe(less))
        assert done.returncode == FAILED
        assert f"{name}; " in done.stderr and done.stderr.rstrip().endswith("and migrate again")


def test_the_daemon_makes_the_built_in_tables(setup, start_relay, generated):
    setup.relay = start_relay(generated.frames)
    daemon = setup.run(relay__cursor="oldest")
    daemon.wait_ready()
    assert {"uri", "reply_parent_uri", "sort_at"} <= set(columns(setup.database, "posts"))
    assert daemon.terminate() == 0


def test_a_role_without_the_right_to_create_can_run(setup, start_relay, generated, cluster):
    role = f"writer_{setup.database.name}"
    assert setup.command("migrate").returncode == DONE
    cluster.execute(f"CREATE ROLE {role} LOGIN")
    setup.database.query(f"GRANT USAGE ON SCHEMA public TO {role}")
    setup.database.query(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}")
    setup.relay = start_relay(generated.frames)
    conninfo = f"{setup.database.conninfo} user={role}"
    daemon = setup.run(relay__cursor="oldest", postgres__url=conninfo, postgres__migrate="false")
    setup.wait_drained(generated.last_sequence)
    assert setup.database.scalar("SELECT count(*) FROM records") > 0
    assert daemon.terminate() == 0


def examples():
    return re.findall(r"```ini\n(.*?)```", DOCS.read_text(), re.DOTALL)


def test_the_example_of_the_documentation_is_ten_lines_and_works(setup, describe):
    example = examples()[0]
    assert "com.whtwnd.blog.entry" in example and len(example.splitlines()) == 10
    assert setup.command("migrate", overrides=describe(example)).returncode == DONE
    assert {"title", "is_draft", "image_cids"} <= set(columns(setup.database, "blog_entries"))


def test_a_table_of_the_users_own_is_checked_and_left_alone(setup, describe):
    example = describe(examples()[1])
    done = setup.command("migrate", overrides=example)
    assert done.returncode == FAILED and "app.articles does not exist" in done.stderr
    setup.database.query("CREATE SCHEMA app")
    setup.database.query("CREATE TABLE app.articles (id text PRIMARY KEY, author text, title text)")
    assert setup.command("migrate", overrides=example).returncode == DONE
    assert columns(setup.database, "articles") == ["id", "author", "title"]
