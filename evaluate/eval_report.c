#include "evaluate/eval_report.h"

#include <math.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/json.h"

enum {
    MD_MAX_BYTES = 1 << 20,
    FEW_PAIRS = 10,
    ROW_MAX_BYTES = 8 << 20, /* a row holds an id, which a pairs file may make long */
};

/* ---- per_pair.jsonl */

static bool put_row(struct sbuf *b, const struct pair *p, const struct pair_score *s, bool bleu,
                    struct err *e)
{
    const char *sep = "{";
    if (p->id.n > 0) {
        if (!sbuf_put(b, STR("{\"id\": "), e) || !json_put_str(b, p->id, false, e)) return false;
        sep = ", ";
    }
    for (int k = 0; k < ROUGE_KINDS; k++) {
        const double *v = s->v + 3 * k;
        if (!sbuf_printf(b, e, "%s\"%s\": {\"p\": %.17g, \"r\": %.17g, \"f\": %.17g}", sep,
                         rouge_names[k], v[0], v[1], v[2]))
            return false;
        sep = ", ";
    }
    if (bleu && !sbuf_printf(b, e, ", \"bleu\": %.17g, \"bleu_nltk1\": %.17g", s->v[SCORE_BLEU],
                             s->v[SCORE_NLTK1]))
        return false;
    return sbuf_put(b, STR("}\n"), e);
}

static bool write_rows(const char *path, const struct pair *pairs, const struct pair_score *scores,
                       size_t n, bool bleu, struct err *e)
{
    struct fs_writer *w = NULL;
    struct sbuf b;
    sbuf_init(&b, ROW_MAX_BYTES);
    bool ok = fs_writer_open(path, &w, e);
    for (size_t i = 0; ok && i < n; i++) {
        sbuf_clear(&b);
        ok = put_row(&b, &pairs[i], &scores[i], bleu, e) && fs_writer_put(w, b.p, b.n, e);
    }
    if (ok) ok = fs_writer_commit(w, e);
    fs_writer_close(w);
    sbuf_free(&b);
    return ok;
}

/* ---- report.json */

/* Builds the tree; an allocation that fails anywhere is remembered, so that no key is silently
 * missing. */
struct maker {
    bool failed;
};

static void set(struct maker *m, json_t *obj, const char *key, json_t *value)
{
    if (json_object_set_new(obj, key, value) != 0) m->failed = true;
}

static void append(struct maker *m, json_t *array, json_t *value)
{
    if (json_array_append_new(array, value) != 0) m->failed = true;
}

static json_t *ci_json(struct maker *m, const struct boot_ci *c)
{
    json_t *o = json_object();
    set(m, o, "mean", json_real(c->mean));
    set(m, o, "lo", json_real(c->lo));
    set(m, o, "hi", json_real(c->hi));
    return o;
}

static json_t *metrics_json(struct maker *m, const struct evaluate_metric v[ROUGE_KINDS])
{
    json_t *all = json_object();
    for (int k = 0; k < ROUGE_KINDS; k++) {
        json_t *o = json_object();
        set(m, o, "p", ci_json(m, &v[k].p));
        set(m, o, "r", ci_json(m, &v[k].r));
        set(m, o, "f", ci_json(m, &v[k].f));
        set(m, all, rouge_names[k], o);
    }
    return all;
}

static json_t *bleu_json(struct maker *m, const struct evaluate_bleu *b)
{
    json_t *o = json_object();
    set(m, o, "sentence_mean", ci_json(m, &b->sentence));
    set(m, o, "corpus", ci_json(m, &b->corpus));
    set(m, o, "nltk1_mean", ci_json(m, &b->nltk1));
    return o;
}

static json_t *delta_json(struct maker *m, const struct evaluate_delta *v)
{
    json_t *d = ci_json(m, &v->ci);
    set(m, d, "p", json_real(v->p));
    return d;
}

/* null where the pairs file does not say. */
static json_t *loss_json(struct maker *m, const struct evaluate_loss *l)
{
    if (!l->tokens) return json_null();
    json_t *o = json_object();
    set(m, o, "nats_per_token", json_real(l->per_token));
    set(m, o, "perplexity", json_real(exp(l->per_token)));
    set(m, o, "tokens", json_integer((json_int_t)l->tokens));
    return o;
}

