#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/panic.h"
#include "net/layer.h"
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

/*
 * TLS 1.2 or later as a client, over two memory BIOs: what the socket brings goes into `from_socket`,
 * what OpenSSL wants to send comes out of `to_socket`. Both are emptied in every call, so neither
 * holds more than one read or one write.
 */

enum {
    PLAIN_BYTES = 16 * 1024,
    TEXT_SIZE = 160
};

struct tls {
    struct layer base;
    SSL_CTX *context;
    SSL *ssl;
    BIO *from_socket; /* both owned by `ssl` */
    BIO *to_socket;
    char *host;
    X509 *refused; /* the certificate that failed its check; NULL: none has */
    bool is_ready;
    char plain[PLAIN_BYTES];
};

/* Takes OpenSSL's first reason and empties its queue, which all connections of the thread share. */
static const char *take_reason(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    ERR_clear_error();
    return reason != NULL ? reason : "no reason given";
}

static void drain(struct tls *tls)
{
    char bytes[4096];
    int count = BIO_read(tls->to_socket, bytes, sizeof(bytes));
    while (count > 0) {
        layer_output(&tls->base, slice_of(bytes, (size_t)count));
        count = BIO_read(tls->to_socket, bytes, sizeof(bytes));
    }
}

/* "a.example, b.example": the names that a certificate is for. */
static void describe_names(X509 *certificate, char *text, size_t size)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    size_t used = 0;
    text[0] = '\0';
    for (int i = 0; i < sk_GENERAL_NAME_num(names) && used < size; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_DNS) {
            continue;
        }
        int count = snprintf(text + used, size - used, "%s%.*s", used > 0 ? ", " : "",
                             ASN1_STRING_length(name->d.dNSName),
                             (const char *)ASN1_STRING_get0_data(name->d.dNSName));
        used += count > 0 ? (size_t)count : 0;
    }
    GENERAL_NAMES_free(names);
    if (used == 0) {
        (void)snprintf(text, size, "no host name");
    }
}

static void describe_time(const ASN1_TIME *time, char *text, size_t size)
{
    struct tm parts = {0};
    if (time == NULL || ASN1_TIME_to_tm(time, &parts) != 1 ||
        strftime(text, size, "%Y-%m-%d %H:%M:%S UTC", &parts) == 0) {
        (void)snprintf(text, size, "an unreadable date");
    }
}

/* Which check a certificate has failed, and what an operator can do about it. */
static void explain_refusal(const struct tls *tls, long verdict, struct error *error)
{
    X509 *certificate = tls->refused;
    char detail[TEXT_SIZE] = "";
    switch (verdict) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        describe_names(certificate, detail, sizeof(detail));
        error_set(error, ERROR_REFUSED, "TLS to %s: wrong host: the certificate is for %s",
                  tls->host, detail);
        return;
    case X509_V_ERR_CERT_HAS_EXPIRED:
        describe_time(X509_get0_notAfter(certificate), detail, sizeof(detail));
        error_set(error, ERROR_REFUSED, "TLS to %s: a certificate has expired: it ended %s",
                  tls->host, detail);
        return;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        describe_time(X509_get0_notBefore(certificate), detail, sizeof(detail));
        error_set(error, ERROR_REFUSED, "TLS to %s: a certificate is not valid yet: it begins %s",
                  tls->host, detail);
        return;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        error_set(error, ERROR_REFUSED,
                  "TLS to %s: the certificate is self-signed: name it as the CA file to trust it",
                  tls->host);
        return;
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        error_set(error, ERROR_REFUSED,
                  "TLS to %s: unknown CA: the certificate's issuer is not among the trusted ones "
                  "(CA file)",
                  tls->host);
        return;
    default:
        error_set(error, ERROR_REFUSED, "TLS to %s: certificate refused: %s", tls->host,
                  X509_verify_cert_error_string(verdict));
    }
}

/* Tells why OpenSSL gave up; its queue is as SSL_get_error() left it. */
static void fail(struct tls *tls, const char *what)
{
    struct error error;
    long verdict = SSL_get_verify_result(tls->ssl);
    drain(tls);
    if (!tls->is_ready && verdict != X509_V_OK && tls->refused != NULL) {
        explain_refusal(tls, verdict, &error);
    } else {
        error_set(&error, ERROR_PROTOCOL, "TLS to %s: %s: %s", tls->host, what, take_reason());
    }
    ERR_clear_error();
    layer_fail(&tls->base, &error);
}

