#include "shard/builder.h"

#include <stdio.h>

#include "base/mem.h"
#include "shard/field_text.h"
#include "shard/plain_text.h"
#include "shard/shard_pack.h"

/* Changes when the same options give other tokens. */
#define BUILDER_VERSION "builder/2"
#define FIELD_MAX_BYTES ((size_t)64 << 20)

struct builder {
    const struct shard_opts *o;
    struct tokenizer *tokenizer;
    struct tok_cache *cache;
    struct prompt *prompt;
    bool used[PROMPT_FIELDS]; /* fields that the template shows */
    int32_t unknown;          /* the tokenizer's mark for text it lacks; -1: none */
    uint8_t patient_key[32];
    struct sha256_mac patient_mac;
    struct shard_head head; /* what all shards have in common */
    char options[SHARD_TEXT_BYTES];
    struct sbuf field[PROMPT_FIELDS], target, folded;
    struct shard_pack pack;
};

/* ---- opening */
static bool read_patient_key(struct builder *b, struct err *e)
{
    static const char public_key[] = "radmill shards: patient groups";

    if (!b->o->patient_key_file)
        sha256_of((struct str){public_key, sizeof public_key - 1}, b->patient_key);
    else if (!sha256_key_file(b->o->patient_key_file, b->patient_key, e))
        return false;
    sha256_mac_init(&b->patient_mac, (struct str){(const char *)b->patient_key, 32});
    return true;
}

static bool open_prompt(struct builder *b, struct err *e)
{
    enum prompt_field inputs[PROMPT_FIELDS];
    const struct opt_strs *in = &b->o->input;
    struct sbuf list;
    bool ok = true;

    if (in->n == 0 || in->n > PROMPT_FIELDS)
        return err_set(e, ERR_CONFIG, "shards.input names %zu fields, of 1 to %d", in->n,
                       PROMPT_FIELDS);
    sbuf_init(&list, SHARD_TEXT_BYTES - 1);
    for (size_t i = 0; ok && i < in->n; i++) {
        int field = prompt_field_of(str_of(in->v[i]));
        ok = (field >= 0 && field < PROMPT_REPORT_FIELDS) ||
             err_set(e, ERR_CONFIG,
                     "shards.input: '%s' is not one of clinical, findings, "
                     "examination, technique, comparison, background, reader",
                     in->v[i]);
        for (size_t k = 0; ok && k < i; k++)
            ok = inputs[k] != (enum prompt_field)field ||
                 err_set(e, ERR_CONFIG, "shards.input names %s twice", in->v[i]);
        if (!ok) break;
        inputs[i] = (enum prompt_field)field;
        ok = (i == 0 || sbuf_putc(&list, ',', e)) && sbuf_put(&list, str_of(in->v[i]), e);
    }
    if (ok) memcpy(b->head.inputs, list.p, list.n);
    sbuf_free(&list);
    if (!ok || !prompt_open(b->o->template, inputs, in->n, b->tokenizer, &b->prompt, e))
        return false;
    for (int f = 0; f < PROMPT_FIELDS; f++)
        b->used[f] = prompt_uses(b->prompt, (enum prompt_field)f);
    for (int f = PROMPT_REPORT_FIELDS; f < PROMPT_FIELDS; f++)
        if (b->used[f])
            return err_set(e, ERR_CONFIG, "template %s: {%s} is for judges, no report has it",
                           b->o->template, prompt_field_names[f]);
    return b->head.layout == SHARD_DECODER || prompt_for_encoder(b->prompt, e);
}

static void set_layout(struct builder *b)
{
    const struct shard_opts *o = b->o;
    struct shard_head *h = &b->head;

    h->layout = o->layout == SHARD_ENCODER_DECODER ? SHARD_ENCODER_DECODER : SHARD_DECODER;
    h->max_tokens = o->max_tokens;
    if (h->layout == SHARD_DECODER) return;
    h->max_input_tokens = o->max_input_tokens;
    h->max_target_tokens = o->max_target_tokens;
    h->max_tokens = o->max_input_tokens + o->max_target_tokens;
}

