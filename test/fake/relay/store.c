#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/panic.h"
#include "cbor.h"

enum {
    LENGTH_BYTES = 4,
    WRITE_BYTES = 1 << 20
};

struct store {
    /* a file */
    char *mapping;
    size_t mapping_size;
    size_t *offsets; /* of the frames' first bytes */
    uint32_t *sizes;
    int64_t *sequences;
    size_t capacity;
    /* an endless history */
    struct history *history;
    struct buffer *window; /* frame i is in slot i % window_size */
    uint32_t window_size;
    int64_t first_sequence;
    /* both */
    int64_t end;
};

static uint32_t read_length(const char *bytes)
{
    const uint8_t *byte = (const uint8_t *)bytes;
    return byte[0] | (uint32_t)byte[1] << 8 | (uint32_t)byte[2] << 16 | (uint32_t)byte[3] << 24;
}

static void add_frame(struct store *store, size_t offset, uint32_t size)
{
    size_t count = (size_t)store->end;
    if (count == store->capacity) {
        store->capacity = count == 0 ? 1024 : 2 * count;
        store->offsets = memory_resize(store->offsets, store->capacity * sizeof(*store->offsets));
        store->sizes = memory_resize(store->sizes, store->capacity * sizeof(*store->sizes));
        store->sequences =
            memory_resize(store->sequences, store->capacity * sizeof(*store->sequences));
    }
    struct frame_sequence found;
    bool has_sequence = cbor_find_sequence(slice_of(store->mapping + offset, size), &found);
    int64_t before = count == 0 ? 0 : store->sequences[count - 1];
    store->offsets[count] = offset;
    store->sizes[count] = size;
    store->sequences[count] = has_sequence ? found.value : before;
    store->end++;
}

static bool index_frames(struct store *store, const char *path, struct error *error)
{
    size_t at = 0;
    while (store->mapping_size - at >= LENGTH_BYTES) {
        uint32_t size = read_length(store->mapping + at);
        at += LENGTH_BYTES;
        if (size > store->mapping_size - at) {
            break;
        }
        add_frame(store, at, size);
        at += size;
    }
    if (at == store->mapping_size) {
        return true;
    }
    error_set(error, ERROR_USAGE, "%s: byte %zu: expected [u32 little-endian length][frame]...",
              path, at);
    return false;
}

static bool map_file(struct store *store, const char *path, struct error *error)
{
    struct stat status;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    bool is_open = file >= 0 && fstat(file, &status) == 0 && S_ISREG(status.st_mode);
    store->mapping = MAP_FAILED;
    if (is_open && status.st_size > 0) {
        store->mapping_size = (size_t)status.st_size;
        store->mapping = mmap(NULL, store->mapping_size, PROT_READ, MAP_PRIVATE, file, 0);
    }
    if (file >= 0) {
        (void)close(file);
    }
    if (store->mapping != MAP_FAILED) {
        return true;
    }
    store->mapping = NULL;
    error_set(error, ERROR_USAGE, "%s: expected a file of frames: %s", path, strerror(errno));
    return false;
}

struct store *store_open_file(const char *path, struct error *error)
{
    struct store *store = memory_allocate(sizeof(*store));
    if (map_file(store, path, error) && index_frames(store, path, error)) {
        return store;
    }
    store_close(store);
    return NULL;
}

struct store *store_open_endless(struct history *history, int64_t first_sequence, uint32_t window)
{
    struct store *store = memory_allocate(sizeof(*store));
    store->history = history;
    store->first_sequence = first_sequence;
    store->window_size = window;
    store->window = memory_allocate(window * sizeof(*store->window));
    return store;
}

void store_close(struct store *store)
{
    if (store->mapping != NULL) {
        (void)munmap(store->mapping, store->mapping_size);
    }
    for (uint32_t i = 0; i < store->window_size; i++) {
        buffer_deinit(&store->window[i]);
    }
    if (store->history != NULL) {
        history_destroy(store->history);
    }
    free(store->window);
    free(store->offsets);
    free(store->sizes);
    free(store->sequences);
    free(store);
}

bool store_is_endless(const struct store *store)
{
    return store->history != NULL;
}

void store_extend(struct store *store, int64_t end)
{
    while (store->history != NULL && store->end < end) {
        struct buffer *slot = &store->window[store->end % store->window_size];
        buffer_clear(slot);
        (void)history_next(store->history, slot);
        store->end++;
    }
}

void store_move_time(struct store *store, int64_t time_us)
{
    if (store->history != NULL) {
        history_move_time(store->history, time_us);
    }
}

int64_t store_begin(const struct store *store)
{
    bool has_forgotten = store->history != NULL && store->end > store->window_size;
    return has_forgotten ? store->end - store->window_size : 0;
}

int64_t store_end(const struct store *store)
{
    return store->end;
}

struct slice store_frame(const struct store *store, int64_t index)
{
    ASSERT(index >= store_begin(store) && index < store->end);
    if (store->history != NULL) {
        return buffer_slice(&store->window[index % store->window_size]);
    }
    return slice_of(store->mapping + store->offsets[index], store->sizes[index]);
}

int64_t store_sequence(const struct store *store, int64_t index)
{
    return store->history != NULL ? store->first_sequence + index : store->sequences[index];
}

int64_t store_find_after(const struct store *store, int64_t sequence)
{
    int64_t low = store_begin(store);
    int64_t high = store->end;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (store_sequence(store, middle) <= sequence) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool write_all(int file, struct slice bytes)
{
    while (bytes.size > 0) {
        ssize_t written = write(file, bytes.data, bytes.size);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            return false;
        }
        bytes = slice_skip(bytes, (size_t)written);
    }
    return true;
}

static void append_frame(struct buffer *out, struct history *history)
{
    size_t start = out->size;
    static const char room[LENGTH_BYTES];
    buffer_append(out, room, LENGTH_BYTES);
    (void)history_next(history, out);
    uint32_t size = (uint32_t)(out->size - start - LENGTH_BYTES);
    for (int i = 0; i < LENGTH_BYTES; i++) {
        out->data[start + (size_t)i] = (char)(size >> (8 * i));
    }
}

bool store_write_file(struct history *history, int64_t count, const char *path, struct error *error)
{
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    struct buffer out = {0};
    bool is_written = file >= 0;
    for (int64_t i = 0; i < count && is_written; i++) {
        append_frame(&out, history);
        if (out.size < WRITE_BYTES && i + 1 < count) {
            continue;
        }
        is_written = write_all(file, buffer_slice(&out));
        buffer_clear(&out);
    }
    if (file >= 0 && close(file) != 0) {
        is_written = false;
    }
    buffer_deinit(&out);
    if (!is_written) {
        error_set(error, ERROR_USAGE, "%s: frames could not be written: %s", path, strerror(errno));
    }
    return is_written;
}
