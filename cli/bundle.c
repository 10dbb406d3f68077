#include "cli/bundle.h"

#include <stdio.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "model/convert_gguf.h"
#include "text/prompt.h"

enum { JSON_BYTES = 1 << 20, TEXT_BYTES = 1 << 20, MAX_RANK_VLLM = 512 };

struct bundle {
    const char *base, *adapter, *to;
    struct arena arena;
    json_t *config, *radmill; /* adapter_config.json; radmill.json or NULL */
    struct tokenizer *tok;
    const char *base_name, *base_digest; /* digest "" when unknown */
    const char *template, *inputs;       /* NULL: not a radmill adapter */
    unsigned rank;                       /* the largest */
    bool gguf, vllm;                     /* can they serve the adapter beside its base? */
    struct sbuf prompt;                  /* fields as {marks} */
    struct bundle_summary *out;
};

static void warn(struct bundle *b, const char *text)
{
    CHECK(b->out->nwarnings < BUNDLE_WARNINGS);
    b->out->warnings[b->out->nwarnings++] = text;
}

/* ---- what there is */

static const char *text_at(const json_t *j, const char *key)
{
    return json_string_value(json_object_get(j, key));
}

static bool read_json(struct bundle *b, const char *name, json_t **out, struct err *e)
{
    const char *path;
    return fs_join(&b->arena, b->adapter, name, &path, e) &&
           json_read_file(path, JSON_BYTES, out, e);
}

static bool read_adapter(struct bundle *b, struct err *e)
{
    const char *path, *key;
    const json_t *shards, *base;
    json_t *v;
    if (!fs_join(&b->arena, b->adapter, "adapter_config.json", &path, e)) return false;
    if (!fs_exists(path))
        return err_set(
            e, ERR_CONFIG,
            "%s is no adapter (no adapter_config.json); a model trained with lora.method "
            "full is a model folder by itself: hand it over as it is, or as GGUF",
            b->adapter);
    if (!read_json(b, "adapter_config.json", &b->config, e)) return false;
    if (!fs_join(&b->arena, b->adapter, "radmill.json", &path, e)) return false;
    if (fs_exists(path) && !read_json(b, "radmill.json", &b->radmill, e)) return false;
    base = json_object_get(b->radmill, "base");
    shards = json_object_get(b->radmill, "shards");
    b->base_name = text_at(b->config, "base_model_name_or_path");
    if (!b->base_name) b->base_name = b->base;
    b->base_digest = text_at(base, "weights") ? text_at(base, "weights") : "";
    b->template = text_at(shards, "template_name");
    b->inputs = text_at(shards, "inputs");
    b->rank = (unsigned)json_integer_value(json_object_get(b->config, "r"));
    json_object_foreach(json_object_get(b->config, "rank_pattern"), key, v)
    {
        unsigned r = (unsigned)json_integer_value(v);
        if (r > b->rank) b->rank = r;
    }
    return true;
}

static void find_warnings(struct bundle *b)
{
    bool dora = json_is_true(json_object_get(b->config, "use_dora"));
    bool patterns = json_object_size(json_object_get(b->config, "rank_pattern")) ||
                    json_object_size(json_object_get(b->config, "alpha_pattern"));
    b->gguf = !dora;
    b->vllm = !dora && !patterns && b->rank <= MAX_RANK_VLLM;
    if (dora)
        warn(b, "DoRA: vLLM, llama.cpp and Ollama refuse it; serve the merged model "
                "(radmill convert BASE OUT --adapter ADAPTER)");
    if (patterns)
        warn(b, "rank_pattern or alpha_pattern: vLLM scales every layer by the one alpha / r and "
                "would compute something else; serve the merged model there");
    if (b->rank > MAX_RANK_VLLM)
        warn(b, "rank above 512: vLLM refuses it; serve the merged model there");
    if (!b->radmill) warn(b, "no radmill.json beside the adapter: prompt and base digest unknown");
}

/* ---- the exact prompt: built as training built it, with marks for the fields */

static size_t parse_inputs(struct bundle *b, enum prompt_field out[PROMPT_FIELDS])
{
    struct str rest = str_of(b->inputs), name;
    size_t n = 0;
    while (n < PROMPT_FIELDS && str_split(&rest, ',', &name)) {
        int f = prompt_field_of(str_trim(name));
        if (f >= 0) out[n++] = (enum prompt_field)f;
    }
    return n;
}

