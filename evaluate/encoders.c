#include "evaluate/encoders.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "evaluate/evaluate.h"

const struct opt encoder_table[] = {
    OPT_PATH(struct encoder_opts, bertscore, NULL, "folder of the encoder for BERTScore"),
    OPT_PATH(struct encoder_opts, clinicalbert, NULL, "folder of ClinicalBERT: mean-pooled cosine"),
    OPT_PATH(struct encoder_opts, radbert, NULL, "folder of RadBERT: mean-pooled cosine"),
    OPT_PATH(struct encoder_opts, chexbert, NULL,
             "folder of CheXbert with its heads (docs/MODELS.md): labels, F1"),
    OPT_END,
};
const struct opt encoder_bertscore_table[] = {
    OPT_STRING(struct encoder_bertscore_opts, model, NULL,
               "published name, for its layer and baseline; left out: the folder's name"),
    OPT_STRING(struct encoder_bertscore_opts, layer, "auto",
               "block whose output is compared; auto: as bert-score for known models"),
    OPT_BOOL(struct encoder_bertscore_opts, idf, false, "weigh tokens by rarity in the references"),
    OPT_BOOL(struct encoder_bertscore_opts, rescale, false, "by bert-score's English baseline"),
    OPT_END,
};
const char *const encoder_case_names[] = {"auto", "0", "1", NULL};
const char *const encoder_pool_names[] = {"mean", "cls", NULL};

bool encoders_check(const char *dir, const char *key, struct err *e)
{
    if (!dir)
        return err_set(e, ERR_CONFIG,
                       "evaluate.metrics has %s, but evaluate.encoders.%s names no folder", key,
                       key);
    return embed_check(dir, key, e);
}

bool encoders_open(const struct metric_env *env, const char *dir, struct embed **out, struct err *e)
{
    const struct embed_opts o = {.dir = dir,
                                 .device = env->opts->device,
                                 .threads = env->threads,
                                 .lower = env->opts->lower_case};
    return embed_open(&o, out, e);
}

void encoders_close(struct embed *m, const char *key)
{
    if (m && embed_cut(m))
        log_warn("encoder_cut", "encoder=%s texts=%llu note=\"longer than it reads: cut\"", key,
                 (unsigned long long)embed_cut(m));
    embed_close(m);
}

bool encoders_texts(const struct metric_text *t, size_t n, struct str **out, struct err *e)
{
    *out = mem_calloc(2 * n, sizeof **out, e);
    for (size_t i = 0; *out && i < n; i++) {
        (*out)[2 * i] = t[i].prediction;
        (*out)[2 * i + 1] = t[i].reference;
    }
    return *out != NULL;
}

bool encoders_references(const struct metric_env *env, struct str **out, struct err *e)
{
    *out = mem_calloc(env->n, sizeof **out, e);
    for (size_t i = 0; *out && i < env->n; i++)
        (*out)[i] = env->texts[i].reference;
    return *out != NULL;
}

struct opt_strs encoders_metrics(const struct evaluate_opts *o, const char *v[2 * METRICS_MAX])
{
    const struct encoder_opts *d = &o->encoders;
    const struct {
        const char *name, *dir;
    } all[] = {{"bertscore", d->bertscore},
               {"clinicalbert", d->clinicalbert},
               {"radbert", d->radbert},
               {"chexbert", d->chexbert}};
    enum { OWN = sizeof all / sizeof *all, ROOM = 2 * METRICS_MAX - OWN };
    size_t n = 0;

    if (o->metrics.n > ROOM) return o->metrics; /* the table refuses it: names stand twice */
    for (size_t i = 0; i < o->metrics.n; i++)
        v[n++] = o->metrics.v[i];
    for (size_t i = 0; i < OWN; i++)
        if (all[i].dir) v[n++] = all[i].name;
    return (struct opt_strs){v, n};
}
