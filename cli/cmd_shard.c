/* radmill shard: records to token shards. */
#include "base/fs.h"
#include "base/json.h"
#include "cli/config.h"

enum { CONFIG_MAX_BYTES = 1 << 20 };

/* shards.layout: auto. Hugging Face's config.json says whether a model is an encoder-decoder. */
static bool find_layout(struct cmd_call *call, const char *base, int *layout)
{
    const char *path;
    json_t *root = NULL;

    if (*layout != SHARD_LAYOUT_AUTO) return true;
    *layout = SHARD_DECODER;
    if (!fs_join(&call->arena, base, "config.json", &path, &call->err)) return false;
    if (!fs_exists(path)) return true;
    if (!json_read_file(path, CONFIG_MAX_BYTES, &root, &call->err)) return false;
    if (json_is_true(json_object_get(root, "is_encoder_decoder"))) *layout = SHARD_ENCODER_DECODER;
    json_decref(root);
    return true;
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
    if (!find_layout(call, c.model.base, &c.shards.layout)) return false;
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
