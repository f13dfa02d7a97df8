/* Configuration: file, environment and --set, the later wins; what is wrong is named in full. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/config.h"
#include "config/keys.h"
#include "unit/test.h"

#define XRPC "/xrpc/com.atproto.sync.subscribeRepos"

static char path[64];
static struct config config;
static struct error error;
static struct config_arguments arguments;
static const char *environment[8];
static const char *settings[4];

static int start(void **state)
{
    (void)state;
    (void)snprintf(path, sizeof(path), "/tmp/standpipe-config-XXXXXX");
    int file = mkstemp(path);
    memset(environment, 0, sizeof(environment));
    memset(settings, 0, sizeof(settings));
    config = (struct config){0};
    error = (struct error){0};
    arguments = (struct config_arguments){.environment = environment, .set = settings};
    return file < 0 ? -1 : close(file);
}

static int finish(void **state)
{
    (void)state;
    config_deinit(&config);
    return unlink(path);
}

static void put_file(struct slice text)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(text.data, 1, text.size, file), text.size);
    assert_int_equal(fclose(file), 0);
}

static void with_file(const char *text)
{
    put_file(slice_from_string(text));
    arguments.file = path;
}

static void load(void)
{
    config_deinit(&config);
    if (!config_load(&config, &arguments, &error)) {
        fail_msg("%s", error.text);
    }
}

/* Each of `words` stands in the error. */
static void refuse(const char *const *words)
{
    if (config_load(&config, &arguments, &error)) {
        fail_msg("it is taken");
    }
    assert_int_equal(error.kind, ERROR_USAGE);
    for (; *words != NULL; words++) {
        assert_case(strstr(error.text, *words) != NULL, error.text);
    }
}

#define REFUSE(...) refuse((const char *const[]){__VA_ARGS__, NULL})

static void the_defaults_are_those_of_the_contract(void **state)
{
    (void)state;
    load();
    assert_string_equal(config.relay.url, "wss://bsky.network" XRPC);
    assert_int_equal(config.relay.cursor, CURSOR_SAVED);
    assert_int_equal(config.relay.idle_timeout_ms, 30000);
    assert_int_equal(config.relay.max_frame_bytes, 5242880);
    assert_int_equal(config.relay.collections.count, 0);
    assert_null(config.relay.ca_file);
    assert_true(config.relay.tls_verify);
    assert_int_equal(config.relay.verify, RELAY_VERIFY_BLOCKS);
    assert_false(config.relay.accept_sequence_reset);
    assert_int_equal(config.ingest.mode, INGEST_AUTO);
    assert_int_equal(config.ingest.lease_ms, 3000);
    assert_string_equal(config.redis.url, "redis://127.0.0.1:6379/0");
    assert_string_equal(config.stream.key, "firehose:events");
    assert_string_equal(config.stream.group, "firehose-processors");
    assert_string_equal(config.stream.dead_letter_key, "firehose:dead-letters");
    assert_int_equal(config.stream.max_length, 500000);
    assert_int_equal(config.stream.max_backlog, 500000);
    assert_int_equal(config.stream.max_backlog_bytes, 1073741824);
    assert_int_equal(config.stream.dead_letter_max, 100000);
    assert_int_equal(config.stream.dead_letter_max_bytes, 1073741824);
    assert_int_equal(config.workers.pipelines, 5);
    assert_int_equal(config.workers.batch_size, 300);
    assert_int_equal(config.workers.block_ms, 100);
    assert_int_equal(config.workers.claim_interval_ms, 5000);
    assert_int_equal(config.workers.claim_min_idle_ms, 10000);
    assert_int_equal(config.workers.max_deliveries, 10);
    assert_string_equal(config.postgres.url, "postgresql://127.0.0.1:5432/standpipe");
    assert_string_equal(config.postgres.schema, "public");
    assert_true(config.postgres.migrate);
    assert_int_equal(config.postgres.batch_bytes, 8388608);
    assert_int_equal(config.postgres.batch_age_ms, 20);
    assert_int_equal(config.postgres.prepared, PREPARED_AUTO);
    assert_int_equal(config.alerts.interval_ms, 10000);
    assert_int_equal(config.alerts.depth_warning, 100000);
    assert_int_equal(config.alerts.depth_critical, 250000);
    assert_int_equal(config.alerts.lag_warning_ms, 60000);
    assert_string_equal(config.http.listen, "0.0.0.0:5000");
    assert_null(config.http.token_file);
    assert_int_equal(config.shutdown.timeout_ms, 25000);
    assert_int_equal(config.log.level, LOG_LEVEL_INFO);
    assert_int_equal(config.log.format, LOG_FORMAT_TEXT);
    assert_false(config.log.core_dumps);
}

