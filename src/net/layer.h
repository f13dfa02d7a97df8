/*
 * Layer: what lies between the bytes of the socket and those of the owner; private to src/net.
 *
 *   socket --received()--> layer --layer_deliver()--> owner
 *   owner  --send()------> layer --layer_output()---> socket
 *
 * Ownership: a transport owns its layer and destroys it in its close callback, never while a call of
 * the layer is on the stack. After each layer_deliver() and layer_ready() the transport may be
 * closing: layer_is_open() tells.
 */
#ifndef NET_LAYER_H
#define NET_LAYER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"
#include "net/transport.h"

struct layer;

struct layer_ops {
    /* The socket is connected. */
    void (*start)(struct layer *layer);
    void (*received)(struct layer *layer, struct slice bytes);
    void (*send)(struct layer *layer, struct slice bytes);
    /* The socket has ended; fills in what that means here. */
    void (*ended)(struct layer *layer, struct error *error);
    /* We are closing: last words. */
    void (*goodbye)(struct layer *layer);
    int64_t (*certificate_expiry)(const struct layer *layer);
    void (*destroy)(struct layer *layer);
};

/* First member of each layer. */
struct layer {
    const struct layer_ops *ops;
    struct transport *transport;
};

struct layer *layer_create_plain(void);
/* NULL where the CA file cannot be read or the library refuses. */
struct layer *layer_create_tls(const struct transport_options *options, struct error *error)
    __attribute__((warn_unused_result));

/* What a layer calls. */
void layer_ready(struct layer *layer);
void layer_deliver(struct layer *layer, struct slice bytes);
void layer_output(struct layer *layer, struct slice bytes);
void layer_fail(struct layer *layer, const struct error *error);
bool layer_is_open(const struct layer *layer);

#endif
