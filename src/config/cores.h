/*
 * Cores: how many threads can really run at once: affinity, cut by the cgroup's quota.
 * Sources: sched_getaffinity(2); Linux admin-guide cgroup-v2 (cpu.max), cgroup-v1 sched-bwc.
 */
#ifndef CONFIG_CORES_H
#define CONFIG_CORES_H

/* At least 1. A quota of one and a half cores counts as two: half a thread cannot be had. */
unsigned cores_allowed(void);
/* The quota alone, found below `root` ("" is the machine's own root); 0: there is none. */
unsigned cores_quota(const char *root);

#endif
