#include "net/transport.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/panic.h"
#include "net/connector.h"
#include "net/dns.h"
#include "net/layer.h"
#include <uv.h>

enum {
    KEEPALIVE_SECONDS = 60,
    KEPT_OUTPUT_BYTES = 64 * 1024
};

struct transport {
    const struct transport_callbacks *callbacks;
    void *owner;
    uv_loop_t *loop;
    struct transport_options options; /* strings owned */
    uv_timer_t starter;               /* also what makes on_closed asynchronous */
    struct connector *connector;      /* while connecting */
    uv_tcp_t *tcp;                    /* once connected */
    struct layer *layer;
    struct buffer output;    /* encoded, not yet given to libuv */
    struct buffer in_flight; /* with libuv; does not move while `is_writing` */
    uv_write_t write;
    bool is_writing;
    bool wants_reading;
    bool is_closing;
    bool has_ended;
    unsigned open_handles;
    uint64_t bytes_read;
    char address[DNS_TEXT_SIZE];
    char memory[TRANSPORT_READ_BYTES];
};

static void end(struct transport *transport, const struct error *error)
{
    if (transport->has_ended || transport->is_closing) {
        return;
    }
    transport->has_ended = true;
    if (transport->tcp != NULL) {
        (void)uv_read_stop((uv_stream_t *)transport->tcp);
    }
    transport->callbacks->on_ended(transport->owner, error);
}

static void end_by_status(struct transport *transport, const char *what, int status)
{
    struct error error;
    error_set(&error, ERROR_CLOSED, "%s %s (%s): %s", what, transport->options.host,
              transport->address, uv_strerror(status));
    end(transport, &error);
}

static void on_allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    (void)suggested;
    struct transport *transport = handle->data;
    *buffer = uv_buf_init(transport->memory, sizeof(transport->memory));
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer)
{
    struct transport *transport = stream->data;
    if (transport->is_closing || count == 0) {
        return;
    }
    if (count > 0) {
        transport->bytes_read += (uint64_t)count;
        transport->layer->ops->received(transport->layer, slice_of(buffer->base, (size_t)count));
    } else if (count == UV_EOF) {
        struct error error = {0};
        transport->layer->ops->ended(transport->layer, &error);
        end(transport, &error);
    } else {
        end_by_status(transport, "read from", (int)count);
    }
}

static void apply_reading(struct transport *transport)
{
    if (transport->tcp == NULL || transport->is_closing || transport->has_ended) {
        return;
    }
    uv_stream_t *stream = (uv_stream_t *)transport->tcp;
    int status = 0;
    if (!transport->wants_reading) {
        (void)uv_read_stop(stream);
    } else {
        status = uv_read_start(stream, on_allocate, on_read);
    }
    if (status != 0 && status != UV_EALREADY) {
        end_by_status(transport, "read from", status);
    }
}

void transport_set_reading(struct transport *transport, bool is_reading)
{
    if (transport->wants_reading == is_reading) {
        return;
    }
    transport->wants_reading = is_reading;
    apply_reading(transport);
}

static void on_written(uv_write_t *request, int status)
{
    struct transport *transport = request->data;
    transport->is_writing = false;
    buffer_shrink(&transport->in_flight, KEPT_OUTPUT_BYTES);
    if (transport->is_closing) {
        return;
    }
    if (status != 0) {
        end_by_status(transport, "write to", status);
        return;
    }
    transport_flush(transport);
    if (transport_pending_bytes(transport) == 0 && !transport->has_ended) {
        transport->callbacks->on_room(transport->owner);
    }
}

/* Gives the kernel what it takes at once. */
static int write_now(struct transport *transport)
{
    struct buffer *output = &transport->output;
    uv_buf_t piece = uv_buf_init(output->data, (unsigned)output->size);
    int written = uv_try_write((uv_stream_t *)transport->tcp, &piece, 1);
    if (written > 0) {
        buffer_consume(output, (size_t)written);
    }
    return written < 0 && written != UV_EAGAIN ? written : 0;
}

void transport_flush(struct transport *transport)
{
    struct buffer *output = &transport->output;
    if (transport->is_writing || transport->has_ended || transport->tcp == NULL ||
        output->size == 0) {
        return;
    }
    int status = write_now(transport);
    if (status == 0 && output->size > 0) {
        struct buffer swapped = transport->in_flight;
        transport->in_flight = *output;
        *output = swapped;
        uv_buf_t piece =
            uv_buf_init(transport->in_flight.data, (unsigned)transport->in_flight.size);
        transport->write.data = transport;
        status = uv_write(&transport->write, (uv_stream_t *)transport->tcp, &piece, 1, on_written);
        transport->is_writing = status == 0;
    }
    if (status != 0) {
        end_by_status(transport, "write to", status);
    }
}

void transport_write(struct transport *transport, struct slice bytes)
{
    if (!transport->is_closing && !transport->has_ended) {
        transport->layer->ops->send(transport->layer, bytes);
    }
}

