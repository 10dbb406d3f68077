/* radmill shard: records to token shards. */
#include "cli/config.h"

bool cmd_shard(struct cmd_call *call)
{
    struct shard_summary s = {0};
    struct config c;
    bool stop;

    if (!config_load(call, &c) || !config_dry_run(call, &c, &stop)) return false;
    if (stop) return true;
    if (!config_need(call, c.corpus.dir, "corpus.dir") ||
        !config_need(call, c.model.base, "model.base"))
        return false;
    if (!config_find_layout(c.model.base, &c.shards.layout, &call->err)) return false;
    if (!shard_run(c.corpus.dir, &c.shards, c.model.base, call->comm, &s, &call->err)) return false;
    cmd_print(call, "%s: %llu files (%llu made now), %.1f MB, of %llu records\n", c.shards.dir,
              (unsigned long long)s.files, (unsigned long long)s.files_made, (double)s.bytes / 1e6,
              (unsigned long long)s.records);
    for (int i = 0; i < SHARD_SPLITS; i++)
        if (s.samples[i])
            cmd_print(call, "  %-6s %8llu samples %10llu tokens %9llu of them targets%s\n",
                      shard_split_names[i], (unsigned long long)s.samples[i],
                      (unsigned long long)s.tokens[i], (unsigned long long)s.targets[i],
                      i != SHARD_TRAIN && s.seen[i] ? " (some texts also stand in train)" : "");
    for (int i = 0; i < SHARD_DROPS; i++)
        if (s.dropped[i])
            cmd_print(call, "  left out: %-14s %llu\n", shard_drop_names[i],
                      (unsigned long long)s.dropped[i]);
    if (s.cut)
        cmd_print(call, "  input cut to fit: %llu, by %llu tokens\n", (unsigned long long)s.cut,
                  (unsigned long long)s.cut_tokens);
    if (s.unknown)
        cmd_print(call, "  unknown to the tokenizer: %llu tokens\n", (unsigned long long)s.unknown);
    return true;
}
