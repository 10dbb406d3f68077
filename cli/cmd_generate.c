/* radmill generate: prompts of a split to predictions. */
#include "base/fs.h"
#include "base/log.h"
#include "cli/build_info.h"
#include "cli/config.h"

/* "auto": what training left in train.dir/adapter; "none": the base model; else a folder. */
static bool adapter_of(struct cmd_call *call, const struct config *c, const char **out)
{
    const char *a = c->generate.adapter;

    *out = NULL;
    if (str_eqz(str_of(a), "none")) return true;
    *out = a;
    if (!str_eqz(str_of(a), "auto")) return true;
    if (!c->train.dir)
        return err_set(&call->err, ERR_CONFIG,
                       "%s: generate.adapter is auto, and train.dir is not set: set it, or "
                       "generate.adapter to none (the base model) or a folder",
                       call->pos[0]);
    if (!fs_join(&call->arena, c->train.dir, "adapter", out, &call->err)) return false;
    if (fs_is_dir(*out)) return true;
    return err_set(&call->err, ERR_CONFIG,
                   "%s is not there: run radmill train first, or set generate.adapter to none",
                   *out);
}

/* Fields of the report need the corpus, which may have stayed behind on another machine. */
static bool corpus_of(struct cmd_call *call, const struct config *c, const char **out)
{
    const char *manifest = NULL;

    *out = NULL;
    if (c->generate.fields.n == 0) return true;
    if (c->corpus.dir &&
        !fs_join(&call->arena, c->corpus.dir, "manifest.json", &manifest, &call->err))
        return false;
    if (manifest && fs_exists(manifest))
        *out = c->corpus.dir;
    else
        log_warn("generate_fields",
                 "note=\"no corpus in corpus.dir: the pairs hold no findings, baselines that read "
                 "them are left out\"");
    return true;
}

bool cmd_generate(struct cmd_call *call)
{
    struct generate_summary s = {0};
    struct config c;
    const char *adapter;
    bool stop;

    if (!config_load(call, &c) || !config_dry_run(call, &c, &stop)) return false;
    if (stop) return true;
    if (!config_need(call, c.shards.dir, "shards.dir") ||
        !config_need(call, c.model.base, "model.base"))
        return false;
    if (!config_check_shards(call, &c) || !adapter_of(call, &c, &adapter)) return false;
    const char *corpus;
    if (!corpus_of(call, &c, &corpus)) return false;
    struct generate_job job = {
        .generate = &c.generate,
        .model = &c.model,
        .shards_dir = c.shards.dir,
        .corpus_dir = corpus,
        .modalities = c.shards.modality,
        .adapter = adapter,
        .version = build_info_version,
        .commit = build_info_commit,
    };
    if (!generate_run(&job, call->comm, &s, &call->err)) return false;
    cmd_print(call, "%s: %llu pairs (%llu made now), %.2f reports/s, %.1f new tokens/s\n",
              s.pairs_path, (unsigned long long)s.pairs, (unsigned long long)s.made,
              s.reports_per_s, s.new_tokens_per_s);
    return true;
}
