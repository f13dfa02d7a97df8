#include "unit/http/exposition.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    METRICS_MAX = 256,
    SAMPLES_MAX = 2048,
    NAME_SIZE = 128,
    LINE_SIZE = 512
};

struct checker {
    char *problem;
    size_t problem_size;
    unsigned metric_count;
    char metrics[METRICS_MAX][NAME_SIZE]; /* all that had a TYPE */
    char type[NAME_SIZE];                 /* of the last */
    bool has_help;                        /* HELP came, its TYPE is awaited */
    unsigned sample_count;
    char samples[SAMPLES_MAX][LINE_SIZE]; /* names with their labels */
    double last_bucket;
};

static bool refuse(struct checker *checker, const char *what, const char *line)
{
    (void)snprintf(checker->problem, checker->problem_size, "%s: %s", what, line);
    return false;
}

static size_t name_length(const char *text)
{
    size_t size = 0;
    while (isalnum((unsigned char)text[size]) || text[size] == '_' || text[size] == ':') {
        size++;
    }
    return isdigit((unsigned char)text[0]) ? 0 : size;
}

static const char *metric_name(const struct checker *checker)
{
    return checker->metric_count == 0 ? "" : checker->metrics[checker->metric_count - 1];
}

static bool check_help(struct checker *checker, const char *line)
{
    const char *name = line + strlen("# HELP ");
    size_t size = name_length(name);
    if (size == 0 || size >= NAME_SIZE || name[size] != ' ' || name[size + 1] == '\0') {
        return refuse(checker, "HELP without a name or a text", line);
    }
    for (unsigned i = 0; i < checker->metric_count; i++) {
        if (strlen(checker->metrics[i]) == size && strncmp(checker->metrics[i], name, size) == 0) {
            return refuse(checker, "a metric comes twice", line);
        }
    }
    if (checker->metric_count == METRICS_MAX) {
        return refuse(checker, "too many metrics", line);
    }
    memcpy(checker->metrics[checker->metric_count], name, size);
    checker->metrics[checker->metric_count][size] = '\0';
    checker->metric_count++;
    checker->has_help = true;
    return true;
}

static bool check_type(struct checker *checker, const char *line)
{
    char name[NAME_SIZE];
    if (!checker->has_help || sscanf(line, "# TYPE %127s %127s", name, checker->type) != 2 ||
        strcmp(name, metric_name(checker)) != 0) {
        return refuse(checker, "TYPE does not follow its HELP", line);
    }
    bool is_counter = strcmp(checker->type, "counter") == 0;
    bool is_total = strlen(name) > 6 && strcmp(name + strlen(name) - 6, "_total") == 0;
    bool is_known = is_counter || strcmp(checker->type, "gauge") == 0 ||
                    strcmp(checker->type, "histogram") == 0;
    if (!is_known || is_counter != is_total) {
        return refuse(checker, "unknown type, or _total where it should not be", line);
    }
    checker->has_help = false;
    checker->last_bucket = 0;
    return true;
}

/* After the opening quote; NULL where the value does not end. */
static const char *skip_label_value(const char *text)
{
    while (*text != '\0' && *text != '"') {
        bool is_escape = *text == '\\';
        if (is_escape && (text[1] == '\0' || strchr("\\\"n", text[1]) == NULL)) {
            return NULL;
        }
        text += is_escape ? 2 : 1;
    }
    return *text == '"' ? text + 1 : NULL;
}

/* After the opening brace; NULL where labels are malformed. */
static const char *skip_labels(const char *text)
{
    for (;;) {
        size_t size = name_length(text);
        if (size == 0 || strncmp(text + size, "=\"", 2) != 0) {
            return NULL;
        }
        text = skip_label_value(text + size + 2);
        if (text == NULL || *text == '}') {
            return text == NULL ? NULL : text + 1;
        }
        if (*text++ != ',') {
            return NULL;
        }
    }
}

static bool belongs(const struct checker *checker, const char *line, size_t size)
{
    static const char *const endings[] = {"_bucket", "_sum", "_count"};
    const char *metric = metric_name(checker);
    size_t length = strlen(metric);
    if (strncmp(line, metric, length) != 0) {
        return false;
    }
    if (strcmp(checker->type, "histogram") != 0) {
        return size == length;
    }
    for (unsigned i = 0; i < 3; i++) {
        if (size == length + strlen(endings[i]) &&
            strncmp(line + length, endings[i], strlen(endings[i])) == 0) {
            return true;
        }
    }
    return false;
}

static bool check_histogram(struct checker *checker, const char *line, double value)
{
    bool is_bucket = strstr(line, "_bucket{le=\"") != NULL;
    bool is_count = strstr(line, "_count ") != NULL;
    if (is_bucket && value < checker->last_bucket) {
        return refuse(checker, "a bucket falls", line);
    }
    if (is_count && value != checker->last_bucket) {
        return refuse(checker, "the last bucket is not the count", line);
    }
    if (is_bucket) {
        checker->last_bucket = value;
    }
    return true;
}

static bool note_sample(struct checker *checker, const char *line, size_t size)
{
    if (checker->sample_count == SAMPLES_MAX || size >= LINE_SIZE) {
        return refuse(checker, "too many samples", line);
    }
    char *kept = checker->samples[checker->sample_count];
    memcpy(kept, line, size);
    kept[size] = '\0';
    for (unsigned i = 0; i < checker->sample_count; i++) {
        if (strcmp(checker->samples[i], kept) == 0) {
            return refuse(checker, "a sample comes twice", line);
        }
    }
    checker->sample_count++;
    return true;
}

static bool check_sample(struct checker *checker, const char *line)
{
    size_t size = name_length(line);
    if (size == 0 || checker->has_help || !belongs(checker, line, size)) {
        return refuse(checker, "a sample outside of its metric", line);
    }
    const char *next = line[size] == '{' ? skip_labels(line + size + 1) : line + size;
    if (next == NULL || *next != ' ') {
        return refuse(checker, "malformed labels", line);
    }
    char *end = NULL;
    double value = strtod(next + 1, &end);
    if (end == next + 1 || *end != '\0') {
        return refuse(checker, "no number", line);
    }
    return note_sample(checker, line, (size_t)(next - line)) &&
           (strcmp(checker->type, "histogram") != 0 || check_histogram(checker, line, value));
}

static bool check_line(struct checker *checker, const char *line)
{
    if (strncmp(line, "# HELP ", 7) == 0) {
        return check_help(checker, line);
    }
    if (strncmp(line, "# TYPE ", 7) == 0) {
        return check_type(checker, line);
    }
    return check_sample(checker, line);
}

bool exposition_check(struct slice page, char *problem, size_t size)
{
    struct checker *checker = calloc(1, sizeof(*checker));
    bool is_good = checker != NULL;
    if (is_good) {
        checker->problem = problem;
        checker->problem_size = size;
    }
    while (is_good && page.size > 0) {
        char line[LINE_SIZE];
        const char *end = memchr(page.data, '\n', page.size);
        size_t length = end == NULL ? page.size : (size_t)(end - page.data);
        if (end == NULL || length >= sizeof(line)) {
            is_good = refuse(checker, "a line without its end, or too long", "");
            break;
        }
        memcpy(line, page.data, length);
        line[length] = '\0';
        is_good = check_line(checker, line);
        page = slice_skip(page, length + 1);
    }
    free(checker);
    return is_good;
}
