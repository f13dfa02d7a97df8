"""The dashboard in a real browser: its figures, its silence, its keyboard, its way back after a restart."""
import json
import sys
from pathlib import Path

import pytest

from harness.process import free_port
from harness.waiting import wait_until

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "browser"))
import chromium  # noqa: E402

pytestmark = pytest.mark.skipif(chromium.find() is None, reason="chromium is not installed")
TOKEN = "a-token-that-opens"


@pytest.fixture(scope="module")
def browser():
    with chromium.Chromium() as running:
        yield running


@pytest.fixture
def daemon(setup, start_relay, generated):
    setup.relay = start_relay(generated.frames)
    setup.settings["http.listen"] = f"127.0.0.1:{free_port()}"
    running = run(setup)
    setup.wait_drained(2000)
    return running


def run(setup, **overrides):
    return setup.run(http__listen=setup.settings["http.listen"], relay__cursor="oldest", **overrides)


def address(daemon):
    return f"http://{daemon.settings['http.listen']}/"


def open_page(browser, daemon, **look):
    page = browser.page(**look)
    page.open(address(daemon))
    page.wait_for("document.querySelector('[data-link=live]') && document.getElementById('version')?.textContent")
    return page


def digits(text):
    return int("".join(character for character in text if character.isdigit()) or 0)


def ledger_of(page):
    """Words of the ledger -> number shown."""
    rows = page.evaluate(
        "[...document.querySelectorAll('.station dl')].map(list => [...list.querySelectorAll('dt')]"
        ".map(dt => [dt.textContent, dt.nextElementSibling.textContent]))")
    return [{words: digits(value) for words, value in station} for station in rows]


def is_same(page, figures):
    relay, stream, postgres = ledger_of(page)
    ledger = figures["ledger"]
    return (
        digits(page.text("#backlog")) == figures["firehoseStatus"]["queueDepth"]
        and digits(page.text("#dead")) == figures["firehoseStatus"]["deadLetterLength"]
        and (relay["received"], relay["appended"], relay["duplicate"]) == (ledger["received"], ledger["appended"], ledger["duplicate"])
        and (stream["committed"], stream["pending"]) == (ledger["committed"], ledger["pending"])
        and (postgres["ops written"], postgres["ops unchanged"]) == (ledger["ops"]["written"], ledger["ops"]["unchanged"])
        and page.text("#version").startswith(f"standpipe {figures['version']}")
    )


def test_its_figures_are_those_of_the_api(browser, daemon):
    page = open_page(browser, daemon)
    wait_until(lambda: is_same(page, daemon.api()), lambda: f"{ledger_of(page)} and {daemon.api()}", 60, [daemon.process])
    assert page.text("#state-word") == "Running"
    shown = page.evaluate("[...document.querySelectorAll('#collections .name')].map(name => name.textContent)")
    known = [item["collection"] for item in daemon.api()["collections"]["items"]]
    assert shown and set(shown) <= set(known)
    assert len(page.evaluate("[...document.querySelectorAll('#workers tr')].map(row => row.innerText)")) == len(daemon.api()["workers"])


def test_it_asks_nobody_else_and_complains_of_nothing(browser, daemon):
    page = open_page(browser, daemon)
    page.wait_for("document.querySelectorAll('#config-keys tr').length > 20")
    page.wait_for("document.querySelectorAll('.chart path.line').length >= 4")
    origin = address(daemon)
    outside = [request["url"] for request in page.requests if not request["url"].startswith((origin, "data:"))]
    assert page.requests and outside == []
    assert page.complaints == []


def test_it_is_one_page_of_less_than_100_kb_with_a_strict_policy(daemon):
    import urllib.request

    with urllib.request.urlopen(address(daemon), timeout=10) as answer:
        body, policy = answer.read(), answer.headers["Content-Security-Policy"]
    assert len(body) < 100_000
    assert "default-src 'none'" in policy and "unsafe" not in policy and policy.count("'sha256-") == 2
    assert b"http://www.w3.org/2000/svg" in body  # a name and no address
    assert b"<link rel=\"stylesheet" not in body and b" src=" not in body


def test_it_comes_back_by_itself_when_the_daemon_restarts_and_keeps_its_history(setup, browser, daemon):
    page = open_page(browser, daemon)
    page.wait_for("points.length > 3")
    first = page.evaluate("points[0][0]")
    assert daemon.terminate() == 0
    page.wait_for("document.body.classList.contains('stale') && !document.getElementById('notice').hidden")
    assert "No connection to the daemon since" in page.text("#notice")
    assert "stopping" in page.text("#notice")  # the daemon said why it went
    assert page.text("#state-word") == "Disconnected" and "Last seen" in page.text("#state-reason")
    again = run(setup)
    page.wait_for("document.querySelector('[data-link=live]') && !document.body.classList.contains('stale')")
    page.wait_for("document.getElementById('notice').hidden")
    assert page.evaluate("points[0][0]") == first
    wait_until(lambda: is_same(page, again.api()), "the figures of the new process", 60, [again.process])
    assert "is back" in page.text("#announcer") or page.text("#state-word") in page.text("#announcer")


