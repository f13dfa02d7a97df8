"""Waiting for facts, with a deadline; the only sleep of the suite is the poll below."""
import time

POLL_SECONDS = 0.02


class Deadline(AssertionError):
    pass


def wait_until(fact, what, seconds=60, watched=()):
    """Polls `fact` until it is true and returns its value. `watched` processes must stay alive.
    `what` is the sentence of the failure; a callable is asked for it then."""
    end = time.monotonic() + seconds
    while True:
        value = fact()
        if value:
            return value
        for process in watched:
            process.check_alive()
        if time.monotonic() > end:
            raise Deadline(f"after {seconds} s still not: {what() if callable(what) else what}")
        time.sleep(POLL_SECONDS)