size_t transport_pending_bytes(const struct transport *transport)
{
    return transport->output.size + transport->in_flight.size;
}

void layer_ready(struct layer *layer)
{
    struct transport *transport = layer->transport;
    transport->callbacks->on_connected(transport->owner);
}

void layer_deliver(struct layer *layer, struct slice bytes)
{
    struct transport *transport = layer->transport;
    if (!transport->is_closing) {
        transport->callbacks->on_bytes(transport->owner, bytes);
    }
}

void layer_output(struct layer *layer, struct slice bytes)
{
    buffer_append_slice(&layer->transport->output, bytes);
}

void layer_fail(struct layer *layer, const struct error *error)
{
    transport_flush(layer->transport); /* the alert that tells the peer why */
    end(layer->transport, error);
}

bool layer_is_open(const struct layer *layer)
{
    return !layer->transport->is_closing && !layer->transport->has_ended;
}

static void on_socket(void *owner, uv_tcp_t *tcp)
{
    struct transport *transport = owner;
    transport->connector = NULL;
    transport->tcp = tcp;
    transport->open_handles++;
    tcp->data = transport;
    /* Neither is vital: without them we are a little slower to write and to notice a dead peer. */
    (void)uv_tcp_nodelay(tcp, 1);
    (void)uv_tcp_keepalive(tcp, 1, KEEPALIVE_SECONDS);
    struct sockaddr_storage peer = {0};
    int size = sizeof(peer);
    if (uv_tcp_getpeername(tcp, (struct sockaddr *)&peer, &size) == 0) {
        dns_format_address((const struct sockaddr *)&peer, transport->address);
    }
    transport->wants_reading = true;
    apply_reading(transport);
    if (!transport->has_ended) {
        transport->layer->ops->start(transport->layer);
    }
}

static void on_no_socket(void *owner, const struct error *error)
{
    struct transport *transport = owner;
    transport->connector = NULL;
    end(transport, error);
}

static const struct connector_callbacks connector_callbacks = {
    .on_connected = on_socket,
    .on_failed = on_no_socket,
};

static void on_start(uv_timer_t *timer)
{
    struct transport *transport = timer->data;
    struct error error = {0};
    transport->layer = transport->options.use_tls ? layer_create_tls(&transport->options, &error)
                                                  : layer_create_plain();
    if (transport->layer == NULL) {
        end(transport, &error);
        return;
    }
    transport->layer->transport = transport;
    transport->connector = connector_open(transport->loop, transport->options.host,
                                          transport->options.port, &connector_callbacks, transport);
}

struct transport *transport_open(struct uv_loop_s *loop, const struct transport_options *options,
                                 const struct transport_callbacks *callbacks, void *owner)
{
    struct transport *transport = memory_allocate(sizeof(*transport));
    transport->callbacks = callbacks;
    transport->owner = owner;
    transport->loop = loop;
    transport->options = *options;
    transport->options.host = memory_copy_string(options->host);
    transport->options.ca_file = memory_copy_string(options->ca_file);
    transport->open_handles = 1;
    (void)uv_timer_init(loop, &transport->starter);
    transport->starter.data = transport;
    (void)uv_timer_start(&transport->starter, on_start, 0, 0);
    return transport;
}

static void release(struct transport *transport)
{
    if (--transport->open_handles > 0) {
        return;
    }
    ASSERT(transport->connector == NULL && !transport->is_writing);
    if (transport->layer != NULL) {
        transport->layer->ops->destroy(transport->layer);
    }
    buffer_deinit(&transport->output);
    buffer_deinit(&transport->in_flight);
    transport->callbacks->on_closed(transport->owner);
    free((void *)(uintptr_t)transport->options.host);
    free((void *)(uintptr_t)transport->options.ca_file);
    free(transport);
}

static void on_starter_closed(uv_handle_t *handle)
{
    release(handle->data);
}

static void on_tcp_closed(uv_handle_t *handle)
{
    struct transport *transport = handle->data;
    free(handle);
    release(transport);
}

void transport_close(struct transport *transport)
{
    if (transport->is_closing) {
        return;
    }
    if (transport->tcp != NULL && !transport->has_ended) {
        transport->layer->ops->goodbye(transport->layer);
        if (!transport->is_writing && transport->output.size > 0) {
            (void)write_now(transport); /* best effort: we are leaving either way */
        }
    }
    transport->is_closing = true;
    if (transport->connector != NULL) {
        connector_close(transport->connector);
    }
    transport->connector = NULL;
    uv_close((uv_handle_t *)&transport->starter, on_starter_closed);
    if (transport->tcp != NULL) {
        uv_close((uv_handle_t *)transport->tcp, on_tcp_closed);
    }
}

uint64_t transport_bytes_read(const struct transport *transport)
{
    return transport->bytes_read;
}

const char *transport_peer_address(const struct transport *transport)
{
    return transport->address;
}

int64_t transport_certificate_expiry(const struct transport *transport)
{
    const struct layer *layer = transport->layer;
    return layer != NULL ? layer->ops->certificate_expiry(layer) : 0;
}
