#include "fake/peer/certificate.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/panic.h"
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

enum {
    VERSION_3 = 2,
    DAY_SECONDS = 86400
};

struct peer_certificate {
    X509 *x509;
    EVP_PKEY *key;
};

static void add_extension(X509 *x509, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, x509, x509, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    ASSERT(extension != NULL && X509_add_ext(x509, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

static struct peer_certificate *create_unsigned(const char *common_name, long from_seconds,
                                                long to_seconds)
{
    static atomic_long serial = 1;
    struct peer_certificate *certificate = memory_allocate(sizeof(*certificate));
    certificate->key = EVP_EC_gen("P-256");
    certificate->x509 = X509_new();
    X509 *x509 = certificate->x509;
    ASSERT(certificate->key != NULL && x509 != NULL);
    ASSERT(X509_set_version(x509, VERSION_3) == 1);
    ASSERT(ASN1_INTEGER_set(X509_get_serialNumber(x509), atomic_fetch_add(&serial, 1)) == 1);
    ASSERT(X509_gmtime_adj(X509_getm_notBefore(x509), from_seconds) != NULL);
    ASSERT(X509_gmtime_adj(X509_getm_notAfter(x509), to_seconds) != NULL);
    ASSERT(X509_set_pubkey(x509, certificate->key) == 1);
    ASSERT(X509_NAME_add_entry_by_txt(X509_get_subject_name(x509), "CN", MBSTRING_ASC,
                                      (const unsigned char *)common_name, -1, -1, 0) == 1);
    return certificate;
}

static void sign(struct peer_certificate *certificate, const struct peer_certificate *issuer)
{
    ASSERT(X509_set_issuer_name(certificate->x509, X509_get_subject_name(issuer->x509)) == 1);
    ASSERT(X509_sign(certificate->x509, issuer->key, EVP_sha256()) > 0);
}

struct peer_certificate *peer_certificate_create(const char *names, const char *common_name,
                                                 const struct peer_certificate *issuer,
                                                 long from_seconds, long to_seconds)
{
    struct peer_certificate *certificate = create_unsigned(common_name, from_seconds, to_seconds);
    add_extension(certificate->x509, NID_subject_alt_name, names);
    sign(certificate, issuer != NULL ? issuer : certificate);
    return certificate;
}

struct peer_certificate *peer_certificate_create_authority(const char *name)
{
    struct peer_certificate *certificate = create_unsigned(name, -DAY_SECONDS, DAY_SECONDS);
    add_extension(certificate->x509, NID_basic_constraints, "critical,CA:TRUE");
    sign(certificate, certificate);
    return certificate;
}

void peer_certificate_destroy(struct peer_certificate *certificate)
{
    if (certificate == NULL) {
        return;
    }
    X509_free(certificate->x509);
    EVP_PKEY_free(certificate->key);
    free(certificate);
}

void peer_certificate_write(const struct peer_certificate *certificate, char *path)
{
    static const char pattern[] = "/tmp/standpipe-ca-XXXXXX";
    memcpy(path, pattern, sizeof(pattern));
    int fd = mkstemp(path);
    ASSERT(fd >= 0);
    FILE *file = fdopen(fd, "w");
    ASSERT(file != NULL && PEM_write_X509(file, certificate->x509) == 1);
    ASSERT(fclose(file) == 0);
}

SSL_CTX *peer_certificate_context(const struct peer_certificate *certificate)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    ASSERT(context != NULL && SSL_CTX_use_certificate(context, certificate->x509) == 1);
    ASSERT(SSL_CTX_use_PrivateKey(context, certificate->key) == 1);
    return context;
}