/* All that decides on the tokens but tokenizer and template. */
static bool digest_config(struct builder *b, struct err *e)
{
    const struct shard_opts *o = b->o;
    char sizes[96];
    struct sbuf s;
    bool ok;

    if (b->head.layout == SHARD_DECODER)
        snprintf(sizes, sizeof sizes, "max_tokens=%u", o->max_tokens);
    else
        snprintf(sizes, sizeof sizes, "encoder-decoder max_input_tokens=%u max_target_tokens=%u",
                 o->max_input_tokens, o->max_target_tokens);
    sbuf_init(&s, sizeof b->options - 1);
    ok = sbuf_printf(&s, e,
                     "%s %s shard_size=%u duplicates=%s min_findings_words=%u "
                     "min_impression_words=%u impression_shorter=%d cut_communication=%d "
                     "drop_long=%d",
                     BUILDER_VERSION, sizes, o->shard_size, shard_duplicates_names[o->duplicates],
                     o->min_findings_words, o->min_impression_words, o->impression_shorter,
                     o->cut_communication, o->drop_long);
    if (ok) {
        struct sha256 h;
        memcpy(b->options, s.p, s.n);
        sha256_init(&h);
        sha256_put(&h, s.p, s.n);
        sha256_put(&h, b->patient_key, sizeof b->patient_key);
        sha256_end(&h, b->head.config_sha256);
    }
    sbuf_free(&s);
    return ok;
}

static bool fill_head(struct builder *b, struct err *e)
{
    struct tok_info t = tokenizer_info(b->tokenizer);
    struct shard_head *h = &b->head;
    struct str name = str_of(b->o->template);
    const char *slash = strrchr(name.p, '/'); /* a file: its name, not where it lies */

    if (slash) name = str_of(slash + 1);
    if (name.n >= sizeof h->template_name)
        return err_set(e, ERR_CONFIG, "shards.template: the name is too long");
    memcpy(h->template_name, name.p, name.n);
    memcpy(h->tokenizer_sha256, t.digest, 32);
    prompt_digest(b->prompt, h->template_sha256);
    h->vocab_size = t.vocab_size;
    h->bos = t.bos;
    h->eos = t.eos;
    h->pad = t.pad;
    b->unknown = t.unk;
    h->token_bytes = t.vocab_size <= 65536 ? 2 : 4;
    b->pack.token_bytes = h->token_bytes;
    return digest_config(b, e);
}

bool builder_open(const struct shard_opts *o, const char *tokenizer_path, struct builder **out,
                  struct err *e)
{
    struct builder *b = mem_calloc(1, sizeof *b, e);

    *out = NULL;
    if (!b) return false;
    b->o = o;
    set_layout(b);
    for (int f = 0; f < PROMPT_FIELDS; f++)
        sbuf_init(&b->field[f], FIELD_MAX_BYTES);
    sbuf_init(&b->target, FIELD_MAX_BYTES);
    sbuf_init(&b->folded, FIELD_MAX_BYTES);
    shard_pack_init(&b->pack, 2);
    if (tokenizer_open(tokenizer_path, &b->tokenizer, e) &&
        tok_cache_open(b->tokenizer, &b->cache, e) && open_prompt(b, e) && read_patient_key(b, e) &&
        fill_head(b, e)) {
        *out = b;
        return true;
    }
    builder_close(b);
    return false;
}

void builder_close(struct builder *b)
{
    if (!b) return;
    shard_pack_free(&b->pack);
    sbuf_free(&b->folded);
    sbuf_free(&b->target);
    for (int f = 0; f < PROMPT_FIELDS; f++)
        sbuf_free(&b->field[f]);
    prompt_close(b->prompt);
    tok_cache_close(b->cache);
    tokenizer_close(b->tokenizer);
    mem_free(b);
}

const struct shard_head *builder_head(const struct builder *b)
{
    return &b->head;
}

