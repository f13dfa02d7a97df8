#include "release.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"

enum {
    US_PER_SECOND = 1000000,
    MAX_STARTS = 4000,
    CLOCK_MAGIC = 0x5245
};

/* A mapped file: whatever kills this process, the kernel keeps what was written. `starts` say from
 * which frame on times count from where, so that the same history can be made again. */
struct clock_page {
    int64_t magic;
    int64_t released;
    int64_t start_count;
    struct {
        int64_t index;
        int64_t time_us;
    } starts[MAX_STARTS];
};

static bool map_page(struct release *release, const char *path, struct error *error)
{
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    void *page = MAP_FAILED;
    if (file >= 0 && ftruncate(file, sizeof(struct clock_page)) == 0) {
        page = mmap(NULL, sizeof(struct clock_page), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    }
    if (file >= 0) {
        (void)close(file);
    }
    if (page == MAP_FAILED) {
        error_set(error, ERROR_USAGE, "%s: the clock file cannot be used: %s", path,
                  strerror(errno));
        return false;
    }
    release->page = page;
    return true;
}

static bool restore(struct release *release, const char *path, struct error *error)
{
    struct clock_page *page = release->page;
    bool is_new = page->magic == 0;
    if (!is_new && (page->magic != CLOCK_MAGIC || page->start_count > MAX_STARTS)) {
        error_set(error, ERROR_USAGE, "%s: this is no clock file", path);
        return false;
    }
    page->magic = CLOCK_MAGIC;
    for (int64_t i = 0; i < page->start_count; i++) {
        store_extend(release->store, page->starts[i].index);
        store_move_time(release->store, page->starts[i].time_us);
    }
    store_extend(release->store, page->released);
    release->released = page->released;
    if (page->start_count == MAX_STARTS) {
        return true; /* times lag behind from now on; nothing else changes */
    }
    page->starts[page->start_count].index = page->released;
    page->starts[page->start_count].time_us = clock_wall_us();
    store_move_time(release->store, page->starts[page->start_count].time_us);
    page->start_count++;
    return true;
}

static bool open_log(struct release *release, const char *path, struct error *error)
{
    release->log = fopen(path, "we");
    if (release->log == NULL) {
        error_set(error, ERROR_USAGE, "%s: cannot be written: %s", path, strerror(errno));
    }
    return release->log != NULL;
}

bool release_init(struct release *release, struct store *store, const struct options *options,
                  struct error *error)
{
    const char *clock_file = options->clock_file;
    *release = (struct release){.store = store, .rate = options->rate};
    if (clock_file != NULL &&
        (!map_page(release, clock_file, error) || !restore(release, clock_file, error))) {
        return false;
    }
    if (options->release_log != NULL && !open_log(release, options->release_log, error)) {
        return false;
    }
    release->anchor = release->released;
    release->anchor_us = store_is_endless(store) ? clock_monotonic_us() : 0;
    return true;
}

void release_deinit(struct release *release)
{
    if (release->page != NULL) {
        (void)munmap(release->page, sizeof(*release->page));
    }
    if (release->log != NULL) {
        (void)fclose(release->log); /* a measurement that lost its end is seen by who reads it */
    }
}

static void move_to(struct release *release, int64_t released)
{
    bool is_endless = store_is_endless(release->store);
    if (!is_endless && released > store_end(release->store)) {
        released = store_end(release->store);
    }
    store_extend(release->store, released);
    if (release->log != NULL && released > release->released) {
        (void)fprintf(release->log, "%lld %lld\n", (long long)released, (long long)clock_wall_us());
    }
    release->released = released;
    if (release->page != NULL) {
        release->page->released = released;
    }
}

void release_start(struct release *release)
{
    if (release->anchor_us == 0) {
        release->anchor_us = clock_monotonic_us();
    }
}

void release_tick(struct release *release)
{
    if (release->rate == 0 || release->anchor_us == 0) {
        return;
    }
    uint64_t now_us = clock_monotonic_us();
    uint64_t elapsed_us = now_us - release->anchor_us;
    move_to(release, release->anchor +
                         (int64_t)((double)elapsed_us * (double)release->rate / US_PER_SECOND));
    if (elapsed_us < US_PER_SECOND) {
        return;
    }
    /* Whole seconds only, so that no fraction of a frame is ever lost. */
    release->anchor += (int64_t)(elapsed_us / US_PER_SECOND) * release->rate;
    release->anchor_us += elapsed_us / US_PER_SECOND * US_PER_SECOND;
}

void release_reach(struct release *release, int64_t index)
{
    if (index <= release->released) {
        return;
    }
    move_to(release, index);
    release->anchor = index;
    release->anchor_us = clock_monotonic_us();
}

bool release_allows(struct release *release, int64_t index)
{
    if (release->rate > 0) {
        return index < release->released;
    }
    store_extend(release->store, index + 1);
    return index < store_end(release->store);
}
