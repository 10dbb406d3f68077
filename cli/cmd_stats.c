/* radmill stats: what is in the corpus, as a page and tables. */
#include "base/fs.h"
#include "base/log.h"
#include "cli/build_info.h"
#include "cli/config.h"

/* The tokenizer is the model's. A corpus can be looked at long before there is one. */
static const char *tokenizer_of(const struct config *c)
{
    if (!c->stats.tokens || !c->model.base) return NULL;
    if (fs_exists(c->model.base)) return c->model.base;
    log_warn("stats_tokens", "note=\"%s is not there: words are counted, tokens are not\"",
             c->model.base);
    return NULL;
}

bool cmd_stats(struct cmd_call *call)
{
    struct stats_summary s = {0};
    struct config c;
    bool stop;

    if (!config_load(call, &c) || !config_dry_run(call, &c, &stop)) return false;
    if (stop) return true;
    if (!config_need(call, c.corpus.dir, "corpus.dir")) return false;
    struct stats_job job = {
        .stats = &c.stats,
        .corpus_dir = c.corpus.dir,
        .tokenizer = tokenizer_of(&c),
        .max_tokens = c.shards.layout == SHARD_ENCODER_DECODER ? 0 : c.shards.max_tokens,
        .version = build_info_version,
    };
    if (!stats_run(&job, call->comm, &s, &call->err)) return false;
    cmd_print(call,
              "%s: %llu reports, %llu patients, %llu pairs, %llu repeat an earlier text; %llu "
              "files\n",
              s.page, (unsigned long long)s.reports, (unsigned long long)s.patients,
              (unsigned long long)s.pairs, (unsigned long long)s.duplicates,
              (unsigned long long)s.files);
    return true;
}