const char *builder_options(const struct builder *b)
{
    return b->options;
}

/* ---- which records */
int builder_screen(const struct builder *b, const struct record *r)
{
    if (r->split >= SHARD_SPLITS) return SHARD_DROP_SPLIT;
    if (b->used[PROMPT_FINDINGS] && r->section[SEC_FINDINGS].length == 0)
        return SHARD_DROP_FINDINGS;
    if (r->section[SEC_IMPRESSION].length == 0) return SHARD_DROP_IMPRESSION;
    return BUILDER_TAKEN;
}

int builder_screen_late(const struct builder *b, const struct record *r)
{
    static const uint32_t repeats[] = {[SHARD_DUP_KEEP] = 0,
                                       [SHARD_DUP_HEAD] = RECORD_DUPLICATE,
                                       [SHARD_DUP_NEAR_HEAD] =
                                           RECORD_DUPLICATE | RECORD_NEAR_DUPLICATE};

    if (r->flags & RECORD_SUPERSEDED) return SHARD_DROP_SUPERSEDED;
    if (r->split == SPLIT_TRAIN && r->flags & repeats[b->o->duplicates])
        return SHARD_DROP_DUPLICATE;
    return BUILDER_TAKEN;
}

uint64_t builder_patient(const struct builder *b, const char *source, const struct record *r)
{
    char text[512];
    uint8_t digest[32];
    uint64_t key;
    struct str id = r->patient.n ? r->patient : r->study, name = str_of(source);
    size_t n = name.n + 2;
    char kind = r->patient.n ? 'p' : r->study.n ? 's' : 'e';

    if (kind == 'e') id = (struct str){(const char *)&r->entry, sizeof r->entry};
    if (id.n > 256) { /* an id is short; a longer one is hashed first */
        struct hash128 h = hash_xxh128(id.p, id.n);
        memcpy(digest, &h, sizeof h);
        id = (struct str){(const char *)digest, sizeof h};
    }
    CHECK(n + id.n <= sizeof text);
    memcpy(text, name.p, name.n);
    text[name.n] = 0;
    text[name.n + 1] = kind;
    memcpy(text + n, id.p, id.n);
    sha256_mac_of(&b->patient_mac, (struct str){text, n + id.n}, digest);
    memcpy(&key, digest, sizeof key);
    return key;
}

/* ---- text */
static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool holds_word(struct str s, struct str word)
{
    for (size_t i = 0; i + word.n <= s.n; i++) {
        size_t k = 0;
        while (k < word.n && lower(s.p[i + k]) == word.p[k])
            k++;
        if (k == word.n) return true;
    }
    return false;
}

/* ImpressionGPT's list; "Dr" only as a title, so that "hydronephrosis" stays. */
static bool is_communication(struct str sentence)
{
    static const char *const words[] = {"email",  "phone",     "contact",     "discuss", "minutes",
                                        "review", "dictation", "observation", "communi"};

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (holds_word(sentence, str_of(words[i]))) return true;
    return str_find(sentence, STR("Dr. "), 0) != SIZE_MAX ||
           str_find(sentence, STR("Dr "), 0) != SIZE_MAX;
}

static struct str cut_communication(struct str s)
{
    for (size_t from = 0; from < s.n;) {
        size_t end = from;
        do {
            end = str_find(s, STR(". "), end);
            end = end == SIZE_MAX ? s.n : end + 2;
        } while (end < s.n && end >= 4 && memcmp(s.p + end - 4, "Dr. ", 4) == 0);
        if (is_communication(str_sub(s, from, end))) return str_trim(str_sub(s, 0, from));
        from = end;
    }
    return s;
}

/* Clean all fields and the target; says why there is no sample. */
static bool prepare(struct builder *b, const struct record *r, struct str fields[PROMPT_FIELDS],
                    struct str *target, int *reason, struct err *e)
{
    const struct shard_opts *o = b->o;
    size_t any = 0, words;

