#include <string.h>
#include <sys/time.h>

#include "config/urls.h"
#include "runtime/reach.h"

#include <hiredis.h>
#ifdef HAVE_HIREDIS_SSL
#include <hiredis_ssl.h>
#endif

static const struct timeval timeout = {.tv_sec = REACH_TIMEOUT_S};

#ifdef HAVE_HIREDIS_SSL
static bool start_tls(redisContext *context, const char *host, struct error *error)
{
    redisSSLContextError fault = REDIS_SSL_CTX_NONE;
    (void)redisInitOpenSSL();
    redisSSLContext *tls = redisCreateSSLContext(NULL, NULL, NULL, NULL, host, &fault);
    if (tls == NULL) {
        error_set(error, ERROR_INTERNAL, "%s: %s", host, redisSSLContextGetError(fault));
        return false;
    }
    bool is_good = redisInitiateSSLWithContext(context, tls) == REDIS_OK;
    if (!is_good)
        error_set(error, ERROR_UNREACHABLE, "%s: TLS: %s: check its certificate", host,
                  context->errstr);
    redisFreeSSLContext(tls);
    return is_good;
}
#else
static bool start_tls(redisContext *context, const char *host, struct error *error)
{
    (void)context;
    error_set(error, ERROR_USAGE, "%s: this build has no TLS for Redis", host);
    return false;
}
#endif

/* Sends one command of a few words; false where Redis says no or nothing. */
static bool ask(redisContext *context, int count, const char **words, struct error *error)
{
    redisReply *reply = redisCommandArgv(context, count, words, NULL);
    if (reply == NULL) {
        error_set(error, ERROR_UNREACHABLE, "%s: %s", words[0], context->errstr);
        return false;
    }
    bool is_good = reply->type != REDIS_REPLY_ERROR;
    bool is_busy = !is_good && (strncmp(reply->str, "LOADING", sizeof("LOADING") - 1) == 0 ||
                                strncmp(reply->str, "BUSY", sizeof("BUSY") - 1) == 0);
    if (!is_good) {
        error_set(error, is_busy ? ERROR_UNREACHABLE : ERROR_REFUSED, "%s: %s: check redis.url",
                  words[0], reply->str);
    }
    freeReplyObject(reply);
    return is_good;
}

static bool log_in(redisContext *context, const struct redis_address *address, struct error *error)
{
    const char *with_user[] = {"AUTH", address->user, address->password};
    const char *without_user[] = {"AUTH", address->password};
    if (address->password == NULL) {
        return true;
    }
    return address->user != NULL ? ask(context, 3, with_user, error)
                                 : ask(context, 2, without_user, error);
}

static bool talk(redisContext *context, const struct redis_address *address, struct error *error)
{
    char number[16];
    (void)snprintf(number, sizeof(number), "%u", (unsigned)address->database);
    const char *select_words[] = {"SELECT", number};
    const char *ping[] = {"PING"};
    if (context->err != 0) {
        error_set(error, ERROR_UNREACHABLE, "%s: check redis.url, and that Redis runs",
                  context->errstr);
        return false;
    }
    if (redisSetTimeout(context, timeout) != REDIS_OK) {
        error_set(error, ERROR_INTERNAL, "no timeout can be set");
        return false;
    }
    return (!address->is_tls || start_tls(context, address->host, error)) &&
           log_in(context, address, error) &&
           (address->database == 0 || ask(context, 2, select_words, error)) &&
           ask(context, 1, ping, error);
}

bool reach_redis(const struct config *config, struct buffer *found, struct error *error)
{
    struct redis_address address;
    if (!redis_address_parse(&address, slice_from_string(config->redis.url), error)) {
        return false;
    }
    redisContext *context = address.path != NULL
                                ? redisConnectUnixWithTimeout(address.path, timeout)
                                : redisConnectWithTimeout(address.host, address.port, timeout);
    bool is_good = false;
    if (context == NULL) {
        error_set(error, ERROR_INTERNAL, "no memory for a connection");
    } else {
        is_good = talk(context, &address, error);
    }
    if (is_good) {
        url_mask(slice_from_string(config->redis.url), found);
        buffer_append_string(found, " answers PING");
    }
    if (context != NULL) {
        redisFree(context);
    }
    redis_address_deinit(&address);
    return is_good;
}
