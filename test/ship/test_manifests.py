"""The Kubernetes manifests: rendered by kustomize, held to the API's schemas and to what we promise."""
import copy
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from harness.process import clean_environment
from machine import check

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
OVERLAYS = ["single-node", "many-workers"]


@pytest.fixture(scope="module")
def kustomize(machines):
    """kustomize(folder) -> the manifests, by Debian 13's kustomize."""
    machine = machines("13", "kustomize")
    machine.install("kustomize")
    shutil.copytree(ROOT / "conf" / "kubernetes", machine.root / "kubernetes")

    def render(overlay):
        return list(yaml.safe_load_all(machine.run("kustomize", "build", f"/kubernetes/{overlay}")))

    render.folder = machine.root / "kubernetes"
    return render


@pytest.fixture(scope="module", params=OVERLAYS)
def manifests(request, kustomize):
    return kustomize(request.param)


def one(manifests, kind):
    found = [manifest for manifest in manifests if manifest["kind"] == kind]
    assert len(found) == 1, f"{kind}: {len(found)}"
    return found[0]


def pods(manifests):
    return [manifest["spec"]["template"]["spec"] for manifest in manifests if manifest["kind"] in ("Deployment", "Job")]


@pytest.fixture(scope="module")
def schemas(workshop):
    """schemas(manifests) -> what the API would refuse; "" where nothing."""
    if not (shutil.which("npm") and shutil.which("node")):
        pytest.skip("no npm here: the schemas of the API are not to be had")
    folder = workshop / "schemas"
    shutil.copytree(HERE / "kubernetes", folder, ignore=shutil.ignore_patterns("node_modules"))
    check(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=folder)

    def refused(manifests):
        command = ["node", "validate.mjs"]
        done = subprocess.run(command, cwd=folder, input=json.dumps(manifests), capture_output=True, text=True, timeout=300)
        return done.stderr if done.returncode else ""

    return refused


def test_the_api_takes_every_manifest(manifests, schemas):
    assert schemas(manifests) == ""


@pytest.mark.parametrize(
    "spoil",
    [
        lambda pod: pod["containers"][0].update(readinesProbe={}),
        lambda pod: pod["containers"][0]["livenessProbe"].update(periodSeconds="ten"),
        lambda pod: pod["containers"][0].pop("name"),
    ],
    ids=["an unknown field", "a wrong type", "a missing field"],
)
def test_the_check_of_schemas_can_fail(kustomize, schemas, spoil):
    spoiled = copy.deepcopy(kustomize("single-node"))
    spoil(one(spoiled, "Deployment")["spec"]["template"]["spec"])
    assert schemas(spoiled) != ""


def test_pods_keep_to_the_restricted_pod_security(manifests):
    labels = one(manifests, "Namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    for pod in pods(manifests):
        who = pod["securityContext"]
        assert who["runAsNonRoot"] and who["runAsUser"] == 65532 and who["seccompProfile"]["type"] == "RuntimeDefault"
        assert pod["automountServiceAccountToken"] is False and "hostNetwork" not in pod
        for container in pod["containers"]:
            rights = container["securityContext"]
            assert rights["allowPrivilegeEscalation"] is False and rights["readOnlyRootFilesystem"] is True
            assert rights["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"].keys() == container["resources"]["requests"].keys() == {"cpu", "memory"}
        assert {"configMap", "secret"} & set().union(*pod["volumes"]) and not {"hostPath"} & set().union(*pod["volumes"])


def test_secrets_are_files_and_never_values(manifests):
    for pod in pods(manifests):
        for setting in pod["containers"][0]["env"]:
            assert setting["name"].endswith("_FILE") and setting["value"].startswith("/run/secrets/standpipe/")
        mounts = {mount["mountPath"]: mount for mount in pod["containers"][0]["volumeMounts"]}
        assert mounts["/run/secrets/standpipe"]["readOnly"]
    assert all(manifest["kind"] != "Secret" for manifest in manifests)


def test_selectors_choose_the_workers_and_not_the_migration(manifests):
    worker = one(manifests, "Deployment")["spec"]["template"]["metadata"]["labels"]
    migration = one(manifests, "Job")["spec"]["template"]["metadata"]["labels"]
    chosen = [one(manifests, "Service")["spec"]["selector"]]
    chosen += [one(manifests, kind)["spec"]["selector"]["matchLabels"] for kind in ("Deployment", "PodDisruptionBudget")]
    for selector in chosen:
        assert selector.items() <= worker.items() and not selector.items() <= migration.items()
    policy = one(manifests, "NetworkPolicy")["spec"]["podSelector"].get("matchLabels", {})
    assert policy.items() <= worker.items() and policy.items() <= migration.items()


def test_the_grace_period_is_longer_than_the_drain(manifests):
    settings = next(iter(one(manifests, "ConfigMap")["data"].values()))
    drain_ms = int(re.search(r"^timeout_ms = (\d+)$", settings, re.M)[1])
    for pod in [one(manifests, "Deployment")["spec"]["template"]["spec"]]:
        assert pod["terminationGracePeriodSeconds"] * 1000 > drain_ms


def test_probes_ask_what_they_should(manifests):
    container = one(manifests, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    paths = {probe: container[probe]["httpGet"]["path"] for probe in ("livenessProbe", "startupProbe", "readinessProbe")}
    assert paths == {"livenessProbe": "/livez", "startupProbe": "/livez", "readinessProbe": "/readyz"}


def test_a_change_of_the_configuration_gives_the_pods_another_template(kustomize):
    before = one(kustomize("single-node"), "Deployment")
    file = kustomize.folder / "base" / "standpipe.conf"
    text = file.read_text()
    file.write_text(text + "\n[workers]\nbatch_size = 100\n")
    after = one(kustomize("single-node"), "Deployment")
    file.write_text(text)
    assert before["spec"]["template"] != after["spec"]["template"]


def test_standpipe_itself_takes_the_configuration_and_the_arguments(manifests, standpipe, folder):
    text = next(iter(one(manifests, "ConfigMap")["data"].values()))
    (folder / "standpipe.conf").write_text(text)
    check([standpipe, "check-config", "-c", folder / "standpipe.conf"], env=clean_environment())
    commands = {pod["containers"][0]["args"][0] for pod in pods(manifests)}
    for command in commands:
        check([standpipe, command, "--help"], env=clean_environment())


def test_many_workers_scale_by_our_backlog_and_are_scraped(kustomize):
    manifests = kustomize("many-workers")
    assert "replicas" not in one(manifests, "Deployment")["spec"]
    scaled = one(manifests, "ScaledObject")["spec"]
    assert scaled["scaleTargetRef"]["name"] == one(manifests, "Deployment")["metadata"]["name"]
    query = scaled["triggers"][0]["metadata"]["query"]
    metrics = (ROOT / "docs" / "metrics.md").read_text()
    assert all(f"`{name}`" in metrics for name in re.findall(r"standpipe_\w+", query))
    monitor, service = one(manifests, "ServiceMonitor")["spec"], one(manifests, "Service")
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["endpoints"][0]["port"] in {port["name"] for port in service["spec"]["ports"]}
    keys = [entry["topologyKey"] for entry in one(manifests, "Deployment")["spec"]["template"]["spec"]["topologySpreadConstraints"]]
    assert keys == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]


def test_a_single_node_is_left_before_it_is_taken_again(kustomize):
    spec = one(kustomize("single-node"), "Deployment")["spec"]
    assert spec["replicas"] == 1 and spec["strategy"]["rollingUpdate"]["maxSurge"] == 0
    assert "topologySpreadConstraints" not in spec["template"]["spec"]
