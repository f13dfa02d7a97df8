"""Every path that the daemon serves, as a client sees it, and a real Prometheus that scrapes it."""
import http.client
import json
import shutil
import subprocess
import urllib.request

import pytest

from harness.prometheus import Prometheus
from harness.waiting import wait_until

PATHS = {
    "/": "text/html; charset=utf-8",
    "/metrics": "text/plain; version=0.0.4; charset=utf-8",
    "/livez": "application/json",
    "/readyz": "application/json",
    "/health": "application/json",
    "/ready": "application/json",
    "/api/metrics": "application/json",
    "/api/config": "application/json",
    "/api/redis/dead-letters": "application/json",
    "/api/events/stream": "text/event-stream; charset=utf-8",
}
# What the contract names; more members may be added.
MEMBERS = {"eventsProcessed", "eventCounts", "firehoseStatus", "errorRate", "lastUpdate", "ledger", "lag", "workers"}
STATUS = {"connected", "url", "currentCursor", "isConnected", "queueDepth", "streamLength", "deadLetterLength"}
LETTER = {"id", "type", "data", "seq", "origId", "deliveries", "reason"}


@pytest.fixture
def daemon(setup, start_relay, generated):
    setup.relay = start_relay(generated.frames)
    running = setup.run(relay__cursor="oldest").wait_ready()
    setup.wait_drained(2000)
    return running


def ask(daemon, method, path, **headers):
    connection = http.client.HTTPConnection(daemon.settings["http.listen"], timeout=20)
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    return connection.getresponse()


def test_each_path_has_its_type_and_answers_head_with_the_same_headers(daemon):
    for path, kind in PATHS.items():
        head = ask(daemon, "HEAD", path)
        assert (head.status, head.headers["Content-Type"]) == (200, kind), path
        assert head.read() == b""
        answer = ask(daemon, "GET", path)
        assert (answer.status, answer.headers["Content-Type"]) == (200, kind), path
        assert answer.headers["X-Content-Type-Options"] == "nosniff" and "default-src 'none'" in answer.headers["Content-Security-Policy"]
        post = ask(daemon, "POST", path)
        assert (post.status, post.headers["Allow"]) == (405, "GET, HEAD"), path
    assert ask(daemon, "GET", "/nothing").status == 404


def test_the_api_has_the_members_that_programs_read(daemon):
    wait_until(lambda: daemon.api()["eventsProcessed"] == 2000, "a look at the stream has seen them all", 30, [daemon.process])
    api = daemon.api()
    assert MEMBERS <= set(api) and STATUS <= set(api["firehoseStatus"])
    assert set(api["eventCounts"]) == {"#commit", "#identity", "#account", "#sync"}
    assert api["eventsProcessed"] == sum(api["eventCounts"].values())
    assert api["firehoseStatus"]["queueDepth"] == 0
    assert sum(item["ops"] for item in api["collections"]["items"]) + api["collections"]["other"] > 0
    assert api["thresholds"]["depthWarning"] == 100_000


def test_dead_letters_come_newest_first_and_are_counted_by_reason(setup, daemon):
    setup.stream().xadd("firehose:events", {"type": "commit", "data": "this is no JSON"})
    wait_until(lambda: daemon.api()["deadLetters"], "the letter is counted by its reason", 60, [daemon.process])
    (kind,) = daemon.api()["deadLetters"]
    assert kind["letters"] == 1 and kind["newest"]["data"] == "this is no JSON"
    items = json.loads(daemon.get("/api/redis/dead-letters?limit=5")[1])["items"]
    assert len(items) == 1 and LETTER <= set(items[0])
    assert daemon.get("/api/redis/dead-letters?limit=0")[0] == daemon.get("/api/redis/dead-letters?limit=x")[0] == 400


def events(answer, count):
    """(name, id, data) of the first events of a stream."""
    found, fields = [], {}
    while len(found) < count:
        line = answer.readline().decode().rstrip("\n")
        name, _, value = line.partition(": ")
        if name:
            fields[name] = value
        elif "data" in fields:
            found.append((fields["event"], fields.get("id"), json.loads(fields["data"])))
            fields = {}
    return found


def test_the_stream_begins_with_the_history_and_says_what_the_api_says(daemon):
    first, second, third = events(ask(daemon, "GET", "/api/events/stream"), 3)
    assert (first[0], second[0], third[0]) == ("history", "metrics", "metrics")
    assert first[2]["isWhole"] and all(len(point) == 5 for point in first[2]["points"])
    assert set(second[2]) == set(daemon.api())
    assert third[2]["ledger"] == daemon.api()["ledger"]
    # Who names the last event gets what was missed alone.
    again = events(ask(daemon, "GET", "/api/events/stream", Last_Event_ID=third[1]), 1)[0]
    assert not again[2]["isWhole"] and len(again[2]["points"]) < 5


