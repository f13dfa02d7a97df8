/* tables.conf: what a right one says, and that each mistake is told with its line, its cause and a way out. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buffer.h"
#include "config/config.h"
#include "config/tables.h"
#include "config/tables_private.h"
#include "unit/test.h"

static struct tables *parse(const char *text)
{
    struct error error;
    struct tables *tables = tables_parse(slice_from_string(text), "t.conf", &error);
    assert_case(tables != NULL, tables == NULL ? error.text : "");
    return tables;
}

static const struct table *find(const struct tables *tables, const char *name)
{
    for (size_t i = 0; i < tables->count; i++) {
        if (strcmp(tables->items[i].name, name) == 0) {
            return &tables->items[i];
        }
    }
    fail_msg("no table %s", name);
    return NULL;
}

static const struct table_column *column_of(const struct table *table, const char *name)
{
    for (size_t i = 0; i < table->column_count; i++) {
        if (strcmp(table->columns[i].name, name) == 0) {
            return &table->columns[i];
        }
    }
    fail_msg("no column %s", name);
    return NULL;
}

static void assert_described(const struct table *table, const char *wanted)
{
    struct buffer text = {0};
    tables_describe(table, &text);
    buffer_append_byte(&text, '\0');
    assert_case(strstr(text.data, wanted) != NULL, text.data);
    buffer_deinit(&text);
}

#define HEAD "[t]\ncollection = com.example.thing\n"

static void every_table_of_ours_begins_with_the_same_columns(void **state)
{
    static const char *const names[] = {"uri", "did",        "rkey",       "cid",
                                        "rev", "created_at", "indexed_at", "a"};
    (void)state;
    struct tables *tables = parse(HEAD "a = text a\n");
    const struct table *table = find(tables, "t");
    assert_int_equal(table->column_count, 8);
    for (size_t i = 0; i < 8; i++) {
        assert_string_equal(table->columns[i].name, names[i]);
    }
    assert_int_equal(table->columns[table->key].source, COLUMN_URI);
    assert_string_equal(table->rows_name, "standpipe_t");
    assert_described(table, "created_at = timestamptz \"createdAt\"\n");
    assert_int_equal(table->line, 1);
    tables_free(tables);
}

static void created_at_may_come_from_elsewhere(void **state)
{
    (void)state;
    struct tables *tables = parse(HEAD "created_at = timestamptz playedTime | at\n");
    const struct table *table = find(tables, "t");
    assert_int_equal(table->column_count, 7);
    assert_described(table, "created_at = timestamptz \"playedTime\" | \"at\"\n");
    tables_free(tables);
}

static void a_path_has_keys_items_and_types(void **state)
{
    (void)state;
    struct tables *tables =
        parse(HEAD "a = text[] x[].y[]<a.b.c#tag>.z | <a.b.c#main>.\"odd key\"[].$type\n");
    const struct table_column *column = column_of(find(tables, "t"), "a");
    static const enum path_step_kind kinds[] = {PATH_KEY,  PATH_EACH, PATH_KEY,
                                                PATH_EACH, PATH_TYPE, PATH_KEY};
    assert_int_equal(column->path_count, 2);
    assert_int_equal(column->paths[0].step_count, 6);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(column->paths[0].steps[i].kind, kinds[i]);
    }
    assert_string_equal(column->paths[0].steps[4].name, "a.b.c#tag");
    assert_described(find(tables, "t"), "a = text[] \"x\"[].\"y\"[]<a.b.c#tag>.\"z\" | "
                                        "<a.b.c>.\"odd key\"[].\"$type\"\n");
    tables_free(tables);
}

static void a_column_says_what_it_does_without_a_value(void **state)
{
    (void)state;
    struct tables *tables = parse(HEAD "bad = dead_letter\n"
                                       "a = text a required\n"
                                       "b = integer b default='-7' bad=null\n"
                                       "c = text 'it''s | here'\n"
                                       "d = text[] d[] default='{a,b}'\n"
                                       "e = timestamptz e default='2026-01-01T00:00:00Z'\n"
                                       "f = jsonb f default='[]'\n"
                                       "g = boolean g default='true'\n"
                                       "h = cid h\n");
    const struct table *table = find(tables, "t");
    assert_true(column_of(table, "a")->is_required);
    assert_int_equal(column_of(table, "a")->bad_value, BAD_VALUE_DEAD_LETTER);
    assert_int_equal(column_of(table, "b")->bad_value, BAD_VALUE_NULL);
    assert_string_equal(column_of(table, "b")->fallback, "-7");
    assert_int_equal(column_of(table, "c")->source, COLUMN_LITERAL);
    assert_string_equal(column_of(table, "c")->fallback, "it's | here");
    assert_int_equal(column_of(table, "h")->type, COLUMN_CID);
    assert_int_equal(column_of(table, "created_at")->bad_value, BAD_VALUE_NULL);
    tables_free(tables);
}

static void an_existing_table_has_only_the_columns_that_it_names(void **state)
{
    (void)state;
    struct tables *tables = parse("[app.things]\ncollection = com.example.thing\nexisting = true\n"
                                  "at = timestamptz @indexed_at\nid = text @uri\n"
                                  "c = text @cid\nr = jsonb @record\nn = integer @seq\n");
    const struct table *table = find(tables, "app.things");
    assert_int_equal(table->column_count, 5);
    assert_int_equal(table->key, 1);
    assert_true(table->is_users);
    assert_string_equal(table->rows_name, "app.things");
    tables_free(tables);
}

static void indexes_are_named_by_what_they_are(void **state)
{
    (void)state;
    struct tables *tables = parse(HEAD "a = text a\ntags = text[] tags[]\n"
                                       "index = did, sort_at\nunique = a\nindex = tags using gin\n"
                                       "index = a where a IS NOT NULL\n"
                                       "index = a using hash where a <> 'x;'\n");
    const struct table *table = find(tables, "t");
    assert_int_equal(table->index_count, 5);
    assert_string_equal(table->indexes[0].name, "standpipe_t_did_sort_at");
    assert_string_equal(table->indexes[0].columns[1], "sort_at");
    assert_string_equal(table->indexes[1].name, "standpipe_t_a_unique");
    assert_true(table->indexes[1].is_unique);
    assert_string_equal(table->indexes[2].name, "standpipe_t_tags_gin");
    assert_string_equal(table->indexes[2].method, "gin");
    assert_string_equal(table->indexes[3].where, "a IS NOT NULL");
    assert_int_equal(strncmp(table->indexes[3].name, "standpipe_t_a_", 14), 0);
    assert_string_equal(table->indexes[4].where, "a <> 'x;'");
    tables_free(tables);
}

/* The columns of one entry share what a third of a page leaves them; hashes and documents need no limit. */
static void a_text_that_an_index_holds_has_a_limit(void **state)
{
    static const struct {
        const char *column;
        uint32_t bytes;
    } wanted[] = {{"free", 0},       {"alone", 2048}, {"first", 1024}, {"second", 1024},
                  {"items", 2048},   {"hashed", 0},   {"json", 0},     {"number", 0},
                  {"counted", 2048}, {"did", 0},      {"constant", 0}, {"own", 1824}};
    (void)state;
    struct tables *tables =
        parse(HEAD "free = text a\nalone = text a\nfirst = text a\nsecond = text a\nitems = text[] "
                   "a[]\nhashed = text a\njson = jsonb a\nnumber = integer a\ncounted = text "
                   "a\nconstant = text 'x'\nindex = alone, did\nindex = second, number, "
                   "first\nunique = first\nindex = items using gin\nindex = hashed using "
                   "hash\nindex = json using gin\nindex = constant\ncount = c.n by counted\n"
                   "own = text a\nindex = own, did, rkey, uri\n");
    assert_int_equal(find(tables, "t")->own_max, 3);
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        const struct table_column *column = column_of(find(tables, "t"), wanted[i].column);
        assert_int_equal(column->bytes_max, wanted[i].bytes);
    }
    tables_free(tables);
}

