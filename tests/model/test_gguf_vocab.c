/* Real tokenizers (shared/data/tokenizers) written as GGUF metadata, read back by lib/text, and
 * made into a folder again: every text of the golden rows gets the same ids as from tokenizer.json. */
#include "tiny.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/fs.h"
#include "base/mem.h"
#include "model/convert_gguf.h"
#include "model/gguf_vocab.h"
#include "support/testdir.h"
#include "text/tokenizer.h"

static const struct {
    const char *name, *model;
    uint32_t vocab;
    int32_t bos, eos;
} cases[] = {
    {"gpt2", "gpt2", 50304, 50256, 50256}, /* padded to a multiple of 64, as training likes it */
    {"llama3.1", "gpt2", 128256, 128000, 128001}, {"llama2", "llama", 32064, 1, 2}, /* the same */
    {"mistral-v0.1", "llama", 32000, 1, 2},       {"mistral-v0.3", "llama", 32768, 1, 2},
};

/* A GGUF file of nothing but the vocabulary. */
static void write_gguf(const char *dir, size_t k, const char *path)
{
    static const struct gguf_entry one = {
        .name = "output_norm.weight", .type = GGML_F32, .ndims = 1, .dims = {4}};
    struct model_spec s = {.arch = "llama",
                           .vocab = cases[k].vocab,
                           .bos = cases[k].bos,
                           .eos = {cases[k].eos},
                           .neos = 1,
                           .pad = -1};
    struct gguf_writer *w = NULL;
    float f[4] = {1, 1, 1, 1};
    OK(gguf_writer_open(&w, e));
    OK(gguf_put_str(w, "general.architecture", STR("llama"), e));
    OK(gguf_put_vocab(w, dir, &s, e));
    OK(gguf_writer_start(w, path, &one, 1, e));
    OK(gguf_writer_put(w, f, sizeof f, e));
    OK(gguf_writer_commit(w, e));
    gguf_writer_close(w);
}

/* false: other ids. */
static bool same_in(struct tok_cache *a, enum tok_mode how_a, struct tok_cache *b,
                    enum tok_mode how_b, struct str text)
{
    struct tok_ids x = {0}, y = {0};
    OK(tokenizer_encode(a, text, how_a, &x, e));
    OK(tokenizer_encode(b, text, how_b, &y, e));
    bool same = x.n == y.n && (!x.n || memcmp(x.ids, y.ids, x.n * sizeof *x.ids) == 0);
    tok_ids_free(&y);
    tok_ids_free(&x);
    return same;
}

static void same_ids(struct tok_cache *a, struct tok_cache *b, struct str text, bool mistral,
                     size_t row)
{
    static const enum tok_mode modes[] = {TOK_PLAIN, TOK_NEXT, TOK_RAW, TOK_FULL};
    /* Mistral's tokenizer.json puts no space behind special tokens either: gguf_vocab.h */
    size_t n = mistral && !same_in(a, TOK_PLAIN, a, TOK_RAW, text) ? 2 : 4;
    for (size_t i = 0; i < n; i++) {
        if (!same_in(a, modes[i], b, modes[i], text))
            fail_msg("row %zu, mode %zu: other ids", row, i);
    }
}

/* Rows of {"text": ...}. */
static size_t check_rows(const char *name, struct tok_cache *a, struct tok_cache *b)
{
    char path[200];
    size_t n, rows = 0;
    snprintf(path, sizeof path, "data/tokenizers/%s/golden.jsonl", name);
    char *text = testdir_read(testdir_shared(path), &n);
    struct str rest = {text, n}, line;
    while (str_split(&rest, '\n', &line)) {
        json_t *j = NULL;
        struct str t;
        struct err ignored = {0};
        if (!line.n) continue;
        OK(json_parse(line, "row", &j, e));
        /* Mistral's tokenizer.json leaves the leading space out before a space; SentencePiece and
         * llama.cpp do not, and GGUF cannot say it (gguf_vocab.h) */
        bool mistral = strncmp(name, "mistral", 7) == 0;
        bool differs = !json_get_str(j, "text", &t, &ignored) ||
                       (mistral && (str_starts(t, STR(" ")) || str_starts(t, STR("\xe2\x96\x81"))));
        if (!differs) same_ids(a, b, t, mistral, rows++);
        json_decref(j);
    }
    free(text);
    return rows;
}

/* The golden texts through two tokenizers: the file's, and one that came out of GGUF. */
static void check_pair(size_t k, struct tokenizer *a, struct tokenizer *b, const char *what)
{
    struct tok_cache *ca = NULL, *cb = NULL;
    OK(tok_cache_open(a, &ca, e));
    OK(tok_cache_open(b, &cb, e));
    assert_int_equal(tokenizer_info(b).bos, cases[k].bos);
    size_t rows = check_rows(cases[k].name, ca, cb);
    print_message("%s, %s: %zu rows\n", cases[k].name, what, rows);
    assert_true(rows > 20);
    tok_cache_close(cb);
    tok_cache_close(ca);
}