def test_the_stream_says_that_the_daemon_stops(daemon):
    answer = ask(daemon, "GET", "/api/events/stream")
    events(answer, 2)
    assert daemon.terminate() == 0
    rest = answer.read().decode()
    assert rest.endswith('event: end\ndata: {"reason":"the process is stopping"}\n\n')


def test_the_configuration_is_there_and_no_secret_in_it(setup, start_relay, generated):
    setup.relay = start_relay(generated.frames)
    daemon = setup.run(postgres__url="postgresql://someone:hush-hush@127.0.0.1:1/x")
    wait_until(lambda: daemon.get("/livez")[0] == 200, "alive", 30, [daemon.process])
    text = daemon.get("/api/config")[1]
    items = {item["key"]: item for item in json.loads(text)["items"]}
    assert items["workers.threads"]["value"] == "2" and items["relay.cursor"]["origin"] == "default"
    assert items["postgres.url"]["reload"] in ("at once", "reconnect", "restart")
    assert "hush-hush" not in text and "someone" in text
    assert daemon.terminate() == 0


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (package prometheus) is not installed")
def test_promtool_has_nothing_to_say_about_the_page(daemon):
    page = daemon.get("/metrics")[1]
    done = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus is not installed")
def test_a_real_prometheus_scrapes_it(daemon, folder):
    rules = folder / "none.yml"
    rules.write_text("groups: []\n")
    prometheus = Prometheus(folder, daemon.settings["http.listen"], rules).start()
    try:
        wait_until(lambda: [s for s in prometheus.query("up") if s["value"][1] == "1"], "prometheus has scraped", 60, [daemon.process])
        (total,) = prometheus.query("sum(standpipe_committed_entries_total)")
        assert float(total["value"][1]) == 2000
        names = json.loads(prometheus.get("/api/v1/label/__name__/values"))["data"]
        page = daemon.get("/metrics")[1]
        told = {line.split()[2] for line in page.splitlines() if line.startswith("# TYPE")}
        shown = {name.removesuffix(suffix) for name in names for suffix in ("", "_bucket", "_sum", "_count")}
        silent = {name for name in told if name not in shown}
        with_samples = {line.partition("{")[0].split()[0] for line in page.splitlines() if line and not line.startswith("#")}
        assert not silent & with_samples
    finally:
        prometheus.stop()


def test_a_token_protects_what_the_contract_says(setup, start_relay, generated, folder):
    (folder / "token").write_text("let-me-in\n")
    setup.relay = start_relay(generated.frames)
    daemon = setup.run(http__token_file=folder / "token")
    wait_until(lambda: daemon.get("/livez")[0] == 200, "alive", 30, [daemon.process])
    opened = {path for path in PATHS if ask(daemon, "HEAD", path).status != 401}
    # The page itself holds no figure: it asks for the token.
    assert opened == {"/", "/livez", "/readyz", "/metrics"}
    request = urllib.request.Request(f"http://{daemon.settings['http.listen']}/api/metrics", headers={"Authorization": "Bearer let-me-in"})
    assert json.load(urllib.request.urlopen(request, timeout=10))["version"]
    assert daemon.terminate() == 0


def status(daemon, token):
    return daemon.get("/api/metrics", token=token)[0]


def test_a_token_that_changes_in_its_file_is_taken_by_whoever_has_it(setup, start_relay, generated, folder):
    """As a mounted secret changes: nobody sends a signal. A file that is no token takes nothing away."""
    token = folder / "token"
    token.write_text("first\n")
    setup.relay = start_relay(generated.frames)
    daemon = setup.run(http__token_file=token)
    wait_until(lambda: daemon.get("/livez")[0] == 200, "alive", 30, [daemon.process])
    stream = ask(daemon, "GET", "/api/events/stream", Authorization="Bearer first")
    events(stream, 1)
    for bad in (None, "", "\n", "x" * 5000):
        token.unlink(missing_ok=True)
        if bad is not None:
            token.write_text(bad)
        assert [status(daemon, given) for given in ("", "x", "second", "first")] == [401, 401, 401, 200], bad
    assert daemon.process.text().count("the old token stays") == 4  # once for each, however many ask
    token.write_text("second\n")
    assert status(daemon, "first") == 200  # nobody has shown another one
    assert status(daemon, "second") == 200
    assert status(daemon, "first") == 401
    assert "the token was read again" in stream.read().decode()  # who listens has to show it anew
    assert daemon.terminate() == 0
