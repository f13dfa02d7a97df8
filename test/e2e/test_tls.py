"""TLS to the relay and to PostgreSQL: what is not as it should be is refused, with words that say which."""
import shutil
import socket
import ssl
import subprocess
import threading

import pytest

from harness.authority import GOOD, Authority
from harness.daemon import Setup
from harness.database import Database
from harness.postgres import PostgresCluster
from harness.process import free_port
from harness.redis_server import RedisServer
from harness.waiting import wait_until

DONE = 0
PUBLIC_ONLY = ["local all all trust", "hostssl all standpipe 127.0.0.1/32 trust", "hostssl all named 127.0.0.1/32 cert"]


@pytest.fixture
def authority(folder):
    return Authority(folder)


class TlsCluster(PostgresCluster):
    """PostgreSQL over TLS on 127.0.0.1; the test itself comes over the socket."""

    port = None

    def serve(self, issued, authority, **more):
        self.port = self.port or free_port()
        for source, name in ((issued.certificate, "server.crt"), (issued.key, "server.key"), (authority.certificate, "clients.crt")):
            shutil.copy(source, self.data / name)
        (self.data / "server.key").chmod(0o600)
        (self.data / "pg_hba.conf").write_text("\n".join(PUBLIC_ONLY) + "\n")
        self.own()
        self.settings.update({"listen_addresses": "127.0.0.1", "port": str(self.port), "ssl": "on", "ssl_ca_file": "clients.crt", **more})
        return self.start()

    def conninfo(self, database="postgres"):
        return f"{super().conninfo(database)} port={self.port}"


@pytest.fixture
def secured(folder, empty_cluster):
    cluster = TlsCluster(folder / "pg").copy_from(empty_cluster)
    yield cluster
    cluster.stop()


@pytest.fixture
def tls_setup(standpipe, folder, redis, secured):
    setup = Setup(standpipe, folder, redis, Database(secured, "postgres"))
    yield setup
    setup.stop()


def over_tls(secured, authority, more="", host="127.0.0.1", user="standpipe"):
    return (f"host={host} port={secured.port} dbname=postgres user={user} sslmode=verify-full"
            f" sslrootcert={authority.certificate} {more}")


def make_users(secured):
    secured.execute("CREATE ROLE standpipe LOGIN SUPERUSER; CREATE ROLE named LOGIN SUPERUSER")


def refusal(setup, url):
    """What check-config says of it."""
    done = setup.command("migrate", overrides={"postgres.url": url})
    assert done.returncode != DONE
    return done.stderr


def test_postgresql_is_written_with_its_certificate_checked_in_full(tls_setup, secured, authority, start_relay, generated):
    secured.serve(authority.issue("server"), authority)
    make_users(secured)
    tls_setup.relay = start_relay(generated.frames)
    daemon = tls_setup.run(relay__cursor="oldest", postgres__url=over_tls(secured, authority))
    tls_setup.wait_drained(generated.last_sequence)
    sessions = "SELECT count(*), count(*) FILTER (WHERE s.ssl) FROM pg_stat_activity a JOIN pg_stat_ssl s USING (pid) WHERE a.usename = 'standpipe'"
    (found, encrypted), = secured.execute(sessions)
    assert found == encrypted > 0
    assert daemon.terminate() == DONE
    assert generated.differences(tls_setup.database) == []


POSTGRES_FLAWS = {
    "another host": (dict(alternatives=["DNS:other.example"]), "does not match host name"),
    "the name where the address is asked for": (dict(alternatives=["DNS:localhost"]), "does not match host name"),
    "an end that has passed": (dict(days=-1), "certificate verify failed"),
}


@pytest.mark.parametrize("flaw", POSTGRES_FLAWS)
def test_postgresql_with_a_wrong_certificate_is_refused(tls_setup, secured, authority, flaw):
    how, words = POSTGRES_FLAWS[flaw]
    secured.serve(authority.issue("server", subject="/CN=nobody", **how), authority)
    assert words in refusal(tls_setup, over_tls(secured, authority))


def test_postgresql_of_an_unknown_authority_or_an_old_protocol_is_refused(tls_setup, secured, authority, folder):
    other = Authority(folder, "other")
    secured.serve(other.issue("server"), other)
    assert "certificate verify failed" in refusal(tls_setup, over_tls(secured, authority))
    secured.stop()
    secured.serve(authority.issue("server2"), authority, ssl_min_protocol_version="TLSv1.1", ssl_max_protocol_version="TLSv1.1",
                  ssl_ciphers="ALL:@SECLEVEL=0")
    said = refusal(tls_setup, over_tls(secured, authority))
    assert "protocol" in said or "alert" in said, said


def test_postgresql_that_asks_for_a_certificate_gets_ours_and_refuses_without(tls_setup, secured, authority, start_relay, generated):
    client = authority.issue("client", ["DNS:named"], subject="/CN=named")
    client.key.chmod(0o600)
    secured.serve(authority.issue("server"), authority)
    make_users(secured)
    assert "certificate" in refusal(tls_setup, over_tls(secured, authority, user="named"))
    ours = f"sslcert={client.certificate} sslkey={client.key}"
    tls_setup.relay = start_relay(generated.frames)
    daemon = tls_setup.run(relay__cursor="oldest", postgres__url=over_tls(secured, authority, ours, user="named"))
    tls_setup.wait_drained(generated.last_sequence)
    assert daemon.terminate() == DONE


