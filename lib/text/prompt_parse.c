#include "text/prompt_parse.h"

#include "text/tok_impl.h"

const char *const prompt_field_names[PROMPT_FIELDS + 1] = {
    "clinical", "findings",  "examination", "technique", "comparison", "background",
    "reader",   "reference", "generated",   "check",     NULL};

static const char *const headings[PROMPT_FIELDS] = {
    "Clinical information", "Findings", "Examination", "Technique", "Comparison",
    "Background",           "Reader",   "Reference",   "Generated", "Rule check"};

/* The sentence is Stanford Alpaca's; adapters trained elsewhere expect exactly it. */
#define ALPACA                                                                                     \
    "Below is an instruction that describes a task, paired with an input that provides further "   \
    "context. Write a response that appropriately completes the request.\n\n"

/* What the chat templates say; their frames are the models' own formats. */
#define SYSTEM "You write the impression of radiology reports."
#define USER   "Write the impression for this report.\n\n{input}"
#define LLAMA3_ROLE(role, text)                                                                    \
    "{<|start_header_id|>}" role "{<|end_header_id|>}\n\n" text "{<|eot_id|>}"
#define LLAMA3(head)                                                                               \
    "{<|begin_of_text|>}" LLAMA3_ROLE("system", head SYSTEM) LLAMA3_ROLE("user", USER)             \
        LLAMA3_ROLE("assistant", "{target}")

static const struct {
    const char *name, *text;
    bool headed;
} builtins[] = {
    {"plain", "{input}\nImpression: {target}", true},
    {"judge",
     "Clinical information: {clinical}\nFindings: {findings}\nReference: {reference}\n"
     "Generated: {generated}\nRule check: {check}\nErrors: {target}",
     true},
    {"alpaca",
     ALPACA "### Instruction:\nGenerate impression based on findings.\n\n"
            "### Input:\n{input}\n\n### Response:\n{target}",
     false},
    {"radiology-gpt",
     ALPACA "### Instruction:\nDerive the impression from findings in the radiology report\n\n"
            "### Input:\n{input}\n\n### Response:\n{target}",
     false},
    {"medalpaca",
     ALPACA "### Instruction:\nGenerate impression based on findings.\n"
            "### Input:\n{input}\n### Response:\n{target}",
     false},
    {"chatml",
     "{<|im_start|>}system\n" SYSTEM "{<|im_end|>}\n{<|im_start|>}user\n" USER "{<|im_end|>}\n"
     "{<|im_start|>}assistant\n{target}{<|im_end|>}",
     true},
    {"llama2-chat", "{<s>}[INST] <<SYS>>\n" SYSTEM "\n<</SYS>>\n\n" USER " [/INST] {target}{</s>}",
     true},
    {"llama3-chat", LLAMA3(""), true},
    {"llama3.1-chat", LLAMA3("Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"),
     true},
    {"mistral-instruct", "{<s>}[INST] " SYSTEM "\n\n" USER " [/INST]{target}{</s>}", true},
    {"mistral-v0.3-instruct", "{<s>}{[INST]} " SYSTEM "\n\n" USER "{[/INST]} {target}{</s>}", true},
};

const char *const prompt_builtin_names[] = {
    "plain",         "alpaca",           "radiology-gpt",         "medalpaca",
    "chat",          "chatml",           "llama2-chat",           "llama3-chat",
    "llama3.1-chat", "mistral-instruct", "mistral-v0.3-instruct", NULL};

const char *prompt_builtin_tail(const char *name)
{
    return strcmp(name, "llama2-chat") == 0 ? " " : "";
}

const char *prompt_builtin(const char *name, bool *headed)
{
    for (size_t i = 0; i < sizeof(builtins) / sizeof(*builtins); i++) {
        if (strcmp(name, builtins[i].name) != 0) continue;
        *headed = builtins[i].headed;
        return builtins[i].text;
    }
    return NULL;
}

int prompt_field_of(struct str name)
{
    for (int i = 0; i < PROMPT_FIELDS; i++)
        if (str_eqz(name, prompt_field_names[i])) return i;
    return -1;
}

static bool put_inputs(const enum prompt_field *inputs, size_t ninputs, bool headed,
                       struct sbuf *out, struct err *e)
{
    for (size_t i = 0; i < ninputs; i++) {
        if (i > 0 && !sbuf_putc(out, '\n', e)) return false;
        if ((headed || ninputs > 1) && !sbuf_printf(out, e, "%s: ", headings[inputs[i]]))
            return false;
        if (!sbuf_printf(out, e, "{%s}", prompt_field_names[inputs[i]])) return false;
    }
    return true;
}

bool prompt_expand(struct str source, const enum prompt_field *inputs, size_t ninputs, bool headed,
                   struct sbuf *out, struct err *e)
{
    for (size_t at; (at = str_find(source, STR("{input}"), 0)) != SIZE_MAX;) {
        if (ninputs == 0) return err_set(e, ERR_CONFIG, "{input} stands for no field");
        if (!sbuf_put(out, str_sub(source, 0, at), e)) return false;
        if (!put_inputs(inputs, ninputs, headed, out, e)) return false;
        source = str_sub(source, at + 7, source.n);
    }
    return sbuf_put(out, source, e);
}

