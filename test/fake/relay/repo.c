#include "repo.h"

#include <stdlib.h>
#include <string.h>

#include "base/panic.h"

void repo_deinit(struct repo *repo)
{
    repo_clear(repo);
    free(repo->records);
    buffer_deinit(&repo->commit_block);
}

const char *repo_status_name(enum repo_status status)
{
    static const char *const names[] = {
        [REPO_UNBORN] = "unborn",           [REPO_ACTIVE] = "active",
        [REPO_DEACTIVATED] = "deactivated", [REPO_SUSPENDED] = "suspended",
        [REPO_TAKENDOWN] = "takendown",     [REPO_DELETED] = "deleted",
    };
    return names[status];
}

bool repo_is_hidden(const struct repo *repo)
{
    return repo->status != REPO_UNBORN && repo->status != REPO_ACTIVE;
}

void repo_add_record(struct repo *repo, const struct live_record *record)
{
    if (repo->record_count == repo->record_capacity) {
        repo->record_capacity = repo->record_capacity == 0 ? 16 : 2 * repo->record_capacity;
        repo->records =
            memory_resize(repo->records, repo->record_capacity * sizeof(*repo->records));
    }
    repo->records[repo->record_count++] = *record;
}

void repo_remove_record(struct repo *repo, size_t index)
{
    ASSERT(index < repo->record_count);
    free(repo->records[index].block);
    repo->records[index] = repo->records[--repo->record_count];
}

void repo_clear(struct repo *repo)
{
    while (repo->record_count > 0) {
        repo_remove_record(repo, repo->record_count - 1);
    }
    repo->has_head = false;
}

size_t repo_find_kind(const struct repo *repo, enum record_kind kind)
{
    size_t index = 0;
    while (index < repo->record_count && repo->records[index].kind != kind) {
        index++;
    }
    return index;
}

void live_record_key(const struct live_record *record, char *text)
{
    if (record_is_self(record->kind)) {
        memcpy(text, "self", sizeof("self"));
    } else {
        tid_format(record->tid, text);
    }
}
