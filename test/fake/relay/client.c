#include "client_private.h"

#include <stdlib.h>

#include "base/panic.h"
#include "frames.h"
#include "wire.h"

enum {
    OUT_HIGH = 256 << 10,
    OUT_MAX = 1 << 20
};

void client_end(struct client *client, bool with_reset)
{
    client->state = CLIENT_ENDING;
    client->ends_with_reset = with_reset;
}

void client_close(struct client *client)
{
    channel_close(&client->channel);
}

/* After a regression frames carry the new space's sequence: the number is all that changes. */
static void put_renumbered(struct client *client, struct slice frame, int64_t regressed_by)
{
    struct frame_sequence found;
    if (!cbor_find_sequence(frame, &found) || found.value <= regressed_by) {
        wire_append_message(&client->out, WIRE_BINARY, frame);
        return;
    }
    struct buffer copy = {0};
    buffer_append(&copy, frame.data, found.offset);
    cbor_write_unsigned(&copy, (uint64_t)(found.value - regressed_by));
    buffer_append_slice(&copy, slice_skip(frame, found.offset + found.size));
    wire_append_message(&client->out, WIRE_BINARY, buffer_slice(&copy));
    buffer_deinit(&copy);
}

void client_put_frame(struct client *client, int64_t index)
{
    struct relay *relay = client->relay;
    struct slice frame = store_frame(relay->store, index);
    if (relay->regressed_by > 0) {
        put_renumbered(client, frame, relay->regressed_by);
    } else {
        wire_append_message(&client->out, WIRE_BINARY, frame);
    }
}

static void put_error(struct client *client, const char *name, const char *message)
{
    struct buffer frame = {0};
    frame_write_error(&frame, name, message);
    wire_append_message(&client->out, WIRE_BINARY, buffer_slice(&frame));
    wire_append_close(&client->out, 1008);
    buffer_deinit(&frame);
    client_end(client, false);
}

static void put_outdated(struct client *client)
{
    struct buffer frame = {0};
    frame_write_info(&frame, "OutdatedCursor",
                     "Requested cursor exceeded limit. Possibly missing events");
    wire_append_message(&client->out, WIRE_BINARY, buffer_slice(&frame));
    buffer_deinit(&frame);
    client->relay->counters.outdated_cursors++;
}

/* True where a frame, or what stands in for it, was put; false: nothing to send now. */
static bool put_next(struct client *client)
{
    struct relay *relay = client->relay;
    if (client->state != CLIENT_STREAMING || !release_allows(&relay->release, client->next)) {
        return false;
    }
    if (client->next < store_begin(relay->store)) {
        put_error(client, "ConsumerTooSlow", "the window has moved past this client");
        relay->counters.too_slow++;
        return false;
    }
    if (!faults_before_frame(client)) {
        return false;
    }
    faults_put_noise(client);
    client_put_frame(client, client->next);
    relay->counters.frames++;
    relay->counters.bytes += (int64_t)store_frame(relay->store, client->next).size;
    if (random_chance(&client->random, (uint32_t)relay->options->duplicate)) {
        client_put_frame(client, client->next);
        relay->counters.duplicates++;
    }
    client->next++;
    client->sent++;
    return true;
}

static void end_when_done(struct client *client)
{
    const struct relay *relay = client->relay;
    if (!relay->options->exit_when_done || client->state != CLIENT_STREAMING ||
        store_is_endless(relay->store) || client->next < store_end(relay->store)) {
        return;
    }
    wire_append_close(&client->out, 1000);
    client_end(client, false);
    client->relay->is_done = true;
}

static void put_frames(struct client *client)
{
    bool may_follow = true;
    while (may_follow && client->out.size < OUT_HIGH) {
        may_follow = put_next(client);
    }
    release_reach(&client->relay->release, client->next);
    end_when_done(client);
}

void client_proceed(struct client *client)
{
    if (channel_is_closing(&client->channel) || !channel_is_idle(&client->channel)) {
        return;
    }
    if (client->state == CLIENT_STREAMING) {
        put_frames(client);
    }
    if (client->out.size > 0 && client->state != CLIENT_STALLED) {
        channel_write(&client->channel, &client->out);
    } else if (client->state == CLIENT_ENDING && client->ends_with_reset) {
        channel_reset(&client->channel);
    } else if (client->state == CLIENT_ENDING) {
        channel_close(&client->channel);
    }
}

void client_ping(struct client *client)
{
    if (client->state != CLIENT_STREAMING || client->out.size > OUT_HIGH) {
        return;
    }
    wire_append_message(&client->out, WIRE_PING, SLICE("relay"));
    client->relay->counters.pings++;
    client_proceed(client);
}

