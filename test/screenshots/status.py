"""`standpipe status --watch` as it stands in a terminal, as SVG: docs/status.svg."""
import re
import time
from html import escape

from harness.terminal import Terminal
from playground import program

SECONDS = 75  # until the sparklines have something to say
PAUSE_AT, PAUSE_SECONDS = 30, 4  # PostgreSQL is held for a moment, so that they do
WIDTH, HEIGHT = 100, 28
CELL_X, CELL_Y, MARGIN = 8.4, 18, 16
COLOURS = {"31": "#ff7b72", "32": "#7ee787", "33": "#e3b341", "36": "#79c0ff"}
BLOCKS = " ▁▂▃▄▅▆▇█"


def pieces(line, codes):
    """(column, text, codes) of each run of one style; `codes` are those in force, also after the line."""
    column = 0
    for part in re.split(r"(\x1b\[[\d;]*m)", line):
        if part.startswith("\x1b["):
            for code in part[2:-1].split(";"):
                codes -= codes if code in ("", "0") else set(COLOURS) if code == "39" else set()
                codes |= {code} - {"", "0", "39"}
        elif part:
            yield column, part, set(codes)
            column += len(part)


def style(codes):
    colour = next((COLOURS[code] for code in codes if code in COLOURS), "#8b949e" if "2" in codes else "#e6edf3")
    return colour, ' font-weight="bold"' if "1" in codes else ""


def draw(column, row, text, codes):
    colour, weight = style(codes)
    y = MARGIN + row * CELL_Y
    if any(letter in BLOCKS[1:] for letter in text):  # fonts differ in them, rectangles do not
        for offset, letter in enumerate(text):
            height = BLOCKS.find(letter) / 8 * (CELL_Y - 4)
            x = MARGIN + (column + offset) * CELL_X
            if height > 0:
                yield f'<rect x="{x:.1f}" y="{y + CELL_Y - 3 - height:.1f}" width="{CELL_X - 0.6:.1f}" height="{height:.1f}" fill="{colour}"/>'
        return
    for word in re.finditer(r"\S+(?: \S+)*", text):
        x = MARGIN + (column + word.start()) * CELL_X
        length = len(word.group()) * CELL_X
        yield (
            f'<text x="{x:.1f}" y="{y + CELL_Y - 5:.1f}" fill="{colour}"{weight} textLength="{length:.1f}"'
            f' lengthAdjust="spacingAndGlyphs" xml:space="preserve">{escape(word.group())}</text>'
        )


def to_svg(screen):
    lines = screen.rstrip("\n").split("\n")
    width, height = 2 * MARGIN + WIDTH * CELL_X, 2 * MARGIN + len(lines) * CELL_Y
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}"'
        f' font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono, monospace" font-size="14">',
        "<title>standpipe status --watch</title>",
        '<rect width="100%" height="100%" rx="8" fill="#0d1117"/>',
    ]
    in_force = set()
    for row, line in enumerate(lines):
        for column, text, codes in pieces(line, in_force):
            out += draw(column, row, text, codes)
    return "\n".join([*out, "</svg>", ""])


def take(daemon, folder):
    command = [program("standpipe"), "status", "--watch", *daemon.setup.arguments(daemon.settings)]
    terminal = Terminal(daemon.setup.folder, command, WIDTH, HEIGHT)
    try:
        time.sleep(PAUSE_AT)
        with daemon.setup.database.transaction() as lock:
            lock.execute("LOCK TABLE repos IN ACCESS EXCLUSIVE MODE")
            time.sleep(PAUSE_SECONDS)
        time.sleep(SECONDS - PAUSE_AT - PAUSE_SECONDS)
        screen = terminal.screen("-e")
    finally:
        terminal.close()
    (folder / "status.svg").write_text(to_svg(screen))
    return "status.svg"
