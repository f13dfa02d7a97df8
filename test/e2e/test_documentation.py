"""What the pages say is there: links and anchors, files, commands with their options, keys, metrics, alerts."""
import re
import subprocess
from functools import lru_cache
from pathlib import Path

import pytest
import yaml

from harness.process import clean_environment

ROOT = Path(__file__).resolve().parents[2]
LISTED = subprocess.run(["git", "-C", ROOT, "ls-files", "-co", "--exclude-standard", "*.md"], capture_output=True, text=True, check=True)
PAGES = [ROOT / name for name in LISTED.stdout.splitlines() if "/fixtures/" not in name]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
RUNBOOK, CHANGELOG = ROOT / "docs" / "runbook.md", ROOT / "CHANGELOG.md"
WORD = r"[a-z][a-z0-9_]*"
# Folders of the checkout; a path in backquotes that starts with one of them is a file or folder.
FOLDERS = ("conf", "deps", "docs", "src", "test")
# What the log says of the program itself.
LOG_LINES = ("standpipe ready", "standpipe not ready")
# Names of tables look like metrics.
NO_METRICS = r"standpipe_(records|cursor|migrations|dead_letters|tables|posts|likes|blog_entries|merge_revs)\b"
every_page = pytest.mark.parametrize("name", NAMES)


@lru_cache(maxsize=None)
def text_of(page):
    return page.read_text()


def without_code(text):
    text = re.sub(r"^( *)```.*?^\1```$", "", text, flags=re.M | re.S)
    return re.sub(r"`[^`\n]*`", "", text)


def code_of(text):
    """What stands in backquotes, and each line of a block of code."""
    blocks = re.findall(r"^ *```\w*\n(.*?)^ *```$", text, flags=re.M | re.S)
    outside = re.sub(r"^( *)```.*?^\1```$", "", text, flags=re.M | re.S)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    return re.findall(r"`([^`\n]+)`", outside), lines


@lru_cache(maxsize=None)
def anchors(page):
    """As GitHub makes them of headings; a second one of the same name gets a number."""
    found = []
    outside = re.sub(r"^( *)```.*?^\1```$", "", text_of(page), flags=re.M | re.S)
    for heading in re.findall(r"^#+ +(.*)$", outside, flags=re.M):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        anchor = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        found.append(f"{anchor}-{found.count(anchor)}" if anchor in found else anchor)
    return found


@every_page
def test_every_link_leads_somewhere(name):
    page, broken = ROOT / name, []
    for link in re.findall(r"\]\(([^)\s]+)\)", without_code(text_of(page))):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@every_page
def test_every_file_that_is_named_is_there(name):
    words, _lines = code_of(text_of(ROOT / name))
    named = [word for word in words if re.fullmatch(rf"({'|'.join(FOLDERS)})/[\w./-]+", word)]
    assert [word for word in named if not (ROOT / word).exists() and not (ROOT / name).parent.joinpath(word).exists()] == []


# --- commands ---


