/* radmill shard: records to token shards. */
#include "cli/config.h"

static void print_split(const struct cmd_call *call, const struct shard_summary *s, int i)
{
    cmd_print(call, "  %-6s %8llu samples %10llu tokens %9llu of them targets",
              shard_split_names[i], (unsigned long long)s->samples[i],
              (unsigned long long)s->tokens[i], (unsigned long long)s->targets[i]);
    if (i != SHARD_TRAIN && s->seen[i])
        cmd_print(call, " (%llu texts also stand in train)", (unsigned long long)s->seen[i]);
    if (i != SHARD_TRAIN && s->near_seen[i])
        cmd_print(call, " (%llu stand there exactly or nearly)",
                  (unsigned long long)s->near_seen[i]);
    cmd_print(call, "\n");
}

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
        if (s.samples[i]) print_split(call, &s, i);
    for (int i = 0; i < SHARD_DROPS; i++)
        if (s.dropped[i])
            cmd_print(call, "  left out: %-14s %llu\n", shard_drop_names[i],
                      (unsigned long long)s.dropped[i]);
    if (s.cut)
        cmd_print(call, "  input cut to fit: %llu, by %llu tokens\n", (unsigned long long)s.cut,
                  (unsigned long long)s.cut_tokens);
    if (s.near_texts)
        cmd_print(call, "  nearly another's: %llu texts (train.duplicates: weight)\n",
                  (unsigned long long)s.near_texts);
    if (s.unknown)
        cmd_print(call, "  unknown to the tokenizer: %llu tokens\n", (unsigned long long)s.unknown);
    return true;
}
