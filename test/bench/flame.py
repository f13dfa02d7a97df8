"""Where the time goes while all events are brought through, as a flame graph: standpipe's threads under perf, or with
`--everything` all that the two servers and the relay do beside them, each a tower of its own.

    perf record --> stacks --> tree --> shares of the processes and libraries, the functions at the top, an SVG

The kernel's part of a function is drawn on top of it. Without perf the bench says so and goes on.
"""
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from xml.sax.saxutils import escape

from stage import wait_queued

HERTZ = 499
STACK_BYTES = 32_768  # libuv keeps 12 KiB of events on it
TOP = 12
IDLE = "idle"
PROCESSES = {
    "standpipe": "standpipe", "redis-server": "Redis", "postgres": "PostgreSQL", "standpipe-relay": "the relay", "swapper": IDLE,
}
WIDTH, ROW, HEAD, LETTER = 1200, 17, 34, 6.6
LEAST = 1.0  # px: narrower frames are left out
STYLE = """
    text { font: 11px ui-monospace, monospace; fill: #1f2328 } .title { font: 15px system-ui, sans-serif }
    .standpipe { fill: #ffb77c } .kernel { fill: #a5d6ff } .linked { fill: #d2dae1 } rect { stroke: #fff; stroke-width: .5 }
    @media (prefers-color-scheme: dark) { .title { fill: #e6edf3 } rect { stroke: #0d1117 } }
"""


class Frame:
    """A function in its place on the stack, with the samples in it and above."""

    def __init__(self):
        self.samples, self.calls = 0, {}

    def add(self, stack):
        self.samples += 1
        if stack:
            self.calls.setdefault(stack[0], Frame()).add(stack[1:])

    def depth(self):
        return 1 + max((call.depth() for call in self.calls.values()), default=0)


def kind_of(dso):
    name = Path(dso).name
    if "kernel" in dso or name.startswith("[k"):
        return "kernel"
    return "standpipe" if name == "standpipe" else "linked"


def library_of(dso):
    """libpq.so.5.15 is libpq; redis-server is one file with the names of its tools."""
    name = Path(dso).name.partition(".so")[0]
    return "the kernel" if kind_of(dso) == "kernel" else "redis-server" if name.startswith("redis-") else name


def process_of(command):
    """The tower that a sample belongs to, by the name of its thread."""
    return "standpipe" if command.startswith("worker-") else PROCESSES.get(command, "the rest")


def read_stacks(data):
    """(process, [(symbol, dso)], the root first) of each sample."""
    command = ["perf", "script", "--no-inline", "-i", data, "-F", "comm,ip,sym,dso"]
    done = subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True)
    for sample in done.stdout.split("\n\n"):
        lines, stack = sample.splitlines(), []
        for line in lines[1:]:
            _, _, rest = line.strip().partition(" ")
            symbol, bracket, dso = rest.rpartition(" (")
            if bracket:
                dso = dso.rstrip(")")
                stack.append((library_of(dso) if symbol == "[unknown]" else symbol, dso))
        if stack:
            yield process_of(lines[0].strip()), stack[::-1]


def draw(frame, left, level, height, whole, out):
    for (symbol, dso), call in sorted(frame.calls.items(), key=lambda item: item[0]):
        wide = WIDTH * call.samples / whole
        if wide >= LEAST:
            top = height - (level + 1) * ROW
            letters = int((wide - 6) / LETTER)
            shown = symbol if len(symbol) <= letters else symbol[: max(0, letters - 1)] + "…"
            out.append(f'<g><title>{escape(symbol)} ({escape(library_of(dso))}), {100 * call.samples / whole:.1f} %</title>'
                       f'<rect class="{kind_of(dso)}" x="{left:.1f}" y="{top}" width="{wide:.1f}" height="{ROW}" rx="1"/>'
                       + (f'<text x="{left + 3:.1f}" y="{top + 12}">{escape(shown)}</text>' if letters > 3 else "") + "</g>")
            draw(call, left, level + 1, height, whole, out)
        left += wide


def write_svg(path, title, root):
    height = HEAD + root.depth() * ROW
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}">']
    parts += [f"<style>{STYLE}</style>", f'<text class="title" x="3" y="20">{escape(title)}</text>']
    draw(root, 0, 0, height, root.samples, parts)
    Path(path).write_text("\n".join([*parts, "</svg>"]) + "\n", encoding="utf-8")


def record(stage, arguments, data):
    """All events, from the relay to the commit, while perf looks; at `--rate`, where it is given."""
    pace = ("--rate", arguments.rate) if arguments.rate else ()
    setup = stage.fresh("--file", stage.frames(arguments.events), *pace, settings=arguments.settings)
    daemon = setup.run("bench", relay__cursor="oldest")
    wait_queued(setup, daemon, 1)
    command = ["perf", "record", "--quiet", "--freq", HERTZ, "--call-graph", f"dwarf,{STACK_BYTES}", "--output", data]
    command += ["--all-cpus"] if arguments.everything else ["--pid", daemon.pid]
    perf = subprocess.Popen(list(map(str, command)), stderr=subprocess.DEVNULL)
    setup.wait_drained(arguments.events, 180)
    perf.terminate()
    perf.wait(60)
    assert daemon.terminate() == 0


def share(counter, whole, most=None):
    return {name: round(100 * count / whole, 1) for name, count in counter.most_common(most)}


def flame(stage, arguments):
    if not shutil.which("perf"):
        print("flame: perf is not here (linux-perf): nothing is drawn", file=sys.stderr)
        return
    data = stage.folder / "perf.data"
    record(stage, arguments, data)
    root, processes, libraries, tops = Frame(), Counter(), Counter(), Counter()
    for process, stack in read_stacks(data):
        processes[process] += 1
        if process == IDLE:
            continue
        root.add([(process, process), *stack] if arguments.everything else stack)
        symbol, dso = stack[-1]
        libraries[library_of(dso)] += 1
        tops[symbol if symbol == library_of(dso) else f"{symbol} ({library_of(dso)})"] += 1
    assert root.samples > 0, "perf has seen nothing"
    if arguments.plot:
        pace = f", {arguments.rate:,} a second" if arguments.rate else ""
        who = "standpipe, Redis and PostgreSQL" if arguments.everything else "standpipe"
        title = f"{who}, {arguments.events:,} events from the relay to the commit{pace}, {root.samples:,} samples"
        write_svg(arguments.plot, title, root)
    yield "flame", {
        "events": arguments.events,
        "rate": arguments.rate,
        "samples": root.samples,
        "percent_by_process": share(processes, processes.total()),
        "percent_by_library": share(libraries, root.samples),
        "percent_at_the_top": share(tops, root.samples, TOP),
    }


FLAME = {"flame": flame}
