/* Slices, buffers, arenas, lists and encodings: where bytes and objects are held. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/encoding.h"
#include "base/list.h"
#include "base/slice.h"

#define KIB (size_t)1024
#define MIB (1024 * KIB)

static void slices_compare_as_bytes_and_the_shorter_prefix_first(void **state)
{
    (void)state;
    assert_true(slice_compare(SLICE("a"), SLICE("b")) < 0);
    assert_true(slice_compare(SLICE("Z"), SLICE("a")) < 0);
    assert_true(slice_compare(SLICE("\xff"), SLICE("a")) > 0);
    assert_true(slice_compare(SLICE("ab"), SLICE("abc")) < 0);
    assert_true(slice_compare(SLICE("abc"), SLICE("ab")) > 0);
    assert_int_equal(slice_compare(SLICE(""), slice_of(NULL, 0)), 0);
    assert_true(slice_compare(slice_of(NULL, 0), SLICE("a")) < 0);
}

static void an_empty_slice_needs_no_bytes_behind_it(void **state)
{
    (void)state;
    assert_true(slice_equals(slice_of(NULL, 0), SLICE("")));
    assert_true(slice_starts_with(slice_of(NULL, 0), SLICE("")));
    assert_false(slice_starts_with(SLICE("a"), SLICE("ab")));
    assert_true(slice_starts_with(SLICE("ab"), SLICE("a")));
    assert_int_equal(slice_from_string(NULL).size, 0);
    assert_true(slice_equals(slice_skip(SLICE("abc"), 3), SLICE("")));
}

static void a_buffer_grows_and_keeps_what_it_has(void **state)
{
    (void)state;
    struct buffer buffer = {0};
    for (int i = 0; i < 10000; i++) {
        buffer_append_byte(&buffer, (char)('a' + i % 26));
    }
    assert_int_equal(buffer.size, 10000);
    for (int i = 0; i < 10000; i++) {
        assert_int_equal(buffer.data[i], 'a' + i % 26);
    }
    buffer_append(&buffer, NULL, 0);
    assert_int_equal(buffer.size, 10000);
    buffer_deinit(&buffer);
    assert_null(buffer.data);
}

static void a_cleared_buffer_keeps_its_memory_and_a_shrunk_one_gives_it_back(void **state)
{
    (void)state;
    struct buffer buffer = {0};
    (void)buffer_reserve(&buffer, 5000);
    size_t capacity = buffer.capacity;
    buffer_append_string(&buffer, "text");
    buffer_clear(&buffer);
    assert_int_equal(buffer.size, 0);
    assert_int_equal(buffer.capacity, capacity);
    buffer_shrink(&buffer, capacity);
    assert_int_equal(buffer.capacity, capacity);
    buffer_shrink(&buffer, capacity - 1);
    assert_int_equal(buffer.capacity, 0);
    buffer_deinit(&buffer);
}

static void a_recycled_buffer_gives_back_what_it_does_not_need_and_only_that(void **state)
{
    (void)state;
    struct buffer buffer = {0};
    (void)buffer_reserve(&buffer, 8000);
    size_t capacity = buffer.capacity;
    buffer.size = capacity / 4;
    buffer_recycle(&buffer, 1000);
    assert_int_equal(buffer.size, 0);
    assert_int_equal(buffer.capacity, capacity);
    buffer.size = capacity / 4 - 1;
    buffer_recycle(&buffer, capacity);
    assert_int_equal(buffer.capacity, capacity);
    buffer.size = capacity / 4 - 1;
    buffer_recycle(&buffer, capacity - 1);
    assert_int_equal(buffer.size, 0);
    assert_int_equal(buffer.capacity, 0);
    buffer_recycle(&buffer, 0);
    assert_null(buffer.data);
}

static void a_buffer_prints_numbers_and_formats_of_any_length(void **state)
{
    (void)state;
    struct buffer buffer = {0};
    buffer_append_int64(&buffer, INT64_MIN);
    buffer_append_byte(&buffer, ' ');
    buffer_append_int64(&buffer, INT64_MAX);
    buffer_append_byte(&buffer, ' ');
    buffer_append_int64(&buffer, 0);
    assert_true(
        slice_equals(buffer_slice(&buffer), SLICE("-9223372036854775808 9223372036854775807 0")));
    buffer_clear(&buffer);
    buffer_append_format(&buffer, "%1000d|", 7);
    buffer_append_format(&buffer, "%s", "end");
    assert_int_equal(buffer.size, 1004);
    assert_memory_equal(buffer.data + 999, "7|end", 5);
    buffer_deinit(&buffer);
}

static void what_is_consumed_leaves_and_the_rest_moves_to_the_front(void **state)
{
    (void)state;
    struct buffer buffer = {0};
    buffer_append_string(&buffer, "abcdef");
    buffer_consume(&buffer, 0);
    buffer_consume(&buffer, 2);
    assert_true(slice_equals(buffer_slice(&buffer), SLICE("cdef")));
    buffer_consume(&buffer, 4);
    assert_int_equal(buffer.size, 0);
    buffer_deinit(&buffer);
}

static void an_arena_gives_aligned_memory_that_does_not_overlap(void **state)
{
    (void)state;
    struct arena arena = {0};
    unsigned char *pieces[64];
    for (size_t i = 0; i < 64; i++) {
        pieces[i] = arena_allocate(&arena, i * 97);
        assert_int_equal((uintptr_t)pieces[i] % 16, 0);
        memset(pieces[i], (int)i, i * 97);
    }
    for (size_t i = 0; i < 64; i++) {
        for (size_t k = 0; k < i * 97; k++) {
            assert_int_equal(pieces[i][k], i);
        }
    }
    arena_deinit(&arena);
    assert_int_equal(arena.allocated, 0);
}

static size_t kept_after(struct arena *arena, size_t size)
{
    assert_non_null(arena_allocate(arena, size));
    arena_reset(arena);
    return arena->allocated;
}

static void an_arena_gives_a_large_chunk_back_after_a_small_use(void **state)
{
    (void)state;
    struct arena arena = {0};
    assert_int_equal(kept_after(&arena, MIB / 2), MIB / 2);
    assert_int_equal(kept_after(&arena, MIB / 8), MIB / 2);
    assert_int_equal(kept_after(&arena, MIB / 8 - 16), 0);
    assert_int_equal(kept_after(&arena, MIB / 8), MIB / 8);
    assert_int_equal(kept_after(&arena, 1), MIB / 8);
    arena_deinit(&arena);
}

static void an_arena_holds_what_is_larger_than_any_chunk(void **state)
{
    (void)state;
    struct arena arena = {0};
    char *large = arena_allocate(&arena, 3 * MIB);
    large[0] = 'a';
    large[3 * MIB - 1] = 'z';
    arena_reset(&arena);
    assert_int_equal(arena.allocated, 0); /* over 1 MiB is not kept */
    arena_deinit(&arena);
}

