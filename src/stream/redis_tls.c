#include "stream/redis_tls.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "base/panic.h"
#include <hiredis/hiredis.h>
#include <hiredis/hiredis_ssl.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

struct redis_tls {
    SSL_CTX *context;
    char *host;
};

struct redis_tls *redis_tls_create(const char *host, struct error *error)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    bool is_ready = context != NULL && SSL_CTX_set_default_verify_paths(context) == 1 &&
                    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1;
    if (!is_ready) {
        SSL_CTX_free(context);
        error_set(error, ERROR_INTERNAL, "rediss://%s: OpenSSL cannot be set up", host);
        return NULL;
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    struct redis_tls *tls = memory_allocate(sizeof(*tls));
    tls->context = context;
    tls->host = memory_copy_string(host);
    return tls;
}

void redis_tls_destroy(struct redis_tls *tls)
{
    if (tls == NULL) {
        return;
    }
    SSL_CTX_free(tls->context);
    free(tls->host);
    free(tls);
}

/* hiredis checks the chain but never the name: we hand it an SSL that checks both. An address is no
 * server name (RFC 6066 part 3) but is matched against the certificate's addresses. */
static bool expect_host(SSL *ssl, const char *host)
{
    unsigned char address[sizeof(struct in6_addr)];
    if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1) {
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    }
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

bool redis_tls_start(struct redis_tls *tls, struct redisContext *context)
{
    SSL *ssl = SSL_new(tls->context);
    if (ssl == NULL || !expect_host(ssl, tls->host)) {
        SSL_free(ssl);
        return false;
    }
    /* Takes `ssl` over where it succeeds. */
    if (redisInitiateSSL(context, ssl) != REDIS_OK) {
        SSL_free(ssl);
        return false;
    }
    return true;
}