static void counts_are_gathered_by_table_and_sorted(void **state)
{
    (void)state;
    struct tables *tables = parse("[b]\ncollection = com.example.b\ns = text s\n"
                                  "count = z_counts(did).n by did\ncount = a_counts.m by s\n"
                                  "[a]\ncollection = com.example.a\ns = text s\n"
                                  "count = a_counts(uri).k by s\ncount = a_counts.m by s\n");
    assert_int_equal(tables->count_table_count, 2);
    const struct count_table *counts = &tables->count_tables[0];
    assert_string_equal(counts->name, "a_counts");
    assert_string_equal(counts->key, "uri");
    assert_int_equal(counts->column_count, 2);
    assert_string_equal(tables->count_tables[1].key, "did");
    const struct table *table = find(tables, "b");
    assert_string_equal(table->counts[0].counts, "z_counts");
    assert_string_equal(table->columns[table->counts[0].by].name, "did");
    struct buffer text = {0};
    tables_describe_counts(tables, counts, &text);
    buffer_append_byte(&text, '\0');
    assert_string_equal(text.data, "key = uri\nk = a by s\nm = a by s\nm = b by s\n");
    buffer_deinit(&text);
    tables_free(tables);
}

static void the_tables_of_a_collection_are_found_together(void **state)
{
    (void)state;
    struct tables *tables = parse("[c]\ncollection = com.example.b\n[b]\ncollection = "
                                  "com.example.a\n[a]\ncollection = com.example.b\n");
    size_t count = 0;
    const struct table *first = tables_find(tables, SLICE("com.example.b"), &count);
    assert_int_equal(count, 2);
    assert_string_equal(first[0].name, "a");
    assert_string_equal(first[1].name, "c");
    assert_null(tables_find(tables, SLICE("com.example"), &count));
    assert_int_equal(count, 0);
    tables_free(tables);
    tables = parse("# nothing\n");
    assert_null(tables_find(tables, SLICE("com.example.a"), &count));
    tables_free(tables);
    tables_free(NULL);
}