static bool write_text(struct bundle *b, const char *name, struct str text, struct err *e)
{
    const char *path;
    b->out->files++;
    return fs_join(&b->arena, b->to, name, &path, e) && fs_replace(path, text, e);
}

static bool write_ids(struct bundle *b, const struct prompt_sample *s, struct err *e)
{
    struct sbuf text;
    bool ok;
    sbuf_init(&text, TEXT_BYTES);
    ok = sbuf_putc(&text, '[', e);
    for (size_t i = 0; ok && i < s->n; i++)
        ok = sbuf_printf(&text, e, "%s%u", i ? ", " : "", s->ids[i]);
    ok = ok && sbuf_put(&text, STR("]\n"), e) &&
         write_text(b, "prompt_ids.json", sbuf_str(&text), e);
    sbuf_free(&text);
    return ok;
}

static bool write_prompt(struct bundle *b, struct err *e)
{
    enum prompt_field inputs[PROMPT_FIELDS];
    struct str fields[PROMPT_FIELDS];
    size_t n = parse_inputs(b, inputs);
    struct prompt *p = NULL;
    struct tok_cache *cache = NULL;
    struct prompt_sample s;
    bool ok = false;

    for (size_t i = 0; i < PROMPT_FIELDS; i++)
        fields[i] = (struct str){0};
    for (size_t i = 0; i < n; i++) {
        char mark[64];
        snprintf(mark, sizeof mark, "{%s}", prompt_field_names[inputs[i]]);
        if (!arena_str(&b->arena, str_of(mark), &fields[inputs[i]], e)) goto out;
    }
    if (!prompt_open(b->template, inputs, n, b->tok, &p, e) || !tok_cache_open(b->tok, &cache, e))
        goto out;
    if (!prompt_build(p, cache, fields, (struct str){0}, 1 << 16, &s, e)) goto out;
    ok = tokenizer_decode(b->tok, s.ids, s.n, false, &b->prompt, e) &&
         write_text(b, "prompt.txt", sbuf_str(&b->prompt), e) && write_ids(b, &s, e);
out:
    tok_cache_close(cache);
    prompt_close(p);
    return ok;
}

/* ---- files of the servers */

static bool put_stop(const struct bundle *b, struct sbuf *text, struct err *e)
{
    int32_t eos = tokenizer_info(b->tok).eos;
    struct str piece = eos >= 0 ? tokenizer_piece(b->tok, (uint32_t)eos) : (struct str){0};
    return piece.n == 0 || sbuf_printf(text, e, "PARAMETER stop \"%.*s\"\n", STR_ARG(piece));
}

/* The prompt with its one field as Ollama's {{ .Prompt }}; with several, the caller sends the whole
 * of prompt.txt. */
static bool put_template(const struct bundle *b, struct sbuf *text, struct err *e)
{
    struct str p = sbuf_str(&b->prompt);
    size_t open = str_find(p, STR("{"), 0), close = str_find(p, STR("}"), 0);
    bool one = open != SIZE_MAX && close != SIZE_MAX && close > open &&
               str_find(p, STR("{"), open + 1) == SIZE_MAX;
    if (!one) return sbuf_put(text, STR("TEMPLATE \"\"\"{{ .Prompt }}\"\"\"\n"), e);
    return sbuf_printf(text, e, "TEMPLATE \"\"\"%.*s{{ .Prompt }}%.*s\"\"\"\n",
                       STR_ARG(str_sub(p, 0, open)), STR_ARG(str_sub(p, close + 1, p.n)));
}

static bool write_modelfile(struct bundle *b, struct err *e)
{
    struct sbuf t;
    bool ok;
    sbuf_init(&t, TEXT_BYTES);
    ok = sbuf_printf(&t, e,
                     "# ollama create NAME -f Modelfile. FROM: the base as a GGUF file, made by\n"
                     "#   radmill convert %s base.gguf%s\n"
                     "# so that it is the very model the adapter was trained on. Ollama puts the "
                     "beginning-of-text token in\n# front itself: it is not repeated below.\n"
                     "FROM ./base.gguf\n",
                     b->base_name, b->gguf ? "" : " --adapter .") &&
         (!b->gguf || sbuf_put(&t, STR("ADAPTER ./adapter.gguf\n"), e)) &&
         (!b->prompt.n || put_template(b, &t, e)) &&
         sbuf_put(&t, STR("PARAMETER temperature 0\n"), e) && put_stop(b, &t, e) &&
         write_text(b, "Modelfile", sbuf_str(&t), e);
    sbuf_free(&t);
    return ok;
}