def test_a_new_authority_of_postgresql_is_read_at_the_next_connection(tls_setup, secured, authority, folder, start_relay, generated):
    secured.serve(authority.issue("server"), authority)
    make_users(secured)
    tls_setup.relay = start_relay(generated.frames, "--rate", 500)
    daemon = tls_setup.run(relay__cursor="oldest", postgres__url=over_tls(secured, authority))
    wait_until(lambda: tls_setup.queued() > 300, "events come", 30, [daemon.process])
    other = Authority(folder, "other")
    secured.stop()
    secured.serve(other.issue("server2"), other)
    daemon.process.wait_for_line("certificate verify failed")
    shutil.copy(other.certificate, authority.certificate)
    tls_setup.wait_drained(generated.last_sequence)
    assert daemon.terminate() == DONE
    assert generated.differences(tls_setup.database) == []


class TlsPeer:
    """Accepts, shakes hands as its context says, and ends."""

    def __init__(self, context):
        self.context, self.listener = context, socket.create_server(("127.0.0.1", 0))
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                try:
                    self.context.wrap_socket(connection, server_side=True).recv(1)
                except OSError:
                    pass

    @property
    def url(self):
        return f"wss://127.0.0.1:{self.listener.getsockname()[1]}"

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(10)


def context_of(issued, chain=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain or issued.certificate, issued.key)
    return context


def old_protocol(authority, _folder):
    context = context_of(authority.issue("relay"))
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


def asks_for_our_certificate(authority, _folder):
    context = context_of(authority.issue("relay"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # with 1.3 the client is done before the server has looked
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.certificate)
    return context


def missing_intermediate(authority, folder):
    return context_of(Authority(folder, "between", authority).issue("relay"))


RELAY_FLAWS = {
    "TLS 1.1": (old_protocol, "protocol"),
    "a wish for a certificate of ours": (asks_for_our_certificate, "alert"),
    "a chain without its middle": (missing_intermediate, "unknown CA"),
}


@pytest.mark.parametrize("flaw", RELAY_FLAWS)
def test_a_relay_with(setup, authority, folder, flaw):
    make, words = RELAY_FLAWS[flaw]
    peer = TlsPeer(make(authority, folder))
    try:
        daemon = setup.run(relay__url=peer.url, relay__ca_file=authority.certificate)
        daemon.process.wait_for_line("TLS to 127.0.0.1")
        said = next(line for line in daemon.process.text().splitlines() if "TLS to 127.0.0.1" in line)
        assert words in said, said
        assert daemon.terminate() == DONE
    finally:
        peer.stop()


@pytest.mark.parametrize("order", ["leaf, middle, root", "leaf, root, middle"])
def test_a_chain_in_any_order_is_accepted(setup, authority, folder, start_relay, generated, order):
    between = Authority(folder, "between", authority)
    issued = between.issue("relay")
    parts = {"leaf": issued.certificate, "middle": between.certificate, "root": authority.certificate}
    issued.certificate = folder / "chain.pem"
    issued.certificate.write_text("".join(parts[name].read_text() for name in order.split(", ")))
    setup.relay = start_relay(generated.frames, tls=issued)
    daemon = setup.run(relay__cursor="oldest", relay__ca_file=authority.certificate)
    setup.wait_drained(generated.last_sequence)
    assert daemon.terminate() == DONE


def test_a_new_authority_of_the_relay_is_read_by_a_reload(setup, authority, folder, start_relay, generated):
    trusted = folder / "trusted.pem"
    shutil.copy(authority.certificate, trusted)
    setup.relay = start_relay(generated.frames, "--rate", 500, tls=authority.issue("relay"))
    daemon = setup.run_from_file(relay__cursor="oldest", relay__ca_file=trusted)
    wait_until(lambda: setup.queued() > 300, "events come", 30, [daemon.process])
    other = Authority(folder, "other")
    setup.relay.stop()
    setup.relay = start_relay(generated.frames, "--rate", 500, port=setup.relay.port, tls=other.issue("relay2"))
    daemon.process.wait_for_line("unknown CA")
    shutil.copy(other.certificate, trusted)
    assert not daemon.reload()["wasRefused"]
    setup.wait_drained(generated.last_sequence)
    assert daemon.terminate() == DONE
    assert generated.differences(setup.database) == []


def knows_rediss(program):
    return b"hiredis_ssl" in subprocess.run([program, "version", "--json"], capture_output=True).stdout


@pytest.fixture
def redis_over_tls(folder, authority):
    """Its port; the certificate is for 127.0.0.1 of `authority`."""
    issued, port = authority.issue("redis", GOOD), free_port()
    extra = ["--tls-port", str(port), "--tls-cert-file", str(issued.certificate), "--tls-key-file", str(issued.key),
             "--tls-ca-cert-file", str(authority.certificate), "--tls-auth-clients", "no"]
    server = RedisServer(folder / "redis-tls", extra).start()
    server.port = port
    yield server
    server.stop()


def test_redis_over_tls_is_checked_where_the_library_has_it_and_said_where_not(setup, standpipe, authority, redis_over_tls):
    url = f"rediss://127.0.0.1:{redis_over_tls.port}"
    words = ["check-config", "--connect"]
    trusting = {"SSL_CERT_FILE": str(authority.certificate)}
    done = setup.command(*words, overrides={"redis.url": url}, environment=trusting)
    if not knows_rediss(standpipe):
        assert done.returncode == 1 and "rediss" in done.stderr, done.stderr
        return
    assert "redis.url" not in done.stderr, done.stderr
    assert setup.command(*words, overrides={"redis.url": url}).returncode != DONE
    named = url.replace("127.0.0.1", "127.0.0.2")
    assert setup.command(*words, overrides={"redis.url": named}, environment=trusting).returncode != DONE