static void a_reset_arena_keeps_one_chunk_of_at_most_a_mebibyte(void **state)
{
    (void)state;
    struct arena arena = {0};
    for (int i = 0; i < 100; i++) {
        assert_non_null(arena_allocate(&arena, 64 * KIB));
    }
    assert_true(arena.allocated >= 100 * (64 * KIB));
    arena_reset(&arena);
    assert_true(arena.allocated <= MIB);
    arena_reset(&arena);
    arena_deinit(&arena);
    arena_reset(&arena);
}

static void a_copy_in_an_arena_ends_with_a_zero_byte(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct slice copy = arena_copy(&arena, SLICE("abc"));
    assert_string_equal(copy.data, "abc");
    assert_int_equal(copy.size, 3);
    assert_string_equal(arena_copy(&arena, slice_of(NULL, 0)).data, "");
    arena_deinit(&arena);
}

struct item {
    int number;
    struct list node;
};

static void a_list_keeps_order_and_gives_its_first(void **state)
{
    (void)state;
    struct list head;
    struct item items[3] = {{.number = 1}, {.number = 2}, {.number = 3}};
    list_init(&head);
    assert_true(list_is_empty(&head));
    assert_null(list_take_first(&head));
    for (int i = 0; i < 3; i++) {
        list_append(&head, &items[i].node);
    }
    int expected = 1;
    LIST_FOREACH (node, &head)
        assert_int_equal(LIST_ENTRY(node, struct item, node)->number, expected++);
    assert_ptr_equal(list_take_first(&head), &items[0].node);
    assert_ptr_equal(list_take_first(&head), &items[1].node);
    assert_ptr_equal(list_take_first(&head), &items[2].node);
    assert_true(list_is_empty(&head));
}

static void a_node_may_leave_while_its_list_is_walked_and_twice(void **state)
{
    (void)state;
    struct list head;
    struct item items[4] = {{.number = 1}, {.number = 2}, {.number = 3}, {.number = 4}};
    list_init(&head);
    for (int i = 0; i < 4; i++) {
        list_append(&head, &items[i].node);
    }
    LIST_FOREACH_SAFE (node, following, &head) {
        if (LIST_ENTRY(node, struct item, node)->number % 2 == 0) {
            list_remove(node);
        }
    }
    list_remove(&items[1].node);
    assert_ptr_equal(head.next, &items[0].node);
    assert_ptr_equal(head.next->next, &items[2].node);
    assert_ptr_equal(head.previous, &items[2].node);
}