/* Where a cursor leads. False: there is nothing, the client was told and ends. */
static bool seek(struct client *client, int64_t cursor)
{
    struct relay *relay = client->relay;
    struct store *store = relay->store;
    cursor += relay->regressed_by;
    int64_t end = store_end(store);
    int64_t newest = end > store_begin(store) ? store_sequence(store, end - 1) : 0;
    if (cursor > newest) {
        put_error(client, "FutureCursor", "Cursor in the future.");
        relay->counters.future_cursors++;
        return false;
    }
    bool is_inclusive = relay->options->cursor_inclusive && cursor > 0;
    client->next = store_find_after(store, is_inclusive ? cursor - 1 : cursor);
    int64_t oldest = store_sequence(store, store_begin(store));
    if (cursor > 0 && cursor + 1 < oldest) {
        put_outdated(client);
    }
    return true;
}

static void step_back(struct client *client)
{
    const struct relay *relay = client->relay;
    if (relay->counters.connections < 2) {
        return;
    }
    int64_t begin = store_begin(relay->store);
    int64_t back = relay->options->reconnect_replay;
    client->next = client->next - begin > back ? client->next - back : begin;
}

static void start_stream(struct client *client, const struct wire_upgrade *upgrade)
{
    struct relay *relay = client->relay;
    release_start(&relay->release);
    release_tick(&relay->release);
    client->state = CLIENT_STREAMING;
    client->next = relay->release.released; /* live */
    if (upgrade->has_cursor && seek(client, upgrade->cursor)) {
        /* What a client has, this relay sent in an earlier life: the clock moves up to it. */
        release_reach(&relay->release, client->next);
        step_back(client);
    }
}

static void take_upgrade(struct client *client)
{
    struct wire_upgrade upgrade;
    enum wire_result result = wire_take_upgrade(&client->in, &upgrade);
    if (result == WIRE_NEED_MORE) {
        return;
    }
    if (result == WIRE_BAD) {
        buffer_append_string(&client->out, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n"
                                           "Connection: close\r\n\r\n");
        client_end(client, false);
        return;
    }
    buffer_append_format(&client->out,
                         "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                         "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
                         upgrade.accept);
    client->relay->counters.connections++;
    start_stream(client, &upgrade);
}

static void answer_frame(struct client *client, const struct wire_frame *frame)
{
    if (frame->opcode == WIRE_PING) {
        wire_append_message(&client->out, WIRE_PONG, slice_of(frame->payload, frame->size));
    }
    if (frame->opcode != WIRE_CLOSE || client->state != CLIENT_STREAMING) {
        return;
    }
    wire_append_message(&client->out, WIRE_CLOSE, slice_of(frame->payload, frame->size));
    client_end(client, false);
}

static void take_frames(struct client *client)
{
    struct wire_frame frame;
    enum wire_result result = WIRE_DONE;
    while (result == WIRE_DONE && client->state == CLIENT_STREAMING) {
        result = wire_take_frame(&client->in, &frame);
        if (result == WIRE_DONE) {
            answer_frame(client, &frame);
        }
    }
    if (result == WIRE_BAD || client->out.size > OUT_MAX) {
        channel_close(&client->channel);
    }
}

static void on_bytes(void *owner, struct slice bytes)
{
    struct client *client = owner;
    if (client->state == CLIENT_STALLED || client->state == CLIENT_ENDING) {
        return;
    }
    buffer_append_slice(&client->in, bytes);
    if (client->state == CLIENT_UPGRADING) {
        take_upgrade(client);
    }
    if (client->state == CLIENT_STREAMING) {
        take_frames(client);
    }
    client_proceed(client);
}

static void on_drained(void *owner)
{
    client_proceed(owner);
}

static void on_closed(void *owner)
{
    struct client *client = owner;
    relay_forget_client(client->relay, &client->node);
    buffer_deinit(&client->in);
    buffer_deinit(&client->out);
    free(client);
}

void client_accept(struct relay *relay)
{
    static const struct channel_callbacks callbacks = {
        .on_bytes = on_bytes, .on_drained = on_drained, .on_closed = on_closed};
    struct client *client = memory_allocate(sizeof(*client));
    client->relay = relay;
    client->random.state = (uint64_t)relay->options->seed + (uint64_t)relay->counters.connections;
    list_append(&relay->clients, &client->node);
    if (channel_accept(&client->channel, (uv_stream_t *)&relay->server, relay->tls, &callbacks,
                       client)) {
        client->channel.is_slow = relay->options->slow_bytes;
    }
}
