/* radmill train: shards and a base model to an adapter. */
#include <math.h>

#include "cli/build_info.h"
#include "cli/config.h"
#include "text/tokenizer.h"

static bool digest_of(const char *base, uint8_t out[32], struct err *e)
{
    struct tokenizer *t = NULL;
    struct tok_info info;

    if (!tokenizer_open(base, &t, e)) return false;
    info = tokenizer_info(t);
    for (size_t i = 0; i < sizeof info.digest; i++)
        out[i] = info.digest[i];
    tokenizer_close(t);
    return true;
}

static void print_summary(const struct cmd_call *call, const struct config *c,
                          const struct train_summary *s)
{
    cmd_print(call, "%s: %llu of %llu steps, %.0f tokens/s, train loss %.4f\n", c->train.dir,
              (unsigned long long)s->steps, (unsigned long long)s->total_steps, s->tokens_per_s,
              s->train_loss);
    if (!isnan(s->best_dev_loss))
        cmd_print(call, "  dev loss %.4f, best %.4f at step %llu%s\n", s->dev_loss,
                  s->best_dev_loss, (unsigned long long)s->best_step,
                  s->early_stopped ? ", stopped early" : "");
    if (s->adapter[0]) cmd_print(call, "  adapter %s\n", s->adapter);
}

bool cmd_train(struct cmd_call *call)
{
    struct train_summary s = {0};
    uint8_t digest[32];
    struct config c;
    bool stop;

    if (!config_load(call, &c) || !config_dry_run(call, &c, &stop)) return false;
    if (!config_need(call, c.shards.dir, "shards.dir") ||
        !config_need(call, c.model.base, "model.base"))
        return false;
    if (!config_check_shards(call, &c)) return false;
    if (!comm_agree(call->comm, digest_of(c.model.base, digest, &call->err), &call->err))
        return false;
    struct train_job job = {
        .train = &c.train,
        .lora = &c.lora,
        .model = &c.model,
        .shards_dir = c.shards.dir,
        .modalities = c.shards.modality,
        .tokenizer_digest = digest,
        .version = build_info_version,
        .commit = build_info_commit,
        .dry_run = call->dry_run,
    };
    if (!train_run(&job, call->comm, &s, &call->err)) return false;
    if (call->dry_run) return true; /* the log says what memory it takes */
    print_summary(call, &c, &s);
    return true;
}
