/* A configuration file: it is taken whole, printed and given back, or one line says what is wrong. */
#include "fuzz/fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

#include "config/config.h"

static void note_change(void *owner, const struct config_change *change)
{
    (void)owner;
    FUZZ_HOLDS(change->before != NULL && change->after != NULL);
}

static void check(struct config *config)
{
    struct buffer text = {0};
    config_print(config, &text);
    FUZZ_HOLDS(text.size > 0);
    config_relay_host(config, &text);
    config_compare(config, config, note_change, NULL);
    buffer_deinit(&text);
    config_deinit(config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const environment[] = {NULL};
    char path[64];
    struct config config;
    struct error error = {0};
    int file = memfd_create("standpipe.conf", 0);
    FUZZ_HOLDS(file >= 0 && write(file, data, size) == (ssize_t)size);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
    if (config_load(&config, &(struct config_arguments){.file = path, .environment = environment},
                    &error)) {
        check(&config);
    } else {
        FUZZ_HOLDS(error.text[0] != '\0');
    }
    (void)close(file);
    return 0;
}
