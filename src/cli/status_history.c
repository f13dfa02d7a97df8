#include "cli/status_history.h"

#include <string.h>

enum {
    MS_PER_SECOND = 1000
};
static const double gap = -1;

static double rate(uint64_t now, uint64_t before, uint64_t over_ms)
{
    return now >= before && over_ms > 0 ? (double)(now - before) * MS_PER_SECOND / (double)over_ms
                                        : gap;
}

static void push(struct status_history *history, const double *values)
{
    for (unsigned i = 0; i < SERIES_COUNT; i++) {
        history->values[i][history->next] = values[i];
    }
    history->next = (history->next + 1) % STATUS_HISTORY;
    history->count += history->count < STATUS_HISTORY;
}

static bool is_same_process(const struct status_history *history,
                            const struct status_sample *sample)
{
    return history->last.started_us == sample->started_us && history->last.pid == sample->pid;
}

void status_history_note(struct status_history *history, const struct status_sample *sample)
{
    double values[SERIES_COUNT] = {gap, gap, gap, gap};
    history->is_last_missing = sample == NULL;
    if (sample == NULL) {
        push(history, values);
        return;
    }
    values[SERIES_RECEIVED] = sample->rates.frames;
    values[SERIES_COMMITTED] = sample->rates.committed;
    values[SERIES_BACKLOG] = sample->stream.is_known
                                 ? (double)(sample->stream.pending + sample->stream.undelivered)
                                 : gap;
    values[SERIES_BEHIND] = sample->is_behind_known ? sample->behind_s : gap;
    if (history->has_last && is_same_process(history, sample)) {
        uint64_t over_ms = sample->at_ms - history->last.at_ms;
        values[SERIES_RECEIVED] = rate(sample->relay.frames, history->last.relay.frames, over_ms);
        values[SERIES_COMMITTED] = rate(sample->committed, history->last.committed, over_ms);
    } else if (history->has_last) {
        history->restarts++;
        history->restarted_us = sample->started_us;
    }
    history->last = *sample;
    history->has_last = true;
    push(history, values);
}

/* The value of `back` samples ago; 0 is the newest. */
static double value_at(const struct status_history *history, enum status_series series,
                       unsigned back)
{
    if (back >= history->count) {
        return gap;
    }
    return history->values[series][(history->next + STATUS_HISTORY - 1 - back) % STATUS_HISTORY];
}

double status_history_newest(const struct status_history *history, enum status_series series)
{
    return value_at(history, series, 0);
}

static const char *block(double value, double largest, bool is_utf8)
{
    static const char *const blocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    static const char *const letters[] = {"_", ".", "-", "=", "+", "*", "%", "#"};
    enum {
        LEVELS = sizeof(blocks) / sizeof(blocks[0])
    };
    if (value < 0) {
        return " ";
    }
    unsigned level = (unsigned)(value / largest * (LEVELS - 1) + 0.5);
    level = level < LEVELS ? level : LEVELS - 1;
    return is_utf8 ? blocks[level] : letters[level];
}

void status_history_line(const struct status_history *history, enum status_series series,
                         unsigned columns, struct screen *screen)
{
    /* What is less than this is noise, and drawn at the foot. */
    static const double least[SERIES_COUNT] = {[SERIES_RECEIVED] = 1,
                                               [SERIES_COMMITTED] = 1,
                                               [SERIES_BACKLOG] = 1000,
                                               [SERIES_BEHIND] = 2};
    double largest = least[series];
    char line[STATUS_HISTORY * 3 + 1] = "";
    size_t used = 0;
    columns = columns < STATUS_HISTORY ? columns : STATUS_HISTORY;
    for (unsigned back = 0; back < columns; back++) {
        double value = value_at(history, series, back);
        largest = value > largest ? value : largest;
    }
    for (unsigned column = 0; column < columns; column++) {
        const char *one =
            block(value_at(history, series, columns - 1 - column), largest, screen->is_utf8);
        size_t size = strlen(one);
        memcpy(line + used, one, size);
        used += size;
    }
    line[used] = '\0';
    screen_text(screen, SCREEN_ACCENT, line);
}
