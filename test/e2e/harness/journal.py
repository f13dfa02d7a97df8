"""A journal of every write to `records`, by a trigger: shows what was written twice."""

CREATE = """
CREATE TABLE journal (did text, collection text, rkey text, rev text, cid text, writer text);
CREATE FUNCTION journal_write() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO journal
    VALUES (NEW.did, NEW.collection, NEW.rkey, NEW.rev, NEW.cid, pg_backend_pid()::text);
    RETURN NULL;
END $$;
CREATE TRIGGER journal AFTER INSERT OR UPDATE ON {table}
    FOR EACH ROW EXECUTE FUNCTION journal_write();
"""

# The table under `records` where that is a view.
BASE_TABLE = """
SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relnamespace = 'public'::regnamespace
  AND c.relname ~ 'record' AND a.attname IN ('did', 'collection', 'rkey', 'rev', 'record')
GROUP BY c.relname HAVING count(*) = 5
"""

TWICE = """
SELECT did, collection, rkey, rev, cid, count(*) FROM journal
GROUP BY 1, 2, 3, 4, 5 HAVING count(*) > 1 ORDER BY 1, 2, 3
"""


def start_journal(database):
    """The schema must be there (`standpipe migrate`)."""
    tables = [name for (name,) in database.query(BASE_TABLE)]
    assert len(tables) == 1, f"which table holds the records: {tables}"
    database.query(CREATE.format(table=tables[0]))


def written_twice(database):
    return database.query(TWICE)


def writes(database):
    return database.scalar("SELECT count(*) FROM journal")
