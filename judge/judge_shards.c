#include "judge/judge_shards.h"

#include <string.h>

#include "base/fs.h"
#include "shard/shard_manifest.h"
#include "shard/shard_pack.h"

static const char file_name[] = JUDGE_MODALITY "/s00-00000-000000000000.h5";

static void fill_head(const struct judge_prompt *p, const char *template, uint32_t max_tokens,
                      struct shard_head *h)
{
    struct tok_info t = tokenizer_info(judge_prompt_tokenizer(p));
    const char *slash = strrchr(template, '/'); /* a file: its name, not where it lies */
    struct str name = str_of(slash ? slash + 1 : template);

    *h = (struct shard_head){.modality = JUDGE_MODALITY,
                             .inputs = "clinical,findings,reference,generated,check",
                             .vocab_size = t.vocab_size,
                             .layout = SHARD_DECODER,
                             .max_tokens = max_tokens,
                             .bos = t.bos,
                             .eos = t.eos,
                             .pad = t.pad,
                             .token_bytes = t.vocab_size <= 65536 ? 2 : 4};
    if (name.n >= sizeof h->template_name) name.n = sizeof h->template_name - 1;
    memcpy(h->template_name, name.p, name.n);
    memcpy(h->tokenizer_sha256, t.digest, 32);
    judge_prompt_digest(p, h->template_sha256);
}

static struct hash128 hash_of(struct str s)
{
    return hash_xxh128(s.p, s.n);
}

static bool put_all(struct judge_prompt *p, const struct judge_sample *v, size_t n,
                    struct shard_pack *pack, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        struct prompt_sample s;
        if (!judge_prompt_answer(p, &v[i].fields, v[i].list, v[i].grade, &s, e))
            return err_wrap(e, "judgement %zu", i);
        struct sample out = {.tokens = s.ids,
                             .length = (uint32_t)s.n,
                             .target = (uint32_t)s.target,
                             .row = (uint32_t)i,
                             .entry = i,
                             .text_hash = hash_of(v[i].fields.reference),
                             .target_hash = hash_of(v[i].fields.generated),
                             .patient_key = v[i].group};
        pack->fact.records++;
        pack->fact.cut += s.cut > 0;
        pack->fact.cut_tokens += s.cut;
        if (!shard_pack_put(pack, v[i].split, &out, e)) return false;
    }
    return true;
}

static bool write_manifest(const char *dir, const struct shard_head *h,
                           const struct shard_fact *fact, struct err *e)
{
    static const char *const sources[] = {"labels"};
    struct shard_manifest_modality modality = {.name = JUDGE_MODALITY, .records = fact->records};
    struct shard_manifest_file f = {.path = file_name, .modality = JUDGE_MODALITY, .fact = *fact};
    struct shard_manifest m = {.info = {.layout = SHARD_DECODER,
                                        .vocab_size = h->vocab_size,
                                        .max_tokens = h->max_tokens,
                                        .template_name = h->template_name,
                                        .inputs = h->inputs,
                                        .eos = h->eos,
                                        .bos = h->bos,
                                        .pad = h->pad},
                               .sources = sources,
                               .nsources = 1,
                               .modalities = &modality,
                               .nmodalities = 1,
                               .files = &f,
                               .nfiles = 1};

    memcpy(m.info.tokenizer_digest, h->tokenizer_sha256, 32);
    memcpy(m.info.template_digest, h->template_sha256, 32);
    return shard_manifest_write(dir, &m, e);
}

static bool write_file(const char *dir, struct shard_head *h, struct shard_pack *pack,
                       struct err *e)
{
    const struct shard_data *data;
    const char *path, *folder;
    struct arena a;
    bool ok;

    arena_init(&a, 1 << 16);
    ok = fs_join(&a, dir, file_name, &path, e) && fs_join(&a, dir, JUDGE_MODALITY, &folder, e) &&
         fs_mkdirs(folder, e) && shard_pack_join(pack, &data, h, e);
    if (ok && !data) ok = err_set(e, ERR_CONFIG, "no judgement to train on");
    ok = ok && shard_writer_write(path, h, data, &pack->fact, e);
    arena_free(&a);
    return ok;
}

bool judge_shards_write(struct judge_prompt *p, const char *template, uint32_t max_tokens,
                        const struct judge_sample *v, size_t n, const char *dir,
                        struct judge_shards_fact *fact, struct err *e)
{
    struct shard_pack pack;
    struct shard_head h;

    fill_head(p, template, max_tokens, &h);
    shard_pack_init(&pack, h.token_bytes);
    bool ok = put_all(p, v, n, &pack, e) && write_file(dir, &h, &pack, e) &&
              write_manifest(dir, &h, &pack.fact, e);
    if (ok) memcpy(fact->samples, pack.fact.samples, sizeof fact->samples);
    if (ok) fact->cut = pack.fact.cut;
    shard_pack_free(&pack);
    return ok || err_wrap(e, "%s", dir);
}