static json_t *compared_json(struct maker *m, const struct evaluate_compared *v, bool bleu)
{
    json_t *o = json_object(), *delta = json_object();
    for (int k = 0; k < ROUGE_KINDS; k++)
        set(m, delta, rouge_names[k], delta_json(m, &v->delta[k]));
    if (bleu) {
        set(m, o, "bleu", bleu_json(m, &v->bleu));
        set(m, o, "bleu_sentence_mean_difference", delta_json(m, &v->bleu_sentence));
        set(m, o, "bleu_corpus_difference", delta_json(m, &v->bleu_corpus));
    }
    set(m, o, "name", json_string(v->name));
    set(m, o, "kind", json_string(v->baseline ? "baseline" : "system"));
    set(m, o, "pairs", json_integer((json_int_t)v->pairs));
    set(m, o, "loss", loss_json(m, &v->loss));
    set(m, o, "metrics", metrics_json(m, v->m));
    set(m, o, "f_difference", delta);
    return o;
}

static json_t *stratum_json(struct maker *m, const struct evaluate_stratum *v)
{
    json_t *o = json_object(), *f = json_object();
    for (int k = 0; k < ROUGE_KINDS; k++)
        set(m, f, rouge_names[k], ci_json(m, &v->f[k]));
    set(m, o, "by", json_string(v->by));
    set(m, o, "value", json_string(v->value));
    set(m, o, "pairs", json_integer((json_int_t)v->pairs));
    set(m, o, "f", f);
    if (!v->has_constant) return o;
    json_t *constant = json_object(), *over = json_object();
    for (int k = 0; k < ROUGE_KINDS; k++) {
        set(m, constant, rouge_names[k], json_real(v->constant_f[k]));
        set(m, over, rouge_names[k], ci_json(m, &v->over_constant[k]));
    }
    set(m, o, "over_constant", over);
    set(m, o, "constant_f", constant);
    return o;
}

static json_t *report_json(struct maker *m, const struct evaluate_opts *o, const char *pairs_path,
                           const char *digest, const struct evaluate_summary *s)
{
    json_t *all = json_object(), *compared = json_array(), *strata = json_array();
    for (size_t i = 0; i < s->ncompared; i++)
        append(m, compared, compared_json(m, &s->compared[i], s->has_bleu));
    for (size_t i = 0; i < s->nstrata; i++)
        append(m, strata, stratum_json(m, &s->strata[i]));
    set(m, all, "format", json_string("radmill.evaluation/1"));
    set(m, all, "pairs_file", json_string(pairs_path));
    set(m, all, "pairs_sha256", json_string(digest));
    set(m, all, "signature", json_string(s->signature));
    set(m, all, "pairs", json_integer((json_int_t)s->pairs));
    set(m, all, "groups", json_integer((json_int_t)s->groups));
    set(m, all, "clustered", json_boolean(s->clustered));
    set(m, all, "bootstrap", json_integer((json_int_t)o->bootstrap));
    set(m, all, "seed", json_integer((json_int_t)o->seed));
    set(m, all, "interval", json_string("percentile bootstrap, 95 %"));
    set(m, all, "loss", loss_json(m, &s->loss));
    set(m, all, "metrics", metrics_json(m, s->m));
    if (s->has_bleu) {
        json_t *b = bleu_json(m, &s->bleu);
        set(m, b, "sentence_mean_signature", json_string(bleu_sentence_signature));
        set(m, b, "corpus_signature", json_string(bleu_corpus_signature));
        set(m, b, "nltk1_mean_signature", json_string(bleu_nltk1_signature));
        set(m, all, "bleu", b);
    }
    set(m, all, "compared", compared);
    set(m, all, "strata", strata);
    return all;
}

static bool write_json(const char *path, const struct evaluate_opts *o, const char *pairs_path,
                       const struct evaluate_summary *s, struct err *e)
{
    uint8_t digest[32];
    char hex[65];
    if (!sha256_file(pairs_path, digest, e)) return false;
    hash_hex(digest, sizeof digest, hex);
    struct maker m = {false};
    json_t *j = report_json(&m, o, pairs_path, hex, s);
    bool ok =
        !m.failed ||
        err_set(e, ERR_NOMEM, "cannot compose %s: no memory, or a path that is not UTF-8", path);
    if (ok) ok = json_write_file(path, j, e);
    json_decref(j);
    return ok;
}

