/*
 * Subscription URL: where to connect, with the cursor to ask at; private to src/ingest.
 * Ownership: text is borrowed. Threading: pure.
 */
#ifndef INGEST_SUBSCRIPTION_URL_H
#define INGEST_SUBSCRIPTION_URL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"

/* Appends `url` without any `cursor` parameter of its own (redirects repeat ours, which may be old by
 * now), then with cursor=N unless `cursor` is below 0 (live), then a zero byte. */
void subscription_url_append(struct buffer *out, const char *url, int64_t cursor);
/* wss:// */
bool subscription_url_is_secure(const char *url);

#endif