@pytest.fixture(scope="module")
def options(standpipe):
    """command -> the options that its help names."""

    def help_of(*words):
        done = subprocess.run([standpipe, *words], capture_output=True, text=True, check=True, env=clean_environment())
        return done.stdout

    commands = re.findall(r"^  ([a-z-]+) {2,}", help_of("help"), flags=re.M)
    assert {"run", "status", "dead", "help"} <= set(commands)
    return {command: set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", help_of("help", command))) for command in commands}


@pytest.fixture(scope="module")
def dev_usage():
    usage = subprocess.run([ROOT / "dev", "help"], capture_output=True, text=True, check=True).stdout
    return {match[1]: match[0] for match in re.finditer(r"^\./dev ([a-z]+)\b.*\n(?: +.*\n)*", usage, flags=re.M)}


def calls(name, program):
    """The words that follow `program` in each call of it in code, up to what ends a command."""
    words, lines = code_of(text_of(ROOT / name))
    for line in [*words, *(line.split("   ")[0] for line in lines)]:
        if line in LOG_LINES:
            continue
        for call in re.findall(rf"(?:^|[;&|({{] *|sudo |-- ){program} +([^|;&>#`\"]*)", line):
            yield call.split()


def options_in(call):
    return [word.split("=")[0].rstrip(",.)]") for word in call if re.match(r"\[?--?[a-z]", word)]


@every_page
def test_every_command_of_standpipe_exists_with_its_options(name, options):
    wrong = []
    for call in calls(name, r"(?:/usr/bin/)?standpipe"):
        command = call[0].strip("[],.:") if call else ""
        if not re.fullmatch(r"[a-z-]+", command) or command.startswith("-"):
            continue
        unknown = [option for option in options_in(call[1:]) if option.strip("[]") not in options.get(command, ())]
        if command not in options or unknown:
            wrong.append(" ".join(call))
    assert wrong == []


@every_page
def test_every_command_of_dev_exists_with_its_options(name, dev_usage, options):
    wrong = []
    for call in calls(name, r"(?:sudo )?(?:\S+=\S+ )*\./dev"):
        command = call[0].strip("[],.:") if call else "help"
        known = dev_usage.get(command, "")
        passed = options["run"] if command == "run" else ()
        passes_on = "ARGUMENTS..." in known or "PYTEST" in known
        unknown = [option for option in options_in(call[1:]) if option.strip("[]") not in known and option not in passed]
        if not known or (unknown and not passes_on):
            wrong.append(" ".join(call))
    assert wrong == []


# --- keys, metrics, alerts ---


def known_keys():
    text = (ROOT / "docs" / "configuration.md").read_text()
    sections = re.split(r"^## \[(\w+)\]$", text, flags=re.M)
    return {f"{section}.{key}" for section, part in zip(sections[1::2], sections[2::2]) for key in re.findall(r"^\| `(\w+)`", part, flags=re.M)}


@every_page
def test_every_key_exists(name):
    keys = known_keys()
    sections = "|".join(sorted({key.split(".")[0] for key in keys}))
    words, lines = code_of(text_of(ROOT / name))
    named = [key for word in words for key in re.findall(rf"^(?:--set[ =])?((?:{sections})\.{WORD})(?:\b(?![.(/])|=)", word)]
    named += [key for line in lines for key in re.findall(rf"--set[ =]((?:{sections})\.{WORD})", line)]
    files = r"\.(c|h|md|py|conf|json|yaml|bin|log|sock)$"
    assert [key for key in named if key not in keys and not re.search(files, key)] == []


@every_page
def test_every_key_of_a_piece_of_configuration_exists(name):
    keys, unknown = known_keys(), []
    ours = {key.split(".")[0] for key in keys}
    for block in re.findall(r"^ *```ini\n(.*?)^ *```$", text_of(ROOT / name), flags=re.M | re.S):
        sections = re.split(r"^ *\[(\w+)\]$", block, flags=re.M)
        for section, part in zip(sections[1::2], sections[2::2]):
            found = [f"{section}.{key}" for key in re.findall(rf"^ *({WORD}) *=", part, flags=re.M)]
            unknown += [key for key in found if section in ours and key not in keys]
    assert unknown == []


@every_page
def test_every_environment_name_exists(name):
    known = set(re.findall(r"STANDPIPE_[A-Z_]+", (ROOT / "docs" / "configuration.md").read_text()))
    ours = {"STANDPIPE_BUILD", "STANDPIPE_CAPTURES", "STANDPIPE_TESTS", "STANDPIPE_SANITIZE", "STANDPIPE_FUZZ"}
    named = re.findall(r"\bSTANDPIPE_[A-Z][A-Z_]*[A-Z]\b", text_of(ROOT / name))
    assert [word for word in named if not {word, word.removesuffix("_FILE")} & (known | ours)] == []


@every_page
def test_every_metric_exists(name):
    known = set(re.findall(r"`(\w+)`", (ROOT / "docs" / "metrics.md").read_text()))
    series = known | {f"{metric}_{part}" for metric in known for part in ("bucket", "count", "sum")}
    words, lines = code_of(text_of(ROOT / name))
    ends = r"_(?:total|bytes|seconds|ratio|sequence|entries|rows|active|letters|leader|successful|connected|info)"
    named = [metric for text in [*words, *lines] for metric in re.findall(rf"(?<![\w./-])standpipe_\w*{ends}\b", text)]
    assert [metric for metric in named if metric not in series and not re.fullmatch(NO_METRICS, metric)] == []


@every_page
def test_every_alert_exists(name):
    rules = yaml.safe_load((ROOT / "conf" / "prometheus" / "standpipe.rules.yml").read_text())
    alerts = {rule["alert"] for group in rules["groups"] for rule in group["rules"] if "alert" in rule}
    assert set(re.findall(r"\bStandpipe[A-Z]\w+", text_of(ROOT / name))) <= alerts


def test_operations_names_every_alert_of_the_daemon():
    alerts = re.findall(r'\[ALERT_\w+\] = \{\.name = "(\w+)"', (ROOT / "src" / "runtime" / "alerts.c").read_text())
    page = (ROOT / "docs" / "operations.md").read_text()
    assert alerts and [alert for alert in alerts if f"| `{alert}` |" not in page] == []


# --- completeness ---


def test_the_index_of_docs_names_every_page():
    index = (ROOT / "docs" / "README.md").read_text()
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert pages == set(re.findall(r"\]\(([\w-]+\.md)\)", index))


def test_the_readme_names_every_command_and_leads_to_every_page(options):
    readme = (ROOT / "README.md").read_text()
    assert [command for command in options if f"standpipe {command}" not in readme] == []
    index = set(re.findall(r"\]\(([\w-]+\.md)\)", (ROOT / "docs" / "README.md").read_text()))
    assert {page for page in index if f"docs/{page}" not in readme} == set()


def test_every_folder_of_code_has_a_readme_and_architecture_names_each_stage():
    folders = [path for path in (ROOT / "src").iterdir() if path.is_dir()]
    assert [path for path in folders if not (path / "README.md").exists()] == []
    architecture = (ROOT / "ARCHITECTURE.md").read_text()
    assert [path.name for path in folders if f"`{path.name}`" not in architecture] == []


def test_every_part_that_architecture_draws_is_there():
    stages = "|".join(path.name for path in (ROOT / "src").iterdir() if path.is_dir())
    parts = set(re.findall(rf"(?<![\w/])((?:{stages})/[a-z_]+)(?:\.[ch])?\b", (ROOT / "ARCHITECTURE.md").read_text()))
    sources = {str(path.relative_to(ROOT / "src").with_suffix("")) for path in (ROOT / "src").rglob("*.[ch]")}
    assert parts - sources == set() and len(parts) > 20
