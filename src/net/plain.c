#include <stdlib.h>

#include "base/panic.h"
#include "net/layer.h"

/* The layer that adds nothing. */

static void plain_ended(struct layer *layer, struct error *error)
{
    (void)layer;
    error_set(error, ERROR_CLOSED, "the peer closed the connection");
}

static void plain_goodbye(struct layer *layer)
{
    (void)layer;
}

static int64_t plain_certificate_expiry(const struct layer *layer)
{
    (void)layer;
    return 0;
}

static void plain_destroy(struct layer *layer)
{
    free(layer);
}

static const struct layer_ops plain_ops = {
    .start = layer_ready,
    .received = layer_deliver,
    .send = layer_output,
    .ended = plain_ended,
    .goodbye = plain_goodbye,
    .certificate_expiry = plain_certificate_expiry,
    .destroy = plain_destroy,
};

struct layer *layer_create_plain(void)
{
    struct layer *layer = memory_allocate(sizeof(*layer));
    layer->ops = &plain_ops;
    return layer;
}
