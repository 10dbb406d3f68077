/* facts_lines FILE.jsonl [LEXICON]: the fact check of each line {generated, reference, source}, one
 * JSON line each: what tests/evaluate/check_facts.py measures. */
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "evaluate/facts.h"
#include "support/testdir.h"

static struct str text_of(const json_t *row, const char *key)
{
    json_t *v = json_object_get(row, key);
    return v && json_is_string(v) ? (struct str){json_string_value(v), json_string_length(v)}
                                  : (struct str){"", 0};
}

static void print_span(const char *name, struct facts_span s)
{
    if (s.to) printf(",\"%s\":[%u,%u]", name, s.from, s.to);
}

static void print_result(const struct facts_result *r)
{
    printf("{\"weights\":[%.4f,%.4f,%.4f],", r->correct, r->wrong, r->missing);
    printf("\"score\":%.6f,\"support\":%.6f,\"n\":[%u,%u,%u],\"flags\":[", r->score,
           r->support >= 0 ? r->support : -1, r->ngenerated, r->nreference, r->nsource);
    for (size_t i = 0; i < r->nflags; i++) {
        const struct facts_flag *f = &r->flags[i];
        printf("%s{\"kind\":\"%s\",\"significance\":%d,\"supported\":%s,\"concept\":\"%s\"",
               i ? "," : "", facts_kind_names[f->kind], (int)f->significance,
               f->supported ? "true" : "false", f->concept);
        print_span("generated", f->generated);
        print_span("reference", f->reference);
        print_span("source", f->source);
        printf("}");
    }
    printf("]}\n");
}

int main(int argc, char **argv)
{
    struct facts *f = NULL;
    struct err e = {0};
    size_t size;
    if (argc < 2 || !facts_open(argc > 2 ? argv[2] : NULL, &f, &e)) {
        fprintf(stderr, "facts_lines: %s\n", argc < 2 ? "which file?" : e.text);
        return 1;
    }
    char *text = testdir_read(argv[1], &size);
    struct str rest = {text, size}, line;
    while (e.code == ERR_NONE && str_split(&rest, '\n', &line)) {
        struct facts_result r;
        struct arena a;
        json_t *row;
        if (line.n == 0) continue;
        if (!json_parse(line, "pairs", &row, &e)) break;
        arena_init(&a, (size_t)1 << 30);
        if (facts_check(f, text_of(row, "generated"), text_of(row, "reference"),
                        text_of(row, "source"), &a, &r, &e))
            print_result(&r);
        arena_free(&a);
        json_decref(row);
    }
    if (e.code != ERR_NONE) fprintf(stderr, "facts_lines: %s\n", e.text);
    free(text);
    facts_close(f);
    return e.code == ERR_NONE ? 0 : 1;
}
