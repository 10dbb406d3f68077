/*
 * evaluate/encoders - the options of the metrics that need an encoder's weights.
 *
 *     evaluate:
 *       encoders: {bertscore: models/distilroberta-base, clinicalbert: DIR, radbert: DIR,
 *                  chexbert: DIR}
 *       bertscore: {layer: auto, idf: false, rescale: false}
 *
 * A folder that is named turns its metric on, whether evaluate.metrics lists it or not. A metric
 * that is listed without its folder, or a folder that is not there, stops before any work.
 */
#pragma once
#include "base/opt.h"
#include "evaluate/embed.h"
#include "evaluate/metric.h"

struct encoder_opts { /* folders; NULL: not given */
    const char *bertscore, *clinicalbert, *radbert, *chexbert;
};
struct encoder_bertscore_opts {
    const char *model; /* its published name; NULL: the folder's */
    const char *layer; /* a number, or "auto" */
    bool idf, rescale;
};
extern const struct opt encoder_table[], encoder_bertscore_table[];
extern const char *const encoder_case_names[], *const encoder_pool_names[];

/* Is the folder there, with what an encoder needs? For metric.check. */
MUST_CHECK bool encoders_check(const char *dir, const char *key, struct err *e);
/* Open the folder with the device, threads and case of the options. */
MUST_CHECK bool encoders_open(const struct metric_env *env, const char *dir, struct embed **out,
                              struct err *e);
/* Close it. Texts that were longer than it reads, so that their ends were not compared, are a
 * warning of the log (of this rank's share); key: as in evaluate.encoders. m may be NULL. */
void encoders_close(struct embed *m, const char *key);
/* Predictions and references of n pairs by turns, texts[2 n]; mem_free it. */
MUST_CHECK bool encoders_texts(const struct metric_text *t, size_t n, struct str **out,
                               struct err *e);
/* The references alone, out[n]; mem_free it. */
MUST_CHECK bool encoders_references(const struct metric_env *env, struct str **out, struct err *e);
/* The names of evaluate.metrics and of the metrics that folders turn on; v is the caller's room. */
struct opt_strs encoders_metrics(const struct evaluate_opts *o, const char *v[2 * METRICS_MAX]);
