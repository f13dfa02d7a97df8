"""compose.yaml and the configurations of Redis and PostgreSQL: read by the real servers, each line with its reason."""
import re
from pathlib import Path

import pytest
import yaml

from harness.postgres import PostgresCluster
from harness.redis_server import RedisServer

ROOT = Path(__file__).resolve().parents[2]
CONF = ROOT / "conf"


def settings(path, separator):
    """key -> value, and the lines of each paragraph."""
    paragraphs = [part.strip().splitlines() for part in path.read_text().split("\n\n") if part.strip()]
    lines = [line for part in paragraphs for line in part if not line.startswith("#")]
    return dict(line.split(separator, 1) for line in lines), paragraphs


@pytest.mark.parametrize("name", ["redis.conf", "postgresql.conf"])
def test_every_line_says_why_it_is_there(name):
    _values, paragraphs = settings(CONF / name, None)
    assert len(paragraphs) > 10
    for part in paragraphs:
        assert part[0].startswith("#"), part


def test_redis_takes_its_file_and_keeps_what_must_be_kept(folder):
    wanted, _ = settings(CONF / "redis.conf", " ")
    server = RedisServer(folder / "redis")
    server.command = lambda: [
        *["redis-server", CONF / "redis.conf", "--port", "0", "--dir", server.folder],
        *["--unixsocket", server.socket, "--daemonize", "no"],
    ]
    server.start()
    try:
        found = server.client.config_get("*")
    finally:
        server.stop()
    assert found["maxmemory-policy"] == "noeviction" and found["maxmemory"] == str(3 << 30)
    assert (found["appendonly"], found["appendfsync"], found["save"]) == ("yes", "everysec", "")
    assert wanted.keys() <= found.keys()


def test_postgresql_takes_its_file(folder, empty_cluster):
    wanted, _ = settings(CONF / "postgresql.conf", "=")
    (folder / "postgresql.conf").write_text((CONF / "postgresql.conf").read_text())
    # As compose.yaml starts it, but in a machine that may be small and without a port.
    own = {"config_file": folder / "postgresql.conf", "shared_buffers": "128MB"}
    cluster = PostgresCluster(folder / "pg", own).copy_from(empty_cluster)
    try:
        cluster.start()
        for key, value in wanted.items():
            key, value = key.strip(), value.strip().strip("'")
            if key in cluster.settings:
                continue
            sql = f"SELECT current_setting('{key}')"
            assert cluster.execute(sql)[0][0] == value, key
    finally:
        cluster.stop()


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load((ROOT / "compose.yaml").read_text())


def test_compose_mounts_files_that_are_there_and_volumes_that_it_names(compose):
    for name, service in compose["services"].items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in compose["volumes"] or (source.startswith("./") and (ROOT / source).exists()), (name, volume)


def test_compose_keeps_data_and_gives_each_the_time_to_stop(compose):
    services = compose["services"]
    assert any(volume.startswith("redis:") for volume in services["redis"]["volumes"])
    assert any(volume.startswith("postgres:") for volume in services["postgres"]["volumes"])
    grace = {name: int(service.get("stop_grace_period", "10s")[:-1]) for name, service in services.items()}
    drain = re.search(r"^\| `timeout_ms` \| `(\d+)`", (ROOT / "docs" / "configuration.md").read_text(), re.M)
    assert grace["standpipe"] * 1000 > int(drain[1])
    assert services["standpipe"]["read_only"] and services["standpipe"]["cap_drop"] == ["ALL"]


def test_what_compose_sets_is_what_standpipe_reads(compose, setup):
    environment = {
        key: re.sub(r"\$\{\w+:[-?]([^}]*)\}", r"\1", value)
        for key, value in compose["services"]["standpipe"]["environment"].items()
    }
    done = setup.command("check-config", "--print", environment=environment, configured=False)
    assert done.returncode == 0, done.stderr
    assert "redis.url = redis://redis:6379/0" in done.stdout and "STANDPIPE_POSTGRES_URL" in done.stdout


def test_prometheus_looks_for_the_service_and_grafana_for_prometheus(compose):
    scrape = yaml.safe_load((CONF / "prometheus" / "prometheus.yml").read_text())["scrape_configs"][0]
    assert scrape["job_name"] == "standpipe"
    assert scrape["dns_sd_configs"][0]["names"][0] in compose["services"]
    provisioning = CONF / "grafana" / "provisioning"
    source = yaml.safe_load((provisioning / "datasources" / "prometheus.yaml").read_text())["datasources"][0]
    assert re.match(r"http://(\w+):9090", source["url"])[1] in compose["services"]
    provider = yaml.safe_load((provisioning / "dashboards" / "standpipe.yaml").read_text())["providers"][0]
    mounts = [volume.split(":")[1] for volume in compose["services"]["grafana"]["volumes"]]
    assert any(mount.startswith(provider["options"]["path"]) for mount in mounts)
    for service in compose["services"].values():
        assert "monitoring" in service.get("profiles", []) or service in [compose["services"][name] for name in ("standpipe", "redis", "postgres")]
