/* Versions as the running process has them where the library tells, else those it was built with. */
#include <stdio.h>

#include "base/buffer.h"
#include "cli/cli.h"

#include <cbor.h>
#include <hiredis.h>
#include <libpq-fe.h>
#include <llhttp.h>
#include <openssl/crypto.h>
#include <uv.h>

static void append_pair(struct buffer *out, bool is_json, const char *name, const char *version)
{
    buffer_append_format(out, is_json ? ",\"%s\":\"%s\"" : "%s %s\n", name, version);
}

static void append_parts(struct buffer *out, bool is_json, const char *name, const int *parts)
{
    char version[64];
    (void)snprintf(version, sizeof(version), "%d.%d.%d", parts[0], parts[1], parts[2]);
    append_pair(out, is_json, name, version);
}

/* 150020 is 15.20 since PostgreSQL 10. */
static void append_libpq(struct buffer *out, bool is_json)
{
    enum {
        MAJOR = 10000
    };
    char version[32];
    int number = PQlibVersion();
    (void)snprintf(version, sizeof(version), "%d.%d", number / MAJOR, number % MAJOR);
    append_pair(out, is_json, "libpq", version);
}

static void append_libraries(struct buffer *out, bool is_json)
{
    static const int hiredis[] = {HIREDIS_MAJOR, HIREDIS_MINOR, HIREDIS_PATCH};
    static const int cbor[] = {CBOR_MAJOR_VERSION, CBOR_MINOR_VERSION, CBOR_PATCH_VERSION};
    static const int llhttp[] = {LLHTTP_VERSION_MAJOR, LLHTTP_VERSION_MINOR, LLHTTP_VERSION_PATCH};
    append_pair(out, is_json, "libuv", uv_version_string());
    append_parts(out, is_json, "hiredis", hiredis);
#ifdef HAVE_HIREDIS_SSL
    append_parts(out, is_json, "hiredis_ssl", hiredis); /* one package, one version */
#endif
    append_pair(out, is_json, "inih", INIH_LIBRARY_VERSION);
    append_pair(out, is_json, "wslay", WSLAY_LIBRARY_VERSION);
    append_parts(out, is_json, "libcbor", cbor);
    append_libpq(out, is_json);
    append_pair(out, is_json, "openssl", OpenSSL_version(OPENSSL_VERSION_STRING));
    append_parts(out, is_json, "llhttp", llhttp);
}

int cli_version(const struct cli_options *options)
{
    struct buffer text = {0};
    bool is_json = options->is_json;
    buffer_append_format(&text, is_json ? "{\"standpipe\":\"%s\"" : "standpipe %s\n",
                         STANDPIPE_VERSION);
    append_libraries(&text, is_json);
    buffer_append_string(&text, is_json ? "}\n" : "");
    (void)fwrite(text.data, 1, text.size, stdout);
    buffer_deinit(&text);
    return cli_finish_output(EXIT_DONE);
}