static void what_is_automatic_is_resolved_to_a_number(void **state)
{
    (void)state;
    load();
    assert_true(config.workers.threads >= 1);
    assert_int_equal(config.postgres.connections, 2 * config.workers.threads);
    assert_true(config.workers.consumer_id[0] != '\0');
    settings[0] = "workers.threads=3";
    arguments.set_count = 1;
    load();
    assert_int_equal(config.postgres.connections, 6);
}

static void the_later_source_wins_and_is_named(void **state)
{
    (void)state;
    struct buffer text = {0};
    with_file("[workers]\nbatch_size = 11\npipelines = 2\n[stream]\ngroup = from-file\n");
    environment[0] = "STANDPIPE_WORKERS_BATCH_SIZE=12";
    environment[1] = "STANDPIPE_WORKERS_PIPELINES=3";
    settings[0] = "workers.batch_size=13";
    arguments.set_count = 1;
    load();
    assert_int_equal(config.workers.batch_size, 13);
    assert_int_equal(config.workers.pipelines, 3);
    assert_string_equal(config.stream.group, "from-file");
    config_print(&config, &text);
    buffer_append_byte(&text, '\0');
    assert_non_null(strstr(text.data, "workers.batch_size = 13  ; --set\n"));
    assert_non_null(strstr(text.data, "3  ; environment STANDPIPE_WORKERS_PIPELINES\n"));
    assert_non_null(strstr(text.data, ":5\n"));
    assert_non_null(strstr(text.data, "stream.max_backlog_bytes = 1073741824  ; default\n"));
    buffer_deinit(&text);
}

static void the_names_of_the_reference_system_work(void **state)
{
    (void)state;
    environment[0] = "RELAY_URL=wss://relay.example" XRPC;
    environment[1] = "REDIS_MAX_STREAM_LEN=7000";
    environment[2] = "PORT=8080";
    environment[3] = "LOG_LEVEL=WARNING";
    environment[4] = "PARALLEL_CONSUMERS=4";
    environment[5] = "DATABASE_URL=";
    load();
    assert_string_equal(config.relay.url, "wss://relay.example" XRPC);
    assert_int_equal(config.stream.max_length, 7000);
    assert_string_equal(config.http.listen, "0.0.0.0:8080");
    assert_int_equal(config.log.level, LOG_LEVEL_WARNING);
    assert_int_equal(config.workers.pipelines, 4);
    assert_string_equal(config.postgres.url, "postgresql://127.0.0.1:5432/standpipe");
}

static void each_reference_name_belongs_to_one_key(void **state)
{
    (void)state;
    static const char *const names[] = {"RELAY_URL",
                                        "REDIS_URL",
                                        "DATABASE_URL",
                                        "PORT",
                                        "LOG_LEVEL",
                                        "REDIS_STREAM_KEY",
                                        "REDIS_CONSUMER_GROUP",
                                        "REDIS_MAX_STREAM_LEN",
                                        "REDIS_MAX_DELIVERIES",
                                        "PARALLEL_CONSUMERS",
                                        "BATCH_SIZE",
                                        "CONSUMER_ID"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        int found = 0;
        for (size_t k = 0; k < config_key_count; k++) {
            found += config_keys[k].legacy != NULL && strcmp(config_keys[k].legacy, names[i]) == 0;
        }
        assert_int_equal(found, 1);
    }
}