    for (int f = 0; f < PROMPT_FIELDS; f++) {
        fields[f] = STR("");
        if (!b->used[f] && f != PROMPT_FINDINGS) continue; /* a filter counts its words */
        if (!field_text(r, (enum prompt_field)f, &b->field[f], e)) return false;
        fields[f] = sbuf_str(&b->field[f]);
        if (b->used[f] && f != PROMPT_READER) any += fields[f].n;
    }
    if (!field_text_target(r, &b->target, e)) return false;
    *target = sbuf_str(&b->target);
    if (o->cut_communication) *target = cut_communication(*target);
    words = plain_words(*target);
    size_t findings = plain_words(fields[PROMPT_FINDINGS]);
    *reason = BUILDER_TAKEN;
    if (b->used[PROMPT_FINDINGS] ? findings == 0 : any == 0)
        *reason = SHARD_DROP_FINDINGS;
    else if (words == 0)
        *reason = SHARD_DROP_IMPRESSION;
    else if (findings < o->min_findings_words || words < o->min_impression_words)
        *reason = SHARD_DROP_SHORT;
    else if (o->impression_shorter && words >= findings)
        *reason = SHARD_DROP_NOT_SHORTER;
    return true;
}

/* ---- columns */
static bool put_sample(struct builder *b, const struct record *r, struct builder_place at,
                       const struct prompt_sample *s, struct err *e)
{
    struct sample out = {
        .tokens = s->ids,
        .length = (uint32_t)s->n,
        .target = (uint32_t)s->target,
        .source = at.index,
        .block = at.block,
        .row = at.row,
        .entry = r->entry,
        .text_hash = r->hash_norm,
        .target_hash = hash_xxh128(b->folded.p, b->folded.n),
        .patient_key = builder_patient(b, at.source, r),
    };

    CHECK(s->n <= b->head.max_tokens);
    return shard_pack_put(&b->pack, (enum shard_split)r->split, &out, e);
}

/* The sample of a report, or *reason: its answer alone is too long. */
static bool tokenize(struct builder *b, const struct str fields[PROMPT_FIELDS], struct str target,
                     struct prompt_sample *s, int *reason, struct err *e)
{
    const struct shard_head *h = &b->head;
    bool apart = h->layout == SHARD_ENCODER_DECODER;
    size_t limit = apart ? h->max_input_tokens : h->max_tokens;

    if (!prompt_build(b->prompt, b->cache, fields, target, limit, s, e)) {
        if (e->code != ERR_LIMIT) return false;
        err_clear(e);
        *reason = SHARD_DROP_LONG;
    } else if ((apart && s->n - s->target > h->max_target_tokens) || (s->cut && b->o->drop_long)) {
        *reason = SHARD_DROP_LONG;
    }
    return true;
}

bool builder_put(struct builder *b, const struct record *r, struct builder_place at, int *reason,
                 struct err *e)
{
    struct str fields[PROMPT_FIELDS], target;
    struct prompt_sample s = {0};

    CHECK(r->split < SHARD_SPLITS);
    b->pack.fact.records++;
    if (!prepare(b, r, fields, &target, reason, e)) return false;
    if (*reason == BUILDER_TAKEN && !tokenize(b, fields, target, &s, reason, e)) return false;
    if (*reason != BUILDER_TAKEN) {
        b->pack.fact.dropped[*reason]++;
        return true;
    }
    b->pack.fact.cut += s.cut > 0;
    b->pack.fact.cut_tokens += s.cut;
    for (size_t i = 0; b->unknown >= 0 && i < s.n; i++)
        b->pack.fact.unknown += s.ids[i] == (uint32_t)b->unknown;
    return plain_fold(target, &b->folded, e) && put_sample(b, r, at, &s, e);
}

bool builder_join(struct builder *b, const struct shard_data **out, struct shard_head *head,
                  struct shard_fact *fact, struct err *e)
{
    *fact = b->pack.fact;
    return shard_pack_join(&b->pack, out, head, e);
}

void builder_reset(struct builder *b)
{
    shard_pack_reset(&b->pack);
}
