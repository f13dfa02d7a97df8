"""Lines over time as one SVG file: a panel for each series, by hand, so that nothing has to be installed."""
from pathlib import Path
from xml.sax.saxutils import escape

WIDTH, PANEL, LEFT, RIGHT, TOP, GAP = 890, 110, 110, 20, 44, 34
STYLE = """
    text { font: 12px system-ui, sans-serif; fill: #57606a }
    .title { font-size: 15px; fill: #24292f } .line { fill: none; stroke: #0969da; stroke-width: 1.4 } .axis { stroke: #d0d7de }
    @media (prefers-color-scheme: dark) { text { fill: #8b949e } .title { fill: #e6edf3 } .line { stroke: #58a6ff } .axis { stroke: #30363d } }
"""


def panel(top, name, unit, points):
    """From zero, so that flat looks flat; `points` are (second, value)."""
    seconds = max(second for second, _ in points) or 1
    most = max(value for _, value in points) or 1
    bottom, wide = top + PANEL, WIDTH - LEFT - RIGHT
    at = [(LEFT + wide * second / seconds, bottom - 0.9 * PANEL * value / most) for second, value in points]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
    return [
        f'<text x="{LEFT}" y="{top - 4}">{escape(name)}</text>',
        f'<line class="axis" x1="{LEFT}" y1="{bottom}" x2="{WIDTH - RIGHT}" y2="{bottom}"/>',
        f'<text x="{LEFT - 8}" y="{bottom - 0.9 * PANEL + 4:.0f}" text-anchor="end">{most:,.0f} {escape(unit)}</text>',
        f'<text x="{LEFT - 8}" y="{bottom + 4}" text-anchor="end">0</text>',
        f'<polyline class="line" points="{line}"/>',
    ]


def plot(path, title, series):
    """Writes `path`. `series`: [(name, unit, [(second, value)])], all of the same time."""
    height = TOP + len(series) * (PANEL + GAP) + 10
    minutes = max(second for second, _ in series[0][2]) / 60
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}">']
    parts += [f"<style>{STYLE}</style>", f'<text class="title" x="{LEFT}" y="20">{escape(title)}</text>']
    for number, (name, unit, points) in enumerate(series):
        parts += panel(TOP + number * (PANEL + GAP), name, unit, points)
    parts += [f'<text x="{WIDTH - RIGHT}" y="{height - 8}" text-anchor="end">{minutes:.0f} minutes</text>', "</svg>"]
    Path(path).write_text("\n".join(parts) + "\n", encoding="utf-8")