static void log_levels_are_known_by_their_other_names_in_any_case(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum log_level level;
    } cases[] = {{"LOG_LEVEL=WARN", LOG_LEVEL_WARNING}, {"LOG_LEVEL=Warning", LOG_LEVEL_WARNING},
                 {"LOG_LEVEL=ERROR", LOG_LEVEL_ERROR},  {"LOG_LEVEL=CRITICAL", LOG_LEVEL_ERROR},
                 {"LOG_LEVEL=INFO", LOG_LEVEL_INFO},    {"LOG_LEVEL=debug", LOG_LEVEL_DEBUG},
                 {"LOG_LEVEL=warn", LOG_LEVEL_WARNING}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        environment[0] = cases[i].text;
        load();
        assert_int_equal(config.log.level, cases[i].level);
    }
    environment[0] = "LOG_LEVEL=loud";
    config_deinit(&config);
    REFUSE("environment LOG_LEVEL", "log.level = loud", "debug, info, warning or error");
}

static void our_own_name_wins_over_the_reference_name(void **state)
{
    (void)state;
    with_file("[http]\nlisten = 127.0.0.1:9000\n");
    environment[0] = "STANDPIPE_WORKERS_BATCH_SIZE=5";
    environment[1] = "BATCH_SIZE=6";
    environment[2] = "PORT=9001";
    load();
    assert_int_equal(config.workers.batch_size, 5);
    assert_string_equal(config.http.listen, "127.0.0.1:9001");
}

static void a_secret_is_read_from_a_file_without_its_newline(void **state)
{
    (void)state;
    char variable[128];
    put_file(SLICE("redis://:hidden@127.0.0.1:6390/2\n"));
    (void)snprintf(variable, sizeof(variable), "STANDPIPE_REDIS_URL_FILE=%s", path);
    environment[0] = variable;
    load();
    assert_string_equal(config.redis.url, "redis://:hidden@127.0.0.1:6390/2");
    environment[1] = "STANDPIPE_REDIS_URL=redis://127.0.0.1";
    config_deinit(&config);
    REFUSE("STANDPIPE_REDIS_URL and STANDPIPE_REDIS_URL_FILE are both set");
    environment[1] = NULL;
    environment[0] = "DATABASE_URL_FILE=/nonexistent/secret";
    REFUSE("DATABASE_URL_FILE", "/nonexistent/secret", "No such file");
}

static void a_key_whose_name_ends_in_file_is_itself_and_no_secret(void **state)
{
    (void)state;
    char variable[128];
    (void)snprintf(variable, sizeof(variable), "STANDPIPE_HTTP_TOKEN_FILE=%s", path);
    environment[0] = variable;
    load();
    assert_string_equal(config.http.token_file, path);
}

static void an_unknown_key_names_file_line_key_and_the_known_ones(void **state)
{
    (void)state;
    with_file("[redis]\nurl = redis://127.0.0.1\n\n[shutdown]\ntimeout = 5\n");
    REFUSE(path, ":5: timeout = 5: unknown key in [shutdown]", "allowed are timeout_ms");
    with_file("[shutdwon]\ntimeout_ms = 5\n");
    REFUSE(":2: timeout_ms = 5: unknown section [shutdwon]",
           "relay, ingest, redis, stream, workers");
    with_file("[redis]\nulr = redis://:hush@127.0.0.1\n");
    REFUSE(":2: ulr = redis://", "unknown key in [redis]");
    assert_null(strstr(error.text, "hush"));
    with_file("[redis]\nrequirepass = hush\n");
    REFUSE(":2: requirepass = ***: unknown");
    with_file("url = x\n");
    REFUSE(":1: ", "unknown section []");
}

static void an_unknown_variable_of_ours_is_refused_without_its_value(void **state)
{
    (void)state;
    environment[0] = "STANDPIPE_REDIS_PASSWORD=sesame";
    REFUSE("STANDPIPE_REDIS_PASSWORD", "no key has this name");
    assert_null(strstr(error.text, "sesame"));
}

static void what_kubernetes_sets_for_a_service_of_our_name_is_let_pass(void **state)
{
    (void)state;
    environment[0] = "STANDPIPE_SERVICE_HOST=10.0.0.1";
    environment[1] = "STANDPIPE_SERVICE_PORT_HTTP=5000";
    environment[2] = "STANDPIPE_PORT=tcp://10.0.0.1:5000";
    environment[3] = "STANDPIPE_PORT_5000_TCP=tcp://10.0.0.1:5000";
    environment[4] = "STANDPIPE_METRICS_PORT_5000_TCP_ADDR=10.0.0.1";
    load();
    environment[5] = "STANDPIPE_PORT=5000";
    config_deinit(&config);
    REFUSE("STANDPIPE_PORT");
}

