"""Faults of the lines: each for Redis, PostgreSQL and the relay, by the doors between."""
from fault import Fault, fault


class LineFault(Fault):
    service = ""

    def each_door(self):
        """All doors, or those of one node: then the others see a healthy service."""
        doors = self.world.doors(self.service)
        return doors if self.chance.random() < 0.6 else [self.chance.choice(doors)]

    def begin(self):
        self.chosen = self.each_door()
        self.before = [vars(door.tally).copy() for door in self.chosen]
        self.break_lines()

    def set(self, **weather):
        for door in self.chosen:
            for name, value in weather.items():
                setattr(door.weather, name, value)

    def end(self):
        for door in self.chosen:
            door.weather = self.world.good_weather(self.service)

    def reset(self, share=1.0):
        for door in self.chosen:
            self.world.proxy.call(door.reset_some, share, self.chance.random())

    def grown(self, name):
        return sum(vars(door.tally)[name] - old[name] for door, old in zip(self.chosen, self.before))

    def proof_of(self, name, what):
        grown = self.grown(name)
        return f"{grown} {what}" if grown > 0 else None

    def has_bitten(self):
        return bool(self.proof())

    def break_lines(self):
        raise NotImplementedError


class Resets(LineFault):
    """RST on some or all connections, a few times."""

    def break_lines(self):
        self.reset(self.chance.choice([0.3, 1.0]))

    def has_bitten(self):
        self.reset()
        return super().has_bitten()

    def end(self):
        self.reset()
        super().end()

    def proof(self):
        return self.proof_of("resets", "connections reset")


class Refuses(LineFault):
    """Nobody gets in, and those within are thrown out."""

    def break_lines(self):
        self.set(refuses=True)
        self.reset()

    def proof(self):
        return self.proof_of("refused", "connections refused")


class Holds(LineFault):
    """Nothing moves for a while, then all of it comes at once."""

    def break_lines(self):
        self.set(holds=True)

    def proof(self):
        return self.proof_of("held_pieces", "pieces held")


class HalfOpen(LineFault):
    """The other end is gone and nobody says so: what is sent disappears, until keep-alives notice."""

    def break_lines(self):
        for door in self.chosen:
            self.world.proxy.call(door.deafen)

    def has_bitten(self):
        self.break_lines()
        return super().has_bitten()

    def end(self):
        super().end()
        for door in self.chosen:
            self.world.proxy.call(door.reset_deaf)

    def proof(self):
        return self.proof_of("lost_bytes", "bytes lost")


class LosesReplies(LineFault):
    """What was asked is done, its answer never comes: was it stored, was it committed?"""

    def break_lines(self):
        self.set(loses_down=True)

    def end(self):
        self.reset()
        super().end()

    def proof(self):
        return self.proof_of("lost_bytes", "bytes of answers lost")


class LosesRequests(LineFault):
    def break_lines(self):
        self.set(loses_up=True)

    def end(self):
        self.reset()
        super().end()

    def proof(self):
        return self.proof_of("lost_bytes", "bytes of requests lost")


class ByteByByte(LineFault):
    def break_lines(self):
        self.set(piece=1)

    def proof(self):
        return self.proof_of("slow_pieces", "bytes one by one")


class Delays(LineFault):
    def break_lines(self):
        self.set(delay=self.chance.uniform(0.05, 0.8))

    def proof(self):
        return self.proof_of("slow_pieces", "pieces late")


class Cuts(LineFault):
    """Reset in the middle of an answer, at any byte of it, connection after connection."""

    def break_lines(self):
        self.set(cut_in=self.chance.randint(200, 20000))
        for door in self.chosen:
            self.world.proxy.call(door.cut_all, self.chance.randint(1, 5000))

    def proof(self):
        return self.proof_of("cuts", "answers cut")


KINDS = [
    ("connections to {} are reset", Resets, (0, 2), None),
    ("connections to {} are refused", Refuses, (2, 5), None),
    ("the line to {} stands still", Holds, (2, 6), (36, 42)),
    ("connections to {} are half open", HalfOpen, (2, 4), (38, 44)),
    ("answers of {} are lost", LosesReplies, (1, 3), (17, 19)),
    ("requests to {} are lost", LosesRequests, (1, 3), None),
    ("{} is heard byte by byte", ByteByByte, (2, 4), None),
    ("{} is heard late", Delays, (2, 5), None),
    ("messages of {} are cut", Cuts, (1, 3), None),
]
SPOKEN = {"redis": "Redis", "postgres": "PostgreSQL", "relay": "the relay"}

for text, base, length, long_length in KINDS:
    for of_service, spoken in SPOKEN.items():
        kind = type(f"{base.__name__}Of{of_service.title()}", (base,), {"service": of_service})
        fault(text.format(spoken), of_service, length, long_length)(kind)
