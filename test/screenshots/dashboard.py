"""The dashboard, out of a headless Chromium: running, and paused behind a database that stands still."""
import contextlib
import sys
import time

from playground import ROOT, playground

sys.path.insert(0, str(ROOT / "test" / "browser"))

from chromium import Chromium  # noqa: E402

HISTORY_SECONDS = 150
WIDE = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844, "mobile": True}
# Bounds that a minute reaches, so that a picture can show them.
LOW = {"alerts__depth_warning": 4000, "alerts__depth_critical": 12000, "stream__max_backlog": 20000}

LETTERS = """
INSERT INTO standpipe_dead_letters (host, epoch, seq, op, reason, sqlstate, detail, did, collection, rkey, type, data, deliveries)
SELECT 'bsky.network', 1, n, 0, CASE n % 5 WHEN 0 THEN 'missing block' ELSE '22P05' END, CASE n % 5 WHEN 0 THEN NULL ELSE '22P05' END,
    CASE n % 5 WHEN 0 THEN 'its CID is in no block of the commit' ELSE 'unsupported Unicode escape sequence' END,
    'did:plc:ewvi7nxzyoun6zhxrhs64oiz', 'app.bsky.feed.post', '3jt5k2e4xab2s', 'commit',
    '{"action":"create","path":"app.bsky.feed.post/3jt5k2e4xab2s","record":{"$type":"app.bsky.feed.post","text":"good morning"}}', 1
FROM generate_series(1, 17) AS g (n)
"""


def watch(browser, daemon, looks):
    """Opens a page for each look and lets its history grow."""
    daemon.setup.database.query(LETTERS)  # generated frames are never bad
    pages = {name: browser.page(**look) for name, look in looks.items()}
    for page in pages.values():
        page.open(f"http://{daemon.settings['http.listen']}/")
    end = time.monotonic() + HISTORY_SECONDS
    while time.monotonic() < end:
        browser.pump(0.2)
    return pages


def wait_for_word(pages, word):
    for page in pages.values():
        page.wait_for(f"document.getElementById('state-word')?.textContent === {word!r}", seconds=120)


def shoot(pages, folder):
    for name, page in pages.items():
        page.screenshot(folder / name)


def running(browser, daemon, folder):
    looks = {"dashboard.png": WIDE, "dashboard-dark.png": {**WIDE, "dark": True}, "dashboard-phone.png": PHONE}
    pages = watch(browser, daemon, looks)
    pages["dashboard.png"].evaluate("document.querySelector('#dead-letters details').open = true")
    wait_for_word(pages, "Running")
    shoot(pages, folder)


def paused(browser, folder):
    with playground(rate=900, **LOW) as daemon:
        pages = watch(browser, daemon, {"dashboard-paused.png": {**WIDE, "dark": True}})
        with daemon.setup.database.transaction() as lock:
            lock.execute("LOCK TABLE repos IN ACCESS EXCLUSIVE MODE")
            wait_for_word(pages, "Paused")
            shoot(pages, folder)


def take(daemon, folder):
    with contextlib.closing(Chromium()) as browser:
        running(browser, daemon, folder)
        paused(browser, folder)
    return "dashboard.png, dashboard-dark.png, dashboard-phone.png, dashboard-paused.png"
