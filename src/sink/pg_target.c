#include "sink/pg_target.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/panic.h"
#include "sink/pg_failure.h"

#include <libpq-fe.h>

enum {
    KEYWORDS_MAX = 96
};

struct pg_conninfo {
    PQconninfoOption *options;
};

static const char *option_value(const PQconninfoOption *options, const char *keyword)
{
    for (const PQconninfoOption *o = options; o->keyword != NULL; o++) {
        if (strcmp(o->keyword, keyword) == 0) {
            return o->val;
        }
    }
    return NULL;
}

/* The `index`th part of a comma list on the heap, empty where there is none; where the list has one part
 * and `repeats` is set, that one for every index (libpq's rule for ports). */
static char *list_part(const char *list, unsigned index, bool repeats)
{
    if (list == NULL) {
        return memory_copy_string("");
    }
    if (repeats && strchr(list, ',') == NULL) {
        return memory_copy_string(list);
    }
    for (; index > 0; index--) {
        list = strchr(list, ',');
        if (list == NULL) {
            return memory_copy_string("");
        }
        list++;
    }
    char *part = memory_copy_string(list);
    part[strcspn(part, ",")] = '\0';
    return part;
}

static unsigned list_count(const char *list)
{
    unsigned count = 1;
    for (; list != NULL && *list != '\0'; list++) {
        count += *list == ',';
    }
    return count;
}

static void target_init(struct pg_target *target, const PQconninfoOption *options, unsigned index)
{
    char *address = list_part(option_value(options, "hostaddr"), index, false);
    target->port = list_part(option_value(options, "port"), index, true);
    target->has_address = *address != '\0';
    if (target->has_address) {
        target->host = address;
        return;
    }
    free(address);
    target->host = list_part(option_value(options, "host"), index, false);
    bool is_path = *target->host == '/' || *target->host == '@';
    target->needs_address = *target->host != '\0' && !is_path;
}

bool pg_targets_init(struct pg_targets *targets, const char *conninfo, struct error *error)
{
    char *message = NULL;
    *targets = (struct pg_targets){0};
    PQconninfoOption *options = PQconninfoParse(conninfo, &message);
    if (options == NULL) {
        error_set(error, ERROR_USAGE, "postgres.url: not a libpq conninfo: %s",
                  message != NULL ? message : "no memory");
        PQfreemem(message);
        return false;
    }
    targets->parsed = memory_allocate(sizeof(*targets->parsed));
    targets->parsed->options = options;
    const char *hosts = option_value(options, "hostaddr");
    targets->count = list_count(hosts != NULL ? hosts : option_value(options, "host"));
    if (targets->count > PG_TARGETS_MAX) {
        targets->count = PG_TARGETS_MAX;
    }
    for (unsigned i = 0; i < targets->count; i++) {
        target_init(&targets->list[i], options, i);
    }
    return true;
}

void pg_targets_deinit(struct pg_targets *targets)
{
    for (unsigned i = 0; i < targets->count; i++) {
        free(targets->list[i].host);
        free(targets->list[i].port);
    }
    if (targets->parsed != NULL) {
        PQconninfoFree(targets->parsed->options);
    }
    free(targets->parsed);
    *targets = (struct pg_targets){0};
}

struct keywords {
    const char *names[KEYWORDS_MAX + 1];
    const char *values[KEYWORDS_MAX + 1];
    unsigned count;
};

static void keywords_add(struct keywords *keywords, const char *name, const char *value)
{
    if (value == NULL || *value == '\0') {
        return;
    }
    ASSERT(keywords->count < KEYWORDS_MAX);
    keywords->names[keywords->count] = name;
    keywords->values[keywords->count++] = value;
}

static void keywords_add_default(struct keywords *keywords, const PQconninfoOption *options,
                                 const char *name, const char *value)
{
    if (option_value(options, name) == NULL) {
        keywords_add(keywords, name, value);
    }
}

/* libpq would print it, past the log; a server has things to say from the first byte on (collation versions). */
static void on_notice(void *context, const PGresult *native)
{
    struct pg_failure notice;
    (void)context;
    pg_failure_of_result(&notice, native);
    log_debug("postgres", "notice", LOG_TEXT("sqlstate", notice.sqlstate),
              LOG_TEXT("text", notice.text));
}

struct pg_conn *pg_target_start(const struct pg_targets *targets, const struct pg_target *target,
                                const char *address, const char *application_name)
{
    struct keywords keywords = {.count = 0};
    const PQconninfoOption *options = targets->parsed->options;
    for (const PQconninfoOption *o = options; o->keyword != NULL; o++) {
        bool is_ours = strcmp(o->keyword, "host") == 0 || strcmp(o->keyword, "hostaddr") == 0 ||
                       strcmp(o->keyword, "port") == 0 ||
                       strcmp(o->keyword, "client_encoding") == 0;
        if (!is_ours) {
            keywords_add(&keywords, o->keyword, o->val);
        }
    }
    if (target->has_address) {
        keywords_add(&keywords, "hostaddr", target->host);
    } else {
        keywords_add(&keywords, "host", target->host);
        keywords_add(&keywords, "hostaddr", address);
    }
    keywords_add(&keywords, "port", target->port);
    keywords_add(&keywords, "client_encoding", "UTF8");
    keywords_add_default(&keywords, options, "application_name", application_name);
    keywords_add_default(&keywords, options, "keepalives_idle", "30");
    keywords_add_default(&keywords, options, "keepalives_interval", "10");
    keywords_add_default(&keywords, options, "keepalives_count", "3");
    keywords_add_default(&keywords, options, "tcp_user_timeout", "30000");
    PGconn *native = PQconnectStartParams(keywords.names, keywords.values, 0);
    if (native != NULL) {
        (void)PQsetNoticeReceiver(native, on_notice, NULL); /* returns the old one */
    }
    return native;
}
