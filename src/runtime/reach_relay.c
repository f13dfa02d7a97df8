#include <unistd.h>

#include "base/clock.h"
#include "base/panic.h"
#include "config/text.h"
#include "runtime/reach.h"
#include "runtime/tcp_connect.h"

static const uint64_t timeout_ms = REACH_TIMEOUT_S * UINT64_C(1000);

bool reach_relay(const struct config *config, struct buffer *found, struct error *error)
{
    struct buffer authority = {0};
    struct buffer host = {0};
    struct text_authority parts;
    bool is_tls = slice_starts_with(slice_from_string(config->relay.url), SLICE("wss:"));
    config_relay_host(config, &authority);
    bool is_good = text_parse_authority(buffer_slice(&authority), &parts);
    ASSERT(is_good); /* config_load() has checked it */
    buffer_append_slice(&host, parts.host);
    buffer_append_byte(&host, '\0');
    size_t port = host.size;
    buffer_append_format(&host, "%u", parts.has_port ? (unsigned)parts.port : is_tls ? 443U : 80U);
    buffer_append_byte(&host, '\0');
    int descriptor = tcp_connect(host.data, host.data + port, clock_monotonic_ms() + timeout_ms,
                                 "check relay.url and the network", error);
    is_good = descriptor >= 0;
    if (is_good) {
        (void)close(descriptor);
        buffer_append_format(found, "%s port %s takes TCP connections", host.data,
                             host.data + port);
    }
    buffer_deinit(&host);
    buffer_deinit(&authority);
    return is_good;
}
