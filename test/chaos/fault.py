"""What every fault has, and the table that they enter.

A fault takes one thing (`needs`) for some seconds: `begin()` breaks it, `end()` makes it whole again,
`proof()` says what shows that it happened, or None where it did not bite. Faults of one thing never
overlap, those of different things do.
"""

TABLE = {}  # name -> class, in the order of the files


def fault(name, needs, seconds=(1, 4), long=None, costs_seconds=0):
    """Enters a class. `needs`: redis, postgres, relay, or node (one of them, by the seed).
    `long` are the seconds of one in three in a long run: more than every timeout. `costs_seconds`: how
    long standpipe rests after it; such a one is dealt in long runs only, or where it was asked for."""

    def enter(cls):
        cls.name, cls.needs, cls.seconds, cls.long = name, needs, seconds, long
        cls.costs_seconds = costs_seconds
        TABLE[name] = cls
        return cls

    return enter


class Fault:
    breaks_ledger = False  # what it does to Redis leaves no sum to balance

    def __init__(self, world, chance, node=None):
        self.world, self.chance = world, chance
        self.node = world.nodes[node] if node else None

    @classmethod
    def is_possible(cls, world):
        return True

    def begin(self):
        raise NotImplementedError

    def end(self):
        pass

    def has_bitten(self):
        """False: it should last a little longer, standpipe has not come across it yet."""
        return True

    def proof(self):
        raise NotImplementedError
