/* URLs: made whole, refused with a hint, and never shown with their password. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "config/urls.h"
#include "unit/test.h"

static void assert_relay(const char *given, const char *expected)
{
    struct buffer url = {0};
    struct error error = {0};
    if (!relay_url_normalize(slice_from_string(given), &url, &error)) {
        fail_msg("%s: %s", given, error.text);
    }
    buffer_append_byte(&url, '\0');
    assert_string_equal(url.data, expected);
    buffer_deinit(&url);
}

static void assert_relay_refused(const char *given, const char *hint)
{
    struct buffer url = {0};
    struct error error = {0};
    if (relay_url_normalize(slice_from_string(given), &url, &error)) {
        fail_msg("%s is taken", given);
    }
    if (strstr(error.text, hint) == NULL) {
        fail_msg("%s: %s", given, error.text);
    }
    buffer_deinit(&url);
}

#define XRPC "/xrpc/com.atproto.sync.subscribeRepos"

static void the_xrpc_path_is_added_where_it_is_missing(void **state)
{
    (void)state;
    assert_relay("wss://bsky.network", "wss://bsky.network" XRPC);
    assert_relay("wss://bsky.network/", "wss://bsky.network" XRPC);
    assert_relay("ws://127.0.0.1:3000", "ws://127.0.0.1:3000" XRPC);
    assert_relay("wss://host/behind/proxy", "wss://host/behind/proxy" XRPC);
    assert_relay("wss://host/xrpc", "wss://host" XRPC);
    assert_relay("wss://host/xrpc/", "wss://host" XRPC);
}

static void the_xrpc_path_is_never_added_twice(void **state)
{
    (void)state;
    assert_relay("wss://bsky.network" XRPC, "wss://bsky.network" XRPC);
    assert_relay("wss://bsky.network" XRPC "/", "wss://bsky.network" XRPC);
    assert_relay("wss://bsky.network" XRPC "//", "wss://bsky.network" XRPC);
}

static void one_relay_has_one_name_however_it_is_written(void **state)
{
    (void)state;
    assert_relay("WSS://BSKY.Network:443/", "wss://bsky.network" XRPC);
    assert_relay("ws://host:80", "ws://host" XRPC);
    assert_relay("wss://host:80", "wss://host:80" XRPC);
    assert_relay("ws://[::1]:3000", "ws://[::1]:3000" XRPC);
}

static void a_web_address_gets_the_hint_for_a_websocket(void **state)
{
    (void)state;
    assert_relay_refused("https://bsky.network", "write wss:// for https://");
    assert_relay_refused("HTTP://bsky.network", "ws:// for http://");
}

static void a_relay_url_that_cannot_work_is_refused(void **state)
{
    (void)state;
    assert_relay_refused("", "use ws:// or wss://");
    assert_relay_refused("bsky.network", "use ws:// or wss://");
    assert_relay_refused("wss://", "host or port is wrong");
    assert_relay_refused("wss://:443", "host or port is wrong");
    assert_relay_refused("wss://host:0", "host or port is wrong");
    assert_relay_refused("wss://host:65536", "host or port is wrong");
    assert_relay_refused("wss://host:https", "host or port is wrong");
    assert_relay_refused("wss://*.host", "host or port is wrong");
    assert_relay_refused("wss://[::1", "host or port is wrong");
    assert_relay_refused("wss://ho st", "blank");
    assert_relay_refused("wss://user:pw@host", "no user and no password");
    assert_relay_refused("wss://host/?cursor=1", "relay.cursor");
    assert_relay_refused("wss://host/#top", "no query");
}

static void a_redis_url_gives_all_its_parts(void **state)
{
    (void)state;
    struct redis_address address;
    struct error error;
    assert_true(
        redis_address_parse(&address, SLICE("redis://us%40er:p%3Aw@db.example:6380/7"), &error));
    assert_string_equal(address.host, "db.example");
    assert_string_equal(address.user, "us@er");
    assert_string_equal(address.password, "p:w");
    assert_int_equal(address.port, 6380);
    assert_int_equal(address.database, 7);
    assert_false(address.is_tls);
    redis_address_deinit(&address);
    assert_true(redis_address_parse(&address, SLICE("redis://:secret@[::1]"), &error));
    assert_string_equal(address.host, "::1");
    assert_null(address.user);
    assert_string_equal(address.password, "secret");
    assert_int_equal(address.port, 6379);
    redis_address_deinit(&address);
    assert_true(redis_address_parse(&address, SLICE("unix:///run/redis.sock?db=3"), &error));
    assert_string_equal(address.path, "/run/redis.sock");
    assert_null(address.host);
    assert_int_equal(address.database, 3);
    redis_address_deinit(&address);
}

static void a_redis_url_that_cannot_work_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "localhost:6379",
        "http://localhost",
        "redis://",
        "redis:///0",
        "redis://host:port",
        "redis://host:0",
        "redis://host/zero",
        "redis://host/-1",
        "redis://host/0?x=1",
        "redis://:p%2@host",
        "redis://:p%00@host",
        "redis://:p/w@host",
        "redis://a b",
        "unix://relative",
        "unix:///path?database=1",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct redis_address address;
        struct error error = {0};
        assert_case(!redis_address_parse(&address, slice_from_string(bad[i]), &error), bad[i]);
        assert_int_equal(error.kind, ERROR_USAGE);
        assert_null(strstr(error.text, "p%2"));
    }
}

static void a_postgres_url_is_read_by_libpq(void **state)
{
    (void)state;
    struct error error = {0};
    assert_true(postgres_url_check("postgresql://127.0.0.1:5432/standpipe", &error));
    assert_true(
        postgres_url_check("postgres://u:p@a:1,b:2/d?target_session_attrs=read-write", &error));
    assert_true(postgres_url_check("host=/run/postgresql dbname=standpipe", &error));
    assert_false(postgres_url_check("", &error));
    assert_false(postgres_url_check("standpipe", &error));
    assert_false(postgres_url_check("mysql://host/db", &error));
    assert_non_null(strstr(error.text, "use postgresql://"));
    assert_false(postgres_url_check("postgresql://host/db?sslmod=require", &error));
    assert_non_null(strstr(error.text, "sslmod"));
}

static void libpq_never_repeats_a_password_through_us(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "postgresql://user:sesame@[::1/db",
        "postgresql://user:sesame%00@host/db",
        "postgresql://user:sesame%zz@host/d",
        "postgresql//user:sesame@host/db",
        "mysql://user:sesame@host/db",
        "password='sesame",
        "host=a sesame",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct error error = {0};
        assert_false(postgres_url_check(bad[i], &error));
        assert_case(strstr(error.text, "sesame") == NULL, error.text);
    }
}

static void assert_masked(const char *given, const char *expected)
{
    struct buffer out = {0};
    url_mask(slice_from_string(given), &out);
    buffer_append_byte(&out, '\0');
    assert_string_equal(out.data, expected);
    buffer_deinit(&out);
}

static void a_password_is_masked_wherever_it_stands(void **state)
{
    (void)state;
    assert_masked("redis://user:secret@host:1/0", "redis://user:****@host:1/0");
    assert_masked("redis://:secret@host", "redis://:****@host");
    assert_masked("redis://secret@host", "redis://****@host");
    assert_masked("postgresql://user@host/db", "postgresql://user@host/db");
    assert_masked("postgresql://u:s@h/db?password=x&sslmode=require",
                  "postgresql://u:****@h/db?password=****&sslmode=require");
    assert_masked("host=a password=secret dbname=d", "host=a password=**** dbname=d");
    assert_masked("host=a PassWord = 'se cr\\'et@x' dbname=d", "host=a PassWord = **** dbname=d");
    assert_masked("password=se\\ cret dbname=d", "password=**** dbname=d");
    assert_masked("sslpassword=secret", "sslpassword=****");
    assert_masked("password=", "password=****");
    assert_masked("password", "password");
}

static void a_password_in_a_broken_url_is_masked_too(void **state)
{
    (void)state;
    assert_masked("redis://user:se/cr@et@host", "redis://user:****@host");
    assert_masked("redis:user:secret@host", "redis:****@host");
    assert_masked("postgresql//user:secret@host/db", "postgresql//user:****@host/db");
    assert_masked("user:secret@host", "user:****@host");
    assert_masked("", "");
    assert_masked("@", "****@");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_xrpc_path_is_added_where_it_is_missing),
        cmocka_unit_test(the_xrpc_path_is_never_added_twice),
        cmocka_unit_test(one_relay_has_one_name_however_it_is_written),
        cmocka_unit_test(a_web_address_gets_the_hint_for_a_websocket),
        cmocka_unit_test(a_relay_url_that_cannot_work_is_refused),
        cmocka_unit_test(a_redis_url_gives_all_its_parts),
        cmocka_unit_test(a_redis_url_that_cannot_work_is_refused),
        cmocka_unit_test(a_postgres_url_is_read_by_libpq),
        cmocka_unit_test(libpq_never_repeats_a_password_through_us),
        cmocka_unit_test(a_password_is_masked_wherever_it_stands),
        cmocka_unit_test(a_password_in_a_broken_url_is_masked_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
