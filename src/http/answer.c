#include "http/answer.h"

#include <stdlib.h>

#include "atproto/json.h"
#include "base/panic.h"
#include "http/http.h"

struct http_answer {
    struct list node;          /* in the server's list */
    struct response *response; /* NULL: nobody waits */
    struct buffer items;
    bool is_full;
};

enum {
    FRAME_BYTES = 64 /* what stands around the items */
};

struct http_answer *answer_create(struct response *response, struct list *answers)
{
    unsigned outstanding = 0;
    LIST_FOREACH (node, answers) {
        outstanding++;
    }
    if (outstanding >= ANSWERS_MAX) {
        return NULL;
    }
    struct http_answer *answer = memory_allocate(sizeof(*answer));
    answer->response = response;
    list_append(answers, &answer->node);
    response->answer = answer;
    return answer;
}

void answer_abandon(struct response *response)
{
    if (response->answer != NULL) {
        response->answer->response = NULL;
        buffer_deinit(&response->answer->items);
        response->answer = NULL;
    }
}

void answer_forget_all(struct list *answers)
{
    while (list_take_first(answers) != NULL) {
    }
}

static void append_field(struct buffer *out, const char *name, struct slice value)
{
    buffer_append_format(out, "%s:", name);
    (void)json_append_text(out, value);
}

bool http_answer_add(struct http_answer *answer, const struct http_letter *letter)
{
    struct buffer *items = &answer->items;
    if (answer->response == NULL || answer->is_full) {
        return false;
    }
    size_t before = items->size;
    append_field(items, before == 0 ? "{\"id\"" : ",{\"id\"", letter->id);
    append_field(items, ",\"type\"", letter->type);
    append_field(items, ",\"data\"", letter->data);
    append_field(items, ",\"seq\"", letter->seq);
    append_field(items, ",\"origId\"", letter->orig_id);
    append_field(items, ",\"deliveries\"", letter->deliveries);
    append_field(items, ",\"reason\"", letter->reason);
    buffer_append_byte(items, '}');
    if (items->size > HTTP_RESPONSE_MAX_BYTES - FRAME_BYTES) {
        items->size = before;
        answer->is_full = true;
    }
    return !answer->is_full;
}

static void fill_response(struct response *response, const struct http_answer *answer,
                          const struct error *error)
{
    if (error != NULL) {
        response_fail(response, 503, error->text);
        return;
    }
    response_begin(response, 200, CONTENT_JSON);
    buffer_append_string(&response->body, "{\"items\":[");
    buffer_append_slice(&response->body, buffer_slice(&answer->items));
    buffer_append_string(&response->body, answer->is_full ? "],\"truncated\":true}\n" : "]}\n");
}

void http_answer_end(struct http_answer *answer, const struct error *error)
{
    struct response *response = answer->response;
    if (response != NULL) {
        fill_response(response, answer, error);
        response->answer = NULL;
    }
    list_remove(&answer->node);
    buffer_deinit(&answer->items);
    free(answer);
    if (response != NULL) {
        response->on_answered(response);
    }
}