/* ---- report.md, x 100 */

static bool md_ci(struct sbuf *b, const struct boot_ci *c, struct err *e)
{
    return sbuf_printf(b, e, "| %.1f (%.1f to %.1f) ", 100 * c->mean, 100 * c->lo, 100 * c->hi);
}

static bool md_main(struct sbuf *b, const struct evaluate_summary *s, struct err *e)
{
    if (!sbuf_put(b, STR("| metric | precision | recall | F |\n| --- | --- | --- | --- |\n"), e))
        return false;
    for (int k = 0; k < ROUGE_KINDS; k++) {
        if (!sbuf_printf(b, e, "| %s ", rouge_names[k]) || !md_ci(b, &s->m[k].p, e) ||
            !md_ci(b, &s->m[k].r, e) || !md_ci(b, &s->m[k].f, e) || !sbuf_put(b, STR("|\n"), e))
            return false;
    }
    if (!s->has_bleu) return true;
    return sbuf_printf(b, e,
                       "\n| BLEU | |\n| --- | --- |\n"
                       "| sacrebleu, mean of sentences | %.1f (%.1f to %.1f) |\n"
                       "| sacrebleu, corpus | %.1f (%.1f to %.1f) |\n"
                       "| NLTK method1, mean of sentences | %.1f (%.1f to %.1f) |\n",
                       s->bleu.sentence.mean, s->bleu.sentence.lo, s->bleu.sentence.hi,
                       s->bleu.corpus.mean, s->bleu.corpus.lo, s->bleu.corpus.hi,
                       100 * s->bleu.nltk1.mean, 100 * s->bleu.nltk1.lo, 100 * s->bleu.nltk1.hi);
}

/* A row of the comparison: the other's score and the difference, both x scale. */
static bool md_delta(struct sbuf *b, const struct evaluate_compared *v, const char *metric,
                     const struct boot_ci *other, const struct evaluate_delta *d, double scale,
                     struct err *e)
{
    const struct boot_ci x = {scale * other->mean, scale * other->lo, scale * other->hi};
    const struct boot_ci y = {scale * d->ci.mean, scale * d->ci.lo, scale * d->ci.hi};
    return sbuf_printf(b, e,
                       "| %s%s | %zu | %s | %.1f (%.1f to %.1f) | %.1f (%.1f to %.1f) | %.4f |\n",
                       v->name, v->baseline ? " (baseline)" : "", v->pairs, metric, x.mean, x.lo,
                       x.hi, y.mean, y.lo, y.hi, d->p);
}

static bool md_compared(struct sbuf *b, const struct evaluate_summary *s, struct err *e)
{
    if (s->ncompared == 0) return true;
    if (!sbuf_put(
            b,
            STR("\n## Compared\n\nDifference: this system minus the other, pair by pair; p of "
                "the two-sided sign-flip test, not corrected for the number of tests.\n\n"
                "| other | pairs | metric | other's score | difference | p |\n"
                "| --- | --- | --- | --- | --- | --- |\n"),
            e))
        return false;
    for (size_t i = 0; i < s->ncompared; i++) {
        const struct evaluate_compared *v = &s->compared[i];
        for (int k = 0; k < ROUGE_KINDS; k++)
            if (!md_delta(b, v, rouge_names[k], &v->m[k].f, &v->delta[k], 100, e)) return false;
        if (!s->has_bleu) continue;
        if (!md_delta(b, v, "BLEU sentences", &v->bleu.sentence, &v->bleu_sentence, 1, e) ||
            !md_delta(b, v, "BLEU corpus", &v->bleu.corpus, &v->bleu_corpus, 1, e))
            return false;
    }
    return true;
}

