"""What standpipe left in one database, read as the oracle's State and as dumps to compare."""
import sys
from pathlib import Path

import psycopg

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import oracle  # noqa: E402

DUMPS = {
    "repos": "SELECT r::text FROM repos r ORDER BY did",
    "records": "SELECT r::text FROM records r ORDER BY did, collection, rkey",
    "dead letters": "SELECT d::text FROM standpipe_dead_letters d ORDER BY 1",
}


class Database:
    def __init__(self, cluster, name):
        self.cluster, self.name = cluster, name

    @property
    def conninfo(self):
        return self.cluster.conninfo(self.name)

    def transaction(self):
        """A session of the test's own that holds its locks until it ends its transaction."""
        return psycopg.connect(self.conninfo)

    def query(self, sql, *values):
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            cursor = connection.execute(sql, values or None)
            return cursor.fetchall() if cursor.description else []

    def connect(self):
        """A session of the test's own, for locks."""
        return self.cluster.connect(self.name)

    def scalar(self, sql, *values):
        rows = self.query(sql, *values)
        return rows[0][0] if rows else None

    def has(self, table):
        return self.scalar("SELECT to_regclass(%s)", table) is not None

    def state(self):
        """What the public tables say: `records` shows the live rows only."""
        state = oracle.State()
        for did, handle, active, status, rev in self.query(
            "SELECT did, handle, active, status, rev FROM repos"
        ):
            state.repos[did] = oracle.Repo(handle, active, status, rev)
        for *key, cid, record, cbor in self.query(
            "SELECT did, collection, rkey, cid, record, record_cbor FROM records"
        ):
            value = oracle.to_json(oracle.decode_cbor(bytes(cbor))) if cbor is not None else record
            state.rows[tuple(key)] = (cid, value)
        return state

    def typed(self):
        """Every row of every typed table, hidden ones too, and every count that is not nothing."""
        kinds = self.query("SELECT name, kind FROM standpipe_tables WHERE kind IN ('rows', 'counts') ORDER BY name")
        rows = {}
        for name, kind in kinds:
            table = f"standpipe_{name}" if kind == "rows" else name
            found = [row for (row,) in self.query(f'SELECT to_jsonb(whole) FROM "{table}" whole ORDER BY 1')]
            rows[name] = [row for row in found if kind == "rows" or any(isinstance(value, int) and value for value in row.values())]
        return rows

    def dump(self):
        """Every row of the tables that a replay must not touch, as text."""
        return {name: [row[0] for row in self.query(sql)] for name, sql in DUMPS.items()}
