#include "generate/gen_answers.h"

#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/stop.h"
#include "generate/gen_stop.h"
#include "generate/pairs.h"

#define WAVE_ARENA_BYTES ((size_t)4 << 30)
enum {
    WAVE_BLOCKS = 128, /* prompts held in memory at once; a rank is never idle inside a wave */
    LINE_MAX_BYTES = 4 << 20,
};

/* A wave: consecutive blocks of todo, answered together. */
struct wave {
    struct gen_work *w;
    size_t first; /* into todo */
    size_t nblocks;
    struct decode_prompt *prompt; /* [nprompts] */
    char **line;                  /* [nprompts], mem_alloc'ed, NULL: not answered yet */
    uint32_t *left;               /* [nblocks] answers missing */
    uint32_t *ended;              /* [nblocks] answers that ended by themselves */
    uint32_t *ids;                /* all prompts' and references' tokens */
    size_t nprompts;
    struct arena arena;              /* what follows; in sample order from one record block */
    struct str *findings, *clinical; /* [nprompts], NULL: not asked for */
    struct sbuf id, text, other, row;
    struct gen_stop stop;
};

static size_t sample_of(const struct wave *v, size_t prompt)
{
    /* Every block but the split's last holds GEN_BLOCK samples, and that one comes last in a wave.
     */
    return (size_t)v->w->todo[v->first + prompt / GEN_BLOCK] * GEN_BLOCK + prompt % GEN_BLOCK;
}

/* ---- one answer */

static bool decode_text(const struct gen_inputs *in, const uint32_t *ids, size_t n, struct sbuf *b,
                        struct str *out, struct err *e)
{
    sbuf_clear(b);
    if (!tokenizer_decode(in->tok, ids, n, true, b, e)) return false;
    *out = str_trim(sbuf_str(b));
    return true;
}

/* Every sample has a seed of its own: what is drawn does not depend on who else is there. */
static uint64_t seed_of(const struct wave *v, size_t prompt)
{
    return rng_u64(rng_key(v->w->opts->seed, RNG_DECODE, 1), sample_of(v, prompt));
}

/* The answer is long enough when a stop is in its text. */
static bool on_token(void *ctx, size_t i, const uint32_t *ids, uint32_t n)
{
    struct wave *v = ctx;
    struct err e = {0};
    struct str text;
    (void)i;
    /* what cannot be decoded is an error when the answer is whole */
    if (!decode_text(v->w->in, ids, n, &v->text, &text, &e)) return true;
    return gen_stop_at(&v->stop, text) < text.n;
}

/* The pair's line for this prompt, in v->row. */
static bool compose(struct wave *v, size_t prompt, const struct decode_answer *a, struct err *e)
{
    size_t i = sample_of(v, prompt);
    const struct gen_inputs *in = v->w->in;
    struct sample s;
    char group[17];
    uint8_t key[8];

    if (!shard_set_get(in->set, i, &s, e)) return false;
    CHECK(s.target < s.length);
    const char *source = shard_set_source(in->set, i);
    sbuf_clear(&v->id);
    if (!sbuf_printf(&v->id, e, "%s:%u:%u", source, s.block, s.row)) return false;
    for (int k = 0; k < 8; k++)
        key[k] = (uint8_t)(s.patient_key >> (56 - 8 * k));
    hash_hex(key, sizeof key, group);
    struct pair p = {
        .id = sbuf_str(&v->id),
        .source = str_of(source),
        .modality = str_of(shard_set_modality(in->set, i)),
        .split = str_of(shard_split_names[v->w->opts->split]),
        .group = str_of(group),
        .findings = v->findings ? v->findings[prompt] : STR(""),
        .clinical = v->clinical ? v->clinical[prompt] : STR(""),
        .seen = gen_seen_has(v->w->seen, s.target_hash),
    };
    /* the target's last token is the end mark */
    size_t n = s.length - 1 - s.target;
    if (!decode_text(in, a->ids, a->n, &v->text, &p.prediction, e)) return false;
    p.prediction.n = gen_stop_at(&v->stop, p.prediction);
    p.prediction = str_trim(p.prediction);
    if (!decode_text(in, s.tokens + s.target, n, &v->other, &p.reference, e)) return false;
    p.nll = a->nll;
    p.tokens = s.length - s.target;
    sbuf_clear(&v->row);
    return pairs_put(&v->row, &p, e) && sbuf_putc(&v->row, '\n', e);
}