static void advance_handshake(struct tls *tls)
{
    ERR_clear_error();
    int status = SSL_do_handshake(tls->ssl);
    if (status == 1) {
        tls->is_ready = true;
        drain(tls);
        transport_flush(tls->base.transport);
        layer_ready(&tls->base);
        return;
    }
    int reason = SSL_get_error(tls->ssl, status);
    if (reason != SSL_ERROR_WANT_READ && reason != SSL_ERROR_WANT_WRITE) {
        fail(tls, "handshake");
        return;
    }
    drain(tls);
    transport_flush(tls->base.transport);
}

static void finish_reading(struct tls *tls, int status)
{
    int reason = SSL_get_error(tls->ssl, status);
    if (reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE) {
        drain(tls); /* an answer to a key update, for example */
        transport_flush(tls->base.transport);
    } else if (reason == SSL_ERROR_ZERO_RETURN) {
        struct error error;
        error_set(&error, ERROR_CLOSED, "the peer ended the TLS session");
        layer_fail(&tls->base, &error);
    } else {
        fail(tls, "read");
    }
}

static void tls_received(struct layer *layer, struct slice bytes)
{
    struct tls *tls = (struct tls *)layer;
    int stored = BIO_write(tls->from_socket, bytes.data, (int)bytes.size);
    ASSERT(stored == (int)bytes.size); /* memory BIOs fail only without memory */
    if (!tls->is_ready) {
        advance_handshake(tls);
    }
    while (tls->is_ready && layer_is_open(layer)) {
        ERR_clear_error();
        int count = SSL_read(tls->ssl, tls->plain, sizeof(tls->plain));
        if (count <= 0) {
            finish_reading(tls, count);
            return;
        }
        layer_deliver(layer, slice_of(tls->plain, (size_t)count));
    }
}

static void tls_start(struct layer *layer)
{
    advance_handshake((struct tls *)layer);
}

static void tls_send(struct layer *layer, struct slice bytes)
{
    struct tls *tls = (struct tls *)layer;
    if (bytes.size == 0) {
        return;
    }
    ERR_clear_error();
    /* A memory BIO always has room, so all is taken or the session is broken. */
    int count = SSL_write(tls->ssl, bytes.data, (int)bytes.size);
    if (count <= 0) {
        fail(tls, "write");
    } else {
        drain(tls);
    }
}

/* TCP's end without close_notify: whatever came may be cut short, so it is never a good end. */
static void tls_ended(struct layer *layer, struct error *error)
{
    const struct tls *tls = (const struct tls *)layer;
    error_set(error, ERROR_CLOSED, "TLS to %s: the peer closed the connection %s", tls->host,
              tls->is_ready ? "without ending the TLS session" : "during the handshake");
}

static void tls_goodbye(struct layer *layer)
{
    struct tls *tls = (struct tls *)layer;
    ERR_clear_error();
    if (tls->is_ready) {
        (void)SSL_shutdown(tls->ssl); /* we do not wait for the peer's */
    }
    drain(tls);
}

static int64_t tls_certificate_expiry(const struct layer *layer)
{
    const struct tls *tls = (const struct tls *)layer;
    X509 *certificate = tls->is_ready ? SSL_get0_peer_certificate(tls->ssl) : NULL;
    struct tm parts = {0};
    if (certificate == NULL || ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &parts) != 1) {
        return 0;
    }
    return (int64_t)timegm(&parts);
}

static void tls_destroy(struct layer *layer)
{
    struct tls *tls = (struct tls *)layer;
    SSL_free(tls->ssl);
    SSL_CTX_free(tls->context);
    X509_free(tls->refused);
    free(tls->host);
    free(tls);
}

static const struct layer_ops tls_ops = {
    .start = tls_start,
    .received = tls_received,
    .send = tls_send,
    .ended = tls_ended,
    .goodbye = tls_goodbye,
    .certificate_expiry = tls_certificate_expiry,
    .destroy = tls_destroy,
};

