#include <stdio.h>
#include <string.h>
#include <time.h>

#include "unit/test.h"

#include "fake/peer/certificate.h"
#include "fake/peer/client.h"
#include "fake/peer/peer.h"

/* Peers whose certificate or TLS session is not what it should be. */

enum {
    DAY_SECONDS = 86400,
    PATH_SIZE = 64
};

struct authorities {
    struct peer_certificate *ours;
    struct peer_certificate *other;
    char ca_file[PATH_SIZE];
};

static int set_up(void **state)
{
    static struct authorities authorities;
    authorities.ours = peer_certificate_create_authority("our authority");
    authorities.other = peer_certificate_create_authority("another authority");
    peer_certificate_write(authorities.ours, authorities.ca_file);
    *state = &authorities;
    return 0;
}

static int tear_down(void **state)
{
    struct authorities *authorities = *state;
    peer_certificate_destroy(authorities->ours);
    peer_certificate_destroy(authorities->other);
    return remove(authorities->ca_file);
}

static void script_one_message(struct peer_connection *connection)
{
    if (!peer_upgrade(connection)) {
        return;
    }
    (void)peer_send_frame(connection, PEER_BINARY, "hello", 5);
    (void)peer_send_frame(connection, PEER_CLOSE, "\x03\xe8", 2);
    peer_drain(connection);
}

/* Takes `certificate`. */
static void run_against(struct client *client, peer_script script,
                        struct peer_certificate *certificate, const char *host)
{
    struct peer *peer = peer_start_tls(script, NULL, certificate);
    struct websocket_options wanted = client->options;
    client_init_tls(client, host, peer_port(peer));
    client->options.ca_file = wanted.ca_file;
    client->options.tls_verify = wanted.tls_verify;
    client_run(client);
    client_deinit(client);
    peer_stop(peer);
    peer_certificate_destroy(certificate);
}

static void prepare(struct client *client, const struct authorities *authorities)
{
    *client = (struct client){.options = {.ca_file = authorities->ca_file, .tls_verify = true}};
}

static void assert_refused(const struct client *client, const char *words)
{
    assert_false(client->was_open);
    assert_true(client->has_error);
    if (strstr(client->error.text, words) == NULL) {
        print_error("'%s' has no '%s'\n", client->error.text, words);
    }
    assert_non_null(strstr(client->error.text, words));
    assert_int_equal(client->error.kind, ERROR_REFUSED);
}

static struct peer_certificate *make(const char *names, const struct peer_certificate *issuer,
                                     long from_seconds, long to_seconds)
{
    return peer_certificate_create(names, "relay", issuer, from_seconds, to_seconds);
}

static void a_good_certificate_is_accepted_and_its_end_known(void **state)
{
    const struct authorities *authorities = *state;
    struct client client;
    prepare(&client, authorities);
    run_against(&client, script_one_message,
                make("DNS:localhost", authorities->ours, -DAY_SECONDS, DAY_SECONDS), "localhost");
    assert_int_equal(client.messages, 1);
    assert_int_equal(client.closing.close_code, 1000);
    assert_in_range(client.certificate_expiry, time(NULL) + DAY_SECONDS - 60,
                    time(NULL) + DAY_SECONDS + 60);
}

static void an_address_is_checked_as_an_address(void **state)
{
    const struct authorities *authorities = *state;
    struct client client;
    prepare(&client, authorities);
    run_against(&client, script_one_message,
                make("IP:127.0.0.1", authorities->ours, -DAY_SECONDS, DAY_SECONDS), "127.0.0.1");
    assert_int_equal(client.messages, 1);
    prepare(&client, authorities);
    run_against(&client, script_one_message,
                make("DNS:127.0.0.1", authorities->ours, -DAY_SECONDS, DAY_SECONDS), "127.0.0.1");
    assert_refused(&client, "wrong host");
}

static void a_certificate_for_another_host_is_refused(void **state)
{
    const struct authorities *authorities = *state;
    struct client client;
    prepare(&client, authorities);
    run_against(
        &client, script_one_message,
        make("DNS:other.example,DNS:two.example", authorities->ours, -DAY_SECONDS, DAY_SECONDS),
        "localhost");
    assert_refused(&client, "wrong host: the certificate is for other.example, two.example");
}

static void an_expired_certificate_is_refused(void **state)
{
    const struct authorities *authorities = *state;
    struct client client;
    prepare(&client, authorities);
    run_against(&client, script_one_message,
                make("DNS:localhost", authorities->ours, -DAY_SECONDS, -60), "localhost");
    assert_refused(&client, "has expired");
}

