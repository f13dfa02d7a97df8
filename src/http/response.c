#include "http/response.h"

#include <time.h>

#include "atproto/json.h"
#include "base/clock.h"

enum {
    BODY_KEPT = 64 * 1024
};

static const char *status_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } texts[] = {
        {200, "OK"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {431, "Request Header Fields Too Large"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (texts[i].status == status) {
            return texts[i].text;
        }
    }
    return "Unknown";
}

void response_reset(struct response *response)
{
    buffer_clear(&response->body);
    buffer_shrink(&response->body, BODY_KEPT);
    response->status = 0;
    response->content_type = NULL;
    response->header = NULL;
    response->policy = NULL;
    response->is_endless = false;
}

void response_begin(struct response *response, int status, const char *content_type)
{
    response->status = status;
    response->content_type = content_type;
}

void response_fail(struct response *response, int status, const char *problem)
{
    buffer_clear(&response->body);
    response_begin(response, status, CONTENT_JSON);
    buffer_append_string(&response->body, "{\"error\":");
    (void)json_append_text(&response->body, slice_from_string(problem));
    buffer_append_string(&response->body, "}\n");
}

/* IMF-fixdate, RFC 9110 part 5.6.7; no locale has a say in it. */
static void append_date(struct buffer *out)
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t now = (time_t)(clock_wall_ms() / 1000);
    struct tm utc;
    if (gmtime_r(&now, &utc) == NULL) {
        return;
    }
    buffer_append_format(out, "Date: %.3s, %02d %.3s %04d %02d:%02d:%02d GMT\r\n",
                         days + 3 * (ptrdiff_t)utc.tm_wday, utc.tm_mday,
                         months + 3 * (ptrdiff_t)utc.tm_mon, utc.tm_year + 1900, utc.tm_hour,
                         utc.tm_min, utc.tm_sec);
}

void response_append_head(struct buffer *out, const struct response *response, bool keep_alive)
{
    buffer_append_format(out, "HTTP/1.1 %d %s\r\n", response->status,
                         status_text(response->status));
    append_date(out);
    buffer_append_format(out, "Content-Type: %s\r\n", response->content_type);
    if (!response->is_endless) {
        buffer_append_format(out, "Content-Length: %zu\r\n", response->body.size);
    }
    buffer_append_format(out, "Connection: %s\r\nContent-Security-Policy: %s\r\n",
                         keep_alive ? "keep-alive" : "close",
                         response->policy != NULL ? response->policy
                                                  : "default-src 'none'; frame-ancestors 'none'");
    buffer_append_string(out, "Cache-Control: no-store\r\n"
                              "Cross-Origin-Resource-Policy: same-origin\r\n"
                              "Referrer-Policy: no-referrer\r\n"
                              "X-Content-Type-Options: nosniff\r\n"
                              "X-Frame-Options: DENY\r\n");
    if (response->header != NULL) {
        buffer_append_string(out, response->header);
    }
    buffer_append_string(out, "\r\n");
}
