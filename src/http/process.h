/*
 * Process: what this process uses, as /proc/self tells it.
 * Ownership: none. Threading: any. Source: proc(5).
 */
#ifndef HTTP_PROCESS_H
#define HTTP_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

struct process_usage {
    bool is_known; /* false: /proc could not be read */
    uint64_t cpu_us;
    uint64_t resident_bytes, virtual_bytes;
    uint64_t descriptors, descriptor_limit;
    uint64_t threads;
    int64_t start_us;              /* since 1970 */
    double machine_memory_percent; /* of the machine's memory, in use by anyone */
};

void process_usage_read(struct process_usage *usage);

#endif