static void a_certificate_of_tomorrow_is_refused(void **state)
{
    const struct authorities *authorities = *state;
    struct client client;
    prepare(&client, authorities);
    run_against(&client, script_one_message,
                make("DNS:localhost", authorities->ours, DAY_SECONDS, 2L * DAY_SECONDS),
                "localhost");
    assert_refused(&client, "not valid yet");
}

static void a_self_signed_certificate_is_refused(void **state)
{
    const struct authorities *authorities = *state;
    struct client client;
    prepare(&client, authorities);
    run_against(&client, script_one_message, make("DNS:localhost", NULL, -DAY_SECONDS, DAY_SECONDS),
                "localhost");
    assert_refused(&client, "self-signed");
}

static void a_certificate_of_an_unknown_ca_is_refused(void **state)
{
    const struct authorities *authorities = *state;
    struct client client;
    prepare(&client, authorities);
    run_against(&client, script_one_message,
                make("DNS:localhost", authorities->other, -DAY_SECONDS, DAY_SECONDS), "localhost");
    assert_refused(&client, "unknown CA");
}

static void the_system_does_not_know_our_ca_either(void **state)
{
    const struct authorities *authorities = *state;
    struct client client;
    prepare(&client, authorities);
    client.options.ca_file = NULL;
    run_against(&client, script_one_message,
                make("DNS:localhost", authorities->ours, -DAY_SECONDS, DAY_SECONDS), "localhost");
    assert_refused(&client, "unknown CA");
}

static void a_ca_file_that_is_not_there_is_told(void **state)
{
    const struct authorities *authorities = *state;
    struct client client;
    prepare(&client, authorities);
    client.options.ca_file = "/nonexistent/ca.pem";
    run_against(&client, script_one_message,
                make("DNS:localhost", authorities->ours, -DAY_SECONDS, DAY_SECONDS), "localhost");
    assert_refused(&client, "CA file /nonexistent/ca.pem");
}

static void without_verification_any_certificate_will_do(void **state)
{
    const struct authorities *authorities = *state;
    struct client client;
    prepare(&client, authorities);
    client.options.tls_verify = false;
    run_against(&client, script_one_message, make("DNS:other.example", NULL, -DAY_SECONDS, -60),
                "localhost");
    assert_int_equal(client.messages, 1);
}

static void script_cut(struct peer_connection *connection)
{
    (void)peer_upgrade(connection);
    (void)peer_send_frame(connection, PEER_BINARY, "hello", 5);
    peer_forget_tls(connection);
}

static void an_end_without_close_notify_is_abnormal(void **state)
{
    const struct authorities *authorities = *state;
    struct client client;
    prepare(&client, authorities);
    run_against(&client, script_cut,
                make("DNS:localhost", authorities->ours, -DAY_SECONDS, DAY_SECONDS), "localhost");
    assert_int_equal(client.messages, 1);
    assert_true(client.has_error);
    assert_non_null(strstr(client.error.text, "without ending the TLS session"));
}

static void script_plain(struct peer_connection *connection)
{
    (void)peer_send_string(connection, "HTTP/1.1 400 Bad Request\r\n\r\n");
    peer_drain(connection);
}

static void a_peer_that_speaks_no_tls_is_told(void **state)
{
    (void)state;
    struct client client;
    struct peer *peer = peer_start(script_plain, NULL);
    client_init_tls(&client, "localhost", peer_port(peer));
    client_run(&client);
    client_deinit(&client);
    peer_stop(peer);
    assert_false(client.was_open);
    assert_int_equal(client.error.kind, ERROR_PROTOCOL);
    assert_non_null(strstr(client.error.text, "TLS to localhost: handshake"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_certificate_is_accepted_and_its_end_known),
        cmocka_unit_test(an_address_is_checked_as_an_address),
        cmocka_unit_test(a_certificate_for_another_host_is_refused),
        cmocka_unit_test(an_expired_certificate_is_refused),
        cmocka_unit_test(a_certificate_of_tomorrow_is_refused),
        cmocka_unit_test(a_self_signed_certificate_is_refused),
        cmocka_unit_test(a_certificate_of_an_unknown_ca_is_refused),
        cmocka_unit_test(the_system_does_not_know_our_ca_either),
        cmocka_unit_test(a_ca_file_that_is_not_there_is_told),
        cmocka_unit_test(without_verification_any_certificate_will_do),
        cmocka_unit_test(an_end_without_close_notify_is_abnormal),
        cmocka_unit_test(a_peer_that_speaks_no_tls_is_told),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
