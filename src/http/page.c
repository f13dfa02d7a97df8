#include "http/page.h"

#include <string.h>

#include "atproto/sha256.h"
#include "base/encoding.h"
#include "base/panic.h"
#include "base/slice.h"

static void append_hash(struct buffer *out, struct slice text)
{
    uint8_t digest[SHA256_SIZE];
    sha256_digest(text, digest);
    buffer_append_string(out, "'sha256-");
    base64_append(out, slice_of(digest, sizeof(digest)));
    buffer_append_string(out, "='"); /* 32 bytes leave one character of padding */
}

/* Appends what stands before `mark`, then `text` in its place; returns what follows. */
static struct slice put_in(struct buffer *out, struct slice html, const char *mark,
                           struct slice text)
{
    const char *found = memmem(html.data, html.size, mark, strlen(mark));
    ASSERT(found != NULL);
    size_t before = (size_t)(found - html.data);
    buffer_append_slice(out, slice_of(html.data, before));
    buffer_append_slice(out, text);
    return slice_skip(html, before + strlen(mark));
}

static void build_policy(struct buffer *policy, struct slice css, struct slice js)
{
    buffer_append_string(policy,
                         "default-src 'none'; connect-src 'self'; img-src data:; style-src ");
    append_hash(policy, css);
    buffer_append_string(policy, "; script-src ");
    append_hash(policy, js);
    buffer_append_string(policy, "; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
    buffer_append_byte(policy, '\0');
}

void page_init(struct page *page)
{
    struct slice css = slice_of(page_css, page_css_size);
    struct slice js = slice_of(page_js, page_js_size);
    struct slice rest = slice_of(page_html, page_html_size);
    *page = (struct page){0};
    rest = put_in(&page->html, rest, "<!-- style -->", css);
    rest = put_in(&page->html, rest, "<!-- script -->", js);
    buffer_append_slice(&page->html, rest);
    build_policy(&page->policy, css, js);
}

void page_deinit(struct page *page)
{
    buffer_deinit(&page->html);
    buffer_deinit(&page->policy);
}
