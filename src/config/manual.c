/* standpipe.conf(5), from the table of keys. */
#include <string.h>

#include "base/roff.h"
#include "config/keys.h"

static const char head[] =
    ".TH STANDPIPE.CONF 5 \"\" standpipe \"File Formats\"\n"
    ".SH NAME\n"
    "standpipe.conf \\- configuration of standpipe\n"
    ".SH DESCRIPTION\n"
    "An INI file: sections in brackets, a \\fIkey = value\\fR a line. \\fB#\\fR or \\fB;\\fR "
    "starts a\n"
    "comment at the start of a line, and \\fB\\ ;\\fR after a value. A value goes to the end of "
    "its\n"
    "line and is not quoted. Sizes are bytes: 5242880, 8 MiB, 1 GiB. Booleans are true or false.\n"
    ".PP\n"
    "Environment variables win over the file, and \\fB\\-\\-set section.key=value\\fR wins over "
    "both.\n"
    "\\fIVARIABLE\\fB_FILE\\fR names a file whose first line is the value, for secrets. An unknown "
    "key,\n"
    "an unknown STANDPIPE_ variable and a value that is not allowed are errors; nothing is read "
    "past\n"
    "them. \\fBstandpipe check\\-config \\-\\-print\\fR shows every value and where it came from.\n"
    ".PP\n"
    "On SIGHUP a changed key is felt at once, after a reconnect that the daemon makes by itself, "
    "or\n"
    "not before a restart, as each key says.\n";

static const char tail[] = ".SH FILES\n.I /etc/standpipe/standpipe.conf\n"
                           ".SH \"SEE ALSO\"\n.BR standpipe (1)\n";

static void append_default(struct buffer *out, const struct config_key *key)
{
    buffer_append_string(out, "Default: ");
    roff_append_text(out, key->initial, false);
    if (key->initial_words != NULL) {
        buffer_append_string(out, key->initial[0] == '\0' ? "(" : " (");
        roff_append_text(out, key->initial_words, false);
        buffer_append_byte(out, ')');
    }
    buffer_append_string(out, ".\n");
}

static void append_allowed(struct buffer *out, const struct config_key *key)
{
    struct buffer words = {0};
    config_key_allowed(key, &words);
    buffer_append_byte(&words, '\0');
    buffer_append_string(out, "Allowed: ");
    roff_append_text(out, words.data, false);
    buffer_append_format(out, ". Changed: %s.\n", config_apply_name(key->apply));
    buffer_deinit(&words);
}

static void append_names(struct buffer *out, const struct config_key *key)
{
    buffer_append_string(out, "Environment: ");
    config_key_environment_name(key, out);
    if (key->legacy != NULL) {
        buffer_append_format(out, ", %s", key->legacy);
    }
    buffer_append_string(out, ".\n");
}

static void append_key(struct buffer *out, const struct config_key *key)
{
    buffer_append_format(out, ".TP\n.B %s\n", key->name);
    roff_append_line(out, key->sentence);
    buffer_append_string(out, ".br\n");
    append_default(out, key);
    append_allowed(out, key);
    append_names(out, key);
}

void config_manual(struct buffer *out)
{
    const char *section = "";
    buffer_append_string(out, head);
    for (size_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        if (strcmp(section, key->section) != 0) {
            buffer_append_format(out, ".SH \"[%s]\"\n", key->section);
        }
        section = key->section;
        append_key(out, key);
    }
    buffer_append_string(out, tail);
}
