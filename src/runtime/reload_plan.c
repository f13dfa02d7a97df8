#include "runtime/reload_plan.h"

#include <stdio.h>
#include <string.h>

#include "atproto/json.h"
#include "base/log.h"
#include "config/keys.h"

enum {
    SHOWN_VALUE_MAX = 200, /* of a list that may be endless */
    NAME_SIZE = 64,
    REDIS_PARTS = PART_WORKERS | PART_MONITOR | PART_COURIER | PART_INGESTER,
    /* The monitor hands marks to the store, so it goes with it. */
    POSTGRES_PARTS = PART_SCHEMA | PART_STORE | REDIS_PARTS,
};

/* Keys that are read where they are used, and those that need a restart, are in no row. */
static const struct row {
    const char *section;
    const char *key; /* NULL: every other key of the section */
    unsigned parts;
    unsigned checks;
} rows[] = {
    {"relay", "cursor", 0, 0},
    {"relay", "url", PART_INGESTER, CHECK_RELAY},
    {"relay", "ca_file", PART_INGESTER, CHECK_AUTHORITIES},
    {"relay", "tls_verify", PART_INGESTER, CHECK_AUTHORITIES},
    {"relay", NULL, PART_INGESTER, 0},
    {"ingest", "mode", PART_INGESTER, 0},
    {"ingest", "lease_ms", PART_INGESTER | PART_COURIER, 0},
    {"redis", "url", REDIS_PARTS, CHECK_REDIS},
    {"stream", "max_length", PART_MONITOR, 0},
    {"stream", "trim_groups", PART_MONITOR, 0},
    {"workers", "pipelines", PART_WORKERS, 0},
    {"workers", "batch_size", PART_WORKERS, 0},
    {"workers", "block_ms", PART_WORKERS, 0},
    {"workers", "claim_interval_ms", PART_WORKERS, 0},
    {"workers", "claim_min_idle_ms", PART_WORKERS, 0},
    {"workers", "max_deliveries", PART_WORKERS, 0},
    {"postgres", "url", POSTGRES_PARTS, CHECK_POSTGRES | CHECK_SCHEMA},
    {"postgres", "schema", POSTGRES_PARTS, CHECK_POSTGRES | CHECK_SCHEMA},
    {"postgres", "migrate", PART_SCHEMA, CHECK_SCHEMA},
    {"postgres", "connections", PART_WORKERS, 0},
    {"postgres", "batch_bytes", PART_WORKERS, 0},
    {"postgres", "batch_age_ms", PART_WORKERS, 0},
    {"postgres", "tombstone_age_ms", PART_WORKERS, 0},
    {"postgres", "prepared", PART_WORKERS | PART_COURIER, 0},
    {"postgres", "tables_file", PART_SCHEMA | PART_WORKERS, CHECK_SCHEMA},
    {"http", "listen", PART_CONSOLE, 0},
};

static const struct row *find_row(const char *section, const char *key)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        bool is_key = rows[i].key == NULL || strcmp(rows[i].key, key) == 0;
        if (is_key && strcmp(rows[i].section, section) == 0) {
            return &rows[i];
        }
    }
    return NULL;
}

unsigned reload_plan_parts(const char *section, const char *key)
{
    const struct row *row = find_row(section, key);
    return row != NULL ? row->parts : 0;
}

/* ---- for people ---------------------------------------------------------------------------------- */

static struct slice shown(const char *value)
{
    size_t size = strlen(value);
    return slice_of(value, size < SHOWN_VALUE_MAX ? size : SHOWN_VALUE_MAX);
}

static void append_member(struct buffer *out, const char *name, struct slice value)
{
    buffer_append_format(out, "\"%s\":", name);
    (void)json_append_text(out, value); /* what is no UTF-8 is replaced */
}

static void append_change(struct buffer *out, const struct config_change *change)
{
    buffer_append_format(out, "%s{\"key\":\"%s.%s\",", out->size > 1 ? "," : "", change->section,
                         change->key);
    append_member(out, "applies", slice_from_string(config_apply_name(change->apply)));
    buffer_append_byte(out, ',');
    append_member(out, "before", shown(change->before));
    buffer_append_byte(out, ',');
    append_member(out, "after", shown(change->after));
    buffer_append_byte(out, '}');
}

static void log_change(void *owner, const struct config_change *change)
{
    (void)owner;
    char name[NAME_SIZE];
    (void)snprintf(name, sizeof(name), "%s.%s", change->section, change->key);
    bool needs_restart = change->apply == CONFIG_APPLY_RESTART;
    const struct log_field fields[] = {
        LOG_TEXT("key", name),
        LOG_SLICE("before", shown(change->before)),
        LOG_SLICE("after", shown(change->after)),
        LOG_TEXT("applies", config_apply_name(change->apply)),
    };
    log_write(needs_restart ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO, "config",
              needs_restart ? "changed, but needs a restart" : "changed", fields,
              sizeof(fields) / sizeof(fields[0]));
}

/* ---- all changes ---------------------------------------------------------------------------------- */

/* The file has its name, and something else in it. */
static bool have_authorities_changed(const struct generation *running,
                                     const struct generation *next)
{
    const char *before = running->config.relay.ca_file;
    const char *after = next->config.relay.ca_file;
    return before != NULL && after != NULL && strcmp(before, after) == 0 &&
           memcmp(running->ca_digest, next->ca_digest, sizeof(next->ca_digest)) != 0;
}

static void compare(const struct generation *running, const struct generation *next,
                    void (*on_change)(void *owner, const struct config_change *change), void *owner)
{
    config_compare(&running->config, &next->config, on_change, owner);
    if (have_authorities_changed(running, next)) {
        on_change(owner, &(struct config_change){.section = "relay",
                                                 .key = "ca_file",
                                                 .apply = CONFIG_APPLY_RECONNECT,
                                                 .before = running->config.relay.ca_file,
                                                 .after = "the same file, with other content"});
    }
}

static void plan_on_change(void *owner, const struct config_change *change)
{
    struct reload_plan *plan = owner;
    const struct row *row = find_row(change->section, change->key);
    plan->counts[change->apply]++;
    append_change(&plan->changes, change);
    if (row != NULL && change->apply != CONFIG_APPLY_RESTART) {
        plan->parts |= row->parts;
        plan->checks |= row->checks;
    }
}

void reload_plan_make(struct reload_plan *plan, const struct generation *running,
                      const struct generation *next)
{
    *plan = (struct reload_plan){0};
    buffer_append_byte(&plan->changes, '[');
    compare(running, next, plan_on_change, plan);
    buffer_append_byte(&plan->changes, ']');
    if (!next->config.relay.tls_verify || next->config.relay.ca_file == NULL) {
        plan->checks &= ~(unsigned)CHECK_AUTHORITIES;
    }
    if (!next->config.postgres.migrate) {
        plan->checks &= ~(unsigned)CHECK_SCHEMA;
    }
}

void reload_plan_deinit(struct reload_plan *plan)
{
    buffer_deinit(&plan->changes);
}

void reload_plan_log(const struct generation *running, const struct generation *next)
{
    compare(running, next, log_change, NULL);
}
