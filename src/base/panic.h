/*
 * Panic: a programmer's error or no memory. Every queue is bounded and delivery resumes from the
 * cursor, so dying at once is safe and the only honest answer.
 */
#ifndef BASE_PANIC_H
#define BASE_PANIC_H

#include <stddef.h>

/* Prints `what` and where, then aborts. */
void panic(const char *file, int line, const char *what) __attribute__((noreturn));

#define PANIC(what) panic(__FILE__, __LINE__, (what))
/* Kept in release builds: an assertion that is worth writing is worth checking. */
#define ASSERT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition))                                                                          \
            PANIC("assertion failed: " #condition);                                                \
    } while (0)

/* Allocation that never returns NULL; memory is zeroed. Free with free(). */
void *memory_allocate(size_t size) __attribute__((malloc, warn_unused_result));
/* Like realloc(), but never NULL; what is grown is not zeroed. */
void *memory_resize(void *memory, size_t size) __attribute__((warn_unused_result));
/* A copy of `text` on the heap, owned by the caller; NULL for NULL. */
char *memory_copy_string(const char *text) __attribute__((warn_unused_result));

#endif