/* Ids that fill the model's vocabulary up say nothing. */
static void check_fillers(struct tokenizer *t, uint32_t from)
{
    for (uint32_t id = from; id < tokenizer_info(t).vocab_size; id++) {
        struct sbuf b;
        sbuf_init(&b, 100);
        OK(tokenizer_decode(t, &id, 1, false, &b, e));
        assert_int_equal(sbuf_str(&b).n, 0);
        sbuf_free(&b);
    }
}

static void check_case(size_t k)
{
    char from[200], dir[600], json[700], gguf[700], back[700];
    struct tokenizer *original = NULL, *read = NULL, *again = NULL;
    size_t n;
    snprintf(from, sizeof from, "data/tokenizers/%s/tokenizer.json.gz", cases[k].name);
    char *text = testdir_gunzip(testdir_shared(from), &n);
    snprintf(dir, sizeof dir, "%s", testdir_path(cases[k].name));
    snprintf(json, sizeof json, "%s/tokenizer.json", dir);
    snprintf(gguf, sizeof gguf, "%s/vocab.gguf", dir);
    OK(fs_mkdirs(dir, e));
    testdir_write(json, text, n);
    free(text);
    write_gguf(dir, k, gguf);
    snprintf(back, sizeof back, "%s/back", dir); /* what radmill convert makes of the GGUF file */
    OK(fs_mkdirs(back, e));
    OK(tokenizer_open(dir, &original, e));
    OK(tokenizer_open(gguf, &read, e));
    OK(tokenizer_save(read, back, e));
    OK(tokenizer_open(back, &again, e));
    assert_int_equal(tokenizer_info(read).vocab_size, cases[k].vocab);
    check_pair(k, original, read, "GGUF");
    check_pair(k, original, again, "a folder from GGUF");
    check_fillers(read, tokenizer_info(original).vocab_size);
    tokenizer_close(again);
    tokenizer_close(read);
    tokenizer_close(original);
}

static void test_read_back(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++)
        check_case(k);
}

/* What GGUF has no name for is refused, not written almost right. */
static void test_refused(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"{\"model\": {\"type\": \"Unigram\", \"vocab\": []}}", "knows BPE, this is Unigram"},
        {"{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0}, \"merges\": []}, "
         "\"pre_tokenizer\": "
         "{\"type\": \"Whitespace\"}}",
         "no name for this pre-tokenizer"},
        {"{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 9}, \"merges\": []}}",
         "no id below the model's vocabulary of 4"},
        {"{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0}, \"merges\": [\"a\"]}, "
         "\"pre_tokenizer\": {\"type\": \"ByteLevel\"}}",
         "a merge is no pair"},
    };
    struct model_spec s = {.arch = "llama", .vocab = 4, .bos = -1, .pad = -1};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char dir[600], path[700];
        struct gguf_writer *w = NULL;
        snprintf(dir, sizeof dir, "%s", testdir_path("bad"));
        snprintf(path, sizeof path, "%s/tokenizer.json", dir);
        OK(fs_mkdirs(dir, e));
        testdir_write(path, bad[i][0], strlen(bad[i][0]));
        OK(gguf_writer_open(&w, e));
        FAILS(gguf_put_vocab(w, dir, &s, e), ERR_FORMAT, bad[i][1]);
        gguf_writer_close(w);
    }
}

/* A model file fails whole at any allocation or write: nothing leaks, nothing half-written stays. */
#ifdef RADMILL_FAULTS
static void test_fault_sweep(void **state)
{
    (void)state;
    static const char json[] = "{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 1, "
                               "\"ab\": 2}, \"merges\": [\"a b\"]}, \"pre_tokenizer\": {\"type\": "
                               "\"ByteLevel\"}}";
    const char *base = tiny_write(TINY_LLAMA3);
    char path[700], tok[700];
    struct gguf_export x = {base, NULL, base, "tiny", GGML_Q8_0};
    static const enum fault_point kinds[] = {FAULT_MEM, FAULT_WRITE};
    snprintf(tok, sizeof tok, "%s/tokenizer.json", base);
    testdir_write(tok, json, sizeof json - 1);
    snprintf(path, sizeof path, "%s", testdir_path("swept.gguf"));
    for (size_t k = 0; k < 2; k++) {
        bool fired = true;
        for (uint64_t n = 1; fired; n++) {
            struct err err = {0};
            struct weights_drift drift;
            size_t before = mem_live_blocks();
            assert_true(n < 2000);
            OK(fs_remove(path, e));
            fault_arm(kinds[k], n, false);
            bool ok = convert_gguf_model(&x, path, &drift, &err);
            fired = fault_fired();
            fault_disarm_all();
            assert_true(ok != fired && fs_exists(path) == ok);
            assert_int_equal(mem_live_blocks(), before);
        }
    }
}
#endif

static int setup(void **state)
{
    (void)state;
    testdir_make();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    testdir_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest here[] = {cmocka_unit_test(test_refused),
#ifdef RADMILL_FAULTS
                                      cmocka_unit_test(test_fault_sweep)
#endif
    };
    const struct CMUnitTest shared[] = {cmocka_unit_test(test_read_back)};
    tiny_spare_jansson();
    int bad = cmocka_run_group_tests(here, setup, teardown);
    if (bad) return 1;
    if (!testdir_shared("data/tokenizers/llama2/tokenizer.json.gz")) return 77;
    return cmocka_run_group_tests(shared, setup, teardown);
}