/* RFC 4648 part 10, padding left out; base32 in lower case. */
static const struct {
    const char *text;
    const char *base64;
    const char *base32;
} vectors[] = {
    {"", "", ""},
    {"f", "Zg", "my"},
    {"fo", "Zm8", "mzxq"},
    {"foo", "Zm9v", "mzxw6"},
    {"foob", "Zm9vYg", "mzxw6yq"},
    {"fooba", "Zm9vYmE", "mzxw6ytb"},
    {"foobar", "Zm9vYmFy", "mzxw6ytboi"},
};

static void base64_and_base32_write_the_vectors_of_the_rfc(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        struct buffer out = {0};
        base64_append(&out, slice_from_string(vectors[i].text));
        assert_true(slice_equals(buffer_slice(&out), slice_from_string(vectors[i].base64)));
        buffer_clear(&out);
        base32_append(&out, slice_from_string(vectors[i].text));
        assert_true(slice_equals(buffer_slice(&out), slice_from_string(vectors[i].base32)));
        buffer_deinit(&out);
    }
}

static void base64_is_read_with_and_without_padding(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        struct buffer out = {0};
        struct buffer padded = {0};
        assert_true(base64_decode(&out, slice_from_string(vectors[i].base64)));
        assert_true(slice_equals(buffer_slice(&out), slice_from_string(vectors[i].text)));
        buffer_append_string(&padded, vectors[i].base64);
        while (padded.size % 4 != 0) {
            buffer_append_byte(&padded, '=');
        }
        buffer_clear(&out);
        assert_true(base64_decode(&out, buffer_slice(&padded)));
        assert_true(slice_equals(buffer_slice(&out), slice_from_string(vectors[i].text)));
        buffer_deinit(&padded);
        buffer_deinit(&out);
    }
}

static void base64_that_is_none_leaves_the_buffer_as_it_was(void **state)
{
    (void)state;
    static const char *const bad[] = {"A", "AAAAA", "Zg!", "Zg=g", "Z\ng", "Zg-_", "Z\xc3\xa9g"};
    struct buffer out = {0};
    buffer_append_string(&out, "kept");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(base64_decode(&out, slice_from_string(bad[i])));
        assert_true(slice_equals(buffer_slice(&out), SLICE("kept")));
    }
    buffer_deinit(&out);
}

static void every_byte_survives_base64(void **state)
{
    (void)state;
    char bytes[256];
    struct buffer text = {0};
    struct buffer back = {0};
    for (int i = 0; i < 256; i++) {
        bytes[i] = (char)i;
    }
    for (size_t size = 0; size <= 256; size++) {
        buffer_clear(&text);
        buffer_clear(&back);
        base64_append(&text, slice_of(bytes, size));
        assert_true(base64_decode(&back, buffer_slice(&text)));
        assert_true(slice_equals(buffer_slice(&back), slice_of(bytes, size)));
    }
    buffer_deinit(&text);
    buffer_deinit(&back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slices_compare_as_bytes_and_the_shorter_prefix_first),
        cmocka_unit_test(an_empty_slice_needs_no_bytes_behind_it),
        cmocka_unit_test(a_buffer_grows_and_keeps_what_it_has),
        cmocka_unit_test(a_cleared_buffer_keeps_its_memory_and_a_shrunk_one_gives_it_back),
        cmocka_unit_test(a_recycled_buffer_gives_back_what_it_does_not_need_and_only_that),
        cmocka_unit_test(an_arena_gives_a_large_chunk_back_after_a_small_use),
        cmocka_unit_test(a_buffer_prints_numbers_and_formats_of_any_length),
        cmocka_unit_test(what_is_consumed_leaves_and_the_rest_moves_to_the_front),
        cmocka_unit_test(an_arena_gives_aligned_memory_that_does_not_overlap),
        cmocka_unit_test(an_arena_holds_what_is_larger_than_any_chunk),
        cmocka_unit_test(a_reset_arena_keeps_one_chunk_of_at_most_a_mebibyte),
        cmocka_unit_test(a_copy_in_an_arena_ends_with_a_zero_byte),
        cmocka_unit_test(a_list_keeps_order_and_gives_its_first),
        cmocka_unit_test(a_node_may_leave_while_its_list_is_walked_and_twice),
        cmocka_unit_test(base64_and_base32_write_the_vectors_of_the_rfc),
        cmocka_unit_test(base64_is_read_with_and_without_padding),
        cmocka_unit_test(base64_that_is_none_leaves_the_buffer_as_it_was),
        cmocka_unit_test(every_byte_survives_base64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
