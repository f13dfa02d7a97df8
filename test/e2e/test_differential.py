"""Records at random: our decoder against cbor2, our JSON against Python's and PostgreSQL's own."""
import json
import random

import oracle
from handmade import Create, Repo, Sequence, cid_of, encode, link, write_frames
from test_decode import check_lines, data_text

SEEDS = range(3)
RECORDS = 400
CHARACTERS = ["a", "B", "0", " ", '"', "\\", "/", "\b", "\n", "\x1f", "\x7f", "\0", "é", "漢", "😀", "\u2028", "\ufeff", "\U0010ffff"]
NUMBERS = [0, 1, 23, 24, 255, 256, 65535, 65536, 2**31, 2**32, 2**53 - 1, 2**53, 2**63 - 1, 2**63, 2**64 - 1]
KEYS = ["$type", "$link", "$bytes", "text", "", "createdAt", "a" * 40, "\0", "é", "__proto__"]


class Records:
    """Values of every kind that a record may hold, and of those that it may not."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def text(self):
        return "".join(self.random.choice(CHARACTERS) for _ in range(self.random.randrange(12)))

    def number(self):
        number = self.random.choice(NUMBERS)
        return self.random.choice([number, -1 - number])

    def scalar(self):
        return self.random.choice([
            self.text, self.number, lambda: None, lambda: True, lambda: False, lambda: self.random.randbytes(self.random.randrange(6)),
            lambda: link(cid_of(self.random.randbytes(3)))])()

    def value(self, depth):
        kind = self.random.randrange(6) if depth else 0
        if kind == 1:
            return [self.value(depth - 1) for _ in range(self.random.randrange(4))]
        return self.map(depth - 1) if kind == 2 else self.scalar()

    def map(self, depth):
        keys = [self.random.choice(KEYS + [self.text()]) for _ in range(self.random.randrange(6))]
        return {key: self.value(depth) for key in keys}

    def record(self):
        return self.map(5)


def make_frames(seed, folder):
    records, repo = Records(seed), Repo(Sequence(), "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa")
    frames = [repo.commit(Create(f"com.example.any/{n}", block=encode(records.record()))) for n in range(RECORDS)]
    return write_frames(frames, folder / f"{seed}.bin")


def test_records_at_random_agree_with_cbor2(decode, folder):
    for seed in SEEDS:
        path = make_frames(seed, folder)
        assert check_lines(decode(path), path) == [], f"seed {seed}"


def test_the_json_of_records_at_random_is_the_same_for_python_and_postgresql(decode, folder, database):
    for seed in SEEDS:
        ops = [json.loads(data_text(line))["ops"][0] for line in decode(make_frames(seed, folder))]
        texts = [data_text(line) for line in decode(make_frames(seed, folder))]
        plain = [text for text, op in zip(texts, ops) if "invalid" not in op]
        assert len(plain) > RECORDS // 8, "too few records that JSON can say: the generator has changed"
        for text in plain:
            ((stored,),) = database.query("SELECT %s::jsonb::text", text)
            assert oracle.canonical(json.loads(stored)) == oracle.canonical(json.loads(text)), f"seed {seed}: {text}"


def test_what_jsonb_refuses_of_records_at_random_is_marked_invalid(decode, folder, database):
    for seed in SEEDS:
        for line in decode(make_frames(seed, folder)):
            op = json.loads(data_text(line))["ops"][0]
            if "\\u0000" in json.dumps(op["record"]):
                assert "invalid" in op and "cbor" in op, f"seed {seed}: {line}"
