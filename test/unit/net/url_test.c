#include <string.h>

#include "unit/test.h"

#include "net/url.h"

static struct url parse(const char *text)
{
    struct url url;
    struct error error;
    if (!url_parse(&url, slice_from_string(text), &error)) {
        fail_msg("%s", error.text);
    }
    return url;
}

static void assert_refused(const char *text, const char *words)
{
    struct url url;
    struct error error = {0};
    assert_false(url_parse(&url, slice_from_string(text), &error));
    assert_int_equal(error.kind, ERROR_USAGE);
    if (strstr(error.text, words) == NULL) {
        fail_msg("'%s' has no '%s'", error.text, words);
    }
}

static void assert_text(const struct url *url, const char *expected)
{
    struct buffer out = {0};
    url_append(&out, url);
    assert_true(slice_equals(buffer_slice(&out), slice_from_string(expected)));
    buffer_deinit(&out);
}

static void a_whole_url_is_taken_apart(void **state)
{
    (void)state;
    struct url url = parse("wss://Relay1.US-West.example:8443/xrpc/x?cursor=5");
    assert_true(url.is_secure);
    assert_string_equal(url.host, "relay1.us-west.example");
    assert_int_equal(url.port, 8443);
    assert_string_equal(url.target, "/xrpc/x?cursor=5");
    assert_text(&url, "wss://relay1.us-west.example:8443/xrpc/x?cursor=5");
}

static void what_is_left_out_has_its_default(void **state)
{
    (void)state;
    struct url url = parse("ws://localhost");
    assert_false(url.is_secure);
    assert_int_equal(url.port, 80);
    assert_string_equal(url.target, "/");
    url = parse("WSS://localhost?a=b");
    assert_int_equal(url.port, 443);
    assert_string_equal(url.target, "/?a=b");
    assert_text(&url, "wss://localhost/?a=b");
}

static void an_ipv6_literal_loses_its_brackets_and_gets_them_back(void **state)
{
    (void)state;
    struct url url = parse("ws://[::1]:2470/x");
    assert_true(url.is_ipv6);
    assert_string_equal(url.host, "::1");
    assert_int_equal(url.port, 2470);
    assert_text(&url, "ws://[::1]:2470/x");
    assert_refused("ws://[::1/x", "bracketed IPv6");
    assert_refused("ws://[relay]/x", "bracketed IPv6");
    assert_refused("ws://[::1]2470/x", "port");
    assert_refused("ws://::1/x", "host");
}

static void what_is_no_websocket_url_is_refused(void **state)
{
    (void)state;
    assert_refused("", "ws://");
    assert_refused("relay.example", "ws://");
    assert_refused("https://relay.example", "ws://");
    assert_refused("ws://", "host name");
    assert_refused("ws://:80/", "host name");
    assert_refused("ws://a b/", "blanks");
    assert_refused("ws://a/x\r\nHost: b", "blanks");
    assert_refused("ws://a/\xc3\xa9", "blanks");
    assert_refused("ws://a/x#y", "fragment");
    assert_refused("ws://a%00b/", "host name");
    assert_refused("ws://a:0/", "port");
    assert_refused("ws://a:65536/", "port");
    assert_refused("ws://a:99999999999999999999/", "port");
    assert_refused("ws://a:8o/", "port");
    assert_refused("ws://a:/", "port");
}

static void a_password_is_refused_and_not_repeated(void **state)
{
    (void)state;
    struct url url;
    struct error error = {0};
    assert_false(url_parse(&url, SLICE("ws://me:secret@relay/"), &error));
    assert_null(strstr(error.text, "secret"));
}

static void the_longest_target_fits_and_one_byte_more_does_not(void **state)
{
    (void)state;
    char text[URL_TARGET_SIZE + 8];
    struct url url;
    struct error error;
    const struct slice prefix = SLICE("ws://h/");
    memset(text, 'a', sizeof(text));
    memcpy(text, prefix.data, prefix.size);
    size_t size = 6 + URL_TARGET_SIZE - 1;
    assert_true(url_parse(&url, slice_of(text, size), &error));
    assert_int_equal(strlen(url.target), URL_TARGET_SIZE - 1);
    assert_false(url_parse(&url, slice_of(text, size + 1), &error));
}

static void assert_resolves(const char *location, const char *expected)
{
    struct url url = parse("wss://relay.example:8443/xrpc/x?cursor=5");
    struct error error;
    if (!url_resolve(&url, &url, slice_from_string(location), &error)) {
        fail_msg("%s", error.text);
    }
    assert_text(&url, expected);
}

static void redirects_are_seen_from_the_url_before(void **state)
{
    (void)state;
    assert_resolves("https://other.example/y#z", "wss://other.example/y");
    assert_resolves("http://other.example:81", "ws://other.example:81/");
    assert_resolves("ws://other.example/", "ws://other.example/");
    assert_resolves("//other.example/y", "wss://other.example/y");
    assert_resolves("/y?a=b", "wss://relay.example:8443/y?a=b");
    assert_resolves("y", "wss://relay.example:8443/xrpc/y");
    assert_resolves("?a=b", "wss://relay.example:8443/xrpc/x?a=b");
    assert_resolves("/y?to=a:b", "wss://relay.example:8443/y?to=a:b");
}

static void redirects_to_elsewhere_are_refused(void **state)
{
    (void)state;
    const struct url base = parse("ws://relay/");
    struct url url = base;
    struct error error;
    assert_false(url_resolve(&url, &base, SLICE("ftp://relay/"), &error));
    assert_false(url_resolve(&url, &base, SLICE("javascript:alert(1)"), &error));
    assert_false(url_resolve(&url, &base, SLICE("/a b"), &error));
    assert_false(url_resolve(&url, &base, SLICE("http://me:secret@relay/"), &error));
    assert_text(&url, "ws://relay/");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_url_is_taken_apart),
        cmocka_unit_test(what_is_left_out_has_its_default),
        cmocka_unit_test(an_ipv6_literal_loses_its_brackets_and_gets_them_back),
        cmocka_unit_test(what_is_no_websocket_url_is_refused),
        cmocka_unit_test(a_password_is_refused_and_not_repeated),
        cmocka_unit_test(the_longest_target_fits_and_one_byte_more_does_not),
        cmocka_unit_test(redirects_are_seen_from_the_url_before),
        cmocka_unit_test(redirects_to_elsewhere_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
