#include "http/api.h"

#include "config/keys.h"
#include "http/json_out.h"

struct keys {
    struct buffer *out;
    const char *separator;
};

static void append_key(void *owner, const struct config_shown *shown)
{
    struct keys *keys = owner;
    buffer_append_format(keys->out, "%s{\"key\":\"%s.%s\"", keys->separator, shown->section,
                         shown->key);
    json_out_text(keys->out, ",\"value\":", shown->value);
    json_out_text(keys->out, ",\"origin\":", shown->origin);
    json_out_text(keys->out, ",\"reload\":", config_apply_name(shown->apply));
    buffer_append_byte(keys->out, '}');
    keys->separator = ",";
}

void api_config(struct buffer *out, const struct config *config)
{
    struct keys keys = {.out = out, .separator = ""};
    buffer_append_string(out, "{\"items\":[");
    config_each(config, append_key, &keys);
    buffer_append_string(out, "]}\n");
}
