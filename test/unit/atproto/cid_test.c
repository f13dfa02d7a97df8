#include "unit/test.h"

#include "atproto/cid.h"
#include "unit/atproto/cbor_writer.h"

static void a_blessed_cid_is_36_bytes_and_59_characters(void **state)
{
    (void)state;
    char bytes[CID_SIZE];
    struct slice cid = make_cid(SLICE("\xa0"), bytes); /* the empty map */
    struct buffer text = {0};
    assert_true(cid_is_blessed(cid));
    cid_append_text(&text, cid);
    assert_true(slice_equals(buffer_slice(&text),
                             SLICE("bafyreigbtj4x7ip5legnfznufuopl4sg4knzc2cof6duas4b3q2fy6swua")));
    buffer_deinit(&text);
}

static void version_0_is_base58(void **state)
{
    (void)state;
    struct buffer cid = {0};
    struct buffer text = {0};
    cbor_put_hex(&cid, "1220c3c4733ec8affd06cf9e9ff50ffc6bcd2ec85a6170004bb709669c31de94391a");
    assert_true(cid_is_well_formed(buffer_slice(&cid)));
    assert_false(cid_is_blessed(buffer_slice(&cid)));
    cid_append_text(&text, buffer_slice(&cid));
    assert_true(
        slice_equals(buffer_slice(&text), SLICE("QmbWqxBEKC3P8tqsKc98xmWNzrzDtRLMiMPL8wBuTGsMnR")));
    buffer_deinit(&cid);
    buffer_deinit(&text);
}

static void other_codecs_and_hashes_are_well_formed_but_not_blessed(void **state)
{
    (void)state;
    struct slice identity = SLICE("\x01\x55\x00\x02hi");
    assert_true(cid_is_well_formed(identity));
    assert_false(cid_is_blessed(identity));
    assert_int_equal(cid_prefix_size(SLICE("\x01\x55\x00\x02hi and more")), identity.size);
    assert_true(cid_is_well_formed(SLICE("\x01\xa9\x02\x00\x00")));
}

static void what_is_no_cid_is_refused(void **state)
{
    (void)state;
    static const struct slice bad[] = {
        SLICE(""),
        SLICE("\x01"),
        SLICE("\x02\x55\x00\x00"),
        SLICE("\x01\x55\x00\x03hi"),   /* the digest is cut */
        SLICE("\x01\x55\x00\x02hi!"),  /* something follows */
        SLICE("\x01\x80\x00\x00\x00"), /* a varint that is not minimal */
        SLICE("\x01\x55\x12\x7f"),
        SLICE("\x12\x20short"),
        SLICE("\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00\x00"), /* more than 63 bits */
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(cid_is_well_formed(bad[i]));
    }
    char huge[4 + 200] = "\x01\x55\x00";
    huge[3] = (char)0xc8; /* 200 in two bytes */
    huge[4] = 1;
    assert_false(cid_is_well_formed(slice_of(huge, sizeof(huge))));
}

static void the_text_of_a_cid_is_base32_of_a_whole_one(void **state)
{
    static const char *const bad[] = {
        "",
        "b",
        "password1",
        "bafyreigbtj4x7ip5legnfznufuopl4sg4knzc2cof6duas4b3q2fy6swu", /* cut */
        "bafyreigbtj4x7ip5legnfznufuopl4sg4knzc2cof6duas4b3q2fy6swub", /* bits beyond the last byte */
        "bafyreigbtj4x7ip5legnfznufuopl4sg4knzc2cof6duas4b3q2fy6swuaa", /* a digit too many */
        "BAFYREIGBTJ4X7IP5LEGNFZNUFUOPL4SG4KNZC2COF6DUAS4B3Q2FY6SWUA",
        "afyreigbtj4x7ip5legnfznufuopl4sg4knzc2cof6duas4b3q2fy6swua",
        "bafyreigbtj4x7ip5legnfznufuopl4sg4knzc2cof6duas4b3q2fy6sw1a",
        "QmbWqxBEKC3P8tqsKc98xmWNzrzDtRLMiMPL8wBuTGsMnR",
        "bciqmhrdth3ek77igz6pj75ip7rv42lwiljqxaaclw4ewnhbr32kdsgq", /* of version 0 */
    };
    (void)state;
    assert_true(cid_is_text(SLICE("bafyreigbtj4x7ip5legnfznufuopl4sg4knzc2cof6duas4b3q2fy6swua")));
    assert_true(cid_is_text(SLICE("bafkqaatine"))); /* identity of two bytes */
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(cid_is_text(slice_from_string(bad[i])));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_blessed_cid_is_36_bytes_and_59_characters),
        cmocka_unit_test(version_0_is_base58),
        cmocka_unit_test(other_codecs_and_hashes_are_well_formed_but_not_blessed),
        cmocka_unit_test(what_is_no_cid_is_refused),
        cmocka_unit_test(the_text_of_a_cid_is_base32_of_a_whole_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
