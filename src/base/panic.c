#include "base/panic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void panic(const char *file, int line, const char *what)
{
    (void)fprintf(stderr, "standpipe: panic: %s:%d: %s\n", file, line, what);
    abort();
}

void *memory_allocate(size_t size)
{
    void *memory = calloc(1, size > 0 ? size : 1);
    if (memory == NULL) {
        PANIC("out of memory");
    }
    return memory;
}

void *memory_resize(void *memory, size_t size)
{
    void *resized = realloc(memory, size > 0 ? size : 1);
    if (resized == NULL) {
        PANIC("out of memory");
    }
    return resized;
}

char *memory_copy_string(const char *text)
{
    if (text == NULL) {
        return NULL;
    }
    size_t size = strlen(text) + 1;
    return memcpy(memory_allocate(size), text, size);
}
