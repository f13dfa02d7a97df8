"""What is known of a record that is not as it should be: told in the report, before the services go."""
import oracle
from world import STREAM


def events_of(history, key):
    """The ops of the history on this key, and what happened to its account."""
    for event in oracle.events(history.frames):
        if event.did != key[0]:
            continue
        if event.type == "account":
            yield f"seq {event.sequence} account active={event.body['active']} status={event.body.get('status')}"
        for index, op in enumerate(event.ops):
            if op.key == key[1:]:
                poison = " (poison)" if (event.sequence, index) in history.poison else ""
                yield f"seq {event.sequence} rev {event.rev} op {index} {op.action} {op.cid}{poison}"


def rows_of(world, key):
    did, collection, rkey = key
    queries = {
        "row": "SELECT cid, rev, seq, indexed_at::text FROM standpipe_records"
        " WHERE (did, collection, rkey) = (%s, %s, %s)",
        "written": "SELECT rev, cid, writer FROM journal WHERE (did, collection, rkey) = (%s, %s, %s)",
        "letter": "SELECT epoch, seq, op, reason, sqlstate, created_at::text FROM standpipe_dead_letters"
        " WHERE (did, collection, rkey) = (%s, %s, %s)",
    }
    for name, sql in queries.items():
        for row in world.database.query(sql, did, collection, rkey):
            yield f"{name} {row}"
    for row in world.database.query("SELECT * FROM repos WHERE did = %s", did):
        yield f"repo {row}"


def entry_of(world, sequence):
    """The stream's entry, where it is retained."""
    client = world.redis.client
    for epoch in {row[1] for row in world.marks()}:
        found = client.xrange(STREAM, f"{epoch}-{sequence}", f"{epoch}-{sequence}")
        if found:
            yield f"entry {found[0][0].decode()} is in the stream"


def tell(world, keys, say):
    for key in keys:
        say(f"evidence: {'/'.join(key)}")
        for line in events_of(world.history, key):
            say(f"    {line}")
            for entry in entry_of(world, int(line.split()[1])):
                say(f"    {entry}")
        for line in rows_of(world, key):
            say(f"    {line}")
