#include "http/process.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    US_PER_S = 1000000,
    STAT_SIZE = 1024,
    LINE_SIZE = 256
};

/* The text of a small file of /proc; empty where it cannot be read. */
static void read_small(const char *path, char *text, size_t size)
{
    FILE *file = fopen(path, "re");
    size_t length = 0;
    if (file != NULL) {
        length = fread(text, 1, size - 1, file);
        (void)fclose(file);
    }
    text[length] = '\0';
}

/* Field 3 and on of /proc/self/stat; the name before them may hold blanks and brackets. */
static bool read_stat(struct process_usage *usage, uint64_t *start_ticks)
{
    char text[STAT_SIZE];
    uint64_t user = 0;
    uint64_t system = 0;
    uint64_t resident_pages = 0;
    read_small("/proc/self/stat", text, sizeof(text));
    const char *fields = strrchr(text, ')');
    if (fields == NULL ||
        /* NOLINTNEXTLINE(bugprone-unchecked-string-to-number-conversion,cert-err34-c): the kernel's */
        sscanf(fields + 1,
               " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64
               " %*d %*d %*d %*d %" SCNu64 " %*d %" SCNu64 " %" SCNu64 " %" SCNu64,
               &user, &system, &usage->threads, start_ticks, &usage->virtual_bytes,
               &resident_pages) != 6) {
        return false;
    }
    uint64_t ticks = (uint64_t)sysconf(_SC_CLK_TCK);
    usage->cpu_us = (user + system) * US_PER_S / ticks;
    usage->resident_bytes = resident_pages * (uint64_t)sysconf(_SC_PAGESIZE);
    return true;
}

/* Seconds since 1970 at which the machine started. */
static uint64_t boot_seconds(void)
{
    char line[LINE_SIZE];
    uint64_t seconds = 0;
    FILE *file = fopen("/proc/stat", "re");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL &&
           sscanf(line, "btime %" SCNu64, &seconds) != 1) { /* NOLINT(cert-err34-c) */
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return seconds;
}

static uint64_t count_descriptors(void)
{
    uint64_t count = 0;
    DIR *folder = opendir("/proc/self/fd");
    if (folder == NULL) {
        return 0;
    }
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        count += entry->d_name[0] != '.';
    }
    (void)closedir(folder);
    return count > 0 ? count - 1 : 0; /* the folder's own */
}

static double machine_memory_percent(void)
{
    char line[LINE_SIZE];
    uint64_t total = 0;
    uint64_t available = 0;
    FILE *file = fopen("/proc/meminfo", "re");
    while (file != NULL && available == 0 && fgets(line, sizeof(line), file) != NULL) {
        (void)sscanf(line, "MemTotal: %" SCNu64, &total);         /* NOLINT(cert-err34-c) */
        (void)sscanf(line, "MemAvailable: %" SCNu64, &available); /* NOLINT(cert-err34-c) */
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return total == 0 ? 0 : 100.0 - 100.0 * (double)available / (double)total;
}

void process_usage_read(struct process_usage *usage)
{
    struct rlimit limit = {0};
    uint64_t start_ticks = 0;
    *usage = (struct process_usage){0};
    if (!read_stat(usage, &start_ticks)) {
        return;
    }
    usage->is_known = true;
    usage->descriptors = count_descriptors();
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        usage->descriptor_limit = limit.rlim_cur;
    }
    usage->start_us = (int64_t)(boot_seconds() * US_PER_S +
                                start_ticks * US_PER_S / (uint64_t)sysconf(_SC_CLK_TCK));
    usage->machine_memory_percent = machine_memory_percent();
}
