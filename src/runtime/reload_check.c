#include "runtime/reload_check.h"

#include "base/buffer.h"
#include "net/transport.h"
#include "runtime/reach.h"
#include "runtime/reload_plan.h"
#include "sink/migrations.h"

static bool check_authorities(const struct config *config, struct buffer *found,
                              struct error *error)
{
    (void)found;
    return transport_check_authorities(config->relay.ca_file, error);
}

static bool check_schema(const struct config *config, struct buffer *found, struct error *error)
{
    const struct migrations_options options = {.conninfo = config->postgres.url,
                                               .schema = config->postgres.schema,
                                               .tables = config->tables};
    return migrations_run(&options, found, error);
}

static const struct step {
    unsigned bit;
    const char *name;
    bool (*run)(const struct config *config, struct buffer *found, struct error *error);
} steps[] = {
    {CHECK_AUTHORITIES, "relay.ca_file", check_authorities},
    {CHECK_RELAY, "relay.url", reach_relay},
    {CHECK_REDIS, "redis.url", reach_redis},
    {CHECK_POSTGRES, "postgres.url", reach_postgres},
    {CHECK_SCHEMA, "schema", check_schema},
};

static void check_run(uv_work_t *work)
{
    struct reload_check *check = work->data;
    struct buffer found = {0};
    check->is_good = true;
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]) && check->is_good; i++) {
        struct error why = {0};
        if ((check->what & steps[i].bit) != 0 && !steps[i].run(check->config, &found, &why)) {
            check->is_good = false;
            error_set(&check->error, why.kind, "%s: %s", steps[i].name, why.text);
        }
    }
    buffer_deinit(&found);
}

static void check_on_done(uv_work_t *work, int status)
{
    struct reload_check *check = work->data;
    check->is_running = false;
    if (status != 0) {
        check->is_good = false;
        error_set(&check->error, ERROR_CLOSED, "given up");
    }
    check->on_done(check->owner);
}

bool reload_check_start(struct reload_check *check, uv_loop_t *loop)
{
    check->work.data = check;
    check->is_running = uv_queue_work(loop, &check->work, check_run, check_on_done) == 0;
    return check->is_running;
}
