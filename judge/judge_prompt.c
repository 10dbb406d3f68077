#include "judge/judge_prompt.h"

#include "base/mem.h"

enum { ANSWER_MAX_BYTES = 1 << 16 };

struct judge_prompt {
    struct tokenizer *tok;
    struct tok_cache *cache;
    struct prompt *prompt;
    uint32_t max_tokens, eos;
    bool list;
    struct sbuf answer;
};

/* The five answers must differ in one token, and end alike. */
static bool check_grades(struct judge_prompt *p, struct err *e)
{
    const struct judge_fields f = {.reference = STR("Normal."), .generated = STR("Normal.")};
    uint32_t grade[FACTLABEL_GRADES];
    struct prompt_sample s;
    struct tok_ids v = {0};
    bool ok = judge_prompt_grades(p, &f, STR("none"), &v, grade, e) &&
              judge_prompt_answer(p, &f, STR("none"), 1, &s, e);

    if (ok) p->eos = s.ids[s.n - 1];
    tok_ids_free(&v);
    return ok;
}

bool judge_prompt_open(const char *base, const char *template, uint32_t max_tokens, bool list,
                       struct judge_prompt **out, struct err *e)
{
    struct judge_prompt *p = mem_calloc(1, sizeof *p, e);

    *out = NULL;
    if (!p) return false;
    p->max_tokens = max_tokens;
    p->list = list;
    sbuf_init(&p->answer, ANSWER_MAX_BYTES);
    if (!tokenizer_open(base, &p->tok, e) || !tok_cache_open(p->tok, &p->cache, e) ||
        !prompt_open(template, NULL, 0, p->tok, &p->prompt, e))
        goto bad;
    if (!prompt_uses(p->prompt, PROMPT_REFERENCE) || !prompt_uses(p->prompt, PROMPT_GENERATED)) {
        err_set(e, ERR_CONFIG, "template %s: a judge's has {reference} and {generated}", template);
        goto bad;
    }
    if (!check_grades(p, e)) goto bad;
    *out = p;
    return true;
bad:
    judge_prompt_close(p);
    return false;
}

void judge_prompt_close(struct judge_prompt *p)
{
    if (!p) return;
    prompt_close(p->prompt);
    tok_cache_close(p->cache);
    tokenizer_close(p->tok);
    sbuf_free(&p->answer);
    mem_free(p);
}

const struct tokenizer *judge_prompt_tokenizer(const struct judge_prompt *p)
{
    return p->tok;
}

void judge_prompt_digest(const struct judge_prompt *p, uint8_t out[32])
{
    prompt_digest(p->prompt, out);
}

bool judge_prompt_lists(const struct judge_prompt *p)
{
    return p->list;
}

uint32_t judge_prompt_eos(const struct judge_prompt *p)
{
    return p->eos;
}

bool judge_prompt_errors(const struct factlabel *l, struct sbuf *out, struct err *e)
{
    bool any = false;

    for (int type = 0; type < FACTLABEL_TYPES; type++) {
        int worst = -1;
        for (size_t i = 0; i < l->nerrors; i++)
            if (l->errors[i].type == type && l->errors[i].significance > worst)
                worst = l->errors[i].significance;
        if (worst < 0) continue;
        if (!sbuf_printf(out, e, "%s%s", any ? ", " : "", factlabel_types[type])) return false;
        if (worst > FACTLABEL_NONE && !sbuf_printf(out, e, " %s", factlabel_significances[worst]))
            return false;
        any = true;
    }
    return any || sbuf_put(out, STR("none"), e);
}

struct str judge_prompt_list(struct str answer)
{
    size_t end = str_find(answer, STR("score:"), 0), line;

    answer = str_trim(str_sub(answer, 0, end == SIZE_MAX ? answer.n : end));
    line = str_find(answer, STR("\n"), 0);
    return str_trim(str_sub(answer, 0, line == SIZE_MAX ? answer.n : line));
}

bool judge_prompt_put_errors(struct str list, struct sbuf *out, struct err *e)
{
    struct str one, word;
    bool any = false;

    if (!sbuf_putc(out, '[', e)) return false;
    while (str_split(&list, ',', &one)) {
        one = str_trim(one);
        if (!str_split(&one, ' ', &word)) continue;
        int type = factlabel_word(factlabel_types, word);
        int significance = one.n ? factlabel_word(factlabel_significances, str_trim(one)) : 0;
        if (type < 0 || significance < 0) continue;
        if (!sbuf_printf(out, e, "%s{\"type\": \"%s\", \"significance\": \"%s\"}", any ? ", " : "",
                         factlabel_types[type], factlabel_significances[significance]))
            return false;
        any = true;
    }
    return sbuf_putc(out, ']', e);
}

static bool build(struct judge_prompt *p, const struct judge_fields *f, struct str target,
                  struct prompt_sample *out, struct err *e)
{
    struct str fields[PROMPT_FIELDS] = {{0}};

    fields[PROMPT_CLINICAL] = f->clinical;
    fields[PROMPT_FINDINGS] = f->findings;
    fields[PROMPT_REFERENCE] = f->reference;
    fields[PROMPT_GENERATED] = f->generated;
    fields[PROMPT_CHECK] = f->check;
    return prompt_build(p->prompt, p->cache, fields, target, p->max_tokens, out, e);
}

bool judge_prompt_ask(struct judge_prompt *p, const struct judge_fields *f,
                      struct prompt_sample *out, struct err *e)
{
    return build(p, f, (struct str){0}, out, e);
}

bool judge_prompt_answer(struct judge_prompt *p, const struct judge_fields *f, struct str list,
                         int grade, struct prompt_sample *out, struct err *e)
{
    sbuf_clear(&p->answer);
    if (p->list && !(sbuf_put(&p->answer, list, e) && sbuf_putc(&p->answer, '\n', e))) return false;
    return sbuf_printf(&p->answer, e, "score: %d", grade) &&
           build(p, f, sbuf_str(&p->answer), out, e);
}

static bool one_token_apart(const struct prompt_sample *s, const struct tok_ids *v, size_t at)
{
    if (s->n != v->n) return false;
    for (size_t i = 0; i < s->n; i++)
        if (i != at && s->ids[i] != v->ids[i]) return false;
    return true;
}

bool judge_prompt_grades(struct judge_prompt *p, const struct judge_fields *f, struct str list,
                         struct tok_ids *v, uint32_t grade[FACTLABEL_GRADES], struct err *e)
{
    struct prompt_sample s;
    size_t at = 0;

    for (int k = 0; k < FACTLABEL_GRADES; k++) {
        if (!judge_prompt_answer(p, f, list, k + 1, &s, e)) return false;
        if (k == 0) {
            v->n = 0;
            for (size_t i = 0; i < s.n; i++)
                if (!tok_ids_put(v, s.ids[i], e)) return false;
        } else if (k == 1) {
            while (at < s.n && at < v->n && s.ids[at] == v->ids[at])
                at++;
        }
        if (!one_token_apart(&s, v, k == 0 ? SIZE_MAX : at))
            return err_set(e, ERR_CONFIG,
                           "with this tokenizer the grades 1 to 5 are not one token each");
        if (k > 0) grade[k] = s.ids[at];
    }
    grade[0] = v->ids[at];
    v->n = at;
    return true;
}
