#include "runtime/announcement.h"

#include "atproto/json.h"
#include "base/buffer.h"
#include "config/urls.h"
#include "runtime/ingester.h"
#include "stream/stream_monitor.h"

void announce(struct stream_monitor *monitor, const struct ingester *ingester, const char *url)
{
    struct ingester_figures figures;
    ingester_figures(ingester, &figures);
    if (!figures.is_leader) {
        return;
    }
    struct buffer masked = {0};
    struct buffer json = {0};
    url_mask(slice_from_string(url), &masked);
    buffer_append_format(&json,
                         "{\"connected\":%s,\"url\":", figures.is_connected ? "true" : "false");
    (void)json_append_text(&json, buffer_slice(&masked)); /* a configured URL is ASCII */
    if (figures.sequence > 0) {
        buffer_append_format(&json, ",\"currentCursor\":\"%lld\"}", (long long)figures.sequence);
    } else {
        buffer_append_string(&json, ",\"currentCursor\":null}");
    }
    (void)stream_monitor_announce(monitor, buffer_slice(&json)); /* next time then */
    buffer_deinit(&json);
    buffer_deinit(&masked);
}
