#include "config/cores.h"

#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LINE_SIZE = 1024,
    PATH_SIZE = 4096
};

/* The first line of a file, cut at `size`; false where it cannot be read. */
static bool read_line(const char *path, char *line, int size)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    bool is_read = fgets(line, size, file) != NULL;
    (void)fclose(file);
    return is_read;
}

static unsigned whole_cores(long long quota_us, long long period_us)
{
    if (quota_us <= 0 || period_us <= 0) {
        return 0;
    }
    return (unsigned)((quota_us + period_us - 1) / period_us);
}

/* cpu.max: "200000 100000" or "max 100000" */
static unsigned quota_v2(const char *folder)
{
    char path[PATH_SIZE + LINE_SIZE];
    char line[LINE_SIZE];
    (void)snprintf(path, sizeof(path), "%s/cpu.max", folder);
    if (!read_line(path, line, sizeof(line)) || strncmp(line, "max", 3) == 0) {
        return 0;
    }
    char *rest = NULL;
    long long quota_us = strtoll(line, &rest, 10);
    return whole_cores(quota_us, strtoll(rest, NULL, 10));
}

static unsigned quota_v1(const char *folder)
{
    char path[PATH_SIZE + LINE_SIZE];
    char quota[LINE_SIZE];
    char period[LINE_SIZE];
    (void)snprintf(path, sizeof(path), "%s/cpu.cfs_quota_us", folder);
    if (!read_line(path, quota, sizeof(quota))) {
        return 0;
    }
    (void)snprintf(path, sizeof(path), "%s/cpu.cfs_period_us", folder);
    if (!read_line(path, period, sizeof(period))) {
        return 0;
    }
    return whole_cores(strtoll(quota, NULL, 10), strtoll(period, NULL, 10));
}

static unsigned lesser(unsigned a, unsigned b)
{
    if (a == 0 || b == 0) {
        return a > b ? a : b;
    }
    return a < b ? a : b;
}

/* The least quota of the group at `mount` + `group` and of all above it. In a container the group's
 * own path may not be visible; its files then lie at the mount. */
static unsigned quota_upwards(const char *mount, const char *group,
                              unsigned (*read_quota)(const char *folder))
{
    char folder[PATH_SIZE];
    unsigned least = 0;
    size_t mount_size = strlen(mount);
    if ((size_t)snprintf(folder, sizeof(folder), "%s%s", mount, group) >= sizeof(folder)) {
        return 0;
    }
    for (;;) {
        least = lesser(least, read_quota(folder));
        char *slash = strrchr(folder, '/');
        if (slash == NULL || (size_t)(slash - folder) < mount_size) {
            return least;
        }
        *slash = '\0';
    }
}

/* Whether the comma list `controllers` names cpu. */
static bool has_cpu(const char *controllers)
{
    for (const char *at = controllers; at != NULL; at = strchr(at, ',')) {
        at += *at == ',' ? 1 : 0;
        if (strncmp(at, "cpu", 3) == 0 && (at[3] == '\0' || at[3] == ',')) {
            return true;
        }
    }
    return false;
}

/* One line of /proc/self/cgroup: "0::/path" (v2) or "4:cpu,cpuacct:/path" (v1). */
static unsigned quota_of_line(const char *root, char *line)
{
    char mount[PATH_SIZE];
    char *controllers = strchr(line, ':');
    char *group = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
    if (group == NULL) {
        return 0;
    }
    *group++ = '\0';
    controllers++;
    group[strcspn(group, "\n")] = '\0';
    if (*controllers == '\0') {
        (void)snprintf(mount, sizeof(mount), "%s/sys/fs/cgroup", root);
        return quota_upwards(mount, group, quota_v2);
    }
    if (!has_cpu(controllers)) {
        return 0;
    }
    (void)snprintf(mount, sizeof(mount), "%s/sys/fs/cgroup/cpu", root);
    return quota_upwards(mount, group, quota_v1);
}

unsigned cores_quota(const char *root)
{
    char path[PATH_SIZE];
    char line[PATH_SIZE];
    unsigned least = 0;
    (void)snprintf(path, sizeof(path), "%s/proc/self/cgroup", root);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return 0;
    }
    while (fgets(line, sizeof(line), file) != NULL) {
        least = lesser(least, quota_of_line(root, line));
    }
    (void)fclose(file);
    return least;
}

unsigned cores_allowed(void)
{
    cpu_set_t *set = NULL;
    unsigned cores = 0;
    /* The kernel refuses a set smaller than its own, so grow until it fits. */
    for (int cpus = 1024; cpus <= 1024 * 1024 && cores == 0; cpus *= 2) {
        size_t size = CPU_ALLOC_SIZE(cpus);
        set = CPU_ALLOC(cpus);
        if (set != NULL && sched_getaffinity(0, size, set) == 0) {
            cores = (unsigned)CPU_COUNT_S(size, set);
        }
        CPU_FREE(set);
    }
    cores = lesser(cores, cores_quota(""));
    return cores > 0 ? cores : 1;
}
