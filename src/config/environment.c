#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/panic.h"
#include "config/sources.h"
#include "config/text.h"

enum {
    SECRET_LIMIT = 64 * 1024,
    ORIGIN_SIZE = 4096
};

static const struct slice prefix = {.data = "STANDPIPE_", .size = 10};

/* The value of `name` in the environment, or NULL. */
static const char *look_up(const char *const *environment, struct slice name)
{
    for (; environment != NULL && *environment != NULL; environment++) {
        struct slice entry = slice_from_string(*environment);
        if (slice_starts_with(entry, name) && entry.data[name.size] == '=') {
            return entry.data + name.size + 1;
        }
    }
    return NULL;
}

/* Reads the value from the file that `<name>_FILE` names; the last newline is dropped. */
static bool assign_from_file(struct config *config, const struct config_key *key, const char *name,
                             const char *path, struct error *error)
{
    char origin[ORIGIN_SIZE];
    struct buffer text = {0};
    struct error why;
    (void)snprintf(origin, sizeof(origin), "%s (environment %s_FILE)", path, name);
    bool is_good = config_read_whole(path, SECRET_LIMIT, &text, &why);
    if (!is_good) {
        error_set(error, ERROR_USAGE, "environment %s_FILE: %s: give a readable file", name,
                  why.text);
    } else {
        buffer_append_byte(&text, '\0');
        text.data[strcspn(text.data, "\r\n")] = '\0';
        is_good = config_assign(config, key, text.data, origin, error);
    }
    buffer_deinit(&text);
    return is_good;
}

/* PORT keeps the address of http.listen and sets its port. */
static char *listen_with_port(const struct config *config, const char *port)
{
    struct buffer listen = {0};
    struct slice current = slice_from_string(config->http.listen);
    size_t colon = text_find_last(current, ':');
    if (colon < current.size) {
        buffer_append(&listen, current.data, colon);
    } else {
        buffer_append_string(&listen, "0.0.0.0");
    }
    buffer_append_format(&listen, ":%s", port);
    buffer_append_byte(&listen, '\0');
    return listen.data;
}

static bool assign_value(struct config *config, const struct config_key *key, const char *name,
                         const char *value, struct error *error)
{
    char origin[ORIGIN_SIZE];
    (void)snprintf(origin, sizeof(origin), "environment %s", name);
    if (key->type != KEY_LISTEN || strcmp(name, "PORT") != 0) {
        return config_assign(config, key, value, origin, error);
    }
    char *listen = listen_with_port(config, value);
    bool is_good = config_assign(config, key, listen, origin, error);
    free(listen);
    return is_good;
}

/* Takes `name` or `<name>_FILE`, not both. `may_be_empty`: an empty value is a value. */
static bool read_variable(struct config *config, const struct config_key *key, const char *name,
                          bool may_be_empty, const char *const *environment, struct error *error)
{
    struct buffer file_name = {0};
    buffer_append_format(&file_name, "%s_FILE", name);
    const char *value = look_up(environment, slice_from_string(name));
    const char *path = look_up(environment, buffer_slice(&file_name));
    buffer_deinit(&file_name);
    if (value != NULL && *value == '\0' && !may_be_empty) {
        value = NULL;
    }
    if (path != NULL && *path == '\0') {
        path = NULL;
    }
    if (value != NULL && path != NULL) {
        error_set(error, ERROR_USAGE, "environment: %s and %s_FILE are both set: keep one", name,
                  name);
        return false;
    }
    if (path != NULL) {
        return assign_from_file(config, key, name, path, error);
    }
    return value == NULL || assign_value(config, key, name, value, error);
}

/* Kubernetes describes each service of the namespace in every container's environment
 * (STANDPIPE_SERVICE_HOST, STANDPIPE_PORT_5000_TCP_ADDR...): where the service is called standpipe,
 * those are no keys of ours and no fault of the operator. */
static bool is_kubernetes_service(struct slice name, struct slice value)
{
    char text[256];
    (void)snprintf(text, sizeof(text), "%.*s", SLICE_ARGS(name));
    const char *port = strstr(text, "_PORT");
    bool has_service =
        strstr(text, "_SERVICE_HOST") != NULL || strstr(text, "_SERVICE_PORT") != NULL;
    bool is_port = port != NULL && (strstr(port, "_TCP") != NULL || strstr(port, "_UDP") != NULL ||
                                    strstr(port, "_SCTP") != NULL);
    bool is_link =
        port != NULL && port[sizeof("_PORT") - 1] == '\0' &&
        (slice_starts_with(value, SLICE("tcp://")) || slice_starts_with(value, SLICE("udp://")) ||
         slice_starts_with(value, SLICE("sctp://")));
    return has_service || is_port || is_link;
}

static bool is_known(struct slice name)
{
    bool is_found = false;
    for (size_t i = 0; i < config_key_count && !is_found; i++) {
        struct buffer known = {0};
        config_key_environment_name(&config_keys[i], &known);
        is_found = slice_equals(buffer_slice(&known), name);
        buffer_append_string(&known, "_FILE");
        is_found = is_found || slice_equals(buffer_slice(&known), name);
        buffer_deinit(&known);
    }
    return is_found;
}

static bool check_names(const char *const *environment, struct error *error)
{
    for (; environment != NULL && *environment != NULL; environment++) {
        struct slice entry = slice_from_string(*environment);
        size_t equals = text_find(entry, '=');
        struct slice name = slice_of(entry.data, equals);
        if (!slice_starts_with(name, prefix) || equals == entry.size || is_known(name) ||
            is_kubernetes_service(name, slice_skip(entry, equals + 1))) {
            continue;
        }
        error_set(error, ERROR_USAGE,
                  "environment %.*s: no key has this name: use STANDPIPE_<SECTION>_<KEY> "
                  "(see `standpipe help configuration`), or unset it",
                  SLICE_ARGS(name));
        return false;
    }
    return true;
}

/* The reference system's names first, so that our own win over them. */
bool config_read_environment(struct config *config, const char *const *environment,
                             struct error *error)
{
    bool is_good = check_names(environment, error);
    for (size_t i = 0; i < config_key_count && is_good; i++) {
        if (config_keys[i].legacy != NULL) {
            is_good = read_variable(config, &config_keys[i], config_keys[i].legacy, false,
                                    environment, error);
        }
    }
    for (size_t i = 0; i < config_key_count && is_good; i++) {
        struct buffer name = {0};
        config_key_environment_name(&config_keys[i], &name);
        buffer_append_byte(&name, '\0');
        is_good = read_variable(config, &config_keys[i], name.data, true, environment, error);
        buffer_deinit(&name);
    }
    return is_good;
}