static void a_value_out_of_range_says_what_is_allowed(void **state)
{
    (void)state;
    with_file("[workers]\nthreads = 0\n");
    REFUSE(path, ":2: workers.threads = 0", "auto, or 1 to 256");
    with_file("[workers]\nbatch_size = 99999999999999999999\n");
    REFUSE("workers.batch_size = 99999999999999999999", "1 to 10000");
    with_file("[workers]\nbatch_size = -1\n");
    REFUSE("workers.batch_size = -1", "no whole number");
    with_file("[workers]\nbatch_size =\n");
    REFUSE("no whole number");
    with_file("[relay]\ntls_verify = maybe\n");
    REFUSE("relay.tls_verify = maybe", "true or false");
    with_file("[relay]\nmax_frame_bytes = 1 GiB\n");
    REFUSE("relay.max_frame_bytes = 1 GiB", "1 KiB to 256 MiB");
    with_file("[relay]\nmax_frame_bytes = 5 MB\n");
    REFUSE("5 MB", "it is no size");
    with_file("[postgres]\nschema = Public; drop\n");
    REFUSE("postgres.schema");
    with_file("[http]\nlisten = 127.0.0.1\n");
    REFUSE("http.listen = 127.0.0.1", "address:port");
}

static void sizes_are_read_with_and_without_their_unit(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t bytes;
    } cases[] = {{"postgres.batch_bytes=5242880", 5242880},
                 {"postgres.batch_bytes=8MiB", 8388608},
                 {"postgres.batch_bytes=1 GiB", 1073741824},
                 {"postgres.batch_bytes=64 kib", 65536},
                 {"postgres.batch_bytes=2048 B", 2048}};
    arguments.set_count = 1;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        settings[0] = cases[i].text;
        load();
        assert_int_equal(config.postgres.batch_bytes, cases[i].bytes);
    }
}

static void a_cursor_is_a_word_or_a_sequence_number(void **state)
{
    (void)state;
    arguments.set_count = 1;
    settings[0] = "relay.cursor=oldest";
    load();
    assert_int_equal(config.relay.cursor, CURSOR_OLDEST);
    settings[0] = "relay.cursor=9007199254740991";
    load();
    assert_int_equal(config.relay.cursor, CURSOR_SEQUENCE);
    assert_int_equal(config.relay.cursor_sequence, 9007199254740991);
    config_deinit(&config);
    settings[0] = "relay.cursor=9007199254740992";
    REFUSE("relay.cursor = 9007199254740992", "saved, live, oldest or a sequence number");
    settings[0] = "relay.cursor=-1";
    REFUSE("relay.cursor = -1", "saved, live, oldest or a sequence number");
    settings[0] = "relay.cursor=0"; /* the protocol's word for the oldest */
    load();
    assert_int_equal(config.relay.cursor_sequence, 0);
    config_deinit(&config);
}

static void collections_are_whole_segments(void **state)
{
    (void)state;
    arguments.set_count = 1;
    settings[0] = "relay.collections = app.bsky.feed.post , app.bsky.graph.*";
    load();
    assert_int_equal(config.relay.collections.count, 2);
    assert_string_equal(config.relay.collections.items[0], "app.bsky.feed.post");
    assert_string_equal(config.relay.collections.items[1], "app.bsky.graph.*");
    config_deinit(&config);
    static const char *const bad[] = {
        "relay.collections=*",         "relay.collections=app.bsky.fe*",
        "relay.collections=app..bsky", "relay.collections=app.bsky.",
        "relay.collections=a.*.b",     "relay.collections=,a.b"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        settings[0] = bad[i];
        REFUSE("relay.collections", "whole segments");
    }
}

static void a_line_that_is_too_long_is_refused_and_not_cut(void **state)
{
    (void)state;
    struct buffer text = {0};
    buffer_append_string(&text, "[stream]\n# comments may be long\n#");
    for (int i = 0; i < 20000; i++) {
        buffer_append_byte(&text, 'c');
    }
    buffer_append_string(&text, "\ngroup = ");
    for (int i = 0; i < 20000; i++) {
        buffer_append_byte(&text, 'x');
    }
    buffer_append_string(&text, "\n");
    put_file(buffer_slice(&text));
    buffer_deinit(&text);
    arguments.file = path;
    REFUSE(path, ":4: the line is too long");
}

