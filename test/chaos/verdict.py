"""What must be true when the faults have ended: each check is one line of the report.

    history's fold == PostgreSQL;  letters == poison;  ledger balances;  nothing leaks;  all drains
"""
import re
import time

import evidence
import oracle
import psycopg
import redis
from fault import TABLE
from harness.journal import written_twice
from world import CONNECTIONS, DEAD_LETTERS, GROUP, NODES, PIPELINES, STREAM, THREADS

STALL_SECONDS = 60  # without any progress: it does not drain
MEMORY_BYTES = 256 * 1024 * 1024  # resident, of one process
DESCRIPTORS = 40 + THREADS * (2 * PIPELINES + 12) + 2 * CONNECTIONS
EVIDENCE = 8  # records that are told about
FAIR_CHANCE = 3  # faults of a kind, of which one has to bite
SHARE_BITTEN = 0.75
RECEIVED_PARTS = ("appended", "duplicate", "filtered", "ignored", "dead_frames")
REFUSED = "refused by PostgreSQL"


class Verdict:
    def __init__(self, world, runner, say):
        self.world, self.runner, self.say = world, runner, say
        self.history = world.history
        self.results = []  # (name, problem or None)

    def check(self, name, function):
        try:
            problem = function()
        except (AssertionError, OSError, ValueError, redis.RedisError, psycopg.Error) as error:
            problem = f"{type(error).__name__}: {error}"
        self.results.append((name, problem))
        self.say(f"{'FAILED' if problem else 'passed'}: {name}" + (f": {problem}" if problem else ""))

    # --- draining ---

    def wait_for(self, fact, what):
        """Waits as long as anything moves; the problem, or None."""
        seen, since = None, time.monotonic()
        while not fact():
            for node in self.world.nodes.values():
                node.check()
                if not node.is_running():
                    return f"{node.name} is not running"
            now = self.world.progress()
            if now != seen:
                seen, since = now, time.monotonic()
            elif time.monotonic() - since > STALL_SECONDS:
                where = f"(queued, last, delivered, pending) {seen}, marks {self.world.marks()}"
                return f"{what}: nothing moved for {STALL_SECONDS} s at {where}"
            time.sleep(0.1)
        return None

    def drains(self):
        def is_drained():
            queued, last, delivered, pending = self.world.progress()
            return queued >= self.history.last_sequence and last == delivered and pending == 0

        return self.wait_for(is_drained, f"drained to {self.history.last_sequence}")

    def marks_meet(self):
        def meet():
            marks = self.world.marks()
            return marks and marks[-1][2] == marks[-1][3] == self.history.last_sequence

        end = time.monotonic() + 15
        while not meet():
            if time.monotonic() > end:
                return f"standpipe_cursor is {self.world.marks()}, the last event {self.history.last_sequence}"
            time.sleep(0.1)
        return None

    # --- what is in PostgreSQL ---

    def state(self):
        """Also what a horizon of tombstones might have let in again, or kept out."""
        ((epoch, seq),) = self.world.database.query("SELECT epoch, seq FROM standpipe_horizon")
        ((kept,),) = self.world.database.query("SELECT count(*) FROM standpipe_records WHERE cid IS NULL")
        self.say(f"tombstones: {kept} are kept, the horizon is {epoch}-{seq}")
        found = oracle.differences(self.history.state, self.world.database.state())
        if not found:
            return None
        keys = [key for key in (tuple(line.partition(": ")[0].split("/", 2)) for line in found) if len(key) == 3]
        evidence.tell(self.world, keys[:EVIDENCE], self.say)
        return f"{len(found)} differences: " + "; ".join(found[:5])

    def live_revisions(self):
        """A row's rev is never above its repo's."""
        found = self.world.database.query(
            "SELECT r.did, collection, rkey, r.rev, p.rev FROM records r JOIN repos p USING (did)"
            " WHERE r.rev > p.rev LIMIT 3"
        )
        return f"rows above their repo's revision: {found}" if found else None

    def typed_tables(self):
        """They are what a rebuild makes of the records, rows and counts."""
        live = self.world.database.typed()
        done = self.world.command("rebuild", "all")
        if done.returncode != 0:
            return f"standpipe rebuild: {done.stderr}"
        again = self.world.database.typed()
        self.say(f"typed tables: {sum(map(len, live.values()))} rows and counts")
        wrong = {name: (len(live[name]), len(again[name])) for name in again if live[name] != again[name]}
        return f"not what a rebuild makes (rows before, after): {wrong}" if wrong else None

    def letters(self):
        rows = self.world.database.query(
            "SELECT seq, op, did, collection, rkey, count(*) FROM standpipe_dead_letters"
            " WHERE reason = %s GROUP BY 1, 2, 3, 4, 5",
            REFUSED,
        )
        found = {(seq, op): (tuple(key), count) for seq, op, *key, count in rows}
        poison = self.history.poison
        problems = [f"{at} {key} {count} times" for at, (key, count) in found.items() if count != 1]
        problems += [f"{at} {key} is no poison" for at, (key, _) in found.items() if poison.get(at) != key]
        problems += [f"{at} {poison[at]} is missing" for at in self.history.final_poison - found.keys()]
        return "; ".join(problems[:5]) or None

    def epochs(self):
        """The relay has never counted anew, and nobody else wrote to the stream. But a PostgreSQL that restarts may lack what
        a full Redis has trimmed already: then the relay is asked again, and a process says so of that very epoch."""
        marks = self.world.marks()
        if not marks:
            return "there is none"
        told = "".join(log.read_text(errors="replace") for log in self.world.folder.glob("*.log"))
        reasons = set(re.findall(r"is asked again for what PostgreSQL lost epoch=(\d+)", told))
        silent = [mark for mark in marks[1:] if str(mark[1]) not in reasons]
        return f"{len(silent)} epochs: {silent}" if silent else None

    def other_letters(self):
        rows = self.world.database.query(
            "SELECT reason, sqlstate, left(detail, 80), count(*) FROM standpipe_dead_letters"
            " WHERE reason <> %s AND type IS DISTINCT FROM 'frame' GROUP BY 1, 2, 3",
            REFUSED,
        )
        return f"letters that nothing in the history explains: {rows}" if rows else None

    def written_twice(self):
        found = written_twice(self.world.database)
        return f"{len(found)} rows were written twice: {found[:3]}" if found else None

    # --- Redis ---

    def frames(self):
        """Each undecodable frame once, in the table and in its mirror."""
        rows = self.world.database.query(
            "SELECT md5(frame), count(*) FROM standpipe_dead_letters WHERE type = 'frame'"
            " GROUP BY 1 HAVING count(*) > 1"
        )
        if rows:
            return f"frames that are in standpipe_dead_letters twice: {rows[:3]}"
        entries = [fields for _, fields in self.world.redis.client.xrange(DEAD_LETTERS)]
        frames = [fields[b"frame"] for fields in entries if fields.get(b"type") == b"frame"]
        more = len(frames) - len(set(frames))
        return f"{more} of {len(frames)} frames are there twice" if more else None

    def ledger(self):
        ledger = {k.decode(): int(v) for k, v in self.world.redis.client.hgetall(f"{STREAM}:ledger").items()}
        self.say(f"ledger: {ledger}")
        parts = sum(ledger.get(name, 0) for name in RECEIVED_PARTS)
        if ledger.get("received", 0) != parts:
            return f"received is not the sum of its parts {parts}: {ledger}"
        if any(TABLE[name].breaks_ledger for name in self.runner.counts):
            return None
        if ledger.get("appended", 0) != ledger.get("committed", 0) + ledger.get("dead", 0):
            return f"appended is not committed + dead: {ledger}"
        return None

    def consumers(self, most):
        def fact():
            return len(self.world.redis.client.xinfo_consumers(STREAM, GROUP)) <= most

        end = time.monotonic() + 20
        while not fact():
            if time.monotonic() > end:
                found = self.world.redis.client.xinfo_consumers(STREAM, GROUP)
                names = [(consumer["name"].decode(), consumer["pending"]) for consumer in found]
                return f"{len(names)} consumers, {most} may be: {names}"
            time.sleep(0.2)
        return None

    # --- processes ---

    def usage(self):
        problems = []
        for node in self.world.nodes.values():
            memory, descriptors = node.usage()
            self.say(f"{node.name}: {memory >> 20} MiB resident, {descriptors} descriptors, {node.runs} runs")
            if memory > MEMORY_BYTES and not self.world.is_sanitized:
                problems.append(f"{node.name} has {memory >> 20} MiB")
            if descriptors > DESCRIPTORS:
                problems.append(f"{node.name} has {descriptors} descriptors open")
        return "; ".join(problems) or None

    def sessions(self):
        """PostgreSQL holds no session more than the nodes may have: connections, cursor, letters, console."""
        count = self.world.database.scalar(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        most = len(NODES) * (CONNECTIONS + 3)
        return f"{count} sessions, {most} may be" if count > most else None

    def stops(self):
        codes = [(node.name, node.terminate()) for node in self.world.nodes.values()]
        return f"exit codes {codes}" if any(code != 0 for _, code in codes) else None

    def unexpected(self):
        found = [text for node in self.world.nodes.values() for text in node.unexpected + node.bad_lines()]
        return "; ".join(found[:5]) or None

    # --- the chaos itself ---

    def happened(self):
        """Most have bitten, and each kind that had a fair chance. One alone may come upon a standpipe that
        waits for something else that is broken."""
        counts = self.runner.counts
        begun, bitten = (sum(count[i] for count in counts.values()) for i in (0, 1))
        never = [name for name, (tries, seen) in counts.items() if tries >= FAIR_CHANCE and not seen]
        if never:
            return f"never bit: {', '.join(never)}"
        return f"only {bitten} of {begun} faults bit" if bitten < SHARE_BITTEN * begun else None

    def harness(self):
        return "; ".join(self.runner.errors[:3]) or None

    def offered_twice(self):
        """The relays sent more good frames than the history has."""
        told = self.world.relay_told
        sent = told.get("frames", 0) + told.get("duplicates", 0)
        self.say(f"the relays told: {told}")
        count = self.history.count
        return None if sent > count else f"{sent} frames sent, {count} are in the history"

    def run(self):
        self.check("all drains", self.drains)
        if not self.results[-1][1]:
            self.check("the committed mark meets the end", self.marks_meet)
        self.check("consumers are those of the living", lambda: self.consumers(len(NODES) * THREADS * PIPELINES))
        self.check("memory and descriptors are bounded", self.usage)
        self.check("sessions are bounded", self.sessions)
        self.check("all stop with 0", self.stops)
        self.check("no consumer is left", lambda: self.consumers(0))
        self.check("no process ended by itself or panicked", self.unexpected)
        self.check("every record, handle, status and revision is that of the history", self.state)
        self.check("no record is newer than its repo", self.live_revisions)
        self.check("each poison row is a dead letter once", self.letters)
        self.check("there are no other dead letters", self.other_letters)
        self.check("no row was written twice", self.written_twice)
        self.check("each undecodable frame is there once", self.frames)
        self.check("the ledger balances", self.ledger)
        self.check("no epoch was opened without a reason", self.epochs)
        self.check("typed tables and counts are what a rebuild makes of the records", self.typed_tables)
        self.world.stop_relay()
        self.check("duplicates were offered", self.offered_twice)
        self.check("every planned kind of fault happened", self.happened)
        self.check("the harness itself had no error", self.harness)
        return [name for name, problem in self.results if problem]
