"""A capture: frames in a file, what must come out of them, and the comparison."""
from pathlib import Path

import oracle


class Capture:
    """A frame file, the truth that goes with it, and its last sequence."""

    def __init__(self, frames, truth):
        self.frames, self.truth_file = Path(frames), Path(truth)
        self.events = list(oracle.events(frames))
        self.last_sequence = max(event.sequence for event in self.events)

    def truth(self):
        return oracle.read_truth(self.truth_file)

    def differences(self, database):
        return oracle.differences(self.truth(), database.state())
