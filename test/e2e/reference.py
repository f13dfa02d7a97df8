"""The system that standpipe takes over from, as far as other programs see it: one producer, and workers of one group.

    frames --decode--> Producer --XADD *, three fields--> [stream] --by position--> Worker --> tables of its own

Written from what its entries, its cursor and its acknowledgements are; none of its code is here.
"""
import json
import subprocess
from datetime import datetime

import redis

from harness.process import clean_environment

STREAM, GROUP = "firehose:events", "firehose-processors"
KEPT = 500_000
OP_KEYS = ("action", "path", "cid", "record")
TABLES = """
CREATE TABLE firehose_cursor (id serial PRIMARY KEY, service varchar(255) UNIQUE, cursor text, updated_at timestamp);
CREATE TABLE posts (uri varchar(512) PRIMARY KEY, text text NOT NULL);
CREATE TABLE users (did varchar(255) PRIMARY KEY, handle varchar(255) NOT NULL);
"""


def reduced(kind, data):
    """What it keeps of an event: no rev, no time, no status; ops without a block are left out."""
    if kind == "commit":
        ops = [{key: op[key] for key in OP_KEYS if key in op} for op in data["ops"] if "invalid" not in op]
        return {"repo": data["repo"], "ops": ops}
    return {"did": data["did"], "handle": data["handle"]} if kind == "identity" else {"did": data["did"], "active": data["active"]}


class Producer:
    """Appends the events of a frame file as they were when they arrived."""

    def __init__(self, setup, frames):
        done = subprocess.run([setup.program, "decode", frames], capture_output=True, check=True, env=clean_environment())
        self.events = [json.loads(line) for line in done.stdout.decode().split("\n")[:-1]]
        self.setup = setup

    def append(self, first, last, ids=None):
        """All of first <= sequence <= last; a #sync is dropped, and only a commit says its sequence."""
        for event in self.events:
            kind, sequence = event["type"], int(event["seq"])
            if kind != "sync" and first <= sequence <= last:
                data = json.dumps(reduced(kind, event["data"]), separators=(",", ":"), ensure_ascii=False)
                fields = {"type": kind, "data": data, "seq": str(sequence) if kind == "commit" else ""}
                name = ids(event) if ids else "*"
                self.setup.stream().xadd(STREAM, fields, id=name, maxlen=KEPT, approximate=True)

    def save_cursor(self, sequence):
        self.setup.database.query(
            "INSERT INTO firehose_cursor (service, cursor, updated_at) VALUES ('firehose', %s, now())"
            " ON CONFLICT (service) DO UPDATE SET cursor = excluded.cursor, updated_at = now()",
            str(sequence),
        )

    def saved_cursor(self):
        return int(self.setup.database.scalar("SELECT cursor FROM firehose_cursor WHERE service = 'firehose'"))


def at_its_time(event):
    """An ID as of a producer that kept up: `*` at the time of the event."""
    return f"{int(datetime.fromisoformat(event['time'].replace('Z', '+00:00')).timestamp() * 1000)}-*"


class Worker:
    """Reads type, data and seq by their places, and acknowledges each message whatever became of it."""

    def __init__(self, setup, name="worker-0-p0"):
        self.setup, self.name = setup, name
        self.client = redis.Redis(unix_socket_path=str(setup.redis.socket))
        self.client.set_response_callback("XREADGROUP", lambda reply, **_: reply)
        try:
            self.client.xgroup_create(STREAM, GROUP, "0", mkstream=True)
        except redis.ResponseError as error:
            assert "BUSYGROUP" in str(error)

    def read(self, count):
        """Delivered, not acknowledged: what a worker leaves that is killed now."""
        words = ("XREADGROUP", "GROUP", GROUP, self.name, "COUNT", count, "STREAMS", STREAM, ">")
        reply = self.client.execute_command(*words)
        return reply[0][1] if reply else []

    def work(self, limit=10**9):
        """Takes up to `limit` messages, or all there are; returns how many."""
        taken = 0
        while messages := self.read(min(300, limit - taken)) if taken < limit else []:
            for message, fields in messages:
                self.handle(fields[1].decode(), json.loads(fields[3]), fields[5].decode())
                self.client.xack(STREAM, GROUP, message)
            taken += len(messages)
        return taken

    def handle(self, kind, data, _sequence):
        if kind == "identity":
            sql = "INSERT INTO users VALUES (%s, %s) ON CONFLICT (did) DO UPDATE SET handle = excluded.handle"
            self.setup.database.query(sql, data["did"], data["handle"])
        for op in data["ops"] if kind == "commit" else ():
            if op["path"].startswith("app.bsky.feed.post/"):
                self.handle_post(f"at://{data['repo']}/{op['path']}", op)

    def handle_post(self, uri, op):
        if op["action"] == "delete":
            self.setup.database.query("DELETE FROM posts WHERE uri = %s", uri)
        else:
            text = op["record"].get("text", "").replace("\0", "")
            self.setup.database.query("INSERT INTO posts VALUES (%s, %s) ON CONFLICT DO NOTHING", uri, text)
