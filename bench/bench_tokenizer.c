/*
 * Speed of the tokenizer on report text: bench_tokenizer TOKENIZER [TEXT [WRITE-TO]]
 *
 * TEXT: a file with one report a line; without it (or "-") 16 MB of made-up reports, which are
 * written to WRITE-TO so that a peer can be timed on the same bytes (bench/peers/tok_speed.py).
 * One call a report, ids kept, one thread, CPU time: the first round, with a cold cache, then the
 * best of five after it, then a word without end.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/rng.h"
#include "text/tokenizer.h"

#define BYTES (16u << 20)

static struct err e;

static void must(bool ok)
{
    if (ok) return;
    fprintf(stderr, "bench_tokenizer: %s\n", e.text);
    exit(1);
}

/* Sentences with slots: %n a number, %s a side, %l a lobe, %d a degree, %o an organ or device. */
static const char *const sentences[] = {
    "The lungs are clear without focal consolidation.",
    "No pleural effusion or pneumothorax.",
    "Heart size is %d.",
    "There is a %n mm nodule in the %s %l lobe.",
    "Compared with the prior study, the %s effusion has %d increased.",
    "The %o terminates in appropriate position, %n.%n cm above the carina.",
    "Degenerative changes of the thoracic spine are %d.",
    "No acute osseous abnormality.",
    "Mediastinal and hilar contours are unremarkable.",
    "%s %l lobe opacity, which may represent atelectasis; pneumonia can't be excluded.",
    "Cardiomediastinal silhouette is stable since ___.",
    "Mild interstitial edema, %d.",
    "There are %n healed %s rib fractures.",
    "The %o has been removed in the interval.",
    "Post-surgical changes after %s upper lobectomy are again noted.",
    "Recommend follow-up CT in %n months (Fleischner criteria).",
    "Hyperinflation with flattened hemidiaphragms, consistent with COPD.",
    "Findings were discussed with Dr. ___ at %n:%n p.m. by telephone.",
};
static const char *const fill[][5] = {
    {"left", "right", "bilateral", "Left", "Right"},
    {"upper", "lower", "middle", "lingular", "posterior basal"},
    {"mildly", "within normal limits", "moderate", "unchanged", "minimally"},
    {"endotracheal tube", "PICC line", "nasogastric tube", "Swan-Ganz catheter", "pacemaker lead"},
};

static void put_sentence(struct sbuf *b, struct rng_key k, uint64_t *at)
{
    const char *s = sentences[rng_below(k, (*at)++, sizeof(sentences) / sizeof(*sentences))];

    for (; *s; s++) {
        if (*s != '%') {
            must(sbuf_putc(b, *s, &e));
            continue;
        }
        const char *slot = "sldo";
        const char *hit = strchr(slot, *++s);
        if (hit)
            must(sbuf_put(b, str_of(fill[hit - slot][rng_below(k, (*at)++, 5)]), &e));
        else
            must(sbuf_printf(b, &e, "%u", (unsigned)(1 + rng_below(k, (*at)++, 60))));
    }
}

static void make_text(struct sbuf *b)
{
    struct rng_key k = rng_key(1, RNG_SYNTH, 0);
    uint64_t at = 0;

    while (b->n < BYTES) {
        uint64_t n = 3 + rng_below(k, at++, 10);
        for (uint64_t i = 0; i < n; i++) {
            if (i > 0) must(sbuf_putc(b, ' ', &e));
            put_sentence(b, k, &at);
        }
        must(sbuf_putc(b, '\n', &e));
    }
}

/* Seconds for all lines; *tokens counts. */
static double run(struct tok_cache *c, struct str text, size_t *tokens)
{
    struct tok_ids v = {0};
    struct str line;
    double start = clock_cpu_s();

    *tokens = 0;
    while (str_split(&text, '\n', &line)) {
        v.n = 0;
        must(tokenizer_encode(c, line, TOK_PLAIN, &v, &e));
        *tokens += v.n;
    }
    double s = clock_cpu_s() - start;
    tok_ids_free(&v);
    return s;
}

static void show(const char *what, size_t bytes, size_t tokens, double s)
{
    printf("%-22s %8.1f MB/s  %7.2f M tokens/s  %zu tokens\n", what, (double)bytes / 1e6 / s,
           (double)tokens / 1e6 / s, tokens);
}

int main(int argc, char **argv)
{
    struct tokenizer *t;
    struct tok_cache *c;
    struct arena a;
    struct sbuf made;
    struct str text;
    size_t tokens;
    double best = 1e9;

    if (argc < 2) {
        fprintf(stderr, "usage: bench_tokenizer TOKENIZER [TEXT|- [WRITE-TO]]\n");
        return 2;
    }
    arena_init(&a, (size_t)4 << 30);
    sbuf_init(&made, 2 * (size_t)BYTES);
    if (argc > 2 && strcmp(argv[2], "-") != 0) {
        must(fs_read_file(argv[2], (size_t)2 << 30, &a, &text, &e));
    } else {
        make_text(&made);
        text = sbuf_str(&made);
    }
    if (argc > 3) must(fs_replace(argv[3], text, &e));
    double start = clock_cpu_s();
    must(tokenizer_open(argv[1], &t, &e));
    printf("open                   %8.3f s\n", clock_cpu_s() - start);
    must(tok_cache_open(t, &c, &e));
    double cold = run(c, text, &tokens);
    show("cold cache", text.n, tokens, cold);
    for (int i = 0; i < 5; i++) {
        double s = run(c, text, &tokens);
        if (s < best) best = s;
    }
    show("warm, best of 5", text.n, tokens, best);

    char *word = calloc(1, 1 << 20);
    if (!word) return 1;
    memset(word, 'a', 1 << 20);
    double s = run(c, (struct str){word, 1 << 20}, &tokens);
    show("1 MB of a, one word", 1 << 20, tokens, s);
    free(word);
    tok_cache_close(c);
    tokenizer_close(t);
    sbuf_free(&made);
    arena_free(&a);
    return 0;
}