static bool md_strata(struct sbuf *b, const struct evaluate_summary *s, struct err *e)
{
    if (s->nstrata == 0) return true;
    if (!sbuf_put(b,
                  STR("\n## By kind of report, F\n\nNormal: a rule on the words of the reference. "
                      "Constant: the constant sentence's rougeL on the same pairs, "
                      "then by how much this system's is above it. "
                      "Without an interval where there are fewer than 10 pairs.\n\n"
                      "| by | value | pairs | rouge1 | rouge2 | rougeL | rougeLsum | constant | "
                      "above it |\n"
                      "| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n"),
                  e))
        return false;
    for (size_t i = 0; i < s->nstrata; i++) {
        const struct evaluate_stratum *v = &s->strata[i];
        if (!sbuf_printf(b, e, "| %s | %s | %zu ", v->by, v->value, v->pairs)) return false;
        for (int k = 0; k < ROUGE_KINDS; k++) {
            bool few = v->pairs < FEW_PAIRS; /* a resampled handful looks surer than it is */
            if (few ? !sbuf_printf(b, e, "| %.1f ", 100 * v->f[k].mean) : !md_ci(b, &v->f[k], e))
                return false;
        }
        if (!v->has_constant) {
            if (!sbuf_put(b, STR("| | |\n"), e)) return false;
            continue;
        }
        const struct boot_ci *over = &v->over_constant[ROUGE_L];
        if (!sbuf_printf(b, e, "| %.1f ", 100 * v->constant_f[ROUGE_L]) ||
            !(v->pairs < FEW_PAIRS ? sbuf_printf(b, e, "| %+.1f ", 100 * over->mean)
                                   : md_ci(b, over, e)) ||
            !sbuf_put(b, STR("|\n"), e))
            return false;
    }
    return true;
}

/* One line, where the files say what the references cost the models. */
static bool md_loss(struct sbuf *b, const struct evaluate_summary *s, struct err *e)
{
    if (!s->loss.tokens) return true;
    if (!sbuf_printf(b, e, "Loss of the references, nats a token: this system %.4f",
                     s->loss.per_token))
        return false;
    for (size_t i = 0; i < s->ncompared; i++) {
        const struct evaluate_compared *v = &s->compared[i];
        if (v->loss.tokens && !sbuf_printf(b, e, ", %s %.4f", v->name, v->loss.per_token))
            return false;
    }
    return sbuf_put(b, STR(".\n\n"), e);
}

static bool write_md(const char *path, const struct evaluate_opts *o,
                     const struct evaluate_summary *s, struct err *e)
{
    struct sbuf b;
    sbuf_init(&b, MD_MAX_BYTES);
    bool ok = sbuf_printf(&b, e,
                          "# Evaluation\n\n%zu pairs; `%s`; scores x 100: plain means over pairs, "
                          "with 95 %% percentile intervals of %u bootstrap replicates",
                          s->pairs, s->signature, o->bootstrap);
    if (ok && s->clustered) ok = sbuf_printf(&b, e, " over %zu patients", s->groups);
    if (ok)
        ok = sbuf_put(&b, STR(".\nA mean of F is not the F of the means.\n\n"), e) &&
             md_loss(&b, s, e) && md_main(&b, s, e) && md_compared(&b, s, e) &&
             md_strata(&b, s, e) && fs_replace(path, sbuf_str(&b), e);
    sbuf_free(&b);
    return ok;
}

/* ---- all */

struct paths {
    const char *rows, *md, *json;
};

static bool paths_of(const struct evaluate_opts *o, struct arena *a, struct paths *p, struct err *e)
{
    *p = (struct paths){.rows = o->per_pair, .json = o->report};
    if (!o->dir) return true;
    if (!fs_mkdirs(o->dir, e)) return false;
    if (!p->rows && !fs_join(a, o->dir, "per_pair.jsonl", &p->rows, e)) return false;
    if (!p->json && !fs_join(a, o->dir, "report.json", &p->json, e)) return false;
    return fs_join(a, o->dir, "report.md", &p->md, e);
}

bool eval_report_write(const struct evaluate_opts *o, const char *pairs_path,
                       const struct pair *pairs, const struct pair_score *scores, size_t n,
                       const struct evaluate_summary *s, struct err *e)
{
    struct arena a;
    struct paths p;
    arena_init(&a, 1 << 16);
    bool ok = paths_of(o, &a, &p, e);
    if (ok && p.json) ok = fs_remove(p.json, e); /* the marker goes first and comes last */
    if (ok && p.rows) ok = write_rows(p.rows, pairs, scores, n, s->has_bleu, e);
    if (ok && p.md) ok = write_md(p.md, o, s, e);
    if (ok && p.json) ok = write_json(p.json, o, pairs_path, s, e);
    arena_free(&a);
    if (!ok) err_wrap(e, "write the report");
    return ok;
}
