#include "unit/test.h"

#include "ingest/subscription_url.h"

static void assert_url(const char *url, int64_t cursor, const char *expected)
{
    struct buffer out = {0};
    subscription_url_append(&out, url, cursor);
    assert_string_equal(out.data, expected);
    buffer_deinit(&out);
}

static void a_cursor_is_added_once_whatever_the_query(void **state)
{
    (void)state;
    assert_url("wss://a/x", 7, "wss://a/x?cursor=7");
    assert_url("wss://a/x?", 7, "wss://a/x?cursor=7");
    assert_url("wss://a/x?b=c", 7, "wss://a/x?b=c&cursor=7");
    assert_url("wss://a/x?cursor=1", 7, "wss://a/x?cursor=7");
    assert_url("wss://a/x?cursor=1&b=c&cursor", 0, "wss://a/x?b=c&cursor=0");
    assert_url("wss://a/x?cursors=1", 9007199254740991,
               "wss://a/x?cursors=1&cursor=9007199254740991");
}

static void live_has_no_cursor(void **state)
{
    (void)state;
    assert_url("wss://a/x", -1, "wss://a/x");
    assert_url("wss://a/x?cursor=1&b=c", -1, "wss://a/x?b=c");
}

static void only_wss_is_secure(void **state)
{
    (void)state;
    assert_true(subscription_url_is_secure("WSS://a"));
    assert_false(subscription_url_is_secure("ws://a"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cursor_is_added_once_whatever_the_query),
        cmocka_unit_test(live_has_no_cursor),
        cmocka_unit_test(only_wss_is_secure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