/* --- mistakes --- */

#define LONG50   "abcdefghijabcdefghijabcdefghijabcdefghijabcdefghij"
#define LONG64   LONG50 "abcdefghijabcd"
#define LONG300  LONG50 LONG50 LONG50 LONG50 LONG50 LONG50
#define LONG2100 LONG300 LONG300 LONG300 LONG300 LONG300 LONG300 LONG300

struct mistake {
    const char *text;
    const char *wanted; /* all of the error, or what stands in it */
};

/* Each is told with its line. */
static const struct mistake mistakes[] = {
    {"a = text a\n", "t.conf:1: no [table] stands before the line: begin with one"},
    {"[t]\n", "t.conf:1: the section is empty: give it keys, or take it out"},
    {"[t]\n[u]\ncollection = a.b.c\n", "t.conf:1: the section is empty"},
    {"\n[t]\na = text a\n", "t.conf:2: [t]: it says no collection: write `collection = "},
    {"[t\n", "t.conf:1: the line is neither [section] nor key = value"},
    {"[t]\ncollection = posts\n", "t.conf:2: t.collection: posts is no collection"},
    {"[t]\ncollection =\n", "t.conf:2: t.collection:  is no collection"},
    {"[t]\ncollection = a.*\n", "is no collection"},
    {"[t]\ncollection = a..b\n", "is no collection"},
    {"[t]\ncollection = a.b.\n", "is no collection"},
    {HEAD "collection = com.example.other\n", "t.conf:3: t.collection: it stands twice"},
    {HEAD "[t]\ncollection = a.b.c\n", "t.conf:3: [t]: it stands twice: line 1 has it too"},
    {HEAD "[u]\ncollection = a.b.c\n[t]\ncollection = a.b.c\n", "t.conf:5: [t]: it stands twice"},
    {"[T]\ncollection = a.b.c\n", "t.conf:1: [T]: it is no plain name"},
    {"[1t]\ncollection = a.b.c\n", "[1t]: it is no plain name"},
    {"[a.b]\ncollection = a.b.c\n", "[a.b]: it is no plain name"},
    {"[user]\ncollection = a.b.c\n", "[user]: PostgreSQL reserves that word: use another"},
    {"[records]\ncollection = a.b.c\n", "[records]: standpipe has that name itself"},
    {"[cursor]\ncollection = a.b.c\n", "[cursor]: standpipe has that name itself"},
    {"[standpipe_x]\ncollection = a.b.c\n", "begin with standpipe_ are its own"},
    {"[" LONG50 "]\ncollection = a.b.c\n", "t.conf:1: the section's name is too long"},
    {HEAD "bad = maybe\n", "t.conf:3: t.bad: maybe: write null or dead_letter"},
    {HEAD "existing = yes\n", "t.conf:3: t.existing: yes: write true"},
    /* columns */
    {HEAD "a = \n", "t.conf:3: t.a: it is empty: write `type path`"},
    {HEAD "a = txt a\n", "t.conf:3: t.a: txt is no type: write `type path`; types are text, "},
    {HEAD "a = text\n", "t.conf:3: t.a: text alone says no source"},
    {HEAD "A = text a\n", "t.A: it is no plain name"},
    {HEAD "select = text a\n", "t.select: PostgreSQL reserves that word"},
    {HEAD "ctid = text a\n", "t.ctid: PostgreSQL reserves that word"},
    {HEAD LONG64 " = text a\n", "it is too long: PostgreSQL keeps 63 bytes"},
    {HEAD "a = text a\na = text b\n", "t.conf:4: t.a: it stands twice: line 3 has it too"},
    {HEAD "\ndid = text a\n", "t.conf:4: t.did: every table has that column: take it out"},
    {HEAD "sort_at = text a\n", "t.conf:3: t.sort_at: every table has that column"},
    {HEAD "created_at = text a\n", "t.conf:3: t.created_at: it is timestamptz in every table"},
    {HEAD "a = text[] langs\n", "text[] takes every item of an array: write langs[]"},
    {HEAD "a = text a optional\n", "t.conf:3: t.a: optional is not known here: allowed are"},
    {HEAD "a = text a bad=skip\n", "t.a: bad=skip is not known here"},
    {HEAD "a = text a |\n", "t.a: | ends the line: write a path behind it"},
    {HEAD "a = text a | | b\n", "the path |: a key is missing"},
    {HEAD "a = text 'a' | b\n", "t.a: |: only paths have alternatives"},
    {HEAD "a = text a|a|a|a|a|a|a|a|a\n", "t.a: there are too many alternatives: allowed are 8"},
    {HEAD "a = text @url\n", "t.a: @url is no source: there are @uri, @did"},
    {HEAD "a = text @seq\n", "t.a: @seq is integer and not text: give it that type"},
    {HEAD "a = text @did required\n", "t.a: required: it always has a value"},
    {HEAD "a = text 'x' default='y'\n", "t.a: default: it always has a value"},
    {HEAD "a = text a required default='y'\n", "a column with a default is never absent"},
    {HEAD "a = text 'x\n", "t.a: 'x is no constant: write it 'so'"},
    {HEAD "a = text 'x'y'\n", "is no constant"},
    {HEAD "a = text a default=x\n", "t.a: x is no constant: write it 'so'"},
    {HEAD "a = text a default=\n", "is no constant"},
    {HEAD "a = text a default='\xc3\xa9'\n", "is no text: use ASCII letters"},
    {HEAD "a = integer a default='x'\n", "t.a: 'x' is no integer: write a whole number"},
    {HEAD "a = integer a default='9223372036854775808'\n", "is no integer"},
    {HEAD "a = integer a default='-'\n", "is no integer"},
    {HEAD "a = integer a default=' 1'\n", "is no integer"},
    {HEAD "a = boolean a default='yes'\n", "is no boolean: write true or false"},
    {HEAD "a = timestamptz a default='now'\n", "is no timestamptz: write 2026-01-01T00:00:00Z"},
    {HEAD "a = timestamptz a default='2026-13-01T00:00:00Z'\n", "is no timestamptz"},
    {HEAD "a = timestamptz a default='0000-01-01T00:00:00Z'\n", "is no timestamptz"},
    {HEAD "a = jsonb a default='{'\n", "is no jsonb: write {}"},
    {HEAD "a = text[] a[] default='a'\n", "is no text[]: write {}"},
    {HEAD "a = text[] a[] default='{a,}'\n", "is no text[]"},
    {HEAD "a = text[] a[] default='{a b}'\n", "is no text[]"},
    /* paths */
    {HEAD "a = text a..b\n", "t.conf:3: t.a: the path a..b: a key is missing or has odd letters"},
    {HEAD "a = text a.\n", "the path a.: a key is missing"},
    {HEAD "a = text .a\n", "the path .a: a key is missing"},
    {HEAD "a = text a[0]\n", "the path a[0]: behind a key comes .key, [] or <type>"},
    {HEAD "a = text a[]b\n", "behind a key comes"},
    {HEAD "a = text a<b\n", "a type test is wrong: write <com.example.thing>"},
    {HEAD "a = text a<>.b\n", "a type test is wrong"},
    {HEAD "a = text a<b#>.b\n", "a type test is wrong"},
    {HEAD "a = text a<b#c#d>.b\n", "a type test is wrong"},
    {HEAD "a = text \"a\n", "a quote does not end"},
    {HEAD "a = text a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a\n", "too many steps: allowed are 16"},
    /* indexes */
    {HEAD "\nindex = a\na = text a\nindex = b\n", "t.conf:6: t: index: b is no column of it"},
    {HEAD "index =\n", "t.conf:3: t: index: it is empty"},
    {HEAD "index = did,,rkey\n", "t: index:  is no column of it"},
    {HEAD "index = did desc\n", "t: index: did desc is no column of it"},
    {HEAD "index = did using lsm\n", "t: index: lsm is no method: there are btree"},
    {HEAD "unique = did using hash\n", "t: unique: hash cannot be unique"},
    {HEAD "index = did using gin\n", "t.conf:3: t: index: did: gin is no method for text"},
    {HEAD "index = sort_at using gist\n", "sort_at: gist is no method for timestamptz"},
    {HEAD "a = jsonb a\nindex = did, a using brin\n", "a: brin is no method for jsonb"},
    {HEAD "a = jsonb a\nindex = a using spgist\n", "a: spgist is no method for jsonb"},
    {HEAD "index = did, rkey using hash\n", "t: index: hash takes 1: make several of it"},
    {HEAD "a = jsonb a\nindex = a\n", "a: btree is no method for jsonb: write using gin"},
    {HEAD "a = text[] a[]\nunique = did, a\n", "a: btree is no method for text[]: write using"},
    {HEAD "a = text a default='" LONG2100 "'\nindex = did, a\n",
     "t.conf:3: t.a: its constant has 2100 bytes, its index or count takes 2048: shorten it"},
    {HEAD "a = text a default='" LONG2100 "'\ncount = c.n by a\n", "t.conf:3: t.a: its constant"},
    {HEAD "a = text '" LONG2100 "'\ncount = c.n by a\n", "t.conf:3: t.a: its constant has 2100"},
    {HEAD "a = text '" LONG2100 "'\nb = text '" LONG2100 "'\nindex = a, b\n",
     "t: standpipe_t_a_b: its constants are too long: an entry of an index has 2704 bytes"},
    {HEAD "index = did\nindex = did\n", "t.conf:4: t: index: standpipe_t_did stands twice"},
    /* counts */
    {HEAD "count = n by did\n",
     "t.conf:3: t: count: n by did: write `counts(key).number by column`"},
    {HEAD "count = c.n\n", "write `counts(key).number by column`"},
    {HEAD "count = c(uri.n by did\n", "write `counts(key).number by column`"},
    {HEAD "count = c.n by x\n", "t: count: by x: that is no text column of it"},
    {HEAD "count = c.n by created_at\n", "by created_at: that is no text column"},
    {HEAD "count = C.n by did\n", "t: count: C: it is no plain name"},
    {HEAD "count = c().n by did\n", "t: count: : it is no plain name"},
    {HEAD "count = c.order by did\n", "t: count: order: PostgreSQL reserves that word"},
    {HEAD "count = c(n).n by did\n", "t: count: n is the key and cannot be the number"},
    {HEAD "count = c.n by did\ncount = c(did).m by did\n", "t.conf:4: t: count: c has the key uri"},
    {HEAD "count = t.n by did\n", "t.conf:3: count: t: a table has that name"},
    {HEAD "a = text a\ncount = c.n by a\ncount = repos.n by did\nb = text b\n",
     "t.conf:5: count: repos: standpipe has that name itself"},
    {HEAD "count = u.n by did\n[u]\ncollection = a.b.c\n", "t.conf:3: count: u: a table has"},
    {HEAD "count = c.n by did\ncount = c(uri).n by did\n",
     "t.conf:4: t: count: c.n by did stands twice: take one out"},
    /* what stands twice */
    {HEAD "existing = false\nexisting = true\n", "t.conf:4: t.existing: it stands twice"},
    {HEAD "bad = null\nbad = dead_letter\n", "t.conf:4: t.bad: it stands twice"},
    {HEAD "a = text a default='x' default='y'\n", "t.conf:3: t.a: default stands twice: keep one"},
    {HEAD "a = text a required required\n", "t.conf:3: t.a: required stands twice"},
    {HEAD "a = text a bad=null bad=dead_letter\n", "t.conf:3: t.a: bad stands twice"},
    /* names that PostgreSQL has once */
    {HEAD "a = text a\nb = text b\na_b = text c\nindex = a_b\nindex = a, b\n",
     "t.conf:7: standpipe_t_a_b would be made twice: line 6 makes it too: rename a table or a"},
    {HEAD "u_a = text a\nindex = u_a\n[t_u]\ncollection = a.b.c\na = text a\nindex = a\n",
     "t.conf:8: standpipe_t_u_a would be made twice: line 4 makes it too"},
    {HEAD "a = text a\nindex = a\n[t_a]\ncollection = a.b.c\n",
     "t.conf:5: standpipe_t_a would be made twice: line 4 makes it too"},
    {HEAD "[t_pkey]\ncollection = a.b.c\n", "t.conf:3: standpipe_t_pkey would be made twice"},
    {HEAD "count = c.n by did\n[c_pkey]\ncollection = a.b.c\n",
     "t.conf:4: c_pkey would be made twice: line 3 makes it too"},
    /* what inih would cut, and what would end the statement */
    {HEAD "a = text a\nindex = a where a <> 'x' ; AND a <> 'y'\n",
     "t.conf:4: a ; behind a blank begins a comment: take it out"},
    {HEAD "a = text a\nindex = a where a <> 'x'; SELECT 1\n",
     "t.conf:4: t: index: where: a ; ends the statement: take it out"},
    /* tables of the user's */
    {HEAD "existing = true\na = text a\n", "t.conf:1: t: an existing table needs one column that"},
    {HEAD "existing = true\na = text @uri\nb = text @uri\n", "an existing table needs one column"},
    {HEAD "existing = true\na = text @uri\nindex = a\n",
     "t.conf:5: t: index: an existing table is"},
    {HEAD "existing = true\na = text @uri\ncount = c.n by a\n", "t.conf:5: t: count: rows of an"},
    {"[a.b.c]\nexisting = true\ncollection = a.b.c\na = text @uri\n", "[a.b.c]: it is no plain"},
    {"[repos]\nexisting = true\ncollection = a.b.c\na = text @uri\n", "[repos]: standpipe has"},
};

