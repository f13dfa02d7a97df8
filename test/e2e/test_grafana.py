"""The dashboard shows something in every panel: its expressions are asked of a real Prometheus."""
import json
import re
from pathlib import Path

import pytest

from harness.prometheus import Prometheus
from harness.relay import Relay
from harness.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
DASHBOARD = ROOT / "conf" / "grafana" / "standpipe.json"
RULES = ROOT / "conf" / "prometheus" / "standpipe.rules.yml"
# What Grafana would put in.
VARIABLES = {"$__rate_interval": "15s", "$job": "standpipe", "$instance": ".*"}


def dashboard():
    return json.loads(DASHBOARD.read_text())


def panels():
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def expressions():
    """(panel, expression as Prometheus gets it)"""
    for panel in panels():
        for target in panel["targets"]:
            text = target["expr"]
            for name, value in VARIABLES.items():
                text = text.replace(name, value)
            yield panel["title"], text


def is_number(sample):
    return sample["value"][1] not in ("NaN", "+Inf", "-Inf")


def test_the_dashboard_is_one_that_grafana_takes():
    page = dashboard()
    assert page["uid"] == "standpipe" and page["schemaVersion"] >= 36
    identifiers = [panel["id"] for panel in page["panels"]]
    assert len(identifiers) == len(set(identifiers))
    cells = set()
    for panel in page["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        own = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & own, f"{panel['title']} lies on another panel"
        cells |= own


def test_each_expression_keeps_to_the_variables_and_names_metrics_that_are_there():
    known = set(re.findall(r"^\| `([a-z0-9_]+)`", (ROOT / "docs" / "metrics.md").read_text(), re.M))
    for panel in panels():
        for target in panel["targets"]:
            assert 'job=~"$job"' in target["expr"], panel["title"]
            named = set(re.findall(r"\b((?:standpipe|process)_\w+)\{", target["expr"]))
            assert named and {re.sub(r"_bucket$", "", name) for name in named} <= known, panel["title"]


def test_rows_of_typed_tables_are_never_added_to_those_of_records():
    texts = [text for _, text in expressions() if "standpipe_rows_total" in text]
    assert texts and all('table="records"' in text or "by (table)" in text for text in texts)


@pytest.fixture
def scraped(setup, redis, relay_program, certificate, folder):
    """A Prometheus beside a standpipe that works: wss, a Redis with a limit, events that go on."""
    redis.client.config_set("maxmemory", "1gb")
    relay = Relay(relay_program, folder, "--generate", 0, "--rate", 200, tls=certificate)
    setup.relay = relay.start()
    daemon = setup.run(relay__cursor="oldest", relay__ca_file=certificate.certificate).wait_ready()
    prometheus = Prometheus(folder, daemon.settings["http.listen"], RULES)
    yield prometheus.start()
    prometheus.stop()
    relay.stop()


def test_no_panel_is_empty_and_no_alert_fires_while_all_is_well(scraped):
    wanted = list(expressions())
    left = {(title, text) for title, text in wanted}

    def ask():
        left.difference_update([pair for pair in left if any(map(is_number, scraped.query(pair[1])))])
        return not left

    wait_until(ask, lambda: f"every panel shows a number; empty: {left}", 60, [scraped.process])
    assert scraped.query('ALERTS{alertstate="firing"}') == []
    answer = json.loads(scraped.get("/api/v1/rules"))
    health = {rule["name"]: rule["health"] for group in answer["data"]["groups"] for rule in group["rules"]}
    assert health and set(health.values()) == {"ok"}, health