static bool load_authorities(SSL_CTX *context, const char *ca_file, struct error *error)
{
    ERR_clear_error();
    int status = ca_file != NULL ? SSL_CTX_load_verify_file(context, ca_file)
                                 : SSL_CTX_set_default_verify_paths(context);
    if (status == 1) {
        return true;
    }
    error_set(error, ERROR_REFUSED, "CA file %s: expected readable PEM certificates: %s",
              ca_file != NULL ? ca_file : "(system)", take_reason());
    return false;
}

/* Keeps what failed: after the handshake has failed, OpenSSL no longer shows it. */
static int on_certificate(int is_good, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls *tls = SSL_get_app_data(ssl);
    X509 *certificate = X509_STORE_CTX_get_current_cert(store);
    if (!is_good && tls->refused == NULL && certificate != NULL && X509_up_ref(certificate) == 1) {
        tls->refused = certificate;
    }
    return is_good;
}

static bool prepare_context(struct tls *tls, const struct transport_options *options,
                            struct error *error)
{
    tls->context = SSL_CTX_new(TLS_client_method());
    if (tls->context == NULL) {
        error_set(error, ERROR_INTERNAL, "TLS: no context: %s", take_reason());
        return false;
    }
    (void)SSL_CTX_set_options(tls->context, SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_verify(tls->context, options->tls_verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE,
                       options->tls_verify ? on_certificate : NULL);
    if (SSL_CTX_set_min_proto_version(tls->context, TLS1_2_VERSION) != 1) {
        error_set(error, ERROR_INTERNAL, "TLS: this OpenSSL has no TLS 1.2: %s", take_reason());
        return false;
    }
    return !options->tls_verify || load_authorities(tls->context, options->ca_file, error);
}

bool transport_check_authorities(const char *ca_file, struct error *error)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (context == NULL) {
        error_set(error, ERROR_INTERNAL, "TLS: no context: %s", take_reason());
        return false;
    }
    bool is_good = load_authorities(context, ca_file, error);
    SSL_CTX_free(context);
    return is_good;
}

/* SNI and the name to check. An address has no SNI (RFC 6066 part 3) and is checked as an address. */
static bool set_host(struct tls *tls, bool is_verified)
{
    unsigned char binary[sizeof(struct in6_addr)];
    bool is_address =
        inet_pton(AF_INET, tls->host, binary) == 1 || inet_pton(AF_INET6, tls->host, binary) == 1;
    if (!is_address && SSL_set_tlsext_host_name(tls->ssl, tls->host) != 1) {
        return false;
    }
    if (!is_verified) {
        return true;
    }
    if (is_address) {
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls->ssl), tls->host) == 1;
    }
    SSL_set_hostflags(tls->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(tls->ssl, tls->host) == 1;
}

static bool prepare_session(struct tls *tls, bool is_verified, struct error *error)
{
    static const unsigned char alpn[] = "\x08http/1.1";
    tls->ssl = SSL_new(tls->context);
    tls->from_socket = BIO_new(BIO_s_mem());
    tls->to_socket = BIO_new(BIO_s_mem());
    ASSERT(tls->ssl != NULL && tls->from_socket != NULL && tls->to_socket != NULL);
    SSL_set_bio(tls->ssl, tls->from_socket, tls->to_socket);
    SSL_set_connect_state(tls->ssl);
    ASSERT(SSL_set_app_data(tls->ssl, tls) == 1);
    /* set_alpn_protos alone returns 0 for success */
    if (set_host(tls, is_verified) && SSL_set_alpn_protos(tls->ssl, alpn, sizeof(alpn) - 1) == 0) {
        return true;
    }
    error_set(error, ERROR_REFUSED, "TLS to %s: the host name is refused: %s", tls->host,
              take_reason());
    return false;
}

struct layer *layer_create_tls(const struct transport_options *options, struct error *error)
{
    struct tls *tls = memory_allocate(sizeof(*tls));
    tls->base.ops = &tls_ops;
    tls->host = memory_copy_string(options->host);
    if (prepare_context(tls, options, error) && prepare_session(tls, options->tls_verify, error)) {
        return &tls->base;
    }
    tls_destroy(&tls->base);
    return NULL;
}