static void assert_told(const struct mistake *mistake)
{
    struct error error = {0};
    struct tables *tables = tables_parse(slice_from_string(mistake->text), "t.conf", &error);
    assert_case(tables == NULL, mistake->text);
    assert_int_equal(error.kind, ERROR_USAGE);
    bool is_told =
        strncmp(error.text, "t.conf:", 7) == 0 && strstr(error.text, mistake->wanted) != NULL;
    if (!is_told) {
        fail_msg("%s\n%s\nwanted: %s", mistake->text, error.text, mistake->wanted);
    }
}

static void each_mistake_is_told_with_its_line_and_a_way_out(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
        assert_told(&mistakes[i]);
    }
}

/* The description on disk: named in the configuration, read with it, and part of what a reload compares. */
static char path[64];

static void put_description(const char *text)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static bool load(struct config *config, const char *setting, struct error *error)
{
    static const char *const nothing[] = {NULL};
    const struct config_arguments arguments = {
        .environment = nothing, .set = &setting, .set_count = 1};
    return config_load(config, &arguments, error);
}

static void note_change(void *owner, const struct config_change *change)
{
    buffer_append_format(owner, "%s.%s %s", change->section, change->key, change->after);
}

static void assert_change(const struct config *before, const char *setting, const char *wanted)
{
    struct config after;
    struct error error;
    struct buffer changes = {0};
    assert_true(load(&after, setting, &error));
    config_compare(before, &after, note_change, &changes);
    buffer_append_byte(&changes, '\0');
    assert_string_equal(changes.data, wanted);
    buffer_deinit(&changes);
    config_deinit(&after);
}

