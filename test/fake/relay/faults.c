/*
 * Faults: everything a relay or the network between may do to a client, once per connection or by
 * a rate. Good frames are never left out, so the truth holds under every fault.
 */
#include "client_private.h"

#include <stddef.h>
#include <string.h>

#include "base/panic.h"
#include "frames.h"
#include "wire.h"

/* Each puts what it needs and returns whether the next frame may follow now. */
static bool drop(struct client *client)
{
    client->relay->counters.drops++;
    client_end(client, false);
    return false;
}

static bool reset(struct client *client)
{
    client->relay->counters.resets++;
    client_end(client, true);
    return false;
}

static bool stall(struct client *client)
{
    client->relay->counters.stalls++;
    client->state = CLIENT_STALLED;
    channel_write(&client->channel, &client->out); /* what came before the silence */
    return false;
}

static bool send_half_frame(struct client *client)
{
    size_t start = client->out.size;
    client_put_frame(client, client->next);
    client->out.size = start + (client->out.size - start) / 2;
    client->relay->counters.half_frames++;
    client_end(client, false);
    return false;
}

/* The sequence space starts again at 1, for everybody and once: that is what a relay does. */
static bool regress(struct client *client)
{
    struct relay *relay = client->relay;
    if (relay->regressed_by > 0) {
        return true;
    }
    relay->regressed_by = store_sequence(relay->store, client->next) - 1;
    relay->counters.regressions++;
    return true;
}

static bool send_error(struct client *client)
{
    struct buffer frame = {0};
    frame_write_error(&frame, client->relay->options->error_frame, "made to order");
    wire_append_message(&client->out, WIRE_BINARY, buffer_slice(&frame));
    wire_append_close(&client->out, 1008);
    buffer_deinit(&frame);
    client->relay->counters.error_frames++;
    client_end(client, false);
    return false;
}

static const struct {
    size_t after; /* offset of the option */
    bool (*act)(struct client *client);
} faults[] = {
    {offsetof(struct options, regress_after), regress},
    {offsetof(struct options, error_after), send_error},
    {offsetof(struct options, drop_after), drop},
    {offsetof(struct options, reset_after), reset},
    {offsetof(struct options, half_frame_after), send_half_frame},
    {offsetof(struct options, stall_after), stall},
};

static int64_t due_after(const struct options *options, size_t fault)
{
    if (faults[fault].act == send_error && options->error_frame == NULL) {
        return -1;
    }
    int64_t after;
    memcpy(&after, (const char *)options + faults[fault].after, sizeof(after));
    return after;
}

bool faults_before_frame(struct client *client)
{
    bool may_follow = true;
    for (size_t i = 0; may_follow && i < sizeof(faults) / sizeof(faults[0]); i++) {
        int64_t after = due_after(client->relay->options, i);
        if (after < 0 || client->sent < after || (client->done & 1U << i) != 0) {
            continue;
        }
        client->done |= 1U << i;
        may_follow = faults[i].act(client);
    }
    return may_follow;
}

static void put_random_bytes(struct client *client, struct buffer *frame)
{
    for (uint32_t left = 1 + random_below(&client->random, 200); left > 0; left--) {
        buffer_append_byte(frame, (char)random_next(&client->random));
    }
}

/* Random bytes, a frame cut short, a frame with a byte too many, or nothing at all. */
static void put_garbage(struct client *client)
{
    struct slice good = store_frame(client->relay->store, client->next);
    struct buffer frame = {0};
    switch (random_below(&client->random, 4)) {
    case 0:
        put_random_bytes(client, &frame);
        break;
    case 1:
        buffer_append(&frame, good.data, good.size / 2);
        break;
    case 2:
        buffer_append_slice(&frame, good);
        buffer_append_byte(&frame, 0);
        break;
    default:
        break;
    }
    wire_append_message(&client->out, WIRE_BINARY, buffer_slice(&frame));
    buffer_deinit(&frame);
    client->relay->counters.garbage++;
}

void faults_put_noise(struct client *client)
{
    const struct options *options = client->relay->options;
    if (random_chance(&client->random, (uint32_t)options->garbage)) {
        put_garbage(client);
    }
    if (random_chance(&client->random, (uint32_t)options->text_frames)) {
        wire_append_message(&client->out, WIRE_TEXT, SLICE("{\"this\":\"is text\"}"));
        client->relay->counters.texts++;
    }
    for (int64_t i = 0; i < options->ping_flood; i++) {
        wire_append_message(&client->out, WIRE_PING, SLICE("flood"));
    }
    client->relay->counters.pings += options->ping_flood;
}
