/* Cores: the cgroup's quota, read from trees made for the test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "config/cores.h"

static char root[] = "/tmp/standpipe-cores-XXXXXX";

static int make_root(void **state)
{
    (void)state;
    (void)snprintf(root, sizeof(root), "/tmp/standpipe-cores-XXXXXX");
    return mkdtemp(root) == NULL ? -1 : 0;
}

static int remove_root(void **state)
{
    char command[128];
    (void)state;
    (void)snprintf(command, sizeof(command), "rm -r '%s'", root);
    return system(command); // NOLINT(bugprone-command-processor,cert-env33-c): our own folder
}

/* Writes `text` to root/path and makes the folders on the way. */
static void put(const char *path, const char *text)
{
    char full[512];
    (void)snprintf(full, sizeof(full), "%s/%s", root, path);
    for (char *at = full + sizeof(root); *at != '\0'; at++) {
        if (*at != '/') {
            continue;
        }
        *at = '\0';
        (void)mkdir(full, 0700);
        *at = '/';
    }
    FILE *file = fopen(full, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void without_cgroups_there_is_no_quota(void **state)
{
    (void)state;
    assert_int_equal(cores_quota(root), 0);
}

static void a_quota_of_version_2_is_rounded_up(void **state)
{
    (void)state;
    put("proc/self/cgroup", "0::/app\n");
    put("sys/fs/cgroup/app/cpu.max", "150000 100000\n");
    assert_int_equal(cores_quota(root), 2);
    put("sys/fs/cgroup/app/cpu.max", "10000 100000\n");
    assert_int_equal(cores_quota(root), 1);
}

static void max_is_no_quota(void **state)
{
    (void)state;
    put("proc/self/cgroup", "0::/app\n");
    put("sys/fs/cgroup/app/cpu.max", "max 100000\n");
    assert_int_equal(cores_quota(root), 0);
}

static void the_tightest_group_above_us_counts(void **state)
{
    (void)state;
    put("proc/self/cgroup", "0::/a/b/c\n");
    put("sys/fs/cgroup/a/b/c/cpu.max", "max 100000\n");
    put("sys/fs/cgroup/a/b/cpu.max", "800000 100000\n");
    put("sys/fs/cgroup/a/cpu.max", "300000 100000\n");
    assert_int_equal(cores_quota(root), 3);
}

static void a_container_that_does_not_see_its_own_path_finds_the_files_at_the_mount(void **state)
{
    (void)state;
    put("proc/self/cgroup", "4:cpuacct,cpu:/docker/0123\n2:memory:/docker/0123\n");
    put("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "400000\n");
    put("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    assert_int_equal(cores_quota(root), 4);
}

static void version_1_says_no_quota_with_minus_one(void **state)
{
    (void)state;
    put("proc/self/cgroup", "4:cpu:/\n");
    put("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
    put("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    assert_int_equal(cores_quota(root), 0);
}

static void cpuset_is_not_the_cpu_controller(void **state)
{
    (void)state;
    put("proc/self/cgroup", "4:cpuset:/\n");
    put("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "100000\n");
    put("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    assert_int_equal(cores_quota(root), 0);
}

static void nonsense_is_no_quota(void **state)
{
    (void)state;
    put("proc/self/cgroup", "nonsense\n0::/app\n");
    put("sys/fs/cgroup/app/cpu.max", "lots\n");
    assert_int_equal(cores_quota(root), 0);
}

static void this_machine_has_at_least_one_core(void **state)
{
    (void)state;
    assert_true(cores_allowed() >= 1);
}

#define QUOTA_TEST(test) cmocka_unit_test_setup_teardown(test, make_root, remove_root)

int main(void)
{
    const struct CMUnitTest tests[] = {
        QUOTA_TEST(without_cgroups_there_is_no_quota),
        QUOTA_TEST(a_quota_of_version_2_is_rounded_up),
        QUOTA_TEST(max_is_no_quota),
        QUOTA_TEST(the_tightest_group_above_us_counts),
        QUOTA_TEST(a_container_that_does_not_see_its_own_path_finds_the_files_at_the_mount),
        QUOTA_TEST(version_1_says_no_quota_with_minus_one),
        QUOTA_TEST(cpuset_is_not_the_cpu_controller),
        QUOTA_TEST(nonsense_is_no_quota),
        cmocka_unit_test(this_machine_has_at_least_one_core),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