struct parser {
    const struct tokenizer *t;
    struct arena *a;
    struct prompt_parts *out;
    struct sbuf text; /* literal text gathered so far */
    size_t line;
    bool fields, target;
};

static bool add_part(struct parser *p, struct prompt_part part, struct err *e)
{
    if (p->out->n == PROMPT_MAX_PARTS)
        return err_set(e, ERR_LIMIT, "over %u parts", PROMPT_MAX_PARTS);
    if (p->target && part.kind != PROMPT_TOKEN)
        return err_set(e, ERR_CONFIG, "line %zu: only one end token may follow {target}", p->line);
    part.unit = p->out->units;
    p->out->part[p->out->n++] = part;
    return true;
}

static bool flush_text(struct parser *p, struct err *e)
{
    struct prompt_part part = {.kind = PROMPT_TEXT};

    if (p->text.n == 0) return true;
    if (!arena_str(p->a, sbuf_str(&p->text), &part.text, e)) return false;
    sbuf_clear(&p->text);
    return add_part(p, part, e);
}

static bool add_token(struct parser *p, struct str name, struct err *e)
{
    struct tok_info info = tokenizer_info(p->t);
    int32_t id = str_eqz(name, "bos")   ? info.bos
                 : str_eqz(name, "eos") ? info.eos
                                        : tokenizer_id(p->t, name);

    if (id < 0 || (!str_eqz(name, "bos") && !str_eqz(name, "eos") &&
                   !tokenizer_is_special(p->t, (uint32_t)id)))
        return err_set(e, ERR_CONFIG,
                       "line %zu: {%.*s} is neither a field, {input}, {target}, {bos}, {eos} nor a "
                       "special token of this tokenizer",
                       p->line, (int)(name.n < 40 ? name.n : 40), name.p);
    p->out->units++;
    return add_part(p, (struct prompt_part){.kind = PROMPT_TOKEN, .id = (uint32_t)id}, e);
}

static bool add_mark(struct parser *p, struct str name, struct err *e)
{
    struct prompt_part part = {.kind = PROMPT_FIELD};
    int field = prompt_field_of(name);

    if (!flush_text(p, e)) return false;
    if (str_eqz(name, "target")) {
        if (p->target) return err_set(e, ERR_CONFIG, "line %zu: a second {target}", p->line);
        part.kind = PROMPT_TARGET;
        if (!add_part(p, part, e)) return false;
        p->target = true;
        return true;
    }
    if (field < 0) {
        if (!add_token(p, name, e)) return false;
        p->out->units++;
        return true;
    }
    part.field = (enum prompt_field)field;
    p->fields = true;
    return add_part(p, part, e);
}

/* One character or one mark; returns the bytes taken, 0 on failure. */
static size_t parse_one(struct parser *p, struct str s, struct err *e)
{
    bool doubled = s.n > 1 && s.p[1] == s.p[0];

    if (s.p[0] == '}' && !doubled) {
        err_set(e, ERR_CONFIG, "line %zu: } without {; write }} for a brace", p->line);
        return 0;
    }
    if (s.p[0] == '{' && !doubled) {
        size_t end = str_find(s, STR("}"), 1), nl = str_find(s, STR("\n"), 1);
        if (end == SIZE_MAX || nl < end) {
            err_set(e, ERR_CONFIG, "line %zu: { without }; write {{ for a brace", p->line);
            return 0;
        }
        return add_mark(p, str_sub(s, 1, end), e) ? end + 1 : 0;
    }
    if (!sbuf_putc(&p->text, s.p[0], e)) return 0;
    if (s.p[0] == '\n') {
        if (!flush_text(p, e)) return 0;
        p->line++;
        p->out->units++;
    }
    return s.p[0] == '{' || s.p[0] == '}' ? 2 : 1;
}

bool prompt_parse(struct str source, const struct tokenizer *t, struct arena *a,
                  struct prompt_parts *out, struct err *e)
{
    struct parser p = {.t = t, .a = a, .out = out, .line = 1};
    bool ok = false;

    out->n = 0;
    out->units = 0;
    sbuf_init(&p.text, PROMPT_MAX_SOURCE);
    if (str_ends(source, STR("\n")))
        source.n--; /* the file's last line end is not the template's */
    for (size_t i = 0; i < source.n;) {
        size_t n = parse_one(&p, str_sub(source, i, source.n), e);
        if (n == 0) goto out;
        i += n;
    }
    if (!flush_text(&p, e)) goto out;
    size_t behind = 0;
    while (behind < out->n && out->part[out->n - 1 - behind].kind == PROMPT_TOKEN)
        behind++;
    if (!p.target)
        err_set(e, ERR_CONFIG, "there is no {target}");
    else if (!p.fields)
        err_set(e, ERR_CONFIG, "there is no field: name one or use {input}");
    else if (behind > 1)
        err_set(e, ERR_CONFIG, "more than one token follows {target}");
    else
        ok = true;
out:
    sbuf_free(&p.text);
    return ok;
}
