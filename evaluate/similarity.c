#include "evaluate/similarity.h"

#include <math.h>

#include "base/mem.h"
#include "base/rng.h"

enum { CHUNK = 512 };

struct pooled {
    enum similarity_pool pool;
    uint32_t d;
    float *v; /* [text][d], unit length, for first occurrences */
};

static bool pool_text(void *ctx, size_t i, const struct embed_text *t, struct err *e)
{
    struct pooled *p = ctx;
    float *out = p->v + i * p->d;
    uint32_t rows = p->pool == SIMILARITY_CLS ? 1 : t->n;
    double norm = 0;
    (void)e;

    for (uint32_t k = 0; k < p->d; k++) {
        double sum = 0;
        for (uint32_t r = 0; r < rows; r++)
            sum += (double)t->rows[(size_t)r * p->d + k];
        out[k] = (float)(sum / rows);
        norm += (double)out[k] * (double)out[k];
    }
    float scale = norm > 0 ? (float)(1 / sqrt(norm)) : 0;
    for (uint32_t k = 0; k < p->d; k++)
        out[k] *= scale;
    return true;
}

static double cosine(const struct pooled *p, size_t i, size_t j)
{
    const float *x = p->v + i * p->d, *y = p->v + j * p->d;
    double sum = 0;

    for (uint32_t k = 0; k < p->d; k++)
        sum += (double)x[k] * (double)y[k];
    return sum > 1 ? 1 : sum < -1 ? -1 : sum;
}

bool similarity_pairs(struct embed *m, enum similarity_pool pool, const struct str *texts, size_t n,
                      double *out, struct err *e)
{
    struct encoder_info info = embed_info(m);
    struct pooled p = {.pool = pool, .d = info.d};
    uint32_t first[2 * CHUNK];
    size_t room = n < CHUNK ? n : CHUNK;
    bool ok;

    p.v = mem_alloc(2 * room * p.d * sizeof *p.v, e);
    ok = p.v != NULL;
    for (size_t at = 0; ok && at < n; at += CHUNK) {
        size_t now = n - at < CHUNK ? n - at : CHUNK;
        ok = embed_each(m, texts + 2 * at, 2 * now, info.layers, first, pool_text, &p, e);
        for (size_t i = 0; ok && i < now; i++)
            out[at + i] = cosine(&p, first[2 * i], first[2 * i + 1]);
    }
    mem_free(p.v);
    return ok;
}

bool similarity_random(struct embed *m, enum similarity_pool pool, const struct str *texts,
                       size_t n, uint64_t seed, double *out, struct err *e)
{
    struct rng_key key = rng_key(seed, RNG_MISMATCH, 0);
    struct str *drawn = NULL;
    double *value = NULL, sum = 0;
    bool ok = false;

    *out = 0;
    if (n < 2) return true;
    drawn = mem_calloc(2 * SIMILARITY_RANDOM, sizeof *drawn, e);
    value = drawn ? mem_calloc(SIMILARITY_RANDOM, sizeof *value, e) : NULL;
    if (!value) goto out;
    for (size_t k = 0; k < SIMILARITY_RANDOM; k++) {
        uint64_t i = rng_below(key, 2 * k, n);
        uint64_t j = (i + 1 + rng_below(key, 2 * k + 1, n - 1)) % n;
        drawn[2 * k] = texts[i];
        drawn[2 * k + 1] = texts[j];
    }
    ok = similarity_pairs(m, pool, drawn, SIMILARITY_RANDOM, value, e);
    for (size_t k = 0; ok && k < SIMILARITY_RANDOM; k++)
        sum += value[k];
    if (ok) *out = sum / SIMILARITY_RANDOM;
out:
    mem_free(value);
    mem_free(drawn);
    return ok;
}

double similarity_rescaled(double x, double b)
{
    return b < 1 ? (x - b) / (1 - b) : 0;
}