static void the_configuration_names_the_description(void **state)
{
    (void)state;
    struct config config;
    struct error error;
    assert_true(load(&config, "postgres.tables_file=", &error));
    assert_non_null(find(config.tables, "posts"));
    assert_change(&config, "postgres.tables_file=none", "postgres.tables_file none");
    config_deinit(&config);
    assert_true(load(&config, "postgres.tables_file=none", &error));
    assert_int_equal(config.tables->count, 0);
    config_deinit(&config);
    assert_false(load(&config, "postgres.tables_file=/nowhere/at/all", &error));
    assert_non_null(strstr(error.text, "postgres.tables_file = /nowhere/at/all: cannot be opened"));
    assert_int_equal(error.kind, ERROR_USAGE);
}

static void a_file_that_describes_something_else_is_a_change(void **state)
{
    (void)state;
    struct config config;
    struct error error;
    char setting[128];
    char changed[160];
    (void)snprintf(setting, sizeof(setting), "postgres.tables_file=%s", path);
    (void)snprintf(changed, sizeof(changed), "postgres.tables_file %s (other tables than before)",
                   path);
    put_description(HEAD "a = text a\n");
    assert_true(load(&config, setting, &error));
    put_description("# the same in other words\n" HEAD "a  =  text  a\n");
    assert_change(&config, setting, "");
    put_description(HEAD "a = text b\n");
    assert_change(&config, setting, changed);
    put_description(HEAD "a = text a\nindex = a\n");
    assert_change(&config, setting, changed);
    put_description(HEAD "a = text a\ncount = c.n by a\n");
    assert_change(&config, setting, changed);
    config_deinit(&config);
    put_description(HEAD "\na = txt a\n");
    assert_false(load(&config, setting, &error));
    (void)snprintf(changed, sizeof(changed), "%s:4: t.a: txt is no type", path);
    assert_case(strncmp(error.text, changed, strlen(changed)) == 0, error.text);
}

