#include "model/model_opts.h"

#include "base/hash.h"

static const char *const dtype_names[] = {"auto", "f32", "bf16", NULL};

static const char *const quant_names[] = {"none", "int8", "nf4", NULL};

const struct opt model_table[] = {
    OPT_PATH(struct model_opts, base, NULL,
             "model folder (config.json, *.safetensors, tokenizer.json); make one with convert"),
    OPT_STRING(struct model_opts, name, NULL, "the base's hub name, written into adapters"),
    OPT_STRING(struct model_opts, device, "auto",
               "auto (a visible GPU, else the CPU), cpu, strict, cuda:N"),
    OPT_ENUM(struct model_opts, dtype, "auto", dtype_names,
             "of weights and activations; auto: bf16 where the device is faster with it"),
    OPT_ENUM(struct model_opts, quant, "none", quant_names,
             "frozen linear layers in few bits (QLoRA): int8 halves, nf4 quarters bf16's memory"),
    OPT_U32(struct model_opts, context, 0, 0, 1 << 24,
            "longest sequence in tokens, where rotary positions depend on it (rope_type longrope, "
            "dynamic); 0: as many as the model was made for"),
    OPT_U32(struct model_opts, threads, 1, 1, 1024, "threads of one rank's operations"),
    OPT_BOOL(struct model_opts, share_gpu, false,
             "let several ranks compute on one GPU; slower than one rank on it"),
    OPT_END,
};

enum dev_dtype model_opts_dtype(const struct model_opts *o, const struct dev *d)
{
    if (o->dtype == MODEL_DTYPE_F32) return DEV_F32;
    if (o->dtype == MODEL_DTYPE_BF16) return DEV_BF16;
    return dev_prefers_bf16(d) ? DEV_BF16 : DEV_F32;
}

static bool open_for(const struct model_opts *o, struct dev *d, const struct lora_opts *l,
                     struct model **out, struct err *e)
{
    if (!model_open_for(d, o->base, model_opts_dtype(o, d), (enum dev_quant_kind)o->quant, l, out,
                        e))
        return false;
    if (model_set_context(*out, o->context, e)) return true;
    model_close(*out);
    *out = NULL;
    return false;
}

static bool key_of(const struct model_opts *o, uint8_t key[32], struct err *e)
{
    struct sbuf b;

    sbuf_init(&b, 1 << 16);
    bool ok = opt_dump("model", model_table, o, &b, e);
    if (ok) sha256_of(sbuf_str(&b), key);
    sbuf_free(&b);
    return ok;
}

void model_slot_free(struct model_slot *slot)
{
    model_close(slot->model);
    dev_close(slot->dev);
    *slot = (struct model_slot){0};
}

/* Does it hold what is asked for? */
static bool slot_serves(const struct model_slot *s, const uint8_t key[32],
                        const struct lora_opts *l, bool *serves, struct err *e)
{
    *serves = s->model && memcmp(s->key, key, sizeof s->key) == 0;
    return !*serves || !l || model_has_room(s->model, l, serves, e);
}

bool model_slot_open(struct model_slot *slot, const struct model_opts *o, struct dev **dev,
                     struct model **model, struct err *e)
{
    return model_slot_open_for(slot, o, NULL, dev, model, e);
}

bool model_slot_open_for(struct model_slot *slot, const struct model_opts *o,
                         const struct lora_opts *l, struct dev **dev, struct model **model,
                         struct err *e)
{
    struct model_slot own = {0}, *s = slot ? slot : &own;
    uint8_t key[32];
    bool serves;

    *dev = NULL;
    *model = NULL;
    if (!key_of(o, key, e) || !slot_serves(s, key, l, &serves, e)) return false;
    if (!serves) {
        model_slot_free(s);
        if (!dev_open(o->device, (int)o->threads, &s->dev, e) ||
            !open_for(o, s->dev, l, &s->model, e)) {
            model_slot_free(s);
            return false;
        }
        memcpy(s->key, key, sizeof key);
    }
    *dev = s->dev;
    *model = s->model;
    return true;
}
