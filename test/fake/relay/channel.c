#include "channel.h"

#include <stdlib.h>

#include "base/panic.h"

#include <openssl/err.h>

enum {
    READ_BYTES = 65536
};

static void flush(struct channel *channel);

static void on_closed(uv_handle_t *handle)
{
    struct channel *channel = handle->data;
    SSL_free(channel->ssl);
    buffer_deinit(&channel->pending);
    buffer_deinit(&channel->flight);
    channel->callbacks->on_closed(channel->owner);
}

bool channel_is_closing(const struct channel *channel)
{
    return uv_is_closing((const uv_handle_t *)&channel->tcp) != 0;
}

void channel_close(struct channel *channel)
{
    if (!channel_is_closing(channel)) {
        uv_close((uv_handle_t *)&channel->tcp, on_closed);
    }
}

void channel_reset(struct channel *channel)
{
    if (!channel_is_closing(channel) && uv_tcp_close_reset(&channel->tcp, on_closed) != 0) {
        channel_close(channel);
    }
}

bool channel_is_idle(const struct channel *channel)
{
    return !channel->is_writing && channel->pending.size == 0;
}

static void on_written(uv_write_t *request, int status)
{
    struct channel *channel = request->data;
    channel->is_writing = false;
    if (channel_is_closing(channel)) {
        return;
    }
    if (status < 0) {
        channel_close(channel);
        return;
    }
    flush(channel);
    if (channel_is_idle(channel)) {
        channel->callbacks->on_drained(channel->owner);
    }
}

static void write_flight(struct channel *channel)
{
    size_t left = channel->flight.size - channel->flight_sent;
    size_t size = channel->is_slow && left > 1 ? 1 : left;
    uv_buf_t bytes = uv_buf_init(channel->flight.data + channel->flight_sent, (unsigned)size);
    channel->flight_sent += size;
    channel->is_writing = true;
    channel->write.data = channel;
    int result = uv_write(&channel->write, (uv_stream_t *)&channel->tcp, &bytes, 1, on_written);
    if (result < 0) {
        channel->is_writing = false;
        channel_close(channel);
    }
}

static void flush(struct channel *channel)
{
    if (channel->is_writing || channel_is_closing(channel)) {
        return;
    }
    if (channel->flight_sent == channel->flight.size) {
        struct buffer empty = channel->flight;
        buffer_clear(&empty);
        channel->flight = channel->pending;
        channel->pending = empty;
        channel->flight_sent = 0;
    }
    if (channel->flight.size > 0) {
        write_flight(channel);
    }
}

/* What TLS wants to say goes to `pending`. */
static void take_cipher(struct channel *channel)
{
    BIO *bio = SSL_get_wbio(channel->ssl);
    size_t size = BIO_ctrl_pending(bio);
    if (size == 0) {
        return;
    }
    int taken = BIO_read(bio, buffer_reserve(&channel->pending, size), (int)size);
    ASSERT(taken == (int)size);
    channel->pending.size += size;
}

void channel_write(struct channel *channel, struct buffer *bytes)
{
    if (channel->ssl != NULL && bytes->size > 0) {
        ERR_clear_error();
        if (SSL_write(channel->ssl, bytes->data, (int)bytes->size) <= 0) {
            channel_close(channel);
        }
        take_cipher(channel);
    } else if (channel->pending.size == 0) {
        struct buffer empty = channel->pending; /* swapped: a frame is copied once only */
        channel->pending = *bytes;
        *bytes = empty;
    } else {
        buffer_append_slice(&channel->pending, buffer_slice(bytes));
    }
    buffer_clear(bytes);
    flush(channel);
}

static void read_plain(struct channel *channel)
{
    static char plain[READ_BYTES];
    while (!channel_is_closing(channel)) {
        ERR_clear_error();
        int size = SSL_read(channel->ssl, plain, sizeof(plain));
        if (size > 0) {
            channel->callbacks->on_bytes(channel->owner, slice_of(plain, (size_t)size));
            continue;
        }
        if (SSL_get_error(channel->ssl, size) != SSL_ERROR_WANT_READ) {
            channel_close(channel);
        }
        break;
    }
}

static void read_cipher(struct channel *channel, const char *bytes, int size)
{
    ASSERT(BIO_write(SSL_get_rbio(channel->ssl), bytes, size) == size);
    read_plain(channel); /* makes the handshake as well */
    if (channel_is_closing(channel)) {
        return;
    }
    take_cipher(channel);
    flush(channel);
}

static void on_allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    static char bytes[READ_BYTES]; /* one thread; used up before the next read */
    (void)handle;
    (void)suggested;
    *buffer = uv_buf_init(bytes, sizeof(bytes));
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
    struct channel *channel = stream->data;
    if (size < 0) {
        channel_close(channel);
    } else if (size > 0 && channel->ssl != NULL) {
        read_cipher(channel, buffer->base, (int)size);
    } else if (size > 0) {
        channel->callbacks->on_bytes(channel->owner, slice_of(buffer->base, (size_t)size));
    }
}

static void start_tls(struct channel *channel, SSL_CTX *tls)
{
    channel->ssl = SSL_new(tls);
    BIO *in = BIO_new(BIO_s_mem());
    BIO *out = BIO_new(BIO_s_mem());
    ASSERT(channel->ssl != NULL && in != NULL && out != NULL);
    (void)BIO_set_mem_eof_return(in, -1); /* empty means later, not the end */
    SSL_set_bio(channel->ssl, in, out);
    SSL_set_accept_state(channel->ssl);
}

bool channel_accept(struct channel *channel, uv_stream_t *server, SSL_CTX *tls,
                    const struct channel_callbacks *callbacks, void *owner)
{
    *channel = (struct channel){.callbacks = callbacks, .owner = owner};
    ASSERT(uv_tcp_init(server->loop, &channel->tcp) == 0);
    channel->tcp.data = channel;
    if (tls != NULL) {
        start_tls(channel, tls);
    }
    if (uv_accept(server, (uv_stream_t *)&channel->tcp) == 0 &&
        uv_tcp_nodelay(&channel->tcp, 1) == 0 &&
        uv_read_start((uv_stream_t *)&channel->tcp, on_allocate, on_read) == 0) {
        return true;
    }
    channel_close(channel);
    return false;
}
