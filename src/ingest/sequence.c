#include "ingest/sequence.h"

#include "atproto/event_time.h"

enum {
    US_PER_SECOND = 1000000,
    SECONDS_PER_MINUTE = 60
};

static const int64_t margin_us = (int64_t)SECONDS_PER_MINUTE * US_PER_SECOND;
static const int64_t patience_us = (int64_t)10 * SECONDS_PER_MINUTE * US_PER_SECOND;

void sequence_init(struct sequence *sequence, int64_t last)
{
    *sequence = (struct sequence){.last = last};
}

void sequence_connected(struct sequence *sequence, bool is_live, int64_t now_us)
{
    sequence->expects_first = true;
    sequence->accepts_any_first = is_live;
    sequence->has_regressed = false;
    sequence->connected_us = now_us;
    sequence->highest_below = 0;
    sequence->lowest = 0;
    sequence->judged = 0;
    sequence->newer = 0;
}

static int64_t median(const int64_t *times)
{
    int64_t sorted[SEQUENCE_WINDOW] = {0};
    for (int i = 0; i < SEQUENCE_WINDOW; i++) {
        int at = i;
        for (; at > 0 && sorted[at - 1] > times[i]; at--) {
            sorted[at] = sorted[at - 1];
        }
        sorted[at] = times[i];
    }
    return sorted[SEQUENCE_WINDOW / 2];
}

static bool is_newer(const struct sequence *sequence, int64_t time_us, int64_t now_us)
{
    if (time_us == 0) {
        return now_us - sequence->connected_us > patience_us;
    }
    int64_t reference =
        sequence->taken >= SEQUENCE_WINDOW ? median(sequence->times_us) : sequence->connected_us;
    return time_us > reference + margin_us;
}

static void judge(struct sequence *sequence, bool newer)
{
    const uint32_t window = (1U << SEQUENCE_WINDOW) - 1;
    sequence->newer = ((sequence->newer << 1) | (newer ? 1U : 0U)) & window;
    sequence->judged++;
    if (__builtin_popcount(sequence->newer) >= SEQUENCE_NEWER_LIMIT) {
        sequence->has_regressed = true;
    }
}

static enum sequence_verdict observe_below(struct sequence *sequence, int64_t number,
                                           int64_t time_us, int64_t now_us)
{
    if (sequence->lowest == 0 || number < sequence->lowest) {
        sequence->lowest = number;
    }
    if (number > sequence->highest_below) {
        sequence->highest_below = number;
        judge(sequence, is_newer(sequence, time_us, now_us));
    }
    return sequence->has_regressed ? SEQUENCE_REGRESSION : SEQUENCE_DUPLICATE;
}

static void note_time(struct sequence *sequence, int64_t time_us)
{
    if (time_us != 0) {
        sequence->times_us[sequence->taken++ % SEQUENCE_WINDOW] = time_us;
    }
}

enum sequence_verdict sequence_observe(struct sequence *sequence, int64_t number, int64_t time_us,
                                       int64_t now_us)
{
    if (number <= sequence->last) {
        return observe_below(sequence, number, time_us, now_us);
    }
    bool takes_any =
        sequence->last <= 0 || (sequence->expects_first && sequence->accepts_any_first);
    sequence->missing = takes_any ? 0 : number - sequence->last - 1;
    sequence->is_first = sequence->expects_first;
    sequence->expects_first = false;
    sequence->has_regressed = false;
    sequence->newer = 0;
    sequence->last = number;
    note_time(sequence, time_us);
    return sequence->missing > 0 ? SEQUENCE_GAP : SEQUENCE_NEXT;
}

int64_t sequence_lowest(const struct sequence *sequence)
{
    return sequence->lowest;
}

int64_t sequence_parse_time(struct slice time)
{
    int64_t time_us = event_time_parse(time);
    return time_us != TIME_UNKNOWN ? time_us : 0;
}
