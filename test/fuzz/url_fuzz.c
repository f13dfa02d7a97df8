/* Addresses from a configuration: what is taken can be printed and read again, and a mask never adds to what it hides. */
#include "fuzz/fuzz.h"

#include "config/urls.h"
#include "net/url.h"

static void check_redis(struct slice text)
{
    struct redis_address address;
    struct error error;
    if (redis_address_parse(&address, text, &error)) {
        FUZZ_HOLDS((address.host != NULL) != (address.path != NULL));
        redis_address_deinit(&address);
    }
}

static void check_relay(struct slice text)
{
    struct buffer once = {0};
    struct buffer twice = {0};
    struct url url;
    struct error error;
    if (relay_url_normalize(text, &once, &error)) {
        FUZZ_HOLDS(relay_url_normalize(buffer_slice(&once), &twice, &error));
        FUZZ_HOLDS(slice_equals(buffer_slice(&once), buffer_slice(&twice)));
    }
    buffer_clear(&once);
    if (url_parse(&url, text, &error)) {
        url_append(&once, &url);
        FUZZ_HOLDS(url_parse(&url, buffer_slice(&once), &error));
    }
    buffer_deinit(&once);
    buffer_deinit(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of(data, size);
    struct buffer masked = {0};
    check_redis(text);
    check_relay(text);
    url_mask(text, &masked);
    buffer_deinit(&masked);
    return 0;
}
