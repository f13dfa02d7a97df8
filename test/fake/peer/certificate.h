/*
 * Certificate: what a TLS peer shows, made on the spot: good, expired, self-signed, of another CA.
 * Ownership: heap memory of the caller's. Threading: one thread at a time.
 */
#ifndef FAKE_PEER_CERTIFICATE_H
#define FAKE_PEER_CERTIFICATE_H

#include <stdbool.h>

struct ssl_ctx_st;
struct peer_certificate;

/* `names` is a subjectAltName: "DNS:localhost,IP:127.0.0.1"; valid from
 * `from_seconds` to `to_seconds` relative to now. `issuer` signs; NULL: it signs itself. */
struct peer_certificate *peer_certificate_create(const char *names, const char *common_name,
                                                 const struct peer_certificate *issuer,
                                                 long from_seconds, long to_seconds);
struct peer_certificate *peer_certificate_create_authority(const char *name);
void peer_certificate_destroy(struct peer_certificate *certificate);
/* Writes it as PEM into a new temporary file, whose name (64 bytes) the caller removes. */
void peer_certificate_write(const struct peer_certificate *certificate, char *path);
/* A server's context that shows it; owned by the caller. */
struct ssl_ctx_st *peer_certificate_context(const struct peer_certificate *certificate);

#endif
