/* What others see of the ingester, and what the monitor tells it. */
#include "base/clock.h"
#include "ingest/subscription.h"
#include "runtime/ingester_private.h"
#include "stream/stream_lease.h"
#include "stream/stream_writer.h"

static const char *const state_names[] = {
    [INGESTER_STANDBY] = "standby",     [INGESTER_FINDING] = "finding",
    [INGESTER_LOADING] = "loading",     [INGESTER_SAVING] = "saving",
    [INGESTER_INGESTING] = "ingesting", [INGESTER_RESETTING] = "resetting",
    [INGESTER_STOPPED] = "stopped",     [INGESTER_DRAINING] = "draining",
};

void ingester_enter_state(struct ingester *ingester, enum ingester_state next)
{
    if (ingester->state == next) {
        return;
    }
    log_debug("ingester", "state", LOG_TEXT("from", state_names[ingester->state]),
              LOG_TEXT("to", state_names[next]));
    ingester->state = next;
}

/* ---- pressure from the monitor ------------------------------------------------------- */

void ingester_before_look(struct ingester *ingester)
{
    ingester->surely_has_entries = ingester->has_entries;
    ingester->surely_queued = ingester->marks->queued;
}

/* Wiped, deleted, or back without its tail: the append script would find out, but a quiet relay may have
 * nothing to append for hours. */
static bool is_stream_lost(const struct ingester *ingester, const struct stream_depth *depth)
{
    if (ingester->state != INGESTER_INGESTING || ingester->surely_queued.epoch == 0) {
        return false;
    }
    if (!depth->has_meta || position_compare(depth->queued, ingester->surely_queued) < 0) {
        return true;
    }
    return ingester->surely_has_entries && depth->last.epoch < ingester->surely_queued.epoch;
}

void ingester_find_anew(struct ingester *ingester)
{
    ingester->surely_queued = (struct position){0};
    ingester->drain_until_ms = clock_monotonic_ms();
    ingester_enter_state(ingester, INGESTER_RESETTING);
    ingester_proceed(ingester);
}

/* The group was set back, by us or another process, or the memory is gone with Redis. */
static bool is_released(const struct ingester *ingester, const struct stream_depth *depth)
{
    return ingester->state == INGESTER_LOADING && ingester->is_held &&
           (!depth->has_meta || depth->rewinds != ingester->remembered_rewinds);
}

/* `depth` may be from before the epoch that was opened for this very reason. */
static bool must_refetch(const struct ingester *ingester, const struct stream_depth *depth)
{
    return ingester->state == INGESTER_INGESTING && depth->refetch.epoch > 0 && depth->has_meta &&
           depth->queued.epoch == ingester->origin.queued.epoch;
}

static void refetch(struct ingester *ingester, struct position from)
{
    log_warning(ingester->intake.object,
                "PostgreSQL lost what the stream no longer has, asking the relay again",
                LOG_INT("sequence", from.sequence));
    ingester->is_reset = true;
    ingester->reset_why = "the relay is asked again for what PostgreSQL lost";
    ingester->reset_sequence = from.sequence;
    ingester_find_anew(ingester);
}

void ingester_on_depth(struct ingester *ingester, const struct pressure_limits *limits,
                       const struct stream_depth *depth)
{
    if (is_stream_lost(ingester, depth)) {
        log_warning(ingester->intake.object,
                    "the stream lost what was in it, finding the position again",
                    LOG_INT("queued", ingester->surely_queued.sequence));
        ingester_find_anew(ingester);
        return;
    }
    if (is_released(ingester, depth)) {
        ingester_find_anew(ingester);
        return;
    }
    if (must_refetch(ingester, depth)) {
        refetch(ingester, depth->refetch);
        return;
    }
    if (pressure_is_deep(&ingester->pressure, limits, depth)) {
        ingester_raise_pressure(ingester, PRESSURE_DEPTH);
    } else {
        ingester_lower_pressure(ingester, PRESSURE_DEPTH);
    }
}

void ingester_on_letters(struct ingester *ingester, bool are_too_many)
{
    if (are_too_many) {
        ingester_raise_pressure(ingester, PRESSURE_LETTERS);
    } else {
        ingester_lower_pressure(ingester, PRESSURE_LETTERS);
    }
}

/* ---- figures ---- */

void ingester_figures(const struct ingester *ingester, struct ingester_figures *figures)
{
    static const struct error none;
    const struct stream_lease *lease = ingester->lease; /* NULL: it is being released */
    const struct subscription *subscription =
        ingester->is_subscription_closing ? NULL : ingester->subscription;
    *figures = (struct ingester_figures){
        .is_leader = ingester->has_lease,
        .is_lease_elsewhere = lease != NULL && stream_lease_is_elsewhere(lease),
        .lease_trouble = lease != NULL ? stream_lease_trouble(lease) : &none,
        .is_ingesting = ingester->state == INGESTER_INGESTING,
        .is_stopped = ingester->state == INGESTER_STOPPED,
        .why = ingester->state == INGESTER_STOPPED ? ingester->intake.error.text : "",
        .relay_trouble = "",
        .paused_for = ingester->pressure.reasons,
        .paused_us = pressure_paused_us(&ingester->pressure),
        .connects = ingester->connects,
        .failures = ingester->failures,
        .bytes = ingester->bytes,
        .waiting = ingester->writer != NULL ? stream_writer_pending(ingester->writer) : 0,
        .waiting_frames =
            ingester->writer != NULL ? stream_writer_pending_frames(ingester->writer) : 0,
        .sequence = ingester->intake.sequence.last,
        .last_event_us = ingester->intake.last_event_us,
    };
    if (subscription != NULL) {
        struct subscription_counters counters = subscription_counters(subscription);
        figures->is_connected = subscription_is_connected(subscription);
        figures->connected_ms = subscription_connected_ms(subscription);
        figures->relay_trouble = subscription_trouble(subscription);
        figures->certificate_expiry = subscription_certificate_expiry(subscription);
        figures->connects += counters.connects;
        figures->failures += counters.failures;
        figures->bytes += counters.bytes;
    }
}

void ingester_log_state(const struct ingester *ingester)
{
    log_info(
        "ingester", "state", LOG_TEXT("state", state_names[ingester->state]),
        LOG_TEXT("paused_for", pressure_name(&ingester->pressure)),
        LOG_INT("epoch", ingester->marks->queued.epoch),
        LOG_INT("queued", ingester->marks->queued.sequence),
        LOG_INT("committed", ingester->marks->saved),
        LOG_INT("pending", ingester->writer != NULL ? stream_writer_pending(ingester->writer) : 0));
}
