/* [length: 4 bytes, little-endian][frame]... to JSON lines. One frame and its line are in memory. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "atproto/frame.h"
#include "atproto/json.h"
#include "cli/cli.h"

enum {
    LENGTH_BYTES = 4,
    BITS_PER_BYTE = 8,
    INPUT_BUFFER_BYTES = 256 * 1024
};

struct decode {
    struct frame_decoder *decoder;
    FILE *input;
    const char *name; /* of the input, for errors */
    size_t max_frame_bytes;
    uint64_t offset; /* of the frame's length in the input */
    uint64_t refused;
    struct buffer frame;
    struct buffer line;
};

static void append_text_field(struct buffer *line, const char *name, struct slice text)
{
    buffer_append_byte(line, '"');
    buffer_append_string(line, name);
    buffer_append_string(line, "\":");
    /* What JSON cannot hold is replaced; a line of diagnosis need not keep the bytes. */
    (void)json_append_text(line, text);
}

static void append_sequence(struct buffer *line, int64_t sequence)
{
    buffer_append_string(line, "\"seq\":\"");
    buffer_append_int64(line, sequence);
    buffer_append_byte(line, '"');
}

static void append_entry(struct buffer *line, const struct frame_event *event)
{
    append_sequence(line, event->sequence);
    buffer_append_byte(line, ',');
    append_text_field(line, "time", event->time);
    buffer_append_byte(line, ',');
    append_text_field(line, "rev", event->rev);
    buffer_append_string(line, ",\"data\":");
    buffer_append_slice(line, event->data);
}

static bool is_filtered(const struct frame_event *event)
{
    return event->type == FRAME_COMMIT && event->ops == 0 && event->filtered_ops > 0;
}

static void append_event(struct buffer *line, const struct frame_event *event)
{
    buffer_append_string(line, "{");
    append_text_field(line, "type",
                      is_filtered(event) ? SLICE("filtered")
                                         : slice_from_string(frame_type_name(event->type)));
    buffer_append_byte(line, ',');
    if (is_filtered(event)) {
        append_sequence(line, event->sequence);
    } else if (event->type <= FRAME_SYNC) {
        append_entry(line, event);
    } else {
        append_text_field(line, "name", event->name);
        buffer_append_byte(line, ',');
        append_text_field(line, "message", event->message);
    }
    buffer_append_string(line, "}\n");
}

static void append_fault(struct buffer *line, const struct frame_fault *fault)
{
    buffer_append_byte(line, '{');
    append_text_field(line, "error", slice_from_string(frame_fault_reason_name(fault->reason)));
    buffer_append_byte(line, ',');
    append_text_field(line, "text", slice_from_string(fault->text));
    buffer_append_format(line, ",\"seq\":%" PRId64 "}\n", fault->sequence);
}

static void print_frame(struct decode *decode)
{
    struct frame_event event;
    struct frame_fault fault;
    buffer_clear(&decode->line);
    if (frame_decoder_decode(decode->decoder, buffer_slice(&decode->frame), &event, &fault) ==
        PARSE_DONE) {
        append_event(&decode->line, &event);
    } else {
        append_fault(&decode->line, &fault);
        decode->refused++;
    }
    (void)fwrite(decode->line.data, 1, decode->line.size, stdout);
}

static bool refuse_input(const struct decode *decode, struct error *error, const char *why)
{
    const char *advice = "it is cut off: get it whole, or check that it is frames";
    if (ferror(decode->input) != 0) {
        why = strerror(errno);
        advice = "give a file that can be read";
    }
    error_set(error, ERROR_INTERNAL, "%s: at byte %" PRIu64 ": %s: %s", decode->name,
              decode->offset, why, advice);
    return false;
}

/* Exactly `size` bytes into the frame's buffer; false at the end of the input or at a fault. */
static bool read_bytes(struct decode *decode, size_t size, size_t *count)
{
    buffer_clear(&decode->frame);
    char *to = buffer_reserve(&decode->frame, size + 1);
    *count = fread(to, 1, size, decode->input);
    decode->frame.size = *count;
    return *count == size;
}

static bool read_length(struct decode *decode, size_t *length, bool *is_end, struct error *error)
{
    size_t count = 0;
    *length = 0;
    *is_end = false;
    if (!read_bytes(decode, LENGTH_BYTES, &count)) {
        *is_end = count == 0 && ferror(decode->input) == 0;
        return *is_end || refuse_input(decode, error, "the input ends inside a length");
    }
    for (size_t i = LENGTH_BYTES; i > 0; i--) {
        *length = *length << BITS_PER_BYTE | (unsigned char)decode->frame.data[i - 1];
    }
    if (*length <= decode->max_frame_bytes) {
        return true;
    }
    error_set(error, ERROR_INTERNAL,
              "%s: at byte %" PRIu64 ": the length %zu is over the limit of %zu bytes: raise "
              "relay.max_frame_bytes, or check that the input is frames",
              decode->name, decode->offset, *length, decode->max_frame_bytes);
    return false;
}

static bool read_frames(struct decode *decode, struct error *error)
{
    for (;;) {
        size_t length = 0;
        size_t count = 0;
        bool is_end = false;
        if (!read_length(decode, &length, &is_end, error)) {
            return false;
        }
        if (is_end) {
            return true;
        }
        if (!read_bytes(decode, length, &count)) {
            return refuse_input(decode, error, "the input ends inside this frame");
        }
        print_frame(decode);
        decode->offset += LENGTH_BYTES + length;
    }
}

static int decode_input(struct decode *decode, const struct config *config)
{
    struct frame_decoder_options options = {
        .verify_blocks = config->relay.verify == RELAY_VERIFY_BLOCKS,
        .filter = {.patterns = (const char *const *)config->relay.collections.items,
                   .count = config->relay.collections.count}};
    struct error error;
    decode->max_frame_bytes = config->relay.max_frame_bytes;
    /* A frame is larger than stdio's own buffer. Where there is no memory for it, that one does. */
    (void)setvbuf(decode->input, NULL, _IOFBF, INPUT_BUFFER_BYTES);
    decode->decoder = frame_decoder_create(&options);
    int code = read_frames(decode, &error) ? EXIT_DONE : cli_fail("decode", &error);
    frame_decoder_destroy(decode->decoder);
    buffer_deinit(&decode->frame);
    buffer_deinit(&decode->line);
    return cli_finish_output(decode->refused > 0 ? EXIT_FAILED : code);
}

int cli_decode(const struct cli_options *options)
{
    struct decode decode = {.name = options->arguments[0], .input = stdin};
    struct config config;
    if (!cli_load_config(options, &config)) {
        return EXIT_USAGE;
    }
    int code = EXIT_FAILED;
    bool is_file = strcmp(decode.name, "-") != 0;
    if (is_file) {
        decode.input = fopen(decode.name, "re");
    }
    if (decode.input == NULL) {
        (void)fprintf(stderr,
                      "standpipe: decode: %s: %s: give a readable file, or - for standard "
                      "input\n",
                      decode.name, strerror(errno));
    } else {
        code = decode_input(&decode, &config);
    }
    if (is_file && decode.input != NULL) {
        (void)fclose(decode.input);
    }
    config_deinit(&config);
    return code;
}
