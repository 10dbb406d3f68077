#include "generate/gen_inputs.h"

#include <string.h>

#include "base/hash.h"

static bool open_set(const struct generate_job *j, struct gen_inputs *in, struct err *e)
{
    const struct generate_opts *o = j->generate;
    if (!shard_set_open(j->shards_dir, (enum shard_split)o->split, j->modalities.v, j->modalities.n,
                        false, &in->set, e))
        return false;
    in->n = shard_set_count(in->set);
    if (o->limit > 0 && o->limit < in->n) in->n = (size_t)o->limit;
    return true;
}

/* What the pairs shall say besides answer and reference. */
static bool open_texts(const struct generate_job *j, struct gen_inputs *in, struct err *e)
{
    const struct opt_strs *f = &j->generate->fields;

    for (size_t i = 0; i < f->n; i++) {
        bool findings = strcmp(f->v[i], "findings") == 0;
        if (!findings && strcmp(f->v[i], "clinical") != 0)
            return err_set(e, ERR_CONFIG, "generate.fields: '%s' is not findings or clinical",
                           f->v[i]);
        in->findings |= findings;
        in->clinical |= !findings;
    }
    if (f->n > 0 && j->corpus_dir) return source_text_open(j->corpus_dir, &in->texts, e);
    in->findings = in->clinical = false;
    return true;
}

static bool open_tokenizer(const struct generate_job *j, struct gen_inputs *in, struct err *e)
{
    const char *path = j->tokenizer ? j->tokenizer : j->model->base;
    if (!tokenizer_open(path, &in->tok, e)) return false;
    struct tok_info t = tokenizer_info(in->tok);
    if (memcmp(t.digest, shard_set_info(in->set)->tokenizer_digest, sizeof t.digest) != 0)
        return err_set(e, ERR_CONFIG,
                       "the shards in %s were made with another tokenizer than %s: shard again, or "
                       "name the model they were made for",
                       j->shards_dir, path);
    return true;
}

static bool check_layout(const struct generate_job *j, const struct gen_inputs *in, struct err *e)
{
    enum shard_layout have = shard_set_info(in->set)->layout;
    enum shard_layout want =
        model_get_spec(in->model)->enc_layers ? SHARD_ENCODER_DECODER : SHARD_DECODER;
    return have == want ||
           err_set(e, ERR_CONFIG,
                   "%s has layout %s, the model %s needs %s; run `radmill shard` with this model",
                   j->shards_dir, shard_layout_names[have], j->model->base,
                   shard_layout_names[want]);
}

static bool open_model(const struct generate_job *j, struct gen_inputs *in, struct err *e)
{
    const struct model_opts *m = j->model;
    uint32_t vocab = shard_set_info(in->set)->vocab_size;

    in->slot = j->slot;
    if (!model_slot_open(j->slot, m, &in->dev, &in->model, e)) return false;
    if (vocab > model_get_spec(in->model)->vocab)
        return err_set(e, ERR_CONFIG, "%s has %u token ids, the model %s only %u", j->shards_dir,
                       vocab, m->base, model_get_spec(in->model)->vocab);
    if (!check_layout(j, in, e)) return false;
    if (!j->adapter) return true;
    in->adapted = true;
    if (!sha256_folder(j->adapter, in->adapter_digest, e) ||
        !lora_load(in->model, j->adapter, &in->lora, e))
        return false;
    if (j->generate->adapter_use == GENERATE_APPLIED) return true;
    if (j->slot)
        return err_set(e, ERR_CONFIG,
                       "generate.adapter_use: merged changes the base, which this run shares with "
                       "others; use applied");
    if (!lora_merge(in->lora, e)) return false;
    lora_close(in->lora);
    in->lora = NULL;
    return true;
}

/* The cache's length follows from all prompts of the run, so that an answer's room does not depend
 * on who else is in the batch. */
static bool find_max_len(const struct generate_job *j, struct gen_inputs *in, struct err *e)
{
    const uint32_t *prompt = shard_set_targets(in->set);
    const struct model_spec *spec = model_get_spec(in->model);
    const uint32_t *length = shard_set_lengths(in->set);
    uint32_t longest = 0, most = model_spec_longest(spec);
    for (size_t i = 0; i < in->n; i++) {
        uint32_t follow = length[i] - (spec->enc_layers ? prompt[i] : 0);
        if (follow > in->max_follow) in->max_follow = follow;
        if (prompt[i] == 0) return err_set(e, ERR_FORMAT, "sample %zu has an empty prompt", i);
        if (prompt[i] > longest) longest = prompt[i];
    }
    if (!model_spec_check_length(spec, longest + 1, e)) return false;
    if (longest >= most)
        return err_set(
            e, ERR_CONFIG,
            "the longest prompt has %u tokens, the model takes %u with the answer; lower "
            "shards.max_tokens",
            longest, most);
    uint32_t room = most - longest, ask = j->generate->max_new_tokens;
    in->max_len = spec->enc_layers ? longest : longest + (ask < room ? ask : room);
    return true;
}

bool gen_inputs_open(const struct generate_job *j, struct gen_inputs *in, struct err *e)
{
    *in = (struct gen_inputs){0};
    if (!open_set(j, in, e) || !open_texts(j, in, e) || !open_tokenizer(j, in, e) ||
        !open_model(j, in, e))
        return false;
    in->model_bytes = dev_bytes_live(in->dev);
    return find_max_len(j, in, e);
}

void gen_inputs_close(struct gen_inputs *in)
{
    lora_close(in->lora);
    if (!in->slot) {
        model_close(in->model);
        dev_close(in->dev);
    }
    tokenizer_close(in->tok);
    source_text_close(in->texts);
    shard_set_close(in->set);
    *in = (struct gen_inputs){0};
}

static json_t *hex_json(const uint8_t digest[32])
{
    char hex[65];
    hash_hex(digest, 32, hex);
    return json_string(hex);
}

json_t *gen_inputs_identity(const struct gen_inputs *in)
{
    const struct shard_info *s = shard_set_info(in->set);
    uint8_t weights[32];
    model_digest(in->model, weights);
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:s, s:I, s:s}", "shards",
                     hex_json(s->dataset_digest), "tokenizer", hex_json(s->tokenizer_digest),
                     "template", hex_json(s->template_digest), "base weights", hex_json(weights),
                     "adapter", in->adapted ? hex_json(in->adapter_digest) : json_null(), "dtype",
                     dev_dtype_names[model_dtype(in->model)], "samples", (json_int_t)in->n,
                     "fields",
                     in->findings && in->clinical ? "findings, clinical"
                     : in->findings               ? "findings"
                     : in->clinical               ? "clinical"
                                                  : "none");
}
