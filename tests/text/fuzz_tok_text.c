/* Any bytes as a text: words end where the regular expressions say, decoding gives back the mended
 * text, cleaning keeps it UTF-8. */
#include <stdio.h>

#define assert_non_null(p) ((p) ? (void)0 : abort())
#define assert_true(c)     ((c) ? (void)0 : abort())
#define fail_msg(...)      abort()
#include "fuzz_tok.h"
#include "split_ref.h"
#include "text/clean.h"
#include "tiny.h"

static struct tokenizer *toks[3];
static struct tok_cache *caches[3];

static void open_toks(void)
{
    static const char *const merges[] = {"t h", "th e", "  t", "  the", "e e", "l l", "  l", NULL};

    for (int i = 0; i < 3; i++) {
        json_t *j = tiny_json(merges);
        struct err e = {0};
        tiny_add(j, "<|im_end|>", "s");
        toks[i] = tiny_try(j, &e);
        MUST(toks[i]);
        toks[i]->split = i == 2 ? TOK_SPLIT_LLAMA3 : TOK_SPLIT_GPT2;
        toks[i]->digits = i == 1;
        MUST(tok_cache_open(toks[i], &caches[i], &e));
    }
}

static void check_words(const struct tokenizer *t, struct str text)
{
    static struct ref_text ref;
    static uint32_t want[4096], got[4096];

    ref_decode(text, &ref);
    text.n = ref.at[ref.n];
    size_t n = ref_split(&ref, t->split == TOK_SPLIT_LLAMA3, t->digits, want);
    MUST(tok_split_words(t, text.p, text.n, 0, got, 4096) == n);
    MUST(n == 0 || memcmp(got, want, n * sizeof(*want)) == 0);
}

static void check_clean(struct str text)
{
    bool (*const all[])(struct str, struct sbuf *, struct err *) = {
        clean_own, clean_mediqa_findings, clean_mediqa_impression, clean_mediqa_background};
    struct sbuf once;
    struct err e = {0};

    sbuf_init(&once, 1 << 24);
    for (int i = 0; i < 4; i++) {
        MUST(all[i](text, &once, &e));
        MUST(utf8_valid(sbuf_str(&once)));
        MUST(once.n <= text.n + text.n / 2 + 2); /* __ becomes ___, nothing else grows */
    }
    sbuf_free(&once);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    struct sbuf mended, back;
    struct err e = {0};
    uint64_t bad = 0;

    if (!toks[0]) open_toks();
    sbuf_init(&mended, 1 << 24);
    sbuf_init(&back, 1 << 24);
    MUST(utf8_repair(text, &mended, &bad, &e));
    MUST((bad == 0) == utf8_valid(text));
    for (int i = 0; i < 3; i++) {
        struct tok_ids v = {0};
        check_words(toks[i], sbuf_str(&mended));
        use_cache(toks[i], caches[i], text);
        MUST(tokenizer_encode(caches[i], text, TOK_PLAIN, &v, &e));
        sbuf_clear(&back);
        MUST(tokenizer_decode(toks[i], v.ids, v.n, false, &back, &e));
        MUST(str_eq(sbuf_str(&back), sbuf_str(&mended)));
        tok_ids_free(&v);
    }
    check_clean(sbuf_str(&mended));
    sbuf_free(&mended);
    sbuf_free(&back);
    return 0;
}
