/*
 * Page: the dashboard, put together once from its three sources, with the policy that lets exactly these run.
 *
 *   dashboard/dashboard.html  <!-- style --> <!-- script -->
 *             dashboard.css ------^             ^------ dashboard.js
 *
 * The page asks for nothing but /api/...; its style and script are allowed by their SHA-256 alone.
 * Ownership: embedded. Threading: one thread. Source: W3C Content Security Policy level 3.
 */
#ifndef HTTP_PAGE_H
#define HTTP_PAGE_H

#include <stddef.h>

#include "base/buffer.h"

/* The sources; their arrays are made at build time. */
extern const unsigned char page_html[], page_css[], page_js[];
extern const size_t page_html_size, page_css_size, page_js_size;

struct page {
    struct buffer html;
    struct buffer policy; /* zero-terminated: the value of Content-Security-Policy */
};

void page_init(struct page *page);
void page_deinit(struct page *page);

#endif
