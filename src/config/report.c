/* What configuration looks like to people: --print, what a reload changes, the reference. */
#include <stddef.h>
#include <string.h>

#include "config/sources.h"
#include "config/urls.h"
#include "config/values.h"

/* The value, masked, with a zero byte behind it. */
static void append_masked(const struct config *config, const struct config_key *key,
                          struct buffer *out)
{
    struct buffer value = {0};
    config_value_format(config, key, &value);
    url_mask(buffer_slice(&value), out);
    buffer_append_byte(out, '\0');
    buffer_deinit(&value);
}

void config_each(const struct config *config,
                 void (*on_key)(void *owner, const struct config_shown *shown), void *owner)
{
    struct buffer value = {0};
    for (size_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        buffer_clear(&value);
        append_masked(config, key, &value);
        on_key(owner, &(struct config_shown){.section = key->section,
                                             .key = key->name,
                                             .value = value.data,
                                             .origin = config_origin(config, key),
                                             .apply = key->apply});
    }
    buffer_deinit(&value);
}

static void print_key(void *owner, const struct config_shown *shown)
{
    buffer_append_format(owner, "%s.%s = %s  ; %s\n", shown->section, shown->key, shown->value,
                         shown->origin);
}

void config_print(const struct config *config, struct buffer *out)
{
    config_each(config, print_key, out);
}

static bool is_same(const struct config *before, const struct config *after,
                    const struct config_key *key)
{
    struct buffer a = {0};
    struct buffer b = {0};
    config_value_format(before, key, &a);
    config_value_format(after, key, &b);
    bool same = slice_equals(buffer_slice(&a), buffer_slice(&b));
    buffer_deinit(&a);
    buffer_deinit(&b);
    return same;
}

static bool is_tables_file(const struct config_key *key)
{
    return key->offset == offsetof(struct config, postgres.tables_file);
}

void config_compare(const struct config *before, const struct config *after,
                    void (*on_change)(void *owner, const struct config_change *change), void *owner)
{
    for (size_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        struct buffer old_value = {0};
        struct buffer new_value = {0};
        bool is_described_anew = is_tables_file(key) && is_same(before, after, key) &&
                                 !config_same_tables(before->tables, after->tables);
        if (is_same(before, after, key) && !is_described_anew) {
            continue;
        }
        append_masked(before, key, &old_value);
        append_masked(after, key, &new_value);
        if (is_described_anew) {
            new_value.size--; /* the zero byte */
            buffer_append_string(&new_value, " (other tables than before)");
            buffer_append_byte(&new_value, '\0');
        }
        on_change(owner, &(struct config_change){.section = key->section,
                                                 .key = key->name,
                                                 .apply = key->apply,
                                                 .before = old_value.data,
                                                 .after = new_value.data});
        buffer_deinit(&old_value);
        buffer_deinit(&new_value);
    }
}

static void append_default(struct buffer *out, const struct config_key *key)
{
    bool is_empty = key->initial[0] == '\0';
    if (!is_empty) {
        buffer_append_format(out, "`%s`", key->initial);
    }
    if (key->initial_words != NULL) {
        buffer_append_format(out, is_empty ? "(%s)" : " (%s)", key->initial_words);
    }
}

static void append_names(struct buffer *out, const struct config_key *key)
{
    buffer_append_byte(out, '`');
    config_key_environment_name(key, out);
    buffer_append_byte(out, '`');
    if (key->legacy != NULL) {
        buffer_append_format(out, ", `%s`", key->legacy);
    }
}

static void append_row(struct buffer *out, const struct config_key *key)
{
    buffer_append_format(out, "| `%s` | ", key->name);
    append_default(out, key);
    buffer_append_string(out, " | ");
    config_key_allowed(key, out);
    buffer_append_format(out, " | %s | ", config_apply_name(key->apply));
    append_names(out, key);
    buffer_append_format(out, " | %s%s |\n", key->sentence,
                         key->is_secret ? " A password in it is masked wherever it is shown." : "");
}

static const char introduction[] =
    "# Configuration\n"
    "\n"
    "Written by `standpipe help configuration` from the table that the program itself reads.\n"
    "\n"
    "An INI file (`-c FILE`; without it /etc/standpipe/standpipe.conf, where that exists), then\n"
    "the environment, then `--set section.key=value`; the later wins. `standpipe check-config\n"
    "--print` shows every value and where it came from.\n"
    "\n"
    "- Each key has the variable `STANDPIPE_<SECTION>_<KEY>`; the names without that prefix are\n"
    "  those of the reference system, and ours win over them. `PORT` sets the port of\n"
    "  `http.listen`. A reference name that is set but empty counts as not set.\n"
    "- `<NAME>_FILE` names a file that holds the value, for secrets: its first line is the value.\n"
    "  Setting both is an error.\n"
    "- An unknown key, an unknown `STANDPIPE_` variable (but for those that Kubernetes sets for a\n"
    "  service of that name), a key that stands twice in the file, or a value that is not allowed\n"
    "  is an error; nothing is read past it.\n"
    "- In the file `#` or `;` starts a comment at the start of a line, and ` ;` after a value; a\n"
    "  value goes to the end of its line and is not quoted.\n"
    "- Sizes are bytes: `5242880`, `8 MiB`, `1 GiB`. Booleans are true or false.\n"
    "- On SIGHUP a changed key is felt *at once*, after a *reconnect* that the daemon makes by\n"
    "  itself, or not before a *restart*.\n";

static const char table_head[] =
    "| key | default | allowed | reload | environment | |\n|---|---|---|---|---|---|\n";

void config_reference(struct buffer *out)
{
    const char *section = "";
    buffer_append_string(out, introduction);
    for (size_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        if (strcmp(section, key->section) != 0) {
            buffer_append_format(out, "\n## [%s]\n\n%s", key->section, table_head);
        }
        section = key->section;
        append_row(out, key);
    }
}
