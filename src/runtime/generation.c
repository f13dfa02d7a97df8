#include "runtime/generation.h"

#include <stdlib.h>

#include "base/panic.h"
#include "config/sources.h"

enum {
    CA_FILE_LIMIT = 16 * 1024 * 1024
};

static void digest_authorities(struct generation *generation)
{
    struct buffer content = {0};
    struct error error;
    const char *path = generation->config.relay.ca_file;
    if (path != NULL && config_read_whole(path, CA_FILE_LIMIT, &content, &error)) {
        sha256_digest(buffer_slice(&content), generation->ca_digest);
    }
    buffer_deinit(&content);
}

struct generation *generation_create(struct config *config)
{
    struct generation *generation = memory_allocate(sizeof(*generation));
    generation->config = *config;
    generation->holders = 1;
    *config = (struct config){0};
    digest_authorities(generation);
    return generation;
}

struct generation *generation_hold(struct generation *generation)
{
    generation->holders++;
    return generation;
}

void generation_release(struct generation *generation)
{
    if (generation == NULL || --generation->holders > 0) {
        return;
    }
    config_deinit(&generation->config);
    free(generation);
}
