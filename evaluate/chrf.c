#include "evaluate/chrf.h"

#include "base/mem.h"
#include "evaluate/dense.h"
#include "evaluate/grams.h"
#include "text/clean.h"
#include "text/utf8.h"

enum { CHARS_MAX = 0x110000 }; /* of Unicode: no text has more kinds */

struct chrf {
    struct dense chars;
    uint32_t *ids[2]; /* of the reference, of the prediction */
    size_t n[2], cap[2];
    struct grams grams;
};

const char *const chrf_signature = "chrF2|nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|v:1";

bool chrf_open(struct chrf **out, struct err *e)
{
    *out = mem_calloc(1, sizeof **out, e);
    return *out != NULL;
}

void chrf_close(struct chrf *c)
{
    if (!c) return;
    dense_free(&c->chars);
    grams_free(&c->grams);
    mem_free(c->ids[0]);
    mem_free(c->ids[1]);
    mem_free(c);
}

static bool read_side(struct chrf *c, int side, struct str text, struct err *e)
{
    size_t len;
    c->n[side] = 0;
    if (!mem_grow((void **)&c->ids[side], &c->cap[side], text.n, sizeof *c->ids[side], e))
        return false;
    for (size_t i = 0; i < text.n; i += len) {
        uint32_t cp = (unsigned char)text.p[i];
        len = 1;
        if (cp >= 0x80) (void)utf8_next(str_sub(text, i, text.n), &cp, &len);
        if (!clean_is_space(cp)) c->ids[side][c->n[side]++] = dense_of(&c->chars, cp);
    }
    return true;
}

bool chrf_pair(struct chrf *c, struct str prediction, struct str reference, struct chrf_stats *out,
               struct err *e)
{
    size_t most = prediction.n > reference.n ? prediction.n : reference.n;
    *out = (struct chrf_stats){0};
    if (most > CHRF_MAX_BYTES)
        return err_set(e, ERR_LIMIT, "a text of %zu bytes, chrF reads at most %d", most,
                       CHRF_MAX_BYTES);
    size_t kinds = prediction.n + reference.n;
    if (!dense_begin(&c->chars, kinds < CHARS_MAX ? kinds : CHARS_MAX, e)) return false;
    if (!read_side(c, 0, reference, e)) return false;
    uint32_t distinct = c->chars.n;
    if (!read_side(c, 1, prediction, e)) return false;
    const struct gram_texts t = {c->ids[0], c->ids[1], c->n[0], c->n[1], distinct};
    if (!grams_match(&c->grams, &t, CHRF_ORDER, out->match, e)) return false;
    for (size_t k = 0; k < CHRF_ORDER; k++) {
        if (c->n[0] > k) out->ref[k] = c->n[0] - k;
        if (c->n[1] > k && out->ref[k] > 0) out->hyp[k] = c->n[1] - k;
    }
    return true;
}

double chrf_score(const struct chrf_stats *s)
{
    const double factor = 4; /* beta squared */
    double p = 0, r = 0;
    int orders = 0;
    for (int k = 0; k < CHRF_ORDER; k++) {
        if (s->hyp[k] == 0 || s->ref[k] == 0) continue;
        p += (double)s->match[k] / (double)s->hyp[k];
        r += (double)s->match[k] / (double)s->ref[k];
        orders++;
    }
    if (p + r == 0) return 0;
    p /= orders;
    r /= orders;
    return 100 * ((1 + factor) * p * r / (factor * p + r));
}
