"""The history that the relay tells, and what must be in PostgreSQL when it was told.

    standpipe-relay --generate --> frames + truth;  oracle.fold(frames) without the poison --> State

Poison: a CHECK constraint that the harness adds refuses records whose CID matches a pattern. Such an
op must be a dead letter, and the row stays as it was before it.
"""
import re
from dataclasses import dataclass, field

import oracle
from harness.relay import generate

ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
POISON_WANTED = 24
CONSTRAINT = "ALTER TABLE standpipe_records ADD CONSTRAINT chaos_poison CHECK (cid !~ '{pattern}')"


def poison_pattern(ops):
    """A regular expression on CIDs that about POISON_WANTED of `ops` match."""
    share = min(0.02, POISON_WANTED / max(ops, 1))
    letters = max(1, round(share * 32 * 32))
    if share * 32 * 32 >= 1:
        return f"^.{{19}}a[{ALPHABET[:letters]}]"
    return f"^.{{19}}aa[{ALPHABET[: max(1, round(share * 32**3))]}]"


@dataclass
class History:
    frames: object
    truth_file: object
    count: int = 0
    bytes: int = 0
    last_sequence: int = 0
    pattern: str = ""
    state: oracle.State = field(default_factory=oracle.State)
    poison: dict = field(default_factory=dict)  # (sequence, index of the op) -> key
    final_poison: set = field(default_factory=set)  # nothing came later that could have covered it

    def constraint(self):
        return CONSTRAINT.format(pattern=self.pattern)

    @property
    def event_bytes(self):
        return self.bytes / max(self.count, 1)


class Fold:
    def __init__(self, history):
        self.history, self.state = history, history.state
        self.is_poison = re.compile(history.pattern).match
        self.last_poison = {}  # key -> the poison that is the last word on it

    def apply(self, event):
        if event.type == "commit":
            event = self.without_poison(event)
        elif event.type == "account" and event.body.get("status") == "deleted":
            for key in [key for key in self.last_poison if key[0] == event.did]:
                del self.last_poison[key]
            self.state.repo(event.did).rev = None  # nothing of it is left to have one
        oracle.APPLY[event.type](self.state, event)

    def without_poison(self, event):
        kept = []
        for index, op in enumerate(event.ops):
            key = (event.did, *op.key)
            self.last_poison.pop(key, None)
            if op.cid and self.is_poison(op.cid):
                self.history.poison[event.sequence, index] = key
                self.last_poison[key] = (event.sequence, index)
            else:
                kept.append(op)
        event.ops = kept
        return event


def check_against_truth(history):
    """The fold and the generator's own truth agree on every key that poison never touched."""
    touched = set(history.poison.values())
    truth = oracle.read_truth(history.truth_file)
    clean = oracle.State(history.state.repos, dict(history.state.rows))
    for key in touched:
        truth.rows.pop(key, None)
        clean.rows.pop(key, None)
    found = oracle.differences(truth, clean)
    assert not found, f"the fold is not the generator's truth: {found[:3]}"


def make_history(program, folder, count, seed, frame_bytes=900):
    frames, truth = generate(program, folder, count, seed, "--frame-bytes", frame_bytes, name="history")
    history = History(frames, truth, bytes=frames.stat().st_size)
    history.pattern = poison_pattern(count)
    fold = Fold(history)
    for event in oracle.events(frames):
        history.count += 1
        history.last_sequence = event.sequence
        fold.apply(event)
    history.final_poison = set(fold.last_poison.values())
    check_against_truth(history)
    return history

