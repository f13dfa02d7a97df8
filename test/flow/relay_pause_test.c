#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit/test.h"

#include "fake/peer/certificate.h"
#include "fake/peer/client.h"
#include "fake/peer/peer.h"

/* Pausing in the middle of a burst: not one message more, none lost, none twice. */

enum {
    BURST = 5000,
    PAUSE_EVERY = 7,
    PAUSE_MS = 1,
    DAY_SECONDS = 86400
};

struct pauser {
    uv_timer_t timer;
    bool is_paused;
    uint32_t expected;
    uint64_t bytes_at_pause;
};

static void on_resume(uv_timer_t *timer)
{
    struct client *client = timer->data;
    struct pauser *pauser = client->argument;
    pauser->is_paused = false;
    if (client->websocket != NULL) {
        websocket_resume(client->websocket);
    }
}

static void start_timer(struct client *client)
{
    struct pauser *pauser = client->argument;
    assert_int_equal(uv_timer_init(&client->loop, &pauser->timer), 0);
    pauser->timer.data = client;
}

static void check_and_pause(struct client *client, struct slice message)
{
    struct pauser *pauser = client->argument;
    uint32_t number = 0;
    assert_false(pauser->is_paused);
    assert_true(message.size >= sizeof(number));
    memcpy(&number, message.data, sizeof(number));
    assert_int_equal(number, pauser->expected);
    pauser->expected++;
    if (number % PAUSE_EVERY != 0) {
        return;
    }
    pauser->is_paused = true;
    websocket_pause(client->websocket);
    assert_int_equal(uv_timer_start(&pauser->timer, on_resume, PAUSE_MS, 0), 0);
}

/* Numbered messages of 4 to 40,000 bytes, then the end without a word. */
static void script_burst(struct peer_connection *connection)
{
    char *message = calloc(1, 40000);
    (void)peer_upgrade(connection);
    for (uint32_t i = 0; i < BURST; i++) {
        memcpy(message, &i, sizeof(i));
        size_t size = i % 97 == 0 ? 40000 : 4 + i % 60;
        if (!peer_send_frame(connection, PEER_BINARY, message, size)) {
            break;
        }
    }
    free(message);
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct client *client = prepare->data;
    struct pauser *pauser = client->argument;
    if (client->has_closed) {
        uv_close((uv_handle_t *)&pauser->timer, NULL);
        uv_close((uv_handle_t *)prepare, NULL);
    }
}

static void run_burst(struct client *client, struct pauser *pauser)
{
    uv_prepare_t prepare = {.data = client};
    client->argument = pauser;
    client->on_message = check_and_pause;
    start_timer(client);
    assert_int_equal(uv_prepare_init(&client->loop, &prepare), 0);
    assert_int_equal(uv_prepare_start(&prepare, on_prepare), 0);
    uv_unref((uv_handle_t *)&prepare);
    client_run(client);
    if (!uv_is_closing((uv_handle_t *)&prepare)) {
        on_prepare(&prepare);
    }
    (void)uv_run(&client->loop, UV_RUN_DEFAULT);
}

static void a_burst_with_pauses_arrives_whole_and_in_order(void **state)
{
    (void)state;
    struct client client;
    struct pauser pauser = {0};
    struct peer *peer = peer_start(script_burst, NULL);
    client_init(&client, peer_port(peer));
    run_burst(&client, &pauser);
    client_deinit(&client);
    peer_stop(peer);
    assert_int_equal(client.messages, BURST);
    assert_int_equal(client.error.kind, ERROR_CLOSED);
}

static void a_burst_with_pauses_arrives_whole_and_in_order_over_tls(void **state)
{
    (void)state;
    char ca_file[64];
    struct client client;
    struct pauser pauser = {0};
    struct peer_certificate *authority = peer_certificate_create_authority("test authority");
    struct peer_certificate *certificate =
        peer_certificate_create("DNS:localhost", "good", authority, -DAY_SECONDS, DAY_SECONDS);
    peer_certificate_write(authority, ca_file);
    struct peer *peer = peer_start_tls(script_burst, NULL, certificate);
    client_init_tls(&client, "localhost", peer_port(peer));
    client.options.ca_file = ca_file;
    run_burst(&client, &pauser);
    client_deinit(&client);
    peer_stop(peer);
    peer_certificate_destroy(certificate);
    peer_certificate_destroy(authority);
    assert_int_equal(remove(ca_file), 0);
    assert_int_equal(client.messages, BURST);
    assert_int_equal(client.error.kind, ERROR_CLOSED);
}

/* Sends for as long as it is read. */
static void script_flood(struct peer_connection *connection)
{
    static const char payload[1000];
    (void)peer_upgrade(connection);
    bool is_read = true;
    while (is_read) {
        is_read = peer_send_frame(connection, PEER_BINARY, payload, sizeof(payload));
    }
}

static void close_late(uv_timer_t *timer)
{
    struct client *client = timer->data;
    struct pauser *pauser = client->argument;
    assert_int_equal(websocket_bytes_read(client->websocket), pauser->bytes_at_pause);
    websocket_close(client->websocket);
    uv_close((uv_handle_t *)timer, NULL);
}

static void note_bytes(uv_timer_t *timer)
{
    struct client *client = timer->data;
    struct pauser *pauser = client->argument;
    pauser->bytes_at_pause = websocket_bytes_read(client->websocket);
    assert_int_equal(uv_timer_start(timer, close_late, 150, 0), 0);
}

static void pause_for_good(struct client *client, struct slice message)
{
    (void)message;
    struct pauser *pauser = client->argument;
    assert_false(pauser->is_paused);
    pauser->is_paused = true;
    websocket_pause(client->websocket);
    start_timer(client);
    assert_int_equal(uv_timer_start(&pauser->timer, note_bytes, 0, 0), 0);
}

static void a_pause_stops_the_socket_and_the_idle_clock(void **state)
{
    (void)state;
    struct client client;
    struct pauser pauser = {0};
    struct peer *peer = peer_start(script_flood, NULL);
    client_init(&client, peer_port(peer));
    client.argument = &pauser;
    client.on_message = pause_for_good;
    client.options.idle_timeout_ms = 30; /* the pause is five times as long */
    client_run(&client);
    client_deinit(&client);
    peer_stop(peer);
    assert_int_equal(client.messages, 1);
    assert_false(client.has_error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_with_pauses_arrives_whole_and_in_order),
        cmocka_unit_test(a_burst_with_pauses_arrives_whole_and_in_order_over_tls),
        cmocka_unit_test(a_pause_stops_the_socket_and_the_idle_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
