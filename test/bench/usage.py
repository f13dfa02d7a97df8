"""CPU and memory of processes and what they started, read from /proc."""
import os
import statistics
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
MEGABYTE = 1_000_000


def stat_fields(pid):
    """The fields of /proc/PID/stat after the command's name, or None where it has gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return text.rpartition(")")[2].split()


def children(pid):
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and parent(entry.name) == pid]


def parent(pid):
    fields = stat_fields(pid)
    return int(fields[1]) if fields else None


def own_cpu(pid, with_reaped):
    """Seconds of CPU; `with_reaped` adds those of children that have ended."""
    fields = stat_fields(pid)
    if not fields:
        return 0.0
    return sum(int(field) for field in fields[11 : 15 if with_reaped else 13]) / TICKS


def cpu_seconds(pid):
    return own_cpu(pid, True) + sum(own_cpu(child, True) for child in children(pid))


def rss_bytes(pid):
    fields = stat_fields(pid)
    return int(fields[21]) * PAGE if fields else 0


class Usage:
    """CPU of named processes since this was made."""

    def __init__(self, processes):
        self.processes = dict(processes)
        self.before = {name: cpu_seconds(pid) for name, pid in self.processes.items()}

    def seconds(self):
        return {name: cpu_seconds(pid) - self.before[name] for name, pid in self.processes.items()}

    def per_event_us(self, events):
        return {name: round(value * 1e6 / events, 1) for name, value in self.seconds().items()}


def slope(samples):
    """Least squares of (seconds, value): growth a second."""
    times, values = zip(*samples)
    middle, mean = statistics.fmean(times), statistics.fmean(values)
    spread = sum((time - middle) ** 2 for time in times)
    return sum((time - middle) * (value - mean) for time, value in samples) / spread if spread else 0.0


def medians(rows):
    """The median of each figure over several runs (dicts of one shape, numbers or dicts)."""
    if isinstance(rows[0], dict):
        return {key: medians([row[key] for row in rows]) for key in rows[0]}
    return statistics.median(rows)
