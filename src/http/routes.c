#include "http/routes.h"

#include "config/text.h"
#include "http/answer.h"
#include "http/api.h"
#include "http/health.h"
#include "http/http_private.h"
#include "http/metrics.h"

/* Open to all: it holds no figure, and asks for the token itself. */
static void serve_page(struct http *http, const struct request *request, struct response *response)
{
    (void)request;
    response_begin(response, 200, CONTENT_HTML);
    response->policy = http->page.policy.data;
    buffer_append_slice(&response->body, buffer_slice(&http->page.html));
}

static void serve_livez(struct http *http, const struct request *request, struct response *response)
{
    (void)request;
    health_livez(response, http_snapshot(http), http->heartbeat_timeout_ms);
}

static void serve_readyz(struct http *http, const struct request *request,
                         struct response *response)
{
    (void)request;
    health_readyz(response, http_snapshot(http));
}

static void serve_health(struct http *http, const struct request *request,
                         struct response *response)
{
    (void)request;
    health_health(response, http_snapshot(http), http->heartbeat_timeout_ms);
}

static void serve_ready(struct http *http, const struct request *request, struct response *response)
{
    (void)request;
    health_ready(response, http_snapshot(http));
}

static void serve_metrics(struct http *http, const struct request *request,
                          struct response *response)
{
    (void)request;
    response_begin(response, 200, CONTENT_METRICS);
    metrics_page(&response->body, http_snapshot(http));
}

static void serve_api_metrics(struct http *http, const struct request *request,
                              struct response *response)
{
    (void)request;
    response_begin(response, 200, CONTENT_JSON);
    api_metrics(&response->body, http_snapshot(http));
    buffer_append_byte(&response->body, '\n');
}

static void serve_dead_letters(struct http *http, const struct request *request,
                               struct response *response)
{
    struct slice text;
    uint64_t limit = HTTP_LETTERS_DEFAULT;
    if (request_query_find(request->query, "limit", &text) &&
        (!text_parse_number(text, &limit) || limit == 0 || limit > HTTP_LETTERS_MAX)) {
        response_fail(response, 400, "limit: a number from 1 to 1000 is expected");
        return;
    }
    struct http_answer *answer = answer_create(response, &http->answers);
    if (answer == NULL) {
        response_fail(response, 503, "too many answers are still to come");
        response->header = "Retry-After: 1\r\n";
        return;
    }
    http->callbacks.dead_letters(http->owner, (unsigned)limit, answer);
}

static void serve_config(struct http *http, const struct request *request,
                         struct response *response)
{
    const struct http_callbacks *callbacks = &http->callbacks;
    const struct config *config = callbacks->config != NULL ? callbacks->config(http->owner) : NULL;
    (void)request;
    if (config == NULL) {
        response_fail(response, 404, "no configuration to show");
        return;
    }
    response_begin(response, 200, CONTENT_JSON);
    api_config(&response->body, config);
}

static void serve_events(struct http *http, const struct request *request,
                         struct response *response)
{
    event_feed_join(http->feed, request, response);
}

static const struct route routes[] = {
    {"/", .is_open = true, .handle = serve_page},
    {"/livez", .is_open = true, .handle = serve_livez},
    {"/readyz", .is_open = true, .handle = serve_readyz},
    {"/health", .handle = serve_health},
    {"/ready", .handle = serve_ready},
    {"/metrics", .is_open = true, .handle = serve_metrics},
    {"/api/metrics", .handle = serve_api_metrics},
    {"/api/config", .handle = serve_config},
    {"/api/events/stream", .handle = serve_events},
    {"/api/redis/dead-letters", .handle = serve_dead_letters},
};

const struct route *routes_find(struct slice path)
{
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        if (slice_equals(path, slice_from_string(routes[i].path))) {
            return &routes[i];
        }
    }
    return NULL;
}
