/*
 * Routes: one table from path to handler; one reads all of them on a screen.
 * Ownership: none. Threading: the loop's thread only.
 */
#ifndef HTTP_ROUTES_H
#define HTTP_ROUTES_H

#include <stdbool.h>

#include "http/request.h"
#include "http/response.h"

struct http;

struct route {
    const char *path;
    bool is_open; /* needs no token */
    void (*handle)(struct http *http, const struct request *request, struct response *response);
};

/* NULL where there is none. */
const struct route *routes_find(struct slice path);

#endif