static int start(void **state)
{
    (void)state;
    (void)snprintf(path, sizeof(path), "/tmp/standpipe-tables-XXXXXX");
    int file = mkstemp(path);
    return file < 0 ? -1 : close(file);
}

static int finish(void **state)
{
    (void)state;
    return unlink(path);
}

static void refuse(struct buffer *text, const char *wanted)
{
    struct error error = {0};
    struct tables *tables = tables_parse(buffer_slice(text), "t.conf", &error);
    assert_null(tables);
    assert_case(strstr(error.text, wanted) != NULL, error.text);
    buffer_deinit(text);
}

static void what_is_too_much_is_refused(void **state)
{
    (void)state;
    struct buffer text = {0};
    for (int i = 0; i <= TABLES_MAX; i++) {
        buffer_append_format(&text, "[t%d]\ncollection = a.b.c\n", i);
    }
    refuse(&text, "[t64]: there are too many tables: allowed are 64");
    buffer_append_string(&text, HEAD);
    for (int i = 0; i < TABLE_COLUMNS_MAX; i++) {
        buffer_append_format(&text, "c%d = text c\n", i);
    }
    refuse(&text, "t: it has 55 columns: allowed are 48");
    buffer_append_string(&text, HEAD);
    for (int i = 0; i <= TABLE_COLUMNS_MAX; i++) {
        buffer_append_format(&text, "c%d = text c\n", i);
    }
    refuse(&text, "the table has too many columns: allowed are 48");
    buffer_append_string(&text, HEAD);
    for (int i = 0; i <= TABLE_INDEXES_MAX; i++) {
        buffer_append_format(&text, "index = did where rkey = '%d'\n", i);
    }
    refuse(&text, "index: there are too many: allowed are 16");
    buffer_append_string(&text, HEAD);
    for (int i = 0; i <= COUNT_COLUMNS_MAX; i++) {
        buffer_append_format(&text, "count = c.n%d by did\n", i);
    }
    refuse(&text, "count: there are too many");
    buffer_append_string(&text, HEAD "a = text ");
    for (int i = 0; i < 9000; i++) {
        buffer_append_byte(&text, 'x');
    }
    refuse(&text, "t.conf:3: the line is too long");
    for (int i = 0; i < TABLES_FILE_BYTES_MAX; i++) {
        buffer_append_string(&text, "#\n");
    }
    refuse(&text, "is too large");
}

