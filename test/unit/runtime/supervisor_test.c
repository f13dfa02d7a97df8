/* The notify protocol, on sockets of both kinds. */
#include "runtime/supervisor.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "unit/test.h"

/* A receiver in the abstract space; the kernel names it. */
static int receiver(char *name, size_t size)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(descriptor >= 0);
    const struct sockaddr *any = (const struct sockaddr *)(const void *)&address;
    assert_int_equal(bind(descriptor, any, sizeof(address.sun_family)), 0);
    socklen_t length = sizeof(address);
    assert_int_equal(getsockname(descriptor, (struct sockaddr *)(void *)&address, &length), 0);
    (void)snprintf(name, size, "@%s", address.sun_path + 1);
    return descriptor;
}

static void a_message_reaches_an_abstract_socket(void **state)
{
    (void)state;
    char name[128];
    char text[64] = "";
    int descriptor = receiver(name, sizeof(name));
    struct supervisor supervisor;
    assert_true(supervisor_init(&supervisor, name, NULL, NULL));
    assert_true(supervisor_listens(&supervisor));
    supervisor_tell(&supervisor, "READY=%d", 1);
    assert_int_equal(recv(descriptor, text, sizeof(text) - 1, 0), 7);
    assert_string_equal(text, "READY=1");
    supervisor_deinit(&supervisor);
    (void)close(descriptor);
}

static void without_a_socket_nothing_is_told(void **state)
{
    (void)state;
    struct supervisor supervisor;
    assert_true(supervisor_init(&supervisor, NULL, "1000000", NULL));
    assert_false(supervisor_listens(&supervisor));
    supervisor_tell(&supervisor, "READY=1");
    supervisor_deinit(&supervisor);
}

static void a_name_that_is_no_address_is_refused(void **state)
{
    (void)state;
    char long_name[200] = "/";
    memset(long_name + 1, 'x', sizeof(long_name) - 2);
    long_name[sizeof(long_name) - 1] = '\0';
    const char *const names[] = {"relative", "vsock:2:1234", "/", "@", long_name};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct supervisor supervisor;
        assert_false(supervisor_init(&supervisor, names[i], NULL, NULL));
        assert_false(supervisor_listens(&supervisor));
    }
}

static void the_watchdog_is_for_the_process_that_is_named(void **state)
{
    (void)state;
    char name[128];
    char pid[32];
    int descriptor = receiver(name, sizeof(name));
    struct supervisor supervisor;
    (void)snprintf(pid, sizeof(pid), "%d", getpid());
    assert_true(supervisor_init(&supervisor, name, "2000000", pid));
    assert_int_equal(supervisor.watchdog_ms, 2000);
    supervisor_deinit(&supervisor);
    assert_true(supervisor_init(&supervisor, name, "2000000", "1"));
    assert_int_equal(supervisor.watchdog_ms, 0);
    supervisor_deinit(&supervisor);
    (void)close(descriptor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_reaches_an_abstract_socket),
        cmocka_unit_test(without_a_socket_nothing_is_told),
        cmocka_unit_test(a_name_that_is_no_address_is_refused),
        cmocka_unit_test(the_watchdog_is_for_the_process_that_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
