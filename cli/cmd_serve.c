/* radmill serve: a page and OpenAI's API over a base model and its adapters. */
#include <stdio.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "cli/build_info.h"
#include "cli/config.h"

enum { DUMP_BYTES = 1 << 20 };

/* What training left in train.dir, where serve.adapters names none. */
static bool adapter_of(struct cmd_call *call, const struct config *c, const char **out)
{
    const char *path;

    *out = NULL;
    if (c->serve.adapters.n || !c->train.dir) return true;
    if (!fs_join(&call->arena, c->train.dir, "adapter", &path, &call->err)) return false;
    if (fs_is_dir(path)) *out = path;
    return true;
}

static void show(void *ctx, const char *text)
{
    cmd_print(ctx, "%s", text);
    fflush(stdout);
}

static bool dump_own(const struct config *c, struct sbuf *b, struct err *e)
{
    return opt_dump("shards", shard_table, &c->shards, b, e) &&
           opt_dump("model", model_table, &c->model, b, e) &&
           opt_dump("serve", serve_table, &c->serve, b, e);
}

bool cmd_serve(struct cmd_call *call)
{
    struct config c;
    struct sbuf dump;
    bool stop, ok = false;
    const char *adapter;

    if (!config_load(call, &c) || !config_dry_run(call, &c, &stop)) return false;
    if (stop) return true;
    if (!config_need(call, c.serve.dir, "serve.dir") ||
        !config_need(call, c.model.base, "model.base") || !adapter_of(call, &c, &adapter))
        return false;
    if (!config_find_layout(c.model.base, &c.shards.layout, &call->err)) return false;
    sbuf_init(&dump, DUMP_BYTES);
    if (dump_own(&c, &dump, &call->err)) {
        struct serve_job job = {
            .serve = &c.serve,
            .model = &c.model,
            .template = c.shards.template,
            .input = c.shards.input,
            .encoder_decoder = c.shards.layout == SHARD_ENCODER_DECODER,
            .adapter = adapter,
            .options = sbuf_str(&dump),
            .version = build_info_version,
            .commit = build_info_commit,
            .terminal = isatty(1) == 1,
            .show = show,
            .show_ctx = call,
        };
        ok = serve_run(&job, &call->err);
    }
    sbuf_free(&dump);
    return ok;
}