static bool write_block(struct wave *v, size_t k, struct err *e)
{
    uint32_t block = v->w->todo[v->first + k];
    size_t n = gen_blocks_size(v->w->blocks, block);
    struct sbuf b;
    sbuf_init(&b, (size_t)GEN_BLOCK * LINE_MAX_BYTES);
    bool ok = true;
    for (size_t j = 0; ok && j < n; j++)
        ok = sbuf_put(&b, str_of(v->line[k * GEN_BLOCK + j]), e);
    if (ok) ok = gen_blocks_write(v->w->blocks, block, sbuf_str(&b), e);
    sbuf_free(&b);
    for (size_t j = 0; j < n; j++) {
        mem_free(v->line[k * GEN_BLOCK + j]);
        v->line[k * GEN_BLOCK + j] = NULL;
    }
    if (!ok) return false;
    v->w->made += n;
    v->w->ended += v->ended[k];
    progress_update(v->w->progress, v->w->made * v->w->all / v->w->mine, NULL);
    return true;
}

static bool on_answer(void *ctx, size_t i, const struct decode_answer *a, struct err *e)
{
    struct wave *v = ctx;
    size_t k = i / GEN_BLOCK;
    if (!compose(v, i, a, e)) return false;
    v->line[i] = mem_strdup(v->row.p, e);
    if (!v->line[i]) return false;
    v->ended[k] += a->ended;
    if (--v->left[k] == 0 && !write_block(v, k, e)) return false;
    if (stop_requested()) return err_set(e, ERR_STOPPED, "stopped; finished blocks are kept");
    return true;
}

/* ---- one wave */

/* One field of all prompts' reports. */
static bool load_field(struct wave *v, enum prompt_field field, struct str **out, struct err *e)
{
    const struct gen_inputs *in = v->w->in;

    *out = arena_alloc(&v->arena, v->nprompts * sizeof **out, e);
    if (!*out) return false;
    for (size_t i = 0; i < v->nprompts; i++) {
        struct sample s;
        if (!shard_set_get(in->set, sample_of(v, i), &s, e)) return false;
        if (!source_text_get(in->texts, &s, field, &v->text, e)) return false;
        if (!arena_str(&v->arena, sbuf_str(&v->text), &(*out)[i], e)) return false;
    }
    return true;
}

static bool load_fields(struct wave *v, struct err *e)
{
    const struct gen_inputs *in = v->w->in;

    return (!in->findings || load_field(v, PROMPT_FINDINGS, &v->findings, e)) &&
           (!in->clinical || load_field(v, PROMPT_CLINICAL, &v->clinical, e));
}

static bool load_prompts(struct wave *v, struct err *e)
{
    const uint32_t *target = shard_set_targets(v->w->in->set);
    const uint32_t *length = shard_set_lengths(v->w->in->set);
    size_t tokens = 0;
    for (size_t i = 0; i < v->nprompts; i++)
        tokens += length[sample_of(v, i)];
    v->ids = mem_calloc(tokens, sizeof *v->ids, e);
    if (!v->ids) return false;
    uint32_t *at = v->ids;
    for (size_t i = 0; i < v->nprompts; i++) {
        struct sample s;
        if (!shard_set_get(v->w->in->set, sample_of(v, i), &s, e)) return false;
        CHECK(s.target == target[sample_of(v, i)] && s.length == length[sample_of(v, i)]);
        memcpy(at, s.tokens, s.length * sizeof *at);
        v->prompt[i] = (struct decode_prompt){.ids = at,
                                              .n = s.target,
                                              .seed = seed_of(v, i),
                                              .follow = at + s.target,
                                              .nfollow = s.length - s.target};
        at += s.length;
    }
    return true;
}