def test_it_works_by_keyboard(browser, daemon):
    page = open_page(browser, daemon)
    page.wait_for("document.querySelectorAll('#config-keys tr').length > 20")
    page.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.press("Enter")
    page.wait_for("document.activeElement.id === 'main'")
    for _ in range(3):  # the three charts, one after the other
        page.press("Tab")
        assert page.evaluate("document.activeElement.getAttribute('role')") == "img"
    page.press("ArrowLeft")
    page.wait_for("document.querySelector('#chart-lag .cross') !== null")
    page.press("Escape")
    page.wait_for("document.querySelector('#chart-lag .cross') === null")
    for _ in range(40):
        page.press("Tab")
        if page.evaluate("document.activeElement.tagName === 'SUMMARY' && document.activeElement.closest('#config') !== null"):
            break
    page.press("Enter")
    page.wait_for("document.getElementById('config').open")
    page.press("Tab")
    assert page.evaluate("document.activeElement.id") == "config-filter"
    page.type("postgres.url")
    page.wait_for("document.querySelectorAll('#config-keys tr').length === 1")


def test_a_reader_of_screens_finds_landmarks_and_names_and_no_chatter(browser, daemon):
    page = open_page(browser, daemon)
    tree = page.ask("Accessibility.getFullAXTree")["nodes"]
    roles = {node["role"]["value"] for node in tree if "role" in node}
    assert {"banner", "main", "contentinfo", "status", "heading", "table"} <= roles
    unnamed = [node for node in tree if node.get("role", {}).get("value") in ("img", "image", "button", "textbox", "searchbox", "checkbox")
               and not node.get("ignored") and not node.get("name", {}).get("value")]
    assert unnamed == []
    # One live region, and it does not change with the figures.
    assert page.evaluate("document.querySelectorAll('[aria-live]').length") == 1
    page.evaluate("window.spoken = 0; new MutationObserver(() => window.spoken++).observe("
                  "document.getElementById('announcer'), {childList: true, characterData: true, subtree: true})")
    updates = page.evaluate("points.length")
    page.wait_for(f"points.length > {updates} + 3")
    assert page.evaluate("window.spoken") == 0


CONTRAST = """
(() => {
  const parse = (color) => (color.match(/[\\d.]+/g) ?? []).map(Number);
  const light = (rgb) => {
    const [r, g, b] = rgb.slice(0, 3).map((v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (node) => {
    for (; node; node = node.parentElement) {
      const color = parse(getComputedStyle(node).backgroundColor);
      if (color.length === 3 || color[3] === 1) return color;
    }
    return [255, 255, 255];
  };
  const poor = [];
  for (const node of document.querySelectorAll('body *')) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    if (!own || !node.checkVisibility() || node.closest('.unseen, .skip, script, style')) continue;
    const style = getComputedStyle(node);
    const front = light(parse(node instanceof SVGElement ? style.fill : style.color)), back = light(ground(node));
    const ratio = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
    if (ratio < 4.5) poor.push(`${node.tagName} ${node.className?.baseVal ?? node.className} "${node.textContent.slice(0, 30)}" ${ratio.toFixed(2)}`);
  }
  return poor;
})()
"""


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1440])
def test_it_is_readable_at_every_width_in_both_schemes(browser, daemon, width, dark):
    page = open_page(browser, daemon, width=width, dark=dark)
    page.wait_for("document.querySelectorAll('.chart text').length > 8")
    assert page.evaluate(CONTRAST) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_nothing_moves_for_who_wants_no_motion(browser, daemon):
    page = open_page(browser, daemon, reduced_motion=True)
    assert page.evaluate("document.getAnimations().length") == 0


def test_with_a_token_it_asks_for_it_and_never_puts_it_into_an_address(setup, browser, start_relay, generated, folder):
    (folder / "token").write_text(TOKEN + "\n")
    setup.relay = start_relay(generated.frames)
    daemon = setup.run(http__token_file=folder / "token")
    wait_until(lambda: daemon.get("/")[0] == 200, "the page is there", 30, [daemon.process])
    assert daemon.get("/api/metrics")[0] == daemon.get("/api/events/stream")[0] == daemon.get("/api/config")[0] == 401
    page = browser.page()
    page.open(address(daemon))
    for attempt, what in (("wrong", "not the daemon's"), (TOKEN, None)):
        page.wait_for("document.getElementById('token-dialog')?.open")
        page.wait_for("document.activeElement.id === 'token'")
        page.type(attempt)
        page.press("Enter")
        if what:
            page.wait_for(f"document.getElementById('token-why').textContent.includes({json.dumps(what)})")
    page.wait_for("document.querySelector('[data-link=live]') !== null")
    page.wait_for("document.querySelectorAll('#config-keys tr').length > 20")
    assert page.requests and not [request for request in page.requests if TOKEN in request["url"]]
    assert daemon.terminate() == 0
