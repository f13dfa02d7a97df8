"""What goes in at the relay is what stands in PostgreSQL, however often it is sent."""


def run_to_the_end(setup, capture, **settings):
    daemon = setup.run(**settings)
    setup.wait_drained(capture.last_sequence)
    assert daemon.terminate() == 0


REPO_FACTS = (
    "SELECT did, handle, active, status, rev, commit_cid, desynchronized FROM repos ORDER BY did"
)


def test_a_capture_over_ws_ends_as_the_truth(setup, start_relay, capture):
    setup.relay = start_relay(capture.frames)
    run_to_the_end(setup, capture, relay__cursor="oldest")
    assert capture.differences(setup.database) == []
    assert setup.database.query("SELECT * FROM standpipe_dead_letters") == []


def test_a_capture_over_wss_ends_as_the_truth(setup, start_relay, capture, certificate):
    setup.relay = start_relay(capture.frames, tls=certificate)
    run_to_the_end(
        setup, capture, relay__cursor="oldest", relay__ca_file=certificate.certificate
    )
    assert capture.differences(setup.database) == []


def test_a_certificate_that_nobody_vouches_for_is_refused(setup, start_relay, generated, certificate):
    setup.relay = start_relay(generated.frames, tls=certificate)
    daemon = setup.run(relay__cursor="oldest")
    daemon.process.wait_for_line("certificate")
    assert setup.last_sequence() == 0
    assert daemon.terminate() == 0


def test_a_second_pass_on_a_wiped_redis_changes_no_row(setup, start_relay, capture):
    setup.relay = start_relay(capture.frames)
    run_to_the_end(setup, capture, relay__cursor="oldest")
    before = setup.database.dump()
    setup.redis.client.flushall()
    run_to_the_end(setup, capture, relay__cursor="0")
    assert setup.database.dump() == before
    assert capture.differences(setup.database) == []


def test_a_pass_under_a_new_epoch_changes_no_row(setup, start_relay, capture):
    setup.relay = start_relay(capture.frames)
    run_to_the_end(setup, capture, relay__cursor="oldest")
    records, repos = setup.database.dump()["records"], setup.database.query(REPO_FACTS)
    epoch = int(setup.redis.client.hget("firehose:events:meta", "epoch"))
    setup.relay = start_relay(capture.frames)  # another port: another sequence space
    daemon = setup.run(relay__cursor="oldest")
    setup.wait_new_epoch(epoch)
    setup.wait_drained(capture.last_sequence)
    assert daemon.terminate() == 0
    assert setup.database.dump()["records"] == records
    assert setup.database.query(REPO_FACTS) == repos
    assert capture.differences(setup.database) == []


def test_only_the_wanted_collections_arrive(setup, start_relay, generated):
    setup.relay = start_relay(generated.frames)
    run_to_the_end(
        setup, generated, relay__cursor="oldest", relay__collections="app.bsky.feed.*"
    )
    truth = generated.truth()
    wanted = {key: row for key, row in truth.live().items() if key[1].startswith("app.bsky.feed.")}
    assert wanted and len(wanted) < len(truth.live())
    assert setup.database.state().live() == wanted
