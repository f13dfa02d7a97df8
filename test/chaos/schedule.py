"""The plan: which fault, when, for how long, to whom. All of it from the seed, before anything starts.

Kinds are dealt like cards, the whole deck before any comes again, so that each is seen about as often.
What a fault needs is free when it begins; faults of different things overlap.
"""
import heapq
import itertools
import random
import time
import traceback
from dataclasses import dataclass

from fault import TABLE
from world import NODES

GAP_SECONDS = (0.5, 3.0)  # between the beginnings of two
WAIT_SECONDS = 0.2
PATIENCE_SECONDS = 15  # more, for a fault that nobody has come across
REST_SECONDS = (1.5, 4.0)  # for what was broken, before it is broken again
LONG_SHARE = 0.34
SETTLE_SECONDS = 5  # before the end: all faults have ended by then


@dataclass
class Planned:
    number: int
    name: str
    node: str  # None where it needs none
    at: float
    seconds: float
    seed: int


def resource(cls, node):
    return f"node {node}" if cls.needs == "node" else cls.needs


def plan(seed, seconds, names, is_long):
    chance = random.Random(seed)
    free_at, planned, now = {}, [], 1.0
    deck = []
    while True:
        if not deck:
            deck = list(names)
            chance.shuffle(deck)
        cls = TABLE[deck.pop()]
        node = chance.choice(NODES) if cls.needs == "node" else None
        length = cls.long if is_long and cls.long and chance.random() < LONG_SHARE else cls.seconds
        lasts = chance.uniform(*length)
        what = resource(cls, node)
        start = max(now, free_at.get(what, 0.0))
        if start + lasts > seconds - SETTLE_SECONDS:
            return planned
        planned.append(Planned(len(planned) + 1, cls.name, node, start, lasts, chance.getrandbits(48)))
        free_at[what] = start + lasts + chance.uniform(*REST_SECONDS)
        now += chance.uniform(*GAP_SECONDS)


class Runner:
    """Carries out a plan. A step that takes long moves the later ones; their order stays."""

    def __init__(self, world, planned, say, seconds):
        self.world, self.say, self.seconds = world, say, seconds
        self.counts = {}  # name -> [planned, happened]
        self.errors = []
        self.held = set()  # what a fault has now
        order = itertools.count()
        self.steps = [(item.at, next(order), item, None) for item in planned]
        self.order = order
        heapq.heapify(self.steps)

    def run(self):
        start = time.monotonic()
        while self.steps:
            at, _, item, fault = heapq.heappop(self.steps)
            time.sleep(max(0.0, start + at - time.monotonic()))
            what = resource(TABLE[item.name], item.node)
            now = time.monotonic() - start
            if fault is not None and now < fault.latest and not self.attempt(item, fault.has_bitten, True):
                heapq.heappush(self.steps, (now + WAIT_SECONDS, next(self.order), item, fault))
            elif fault is not None:
                self.end(item, fault)
                self.held.discard(what)
            elif now + item.seconds > self.seconds:
                continue  # those before it took too long: there is no time for it
            elif what in self.held:  # the one before took longer than planned
                heapq.heappush(self.steps, (now + WAIT_SECONDS, next(self.order), item, None))
            else:
                self.held.add(what)
                self.begin(item, start)
            for node in self.world.nodes.values():
                node.check()

    def begin(self, item, start):
        self.counts.setdefault(item.name, [0, 0])[0] += 1
        fault = TABLE[item.name](self.world, random.Random(item.seed), item.node)
        where = f" [{item.node}]" if item.node else ""
        self.say(f"{item.number:4} {item.name}{where} for {item.seconds:.1f} s")
        self.attempt(item, fault.begin)
        at = time.monotonic() - start + item.seconds
        fault.latest = min(at + PATIENCE_SECONDS, self.seconds)
        heapq.heappush(self.steps, (at, next(self.order), item, fault))

    def end(self, item, fault):
        if not self.attempt(item, fault.end):
            return
        proof = self.attempt(item, fault.proof, True)
        if proof:
            self.counts[item.name][1] += 1
        self.say(f"{item.number:4} {item.name}: {proof or 'did not bite'}")

    def attempt(self, item, function, wants_result=False):
        try:
            result = function()
            return result if wants_result else True
        except Exception:  # a fault of the harness: told, and the others go on
            self.errors.append(f"{item.number} {item.name}: {traceback.format_exc(limit=-3)}")
            self.say(self.errors[-1])
            return None