/* --- ours --- */

static void the_built_in_tables_are_those_of_the_contract(void **state)
{
    static const char *const names[] = {
        "posts",      "likes",         "reposts",         "follows",
        "blocks",     "lists",         "list_items",      "list_blocks",
        "profiles",   "starter_packs", "feed_generators", "labelers",
        "post_gates", "thread_gates",  "verifications",   "bookmarks",
    };
    (void)state;
    struct tables *tables = parse(tables_built_in);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_non_null(find(tables, names[i]));
    }
    assert_int_equal(tables->count_table_count, 2);
    assert_string_equal(tables->count_tables[0].name, "actor_counts");
    assert_int_equal(tables->count_tables[0].column_count, 3);
    assert_string_equal(tables->count_tables[1].name, "post_counts");
    assert_int_equal(tables->count_tables[1].column_count, 4);
    tables_free(tables);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_table_of_ours_begins_with_the_same_columns),
        cmocka_unit_test(created_at_may_come_from_elsewhere),
        cmocka_unit_test(a_path_has_keys_items_and_types),
        cmocka_unit_test(a_column_says_what_it_does_without_a_value),
        cmocka_unit_test(an_existing_table_has_only_the_columns_that_it_names),
        cmocka_unit_test(indexes_are_named_by_what_they_are),
        cmocka_unit_test(a_text_that_an_index_holds_has_a_limit),
        cmocka_unit_test(counts_are_gathered_by_table_and_sorted),
        cmocka_unit_test(the_tables_of_a_collection_are_found_together),
        cmocka_unit_test(each_mistake_is_told_with_its_line_and_a_way_out),
        cmocka_unit_test(the_configuration_names_the_description),
        cmocka_unit_test_setup_teardown(a_file_that_describes_something_else_is_a_change, start,
                                        finish),
        cmocka_unit_test(what_is_too_much_is_refused),
        cmocka_unit_test(the_built_in_tables_are_those_of_the_contract),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