static bool wave_init(struct wave *v, struct gen_work *w, size_t first, struct err *e)
{
    *v = (struct wave){.w = w, .first = first, .stop = {w->opts->stop, w->opts->stop_at_header}};
    arena_init(&v->arena, WAVE_ARENA_BYTES);
    sbuf_init(&v->id, 4096);
    sbuf_init(&v->text, LINE_MAX_BYTES / 4);
    sbuf_init(&v->other, LINE_MAX_BYTES / 4);
    sbuf_init(&v->row, LINE_MAX_BYTES);
    v->nblocks = w->ntodo - first < WAVE_BLOCKS ? w->ntodo - first : WAVE_BLOCKS;
    v->left = mem_calloc(v->nblocks, sizeof *v->left, e);
    v->ended = v->left ? mem_calloc(v->nblocks, sizeof *v->ended, e) : NULL;
    if (!v->ended) return false;
    for (size_t k = 0; k < v->nblocks; k++) {
        v->left[k] = (uint32_t)gen_blocks_size(w->blocks, w->todo[first + k]);
        v->nprompts += v->left[k];
    }
    v->prompt = mem_calloc(v->nprompts, sizeof *v->prompt, e);
    v->line = v->prompt ? mem_calloc(v->nprompts, sizeof *v->line, e) : NULL;
    return v->line && load_prompts(v, e) && load_fields(v, e);
}

static void wave_free(struct wave *v)
{
    for (size_t i = 0; v->line && i < v->nprompts; i++)
        mem_free(v->line[i]);
    mem_free(v->line);
    mem_free(v->prompt);
    mem_free(v->ids);
    mem_free(v->left);
    mem_free(v->ended);
    sbuf_free(&v->id);
    sbuf_free(&v->text);
    sbuf_free(&v->other);
    sbuf_free(&v->row);
    arena_free(&v->arena);
}

static void put_eos(struct decode_request *r, int32_t id)
{
    for (uint32_t i = 0; i < r->neos; i++)
        if (r->eos[i] == id) return;
    if (id >= 0 && r->neos < DECODE_EOS) r->eos[r->neos++] = id;
}

static struct decode_request request_of(const struct gen_work *w)
{
    const struct model_spec *spec = model_get_spec(w->in->model);
    const struct generate_opts *o = w->opts;
    struct decode_request r = {
        .max_new_tokens = o->max_new_tokens,
        .adapter = w->in->lora ? 0 : -1,
        .sampling = {.temperature = o->temperature, .top_k = o->top_k, .top_p = o->top_p},
        .beams = o->beams,
        .length_penalty = o->length_penalty,
        .early_stopping = o->early_stopping};
    /* What training taught as the end, then what the base model means by it. */
    put_eos(&r, shard_set_info(w->in->set)->eos);
    for (uint32_t i = 0; i < spec->neos; i++)
        put_eos(&r, spec->eos[i]);
    return r;
}

struct decode_opts gen_decode_opts(const struct generate_opts *o, const struct gen_inputs *in)
{
    uint64_t useful = (uint64_t)in->n * (o->beams ? o->beams : 1);
    return (struct decode_opts){.slots = useful < o->slots ? (uint32_t)useful : o->slots,
                                .max_len = in->max_len,
                                .max_new_tokens = o->max_new_tokens,
                                .max_follow = in->max_follow,
                                .prefill_rows = o->prefill_rows,
                                .share_nothing = o->share_nothing};
}

uint64_t gen_planned_bytes(const struct generate_opts *o, const struct gen_inputs *in)
{
    struct decode_opts d = gen_decode_opts(o, in);
    return in->model_bytes + decode_bytes(model_get_spec(in->model), model_dtype(in->model), &d);
}

static bool answer_wave(struct wave *v, struct decode *d, struct err *e)
{
    struct decode_request like = request_of(v->w);
    struct decode_batch b = {.like = &like,
                             .prompts = v->prompt,
                             .n = v->nprompts,
                             .window = GEN_BLOCK, /* blocks are finished one after the other */
                             .stop = gen_stop_any(&v->stop) ? on_token : NULL};
    return decode_all(d, &b, on_answer, v, e);
}

bool gen_answers(struct gen_work *w, struct err *e)
{
    struct decode_opts o = gen_decode_opts(w->opts, w->in);
    struct decode *d = NULL;
    bool ok =
        w->ntodo == 0 || decode_open(w->in->model, &w->in->lora, w->in->lora ? 1 : 0, &o, &d, e);
    for (size_t first = 0; ok && first < w->ntodo; first += WAVE_BLOCKS) {
        struct wave v;
        ok = wave_init(&v, w, first, e) && answer_wave(&v, d, e);
        wave_free(&v);
    }
    if (d) w->stats = *decode_get_stats(d);
    decode_close(d);
    return ok;
}
