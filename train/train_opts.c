#include "train/train.h"

#include "train/grad_team.h"
#include "train/schedule.h"

static const char *const loss_on_names[] = {"target", "all", NULL};
static const char *const duplicates_names[] = {"keep", "weight", NULL};
static const char *const export_names[] = {"auto", "best", "last", NULL};

static const char *const train_recompute_names[] = {"auto", "none", "selective", "full", NULL};

const struct opt train_table[] = {
    OPT_PATH(struct train_opts, dir, NULL, "run folder: checkpoints, metrics, the adapter"),
    OPT_F64(struct train_opts, epochs, 3, 0.001, 10000,
            "passes over the training split; a fraction ends inside an epoch"),
    OPT_U64(struct train_opts, max_steps, 0, 0, 1e12,
            "end after this many optimizer steps even if epochs are left; 0: no such end"),
    OPT_U32(struct train_opts, bin_tokens, 8192, 8, 1048576,
            "tokens of one micro-batch: samples are packed into bins of at most this size"),
    OPT_U32(struct train_opts, bin_targets, 0, 0, 1048576,
            "encoder-decoders: most answer tokens in a bin, whose bin_tokens are the encoder's; 0: "
            "as many"),
    OPT_U32(struct train_opts, tokens_per_step, 65536, 8, 1073741824,
            "tokens of one optimizer step over all ranks: a multiple of bin_tokens"),
    OPT_F64(struct train_opts, lr, 2e-4, 0.0, 1.0, "peak learning rate"),
    OPT_ENUM(struct train_opts, schedule, "cosine", schedule_names,
             "how the learning rate falls after the warm-up"),
    OPT_F64(struct train_opts, warmup, 0.03, 0.0, 1e9,
            "steps of rising learning rate; below 1: this fraction of all steps"),
    OPT_F64(struct train_opts, min_lr, 0.0, 0.0, 1.0, "learning rate at the end"),
    OPT_F64(struct train_opts, beta1, 0.9, 0.0, 0.999999, "AdamW: decay of the mean gradient"),
    OPT_F64(struct train_opts, beta2, 0.999, 0.0, 0.9999999, "AdamW: decay of the mean square"),
    OPT_F64(struct train_opts, eps, 1e-8, 1e-30, 1.0,
            "AdamW: added to the root of the mean square"),
    OPT_F64(struct train_opts, weight_decay, 0.0, 0.0, 1.0, "AdamW: decoupled weight decay"),
    OPT_F64(struct train_opts, clip, 1.0, 0.0, 1e9, "largest norm of the gradient; 0: no clipping"),
    OPT_U64(struct train_opts, seed, 1, 0, 9e18, "of the adapter's start, the plan and dropout"),
    OPT_ENUM(struct train_opts, loss_on, "target", loss_on_names,
             "tokens that bear loss: the target (and its end mark), or all"),
    OPT_ENUM(
        struct train_opts, duplicates, "keep", duplicates_names,
        "texts that occur n times: keep: seen n times an epoch; weight: once an epoch, another "
        "of the n each time; nearly equal texts count as one after corpus.near_duplicates"),
    OPT_EVERY(struct train_opts, eval_every, "0.25 epoch",
              "how often the dev split is scored: steps, epochs, minutes or never"),
    OPT_EVERY(
        struct train_opts, save_every, "10 min",
        "how often a checkpoint is written: steps, epochs, minutes or never (only at the end)"),
    OPT_U32(struct train_opts, keep, 2, 1, 1000, "checkpoints kept, besides the best one"),
    OPT_U32(struct train_opts, patience, 0, 0, 1000000,
            "stop early after this many evaluations without a better dev loss; 0: never"),
    OPT_ENUM(
        struct train_opts, export, "auto", export_names,
        "which state becomes the adapter: the best on dev, or the last; auto: the best when dev "
        "is scored by steps or epochs"),
    OPT_F64(struct train_opts, memory_gib, 0, 0, 1e6,
            "refuse to start when one rank's device memory plan is above this; 0: no limit"),
    OPT_ENUM(
        struct train_opts, recompute, "auto", train_recompute_names,
        "make activations again in the backward pass instead of keeping them (activation or "
        "gradient checkpointing): selective: gate and up of every block; full: all but a block's "
        "input; auto: none where the plan fits the device and memory_gib, else as few blocks as "
        "it takes; the adapter's bits are the same"),
    OPT_BOOL(struct train_opts, verify_tokens, true,
             "check the checksums of all token arrays before training"),
    OPT_ENUM(struct train_opts, gradient_sum, "auto", grad_sum_names,
             "how gradients are added up over ranks: nccl: from GPU to GPU; staged: through host "
             "memory and MPI; auto: nccl where every rank has a GPU of its own and the library is "
             "there. The bits are the same"),
    OPT_F64(struct train_opts, hang_minutes, 30, 0, 1e6,
            "end the job with its reason when a rank gives no sign of life for so long; 0: never "
            "(slurm.hang_minutes: the other stages)"),
    OPT_U64(struct train_opts, stop_after_steps, 0, 0, 1e12,
            "stop as if asked to after this many steps of this process; 0: never"),
    OPT_END,
};
