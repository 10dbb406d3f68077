/*
 * bench_generate - prompts to greedy answers with the decoding engine, as bench/peers/hf_generate.py
 * does it with transformers.
 *
 *     bench_generate MODEL_DIR bf16|f32 PROMPTS ANSWERS [slots 32] [max_new 64] [threads 1]
 *                    [share 1] [quant none|int8|nf4] [prefill_rows 1024]
 *
 * PROMPTS: token ids, one prompt a line; ANSWERS gets the same for the answers. All prompts are
 * answered twice and the second time counts, at the peer as here: memory that the machine's host has
 * not backed yet is paid for once a process. Prints reports/s by wall and by CPU time, and where
 * the time went.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "generate/decode.h"

enum { MOST = 100000, LINE = 1 << 20 };

static struct decode_prompt prompts[MOST];
static char *answers[MOST];
static size_t n;

static void die(const struct err *e)
{
    fprintf(stderr, "bench_generate: %s\n", e->text);
    exit(1);
}

static uint32_t read_prompts(const char *path)
{
    static char line[LINE];
    uint32_t longest = 1;
    FILE *f = fopen(path, "r");
    if (!f) {
        perror(path);
        exit(1);
    }
    while (n < MOST && fgets(line, sizeof line, f)) {
        uint32_t *ids = malloc(strlen(line) * sizeof *ids), k = 0;
        char *at = line, *end;
        for (unsigned long v; (v = strtoul(at, &end, 10), end != at); at = end)
            ids[k++] = (uint32_t)v;
        if (k == 0) continue;
        prompts[n++] = (struct decode_prompt){.ids = ids, .n = k};
        longest = k > longest ? k : longest;
    }
    fclose(f);
    return longest;
}

static bool keep(void *ctx, size_t i, const struct decode_answer *a, struct err *e)
{
    size_t at = 0, room = (size_t)a->n * 12 + 2;
    (void)ctx;
    (void)e;
    free(answers[i]);
    answers[i] = calloc(room, 1);
    for (uint32_t k = 0; k < a->n; k++)
        at += (size_t)snprintf(answers[i] + at, room - at, "%s%u", k ? " " : "", a->ids[k]);
    return true;
}

static enum dev_quant_kind quant_of(const char *name)
{
    return strcmp(name, "int8") == 0  ? DEV_QUANT_INT8
           : strcmp(name, "nf4") == 0 ? DEV_QUANT_NF4
                                      : DEV_QUANT_NONE;
}

static void report(const struct decode_stats *s, double wall, double cpu)
{
    printf("reports_per_s %.4f\ncpu_reports_per_s %.4f\nwall_s %.3f\ncpu_s %.3f\n",
           (double)n / wall, (double)n / cpu, wall, cpu);
    printf("prefill_s %.3f\ndecode_s %.3f\nprompt_tokens %llu\nshared_tokens %llu\n", s->prefill_s,
           s->decode_s, (unsigned long long)s->prompt_tokens, (unsigned long long)s->shared_tokens);
    printf("new_tokens %llu\nsteps %llu\npeak_rss_gib %.3f\n", (unsigned long long)s->new_tokens,
           (unsigned long long)s->steps, (double)mem_peak_rss_bytes() / (1 << 30));
}

static void write_answers(const char *path)
{
    FILE *f = fopen(path, "w");
    if (!f) {
        perror(path);
        exit(1);
    }
    for (size_t i = 0; i < n; i++)
        fprintf(f, "%s\n", answers[i]);
    fclose(f);
}

int main(int argc, char **argv)
{
    struct err e = {0};
    struct dev *d = NULL;
    struct model *m = NULL;
    struct decode_stats stats = {0};
    if (argc < 5) {
        fprintf(stderr, "bench_generate MODEL_DIR bf16|f32 PROMPTS ANSWERS [slots] [max_new] "
                        "[threads] [share] [quant] [prefill_rows]\n");
        return 2;
    }
    uint32_t longest = read_prompts(argv[3]);
    uint32_t max_new = argc > 6 ? (uint32_t)strtoul(argv[6], NULL, 10) : 64;
    struct decode_opts o = {.slots = argc > 5 ? (uint32_t)strtoul(argv[5], NULL, 10) : 32,
                            .max_len = longest + max_new,
                            .max_new_tokens = max_new,
                            .prefill_rows =
                                argc > 10 ? (uint32_t)strtoul(argv[10], NULL, 10) : 1024,
                            .share_nothing = argc > 8 && strcmp(argv[8], "0") == 0};
    int threads = argc > 7 ? (int)strtol(argv[7], NULL, 10) : 1;
    enum dev_dtype t = strcmp(argv[2], "f32") == 0 ? DEV_F32 : DEV_BF16;
    if (!dev_open("cpu", threads, &d, &e) ||
        !model_open_quant(d, argv[1], t, quant_of(argc > 9 ? argv[9] : "none"), &m, &e))
        die(&e);
    const struct model_spec *s = model_get_spec(m);
    for (; o.neos < s->neos && o.neos < DECODE_EOS; o.neos++)
        o.eos[o.neos] = s->eos[o.neos];
    double t0 = 0.0, c0 = 0.0;
    for (int pass = 0; pass < 2; pass++) {
        t0 = clock_mono_s();
        c0 = clock_cpu_s();
        stats = (struct decode_stats){0};
        if (!decode_run(m, NULL, &o, prompts, n, keep, NULL, &stats, &e)) die(&e);
    }
    report(&stats, clock_mono_s() - t0, clock_cpu_s() - c0);
    write_answers(argv[4]);
    model_close(m);
    dev_close(d);
    return 0;
}
