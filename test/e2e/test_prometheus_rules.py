"""The alert rules are right, tested, and each has its entry in the runbook."""
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "conf" / "prometheus" / "standpipe.rules.yml"
TESTS = ROOT / "test" / "e2e" / "rules" / "standpipe.test.yml"
RUNBOOK = ROOT / "docs" / "runbook.md"
# One entry for two alerts on the same figure.
SHARED_ENTRY = {"StandpipeBacklogCritical": "StandpipeBacklogHigh"}


def rules():
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def promtool(*words):
    assert shutil.which("promtool"), "promtool is missing: install the package prometheus"
    done = subprocess.run(["promtool", *map(str, words)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def entries():
    """Heading -> text of its entry."""
    parts = re.split(r"^## (.+)$", RUNBOOK.read_text(), flags=re.M)[1:]
    return dict(zip(parts[::2], parts[1::2]))


def test_promtool_reads_the_rules_and_the_scrape_configuration(folder):
    promtool("check", "rules", RULES)
    shutil.copytree(RULES.parent, folder / "prometheus")
    promtool("check", "config", folder / "prometheus" / "prometheus.yml")


def test_the_rules_pass_their_unit_tests():
    promtool("test", "rules", TESTS)


def test_each_alert_is_seen_to_stay_quiet_to_fire_and_to_clear():
    cases = {case["name"]: case["alert_rule_test"] for case in yaml.safe_load(TESTS.read_text())["tests"]}
    assert cases.keys() == rules().keys()
    for alert, moments in cases.items():
        assert {moment["alertname"] for moment in moments} == {alert}
        minutes = [int(moment["eval_time"].rstrip("m")) for moment in moments]
        assert minutes == sorted(minutes)
        assert [bool(moment.get("exp_alerts")) for moment in moments] == [False, True, False], alert


@pytest.mark.parametrize("alert", rules())
def test_an_alert_says_how_urgent_it_is_and_leads_to_its_entry(alert):
    rule = rules()[alert]
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
    heading = SHARED_ENTRY.get(alert, alert)
    assert rule["annotations"]["runbook_url"] == f"docs/runbook.md#{heading.lower()}"
    text = entries()[heading]
    for part in ("**Means.**", "**Look.**", "**Do.**"):
        assert part in text, f"{heading}: no {part}"


def test_the_runbook_has_no_entry_without_an_alert():
    assert entries().keys() == {SHARED_ENTRY.get(alert, alert) for alert in rules()}


def test_links_within_the_runbook_lead_somewhere():
    headings = {heading.lower() for heading in entries()}
    links = re.findall(r"\]\(#([^)]+)\)", RUNBOOK.read_text())
    assert links and set(links) <= headings


def metrics_of(text):
    return set(re.findall(r"\b(?:standpipe|process)_[a-z0-9_]+\b", text))


def test_rules_and_runbook_name_metrics_that_are_there():
    known = set(re.findall(r"^\| `([a-z0-9_]+)`", (ROOT / "docs" / "metrics.md").read_text(), re.M))
    named = {re.sub(r"_bucket$", "", name) for rule in rules().values() for name in metrics_of(rule["expr"])}
    assert named and named <= known, named - known
    mentioned = {name for name in metrics_of(RUNBOOK.read_text()) if name.startswith("standpipe_")}
    assert mentioned - {"standpipe_cursor"} <= known


def test_thresholds_follow_the_defaults_of_the_configuration():
    page = (ROOT / "docs" / "configuration.md").read_text()
    default = {key: int(value) for key, value in re.findall(r"^\| `(\w+)` \| `(\d+)`", page, re.M)}
    found = rules()
    assert f"> {default['depth_warning']}" in found["StandpipeBacklogHigh"]["expr"]
    assert f"> {default['depth_critical']}" in found["StandpipeBacklogCritical"]["expr"]
    assert f"> {default['lag_warning_ms'] // 1000}" in found["StandpipeLate"]["expr"]
    assert f"> {default['dead_letter_max'] // 2}" in found["StandpipeDeadLettersFull"]["expr"]