static void a_long_line_within_the_limit_is_read_whole(void **state)
{
    (void)state;
    struct buffer text = {0};
    buffer_append_string(&text, "[postgres]\nurl = postgresql://");
    for (int i = 0; i < 10; i++) {
        buffer_append_format(&text, "database-%d.example.internal:5432,", i);
    }
    buffer_append_string(&text, "last.example/standpipe\n");
    put_file(buffer_slice(&text));
    buffer_deinit(&text);
    arguments.file = path;
    load();
    assert_non_null(strstr(config.postgres.url, "last.example/standpipe"));
}

static void odd_files_are_read_as_people_mean_them(void **state)
{
    (void)state;
    with_file("\xEF\xBB\xBF; a comment\r\n[relay]\r\n  url = wss://a.example ; inline\r\n"
              "   cursor = live\r\n\r\n[redis]\r\nurl=redis://127.0.0.1/1");
    load();
    assert_string_equal(config.relay.url, "wss://a.example" XRPC);
    assert_int_equal(config.relay.cursor, CURSOR_LIVE);
    assert_string_equal(config.redis.url, "redis://127.0.0.1/1");
}

static void a_line_that_is_nothing_is_refused_without_showing_it(void **state)
{
    (void)state;
    with_file("[redis]\nredis://:sesame@host\n");
    REFUSE(path, ":2");
    assert_null(strstr(error.text, "sesame"));
    with_file("[redis]\n\nsesame\n[log]\nlevel = loud\n");
    REFUSE(":3: the line is neither");
    put_file(SLICE("[redis]\nurl = a\0b\n"));
    REFUSE(":2: a zero byte");
}

static void a_key_that_stands_twice_is_refused(void **state)
{
    (void)state;
    with_file("[log]\nlevel = info\n[relay]\n[log]\nlevel = debug\n");
    REFUSE(":5: log.level is set a second time", "line 2");
}

static void a_file_that_is_not_there_is_named(void **state)
{
    (void)state;
    arguments.file = "/nonexistent/standpipe.conf";
    REFUSE("/nonexistent/standpipe.conf", "No such file");
    arguments.file = "/tmp";
    REFUSE("/tmp: cannot be read");
}

static void a_setting_without_its_shape_is_refused(void **state)
{
    (void)state;
    arguments.set_count = 1;
    settings[0] = "workers.threads";
    REFUSE("--set workers.threads", "section.key=value");
    settings[0] = "threads=1";
    REFUSE("--set threads", "section.key=value");
    settings[0] = "workers.thread=1";
    REFUSE("--set: thread = 1: unknown key in [workers]", "threads, pipelines");
}

static void keys_that_contradict_each_other_are_refused(void **state)
{
    (void)state;
    arguments.set_count = 2;
    settings[0] = "workers.threads=4";
    settings[1] = "postgres.connections=3";
    REFUSE("postgres.connections", "workers.threads");
    settings[0] = "alerts.depth_warning=10";
    settings[1] = "alerts.depth_critical=9";
    REFUSE("alerts.depth_warning", "alerts.depth_critical");
    settings[0] = "stream.key=a";
    settings[1] = "stream.dead_letter_key=a";
    REFUSE("stream.dead_letter_key");
    settings[1] = "stream.trim_groups=others";
    REFUSE("stream.trim_groups", "stream.group");
    settings[1] = "relay.ca_file=/nonexistent/ca.pem";
    REFUSE("relay.ca_file = /nonexistent/ca.pem", "No such file");
}

static void passwords_show_up_neither_in_print_nor_in_errors(void **state)
{
    (void)state;
    struct buffer text = {0};
    with_file("[redis]\nurl = redis://me:sesame@127.0.0.1\n"
              "[postgres]\nurl = host=a password='sesame seed' dbname=b\n");
    load();
    config_print(&config, &text);
    buffer_append_byte(&text, '\0');
    assert_null(strstr(text.data, "sesame"));
    assert_non_null(strstr(text.data, "redis://me:****@127.0.0.1"));
    assert_non_null(strstr(text.data, "host=a password=**** dbname=b"));
    buffer_deinit(&text);
    config_deinit(&config);
    with_file("[redis]\nurl = redis://me:sesame@host:port\n");
    REFUSE("redis://me:****@host:port", "host or port is wrong");
    assert_null(strstr(error.text, "sesame"));
    with_file("[postgres]\nurl = postgresql://me:sesame@[host/db\n");
    REFUSE("postgresql://me:****@[host/db");
    assert_null(strstr(error.text, "sesame"));
}