/* vLLM allows a few limits only. */
static unsigned vllm_rank(unsigned r)
{
    static const unsigned allowed[] = {8, 16, 32, 64, 128, 256, 320, 512};
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++) {
        if (r <= allowed[i]) return allowed[i];
    }
    return r;
}

static bool put_vllm(const struct bundle *b, struct sbuf *t, struct err *e)
{
    return sbuf_printf(
        t, e,
        "#!/bin/sh\n# Serves base and adapter; ask with model: impression, "
        "temperature 0, the prompt of prompt.txt, on\n# /v1/completions (not chat: "
        "that would add a template of its own).\ncd \"$(dirname \"$0\")\" || exit 1\n"
        "exec vllm serve '%s' --enable-lora --max-lora-rank %u --lora-modules "
        "impression=. \"$@\"\n",
        b->base_name, vllm_rank(b->rank));
}

static bool put_vllm_merged(const struct bundle *b, struct sbuf *t, struct err *e)
{
    return sbuf_printf(
        t, e,
        "#!/bin/sh\n# vLLM cannot serve this adapter beside its base (README.md says "
        "why). Serves the merged model, made by\n#   radmill convert '%s' MERGED "
        "--adapter THIS_FOLDER\n"
        "merged=${1:?give the folder of the merged model}\nshift\n"
        "exec vllm serve \"$merged\" --served-model-name impression \"$@\"\n",
        b->base_name);
}

static bool write_vllm(struct bundle *b, struct err *e)
{
    struct sbuf t;
    bool ok;
    sbuf_init(&t, TEXT_BYTES);
    ok = (b->vllm ? put_vllm(b, &t, e) : put_vllm_merged(b, &t, e)) &&
         write_text(b, "vllm.sh", sbuf_str(&t), e);
    sbuf_free(&t);
    return ok;
}

/* ---- the card */

static bool put_training(const struct bundle *b, struct sbuf *t, struct err *e)
{
    const json_t *run = json_object_get(b->radmill, "training");
    const json_t *loss = json_object_get(run, "dev_loss");
    const json_t *shards = json_object_get(b->radmill, "shards");
    if (!b->radmill) return true;
    if (!sbuf_printf(t, e, "| Samples | %lld |\n| Step | %lld of %lld (%s) |\n",
                     (long long)json_integer_value(json_object_get(shards, "samples")),
                     (long long)json_integer_value(json_object_get(run, "step")),
                     (long long)json_integer_value(json_object_get(run, "total_steps")),
                     text_at(run, "state") ? text_at(run, "state") : "?"))
        return false;
    if (json_is_number(loss) &&
        !sbuf_printf(t, e, "| Dev loss | %.4f nats a token |\n", json_number_value(loss)))
        return false;
    return sbuf_printf(t, e,
                       "| Data set digest | `%s` |\n| Prompt template | %s, fields %s |\n"
                       "| radmill | %s, commit %s |\n",
                       text_at(shards, "dataset") ? text_at(shards, "dataset") : "?",
                       b->template ? b->template : "?", b->inputs ? b->inputs : "?",
                       text_at(b->radmill, "version") ? text_at(b->radmill, "version") : "?",
                       text_at(b->radmill, "commit") ? text_at(b->radmill, "commit") : "?");
}

/* What the reports were given under binds who gets the adapter. */
static bool put_terms(const struct bundle *b, struct sbuf *t, struct err *e)
{
    json_t *terms = json_object_get(json_object_get(b->radmill, "shards"), "terms"), *one;
    const char *source;

    if (json_object_size(terms) == 0) return true;
    if (!sbuf_put(t, STR("\n## Data-use terms\n\nOf the reports it was trained on:\n\n"), e))
        return false;
    json_object_foreach(terms, source, one)
    {
        const char *text = json_string_value(one);
        if (!sbuf_printf(t, e, "* %s: %s\n", source, text ? text : "?")) return false;
    }
    return true;
}

