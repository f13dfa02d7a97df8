"""What the machine gives: the bare append and the bare upsert, of the same run and with the same entries.

Commands and arrays are made before the clock starts, so that the server is what is measured.
"""
import json
import socket
import struct
import threading
import time

import psycopg

SAMPLE = 20_000
IN_MULTI = 100
ROWS = 300
WRITERS = 2
TEXT, TEXTS, INT8, INTS = 25, 1009, 20, 1016

TABLE = """
CREATE TABLE bare (did text COLLATE "C", collection text COLLATE "C", rkey text COLLATE "C", cid text COLLATE "C",
    rev text COLLATE "C", record jsonb, seq bigint, indexed_at timestamptz, PRIMARY KEY (did, collection, rkey))
"""
UPSERT = b"""
INSERT INTO bare AS r SELECT did, collection, rkey, cid, rev, record::jsonb, seq, now()
FROM unnest($1, $2, $3, $4, $5, $6, $7) AS x (did, collection, rkey, cid, rev, record, seq)
ON CONFLICT (did, collection, rkey) DO UPDATE SET cid = excluded.cid, rev = excluded.rev, record = excluded.record,
    seq = excluded.seq, indexed_at = excluded.indexed_at WHERE excluded.rev > r.rev
"""
TYPES = [TEXTS] * 6 + [INTS]


def sample_entries(setup):
    """(ID, fields) of entries that standpipe has written."""
    return setup.stream().xrange("firehose:events", count=SAMPLE)


# --- Redis ---


def command(*words):
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def append_commands(entries):
    """XADD with IDs, a hundred to a MULTI."""
    out = []
    for at in range(0, len(entries), IN_MULTI):
        adds = [
            command(b"XADD", b"bare", identifier, *(part for field in fields.items() for part in field))
            for identifier, fields in entries[at : at + IN_MULTI]
        ]
        out.append(command(b"MULTI") + b"".join(adds) + command(b"EXEC"))
    return out


def append_rate(setup, entries):
    """Entries a second; one MULTI is answered while the next is on its way."""
    commands, client = append_commands(entries), socket.socket(socket.AF_UNIX)
    client.connect(str(setup.redis.socket))
    started = time.monotonic()
    sender = threading.Thread(target=lambda: [client.sendall(part) for part in commands])
    sender.start()
    seen = 0
    while seen < len(commands):  # the head of an EXEC's answer; no ID has a star
        data = client.recv(1 << 20)
        assert data, "Redis has closed"
        seen += data.count(b"*")
    seconds = time.monotonic() - started
    sender.join()
    client.close()
    setup.stream().delete("bare")
    return len(entries) / seconds


# --- PostgreSQL ---


def rows_of(entries):
    """One row a key, with the last value: the bare statement may not meet a key twice."""
    rows = {}
    for _, fields in entries:
        if fields[b"type"] == b"commit":
            data = json.loads(fields[b"data"])
            for op in data["ops"]:
                if op.get("record"):
                    collection, _, key = op["path"].partition("/")
                    rows[data["repo"], collection, key] = (op["cid"], data["rev"], json.dumps(op["record"]), data["seq"])
    return [(*key, *value) for key, value in rows.items()]


def binary_array(values, kind):
    parts = [struct.pack("!iiiii", 1, 0, kind, len(values), 1)]
    for value in values:
        raw = struct.pack("!q", value) if kind == INT8 else value.encode()
        parts.append(struct.pack("!i", len(raw)) + raw)
    return b"".join(parts)


def batches_of(rows):
    batches = []
    for at in range(0, len(rows), ROWS):
        columns = list(zip(*sorted(rows[at : at + ROWS])))
        batches.append([binary_array(column, INT8 if place == 6 else TEXT) for place, column in enumerate(columns)])
    return batches


def write(conninfo, batches, gate):
    with psycopg.connect(conninfo, autocommit=True) as connection:
        native = connection.pgconn
        native.prepare(b"bare", UPSERT, TYPES)
        gate.wait()
        for batch in batches:
            done = native.exec_prepared(b"bare", batch, [1] * len(batch))
            assert done.status == psycopg.pq.ExecStatus.COMMAND_OK, done.error_message
        gate.wait()


def upsert_rate(setup, entries):
    """Rows a second of two connections, each statement its own commit."""
    batches = batches_of(rows_of(entries))
    count = sum(struct.unpack_from("!i", batch[0], 12)[0] for batch in batches)
    setup.database.query(TABLE)
    gate = threading.Barrier(WRITERS + 1)
    arguments = [(setup.database.conninfo, batches[writer::WRITERS], gate) for writer in range(WRITERS)]
    writers = [threading.Thread(target=write, args=each) for each in arguments]
    for writer in writers:
        writer.start()
    gate.wait()
    started = time.monotonic()
    gate.wait()
    seconds = time.monotonic() - started
    for writer in writers:
        writer.join()
    setup.database.query("DROP TABLE bare")
    return count / seconds


def share(found, limit):
    """Adds the limit of the same run, and how much of it was reached."""
    found["limit_per_second"] = round(limit)
    found["share_of_limit"] = round(found["events_per_second"] / limit, 3)
    return found
