#include "runtime/depth_alert.h"

#include "base/log.h"

enum {
    REPEAT_MS = 60000
};

enum depth_level depth_level_of(const struct config_alerts *limits, uint64_t backlog)
{
    if (backlog > limits->depth_critical) {
        return DEPTH_CRITICAL;
    }
    return backlog > limits->depth_warning ? DEPTH_WARNING : DEPTH_FINE;
}

static void say(enum depth_level level, const struct config_alerts *limits, uint64_t backlog)
{
    static const char *const messages[] = {
        [DEPTH_FINE] = "backlog is fine again",
        [DEPTH_WARNING] = "backlog over the warning threshold",
        [DEPTH_CRITICAL] = "backlog over the critical threshold",
    };
    static const enum log_level levels[] = {
        [DEPTH_FINE] = LOG_LEVEL_INFO,
        [DEPTH_WARNING] = LOG_LEVEL_WARNING,
        [DEPTH_CRITICAL] = LOG_LEVEL_ERROR,
    };
    const struct log_field fields[] = {
        LOG_INT("backlog_entries", backlog),
        LOG_INT("depth_warning", limits->depth_warning),
        LOG_INT("depth_critical", limits->depth_critical),
    };
    log_write(levels[level], "stream", messages[level], fields, sizeof(fields) / sizeof(fields[0]));
}

void depth_alert_note(struct depth_alert *alert, const struct config_alerts *limits,
                      uint64_t backlog, uint64_t now_ms)
{
    if (now_ms < alert->next_check_ms) {
        return;
    }
    alert->next_check_ms = now_ms + limits->interval_ms;
    enum depth_level level = depth_level_of(limits, backlog);
    bool is_repeat = level != DEPTH_FINE && now_ms >= alert->next_repeat_ms;
    if (level == alert->level && !is_repeat) {
        return;
    }
    alert->level = level;
    alert->next_repeat_ms = now_ms + REPEAT_MS;
    say(level, limits, backlog);
}