static bool write_card(struct bundle *b, struct err *e)
{
    struct sbuf t;
    bool ok;
    sbuf_init(&t, TEXT_BYTES);
    ok = sbuf_printf(&t, e,
                     "---\nbase_model: %s\nlibrary_name: peft\n---\n"
                     "# Impression from findings: a LoRA adapter\n\n"
                     "Writes the Impression of a radiology report from the sections in "
                     "`prompt.txt`. A draft for a radiologist to check, not a diagnosis.\n\n"
                     "| | |\n| --- | --- |\n| Base | %s |\n| Base weights | `%s` |\n"
                     "| Largest rank | %u |\n",
                     b->base_name, b->base_name, b->base_digest[0] ? b->base_digest : "unknown",
                     b->rank) &&
         put_training(b, &t, e) &&
         sbuf_put(&t,
                  STR("\nThe adapter was trained on patients' reports and may repeat what it saw: "
                      "whoever may not read the reports may not have it.\n\n## Serving\n\n"
                      "* Transformers and PEFT: load the base, then this folder.\n"
                      "* vLLM: `sh vllm.sh`.\n* Ollama, llama.cpp: `Modelfile`, `adapter.gguf`.\n"
                      "* Send exactly the text of `prompt.txt` with the fields filled in; "
                      "`prompt_ids.json` are its token ids, to compare.\n* Answer greedily; stop "
                      "at the end-of-text token.\n"),
                  e) &&
         put_terms(b, &t, e);
    for (size_t i = 0; ok && i < b->out->nwarnings; i++)
        ok = (i || sbuf_put(&t, STR("\n## Beware\n\n"), e)) &&
             sbuf_printf(&t, e, "* %s\n", b->out->warnings[i]);
    ok = ok && write_text(b, "README.md", sbuf_str(&t), e);
    sbuf_free(&t);
    return ok;
}

/* ---- copies and sums */

static bool copy_file(struct bundle *b, const char *name, bool must, struct err *e)
{
    const char *from, *to;
    struct fs_map m = {0};
    bool ok;
    if (!fs_join(&b->arena, b->adapter, name, &from, e) || !fs_join(&b->arena, b->to, name, &to, e))
        return false;
    if (!must && !fs_exists(from)) return true;
    if (!fs_map_open(from, &m, e)) return false;
    b->out->files++;
    ok = fs_replace(to, (struct str){(const char *)m.p, m.n}, e);
    fs_map_close(&m);
    return ok;
}

static bool write_sums(struct bundle *b, struct err *e)
{
    struct sbuf t;
    struct str *names;
    size_t n;
    bool ok;
    sbuf_init(&t, TEXT_BYTES);
    ok = fs_list(b->to, &b->arena, &names, &n, e);
    for (size_t i = 0; ok && i < n; i++) {
        uint8_t digest[32];
        char hex[65];
        const char *path;
        if (str_eqz(names[i], "SHA256SUMS")) continue;
        ok = fs_join(&b->arena, b->to, names[i].p, &path, e) && sha256_file(path, digest, e);
        if (!ok) break;
        hash_hex(digest, sizeof digest, hex);
        ok = sbuf_printf(&t, e, "%s  %.*s\n", hex, STR_ARG(names[i]));
    }
    ok = ok && write_text(b, "SHA256SUMS", sbuf_str(&t), e);
    sbuf_free(&t);
    return ok;
}

static bool write_gguf(struct bundle *b, struct err *e)
{
    const char *path;
    if (!b->gguf) return true;
    b->out->files++;
    return fs_join(&b->arena, b->to, "adapter.gguf", &path, e) &&
           convert_gguf_adapter(b->base, b->adapter, "radmill adapter", path, e);
}

static bool write_all(struct bundle *b, struct err *e)
{
    if (!read_adapter(b, e) || !tokenizer_open(b->base, &b->tok, e)) return false;
    find_warnings(b);
    if (!fs_mkdirs(b->to, e) || !tokenizer_save(b->tok, b->to, e)) return false;
    b->out->files += 3;
    return copy_file(b, "adapter_model.safetensors", true, e) &&
           copy_file(b, "adapter_config.json", true, e) && copy_file(b, "radmill.json", false, e) &&
           (!b->template || write_prompt(b, e)) && write_gguf(b, e) && write_modelfile(b, e) &&
           write_vllm(b, e) && write_card(b, e) && write_sums(b, e);
}

bool bundle_write(const char *base, const char *adapter, const char *to, struct bundle_summary *out,
                  struct err *e)
{
    struct bundle b = {.base = base, .adapter = adapter, .to = to, .out = out};
    bool ok;
    *out = (struct bundle_summary){0};
    arena_init(&b.arena, 64 << 20);
    sbuf_init(&b.prompt, TEXT_BYTES);
    ok = write_all(&b, e);
    sbuf_free(&b.prompt);
    tokenizer_close(b.tok);
    json_decref(b.radmill);
    json_decref(b.config);
    arena_free(&b.arena);
    return ok || err_wrap(e, "bundle %s", to);
}