static void the_relays_host_names_its_sequence_space(void **state)
{
    (void)state;
    struct buffer host = {0};
    arguments.set_count = 1;
    settings[0] = "relay.url=wss://BSKY.network:443/";
    load();
    config_relay_host(&config, &host);
    assert_true(slice_equals(buffer_slice(&host), SLICE("bsky.network")));
    buffer_clear(&host);
    settings[0] = "relay.url=ws://127.0.0.1:3000";
    load();
    config_relay_host(&config, &host);
    assert_true(slice_equals(buffer_slice(&host), SLICE("127.0.0.1:3000")));
    buffer_deinit(&host);
}

static void note_change(void *owner, const struct config_change *change)
{
    buffer_append_format(owner, "%s.%s %s -> %s %s\n", change->section, change->key, change->before,
                         change->after, config_apply_name(change->apply));
}

static void a_comparison_names_each_changed_key_and_when_it_is_felt(void **state)
{
    (void)state;
    struct config after;
    struct buffer text = {0};
    load();
    arguments.set_count = 2;
    settings[0] = "log.level=debug";
    settings[1] = "redis.url=redis://:sesame@127.0.0.1";
    assert_true(config_load(&after, &arguments, &error));
    config_compare(&config, &after, note_change, &text);
    buffer_append_byte(&text, '\0');
    assert_string_equal(text.data,
                        "redis.url redis://127.0.0.1:6379/0 -> redis://:****@127.0.0.1 reconnect\n"
                        "log.level info -> debug at once\n");
    buffer_deinit(&text);
    config_deinit(&after);
}

#define CONFIG_TEST(test) cmocka_unit_test_setup_teardown(test, start, finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONFIG_TEST(the_defaults_are_those_of_the_contract),
        CONFIG_TEST(what_is_automatic_is_resolved_to_a_number),
        CONFIG_TEST(the_later_source_wins_and_is_named),
        CONFIG_TEST(the_names_of_the_reference_system_work),
        CONFIG_TEST(each_reference_name_belongs_to_one_key),
        CONFIG_TEST(log_levels_are_known_by_their_other_names_in_any_case),
        CONFIG_TEST(our_own_name_wins_over_the_reference_name),
        CONFIG_TEST(a_secret_is_read_from_a_file_without_its_newline),
        CONFIG_TEST(a_key_whose_name_ends_in_file_is_itself_and_no_secret),
        CONFIG_TEST(an_unknown_key_names_file_line_key_and_the_known_ones),
        CONFIG_TEST(an_unknown_variable_of_ours_is_refused_without_its_value),
        CONFIG_TEST(what_kubernetes_sets_for_a_service_of_our_name_is_let_pass),
        CONFIG_TEST(a_value_out_of_range_says_what_is_allowed),
        CONFIG_TEST(sizes_are_read_with_and_without_their_unit),
        CONFIG_TEST(a_cursor_is_a_word_or_a_sequence_number),
        CONFIG_TEST(collections_are_whole_segments),
        CONFIG_TEST(a_line_that_is_too_long_is_refused_and_not_cut),
        CONFIG_TEST(a_long_line_within_the_limit_is_read_whole),
        CONFIG_TEST(odd_files_are_read_as_people_mean_them),
        CONFIG_TEST(a_line_that_is_nothing_is_refused_without_showing_it),
        CONFIG_TEST(a_key_that_stands_twice_is_refused),
        CONFIG_TEST(a_file_that_is_not_there_is_named),
        CONFIG_TEST(a_setting_without_its_shape_is_refused),
        CONFIG_TEST(keys_that_contradict_each_other_are_refused),
        CONFIG_TEST(passwords_show_up_neither_in_print_nor_in_errors),
        CONFIG_TEST(the_relays_host_names_its_sequence_space),
        CONFIG_TEST(a_comparison_names_each_changed_key_and_when_it_is_felt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
