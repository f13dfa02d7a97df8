#include "net/dns.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/panic.h"
#include <uv.h>

struct dns_query {
    uv_getaddrinfo_t request;
    dns_callback callback; /* NULL once cancelled */
    void *owner;
    uint16_t port;
    char host[NI_MAXHOST];
};

static void set_port(struct sockaddr_storage *address, uint16_t port)
{
    if (address->ss_family == AF_INET6) {
        ((struct sockaddr_in6 *)address)->sin6_port = htons(port);
    } else {
        ((struct sockaddr_in *)address)->sin_port = htons(port);
    }
}

/* The next entry at or after `from` whose family is (or is not) `family`. */
static const struct addrinfo *find_family(const struct addrinfo *from, int family, bool is_wanted)
{
    while (from != NULL && ((from->ai_family == family) != is_wanted)) {
        from = from->ai_next;
    }
    return from;
}

/* Alternates the families, so that one broken family costs one attempt and not all of them. */
static void collect(struct dns_answer *answer, const struct addrinfo *list, uint16_t port)
{
    int first_family = list->ai_family;
    const struct addrinfo *same = find_family(list, first_family, true);
    const struct addrinfo *other = find_family(list, first_family, false);
    while ((same != NULL || other != NULL) && answer->count < DNS_ADDRESSES_MAX) {
        bool takes_same = other == NULL || (same != NULL && answer->count % 2 == 0);
        const struct addrinfo **from = takes_same ? &same : &other;
        struct sockaddr_storage *address = &answer->addresses[answer->count++];
        memcpy(address, (*from)->ai_addr, (*from)->ai_addrlen);
        set_port(address, port);
        *from = find_family((*from)->ai_next, first_family, takes_same);
    }
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *list)
{
    struct dns_query *query = request->data;
    struct dns_answer answer = {.count = 0};
    struct error error = {0};
    if (status == 0 && list != NULL) {
        collect(&answer, list, query->port);
    } else {
        error_set(&error, ERROR_UNREACHABLE, "resolve %s: %s", query->host,
                  status == 0 ? "no addresses" : uv_strerror(status));
    }
    uv_freeaddrinfo(list);
    if (query->callback != NULL) {
        query->callback(query->owner, answer.count > 0 ? &answer : NULL,
                        answer.count > 0 ? NULL : &error);
    }
    free(query);
}

struct dns_query *dns_resolve(struct uv_loop_s *loop, const char *host, uint16_t port,
                              dns_callback callback, void *owner, struct error *error)
{
    struct dns_query *query = memory_allocate(sizeof(*query));
    query->callback = callback;
    query->owner = owner;
    query->port = port;
    query->request.data = query;
    (void)snprintf(query->host, sizeof(query->host), "%s", host);
    /* No AI_ADDRCONFIG: it hides ::1 and 127.0.0.1 on machines with no other address. */
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    int status = uv_getaddrinfo(loop, &query->request, on_resolved, query->host, NULL, &hints);
    if (status == 0) {
        return query;
    }
    error_set(error, ERROR_UNREACHABLE, "resolve %s: %s", query->host, uv_strerror(status));
    free(query);
    return NULL;
}

void dns_cancel(struct dns_query *query)
{
    query->callback = NULL;
    /* EBUSY where a thread is at it already: the answer is then dropped when it comes. */
    (void)uv_cancel((uv_req_t *)&query->request);
}

void dns_format_address(const struct sockaddr *address, char *text)
{
    char host[INET6_ADDRSTRLEN] = "?";
    unsigned port = 0;
    bool is_ipv6 = address->sa_family == AF_INET6;
    if (is_ipv6) {
        const struct sockaddr_in6 *ipv6 = (const void *)address;
        (void)uv_ip6_name(ipv6, host, sizeof(host));
        port = ntohs(ipv6->sin6_port);
    } else if (address->sa_family == AF_INET) {
        const struct sockaddr_in *ipv4 = (const void *)address;
        (void)uv_ip4_name(ipv4, host, sizeof(host));
        port = ntohs(ipv4->sin_port);
    }
    (void)snprintf(text, DNS_TEXT_SIZE, is_ipv6 ? "[%s]:%u" : "%s:%u", host, port);
}
