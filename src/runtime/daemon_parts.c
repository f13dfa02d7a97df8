/* Parts of the daemon by their bits: which are open, closing them, and the configuration that each holds. */
#include "runtime/daemon_private.h"

void daemon_hold(struct daemon *daemon, enum daemon_part part)
{
    struct generation **held = &daemon->held[__builtin_ctz(part)];
    generation_release(*held);
    *held = generation_hold(daemon->generation);
}

unsigned daemon_open_parts(const struct daemon *daemon, unsigned parts)
{
    unsigned open = 0;
    open |= daemon->is_schema_open ? PART_SCHEMA : 0;
    open |= daemon->cursor_store != NULL ? PART_STORE : 0;
    open |= daemon->workforce.open > 0 ? PART_WORKERS : 0;
    open |= daemon->monitor != NULL ? PART_MONITOR : 0;
    open |= daemon->courier != NULL ? PART_COURIER : 0;
    open |= daemon->ingester != NULL ? PART_INGESTER : 0;
    return open & parts;
}

void daemon_close_parts(struct daemon *daemon, unsigned parts, uint64_t drain_ms)
{
    unsigned open = daemon_open_parts(daemon, parts);
    if ((open & PART_SCHEMA) != 0) {
        schema_setup_close(&daemon->schema);
    }
    if ((open & PART_INGESTER) != 0) {
        ingester_close(daemon->ingester, drain_ms);
    }
    if ((open & PART_WORKERS) != 0) {
        workforce_close(&daemon->workforce, drain_ms);
    }
    if ((open & PART_MONITOR) != 0) {
        stream_monitor_close(daemon->monitor);
    }
    if ((open & PART_COURIER) != 0) {
        dead_letter_courier_close(daemon->courier, drain_ms);
    }
    if ((open & PART_STORE) != 0) {
        cursor_store_close(daemon->cursor_store, drain_ms);
    }
}
