#include "runtime/rates.h"

enum {
    MS_PER_SECOND = 1000
};

void rates_note(struct rates *rates, const struct metrics_snapshot *figures, uint64_t now_ms)
{
    uint64_t committed = 0;
    for (unsigned i = 0; i < EVENT_TYPE_COUNT; i++) {
        committed += figures->sink.committed_entries[i];
    }
    rates->samples[rates->next] = (struct rates_sample){
        .at_ms = now_ms,
        .counters = {figures->relay.frames, figures->relay.bytes, figures->intake.appended,
                     committed, figures->sink.tables[0].rows[ROW_WRITTEN]},
    };
    rates->next = (rates->next + 1) % RATES_SAMPLES;
    rates->count += rates->count < RATES_SAMPLES;
}

void rates_fill(const struct rates *rates, struct metrics_snapshot *snapshot)
{
    double *const to[RATES_FIGURES] = {&snapshot->rates.frames, &snapshot->rates.bytes,
                                       &snapshot->rates.appended, &snapshot->rates.committed,
                                       &snapshot->rates.ops_written};
    if (rates->count < 2) {
        return;
    }
    const struct rates_sample *newest =
        &rates->samples[(rates->next + RATES_SAMPLES - 1) % RATES_SAMPLES];
    const struct rates_sample *oldest =
        &rates->samples[(rates->next + RATES_SAMPLES - rates->count) % RATES_SAMPLES];
    uint64_t over_ms = newest->at_ms - oldest->at_ms;
    for (unsigned i = 0; i < RATES_FIGURES && over_ms > 0; i++) {
        /* The bytes of a connection that is just being counted can step back for a moment. */
        uint64_t grown = newest->counters[i] > oldest->counters[i]
                             ? newest->counters[i] - oldest->counters[i]
                             : 0;
        *to[i] = (double)grown * MS_PER_SECOND / (double)over_ms;
    }
}
