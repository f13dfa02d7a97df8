"""The comparison of the typed tables in PostgreSQL with what described.py says of the truth's records."""
import json
from collections import Counter

import oracle

SQL = {"timestamptz": '(extract(epoch from "{0}") * 1000000)::bigint', "jsonb": '"{0}"::text'}


def read_rows(database, table, relation):
    """uri -> {column: value}, in the form of described.py."""
    columns = [SQL.get(column.type, '"{0}"').format(name) for name, column in table.columns.items()]
    rows = {}
    for values in database.query(f'SELECT {", ".join(columns)} FROM "{relation}"'):
        row = dict(zip(table.columns, values))
        for name, column in table.columns.items():
            if column.type == "jsonb" and row[name] is not None:
                row[name] = oracle.canonical(json.loads(row[name]))
        rows[row["uri"]] = row
    return rows


def expected_rows(table, records):
    rows = {}
    for key, (cid, record) in records.items():
        row = table.row(key, cid, record) if key[1] == table.collection else None
        if row:
            rows[row["uri"]] = row
    return rows


def differences(where, want, got):
    found = [f"{where} {uri}: missing" for uri in want.keys() - got.keys()]
    found += [f"{where} {uri}: a row too many" for uri in got.keys() - want.keys()]
    for uri in want.keys() & got.keys():
        found += [
            f"{where} {uri} {name}: {got[uri][name]!r}, expected {value!r}"
            for name, value in want[uri].items()
            if got[uri][name] != value
        ]
    return found


def expected_counts(tables, all_rows):
    """(counts, key) -> Counter of columns; hidden accounts are counted, as docs/typed-tables.md says."""
    counts = {}
    for table in tables.values():
        for name, _key, column, by in table.counts:
            for row in all_rows[table.name].values():
                if row[by] is not None:
                    counts.setdefault((name, row[by]), Counter())[column] += 1
    return counts


def read_counts(database, tables):
    counts = {}
    for name, key in {(name, key) for table in tables.values() for name, key, _, _ in table.counts}:
        for (row,) in database.query(f'SELECT to_jsonb(t) FROM "{name}" t'):
            counter = Counter({column: n for column, n in row.items() if column != key and n != 0})
            if counter:
                counts[name, row[key]] = counter
    return counts


# What follows the record's own row: its rev, when it was stored, and the earlier of that and created_at.
STRAY = (
    'SELECT count(*) FROM "standpipe_{0}" t JOIN standpipe_records r ON r.did = t.did AND r.collection = %s AND r.rkey = t.rkey'
    " WHERE (t.rev, t.cid, t.indexed_at, t.sort_at) IS DISTINCT FROM"
    " (r.rev, r.cid, r.indexed_at, least(t.created_at, r.indexed_at))"
)


def all_differences(database, tables, truth, folded):
    """`truth` says what an active account has; of the inactive ones, that are not deleted, the fold does."""
    stored = truth.live() | {key: row for key, row in folded.rows.items() if not truth.repo(key[0]).active}
    found, all_rows = [], {}
    for name, table in tables.items():
        all_rows[name] = expected_rows(table, stored)
        found += differences(f"view {name}", expected_rows(table, truth.live()), read_rows(database, table, name))
        found += differences(name, all_rows[name], read_rows(database, table, f"standpipe_{name}"))
        if database.scalar(STRAY.format(name), table.collection):
            found.append(f"{name}: rows that do not follow their record")
    want, got = expected_counts(tables, all_rows), read_counts(database, tables)
    found += [f"{key}: {got.get(key)}, expected {want.get(key)}" for key in want.keys() | got.keys() if want.get(key) != got.get(key)]
    return found
