/* Which pairs: --where 'A.rougeL > B.rougeL and modality = CT'.
 *
 *     where   = test { "and" test }
 *     test    = field ("=" | "!=") word          field: modality, source, split, reference, seen
 *             | sum ("<" | "<=" | ">" | ">=" | "=" | "!=") sum
 *     sum     = term { ("+" | "-") term }
 *     term    = number | [row "."] value         row: a letter, or a name in '...'; left out: the
 *                                                first; value: rougeL (its F), rouge1.p, words
 *
 * Numbers are in the scale of the tables. words: of the reference. reference is normal or abnormal,
 * seen is yes, no or unknown. A pair that lacks a value is not chosen. */
#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "evaluate/board_impl.h"

enum { TOKENS_MAX = 128 };
enum kind { T_END, T_WORD, T_QUOTED, T_NUMBER, T_SIGN };
struct token {
    enum kind kind;
    struct str text;
    double number;
};
struct where {
    const struct board *b;
    struct token t[TOKENS_MAX];
    size_t n, at;
    size_t pair;
    bool lacks; /* a value that this pair does not have */
    struct err *e;
};

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.';
}

static size_t sign_bytes(struct str s)
{
    if (s.n > 1 && s.p[1] == '=' && strchr("<>!", s.p[0])) return 2;
    return strchr("<>=+-", s.p[0]) ? 1 : 0;
}

static bool next_token(struct str *rest, struct token *t, struct err *e)
{
    size_t n = 0;
    if (rest->p[0] == '\'' || rest->p[0] == '"') {
        n = 1;
        while (n < rest->n && rest->p[n] != rest->p[0])
            n++;
        if (n == rest->n) return err_set(e, ERR_CONFIG, "--where: a quote is not closed");
        *t = (struct token){.kind = T_QUOTED, .text = str_sub(*rest, 1, n)};
        n++;
    } else if ((n = sign_bytes(*rest)) > 0)
        *t = (struct token){.kind = T_SIGN, .text = str_sub(*rest, 0, n)};
    else {
        while (n < rest->n && is_word(rest->p[n]))
            n++;
        if (n == 0) return err_set(e, ERR_CONFIG, "--where: unexpected '%c'", rest->p[0]);
        struct err none = {0};
        *t = (struct token){.kind = T_WORD, .text = str_sub(*rest, 0, n)};
        if (parse_f64(t->text, &t->number, &none)) t->kind = T_NUMBER;
    }
    *rest = str_sub(*rest, n, rest->n);
    return true;
}

static bool split_tokens(struct where *w, const char *text, struct err *e)
{
    struct str rest = str_trim(str_of(text));
    while (rest.n > 0) {
        if (w->n + 1 == TOKENS_MAX) return err_set(e, ERR_CONFIG, "--where is too long");
        if (!next_token(&rest, &w->t[w->n++], e)) return false;
        rest = str_trim(rest);
    }
    w->t[w->n] = (struct token){.kind = T_END, .text = STR("the end")};
    return w->n > 0 || err_set(e, ERR_CONFIG, "--where is empty");
}

/* ---- values */

static bool unknown(const struct where *w, const char *what, struct str name)
{
    return err_set(w->e, ERR_CONFIG, "--where: %.*s is no %s", STR_ARG(name), what);
}

/* [row "."] value behind the token at w->at. */
static bool read_value(struct where *w, double *out)
{
    const struct metric_set *set = &w->b->run.out->set;
    struct token t = w->t[w->at++];
    struct str name = t.text, first;
    size_t row = 0, v;

    if (t.kind == T_QUOTED) { /* 'name'.value */
        row = board_find_row(w->b, name);
        if (row == SIZE_MAX) return unknown(w, "row", name);
        t = w->t[w->at++];
        if (t.kind != T_WORD || t.text.p[0] != '.')
            return err_set(w->e, ERR_CONFIG, "--where: expected .value behind a quoted row");
        name = str_sub(t.text, 1, t.text.n);
    } else if (str_eqz(name, "words")) {
        *out = (double)strata_words(w->b->run.pairs[w->pair].reference);
        return true;
    } else if (board_find_value(set, name) == SIZE_MAX && str_split(&name, '.', &first)) {
        row = board_find_row(w->b, first);
        if (row == SIZE_MAX) return unknown(w, "row and no value", first);
    }
    v = board_find_value(set, name);
    if (v == SIZE_MAX) return unknown(w, "value that is computed here", name);
    if (set->value[v]->flags & METRIC_CORPUS || w->b->row[row].kind == BOARD_QUOTED)
        return unknown(w, "value of single pairs", name);
    if (!board_pair_value(w->b, row, w->pair, v, out)) {
        w->lacks = true;
        *out = 0;
    }
    *out *= set->value[v]->scale;
    return true;
}

static bool read_term(struct where *w, double *out)
{
    const struct token *t = &w->t[w->at];
    if (t->kind == T_NUMBER) {
        *out = t->number;
        w->at++;
        return true;
    }
    if (t->kind == T_WORD || t->kind == T_QUOTED) return read_value(w, out);
    return err_set(w->e, ERR_CONFIG, "--where: expected a value or a number at %.*s",
                   STR_ARG(t->text));
}

static bool is_sign(const struct where *w, const char *sign)
{
    const struct token *t = &w->t[w->at];
    return t->kind == T_SIGN && str_eqz(t->text, sign);
}

static bool read_sum(struct where *w, double *out)
{
    double one;
    if (!read_term(w, out)) return false;
    while (is_sign(w, "+") || is_sign(w, "-")) {
        double by = is_sign(w, "+") ? 1 : -1;
        w->at++;
        if (!read_term(w, &one)) return false;
        *out += by * one;
    }
    return true;
}

/* ---- tests */

static bool compare(struct str sign, double x, double y)
{
    if (str_eqz(sign, "<")) return x < y;
    if (str_eqz(sign, "<=")) return x <= y;
    if (str_eqz(sign, ">")) return x > y;
    if (str_eqz(sign, ">=")) return x >= y;
    return (x == y) == str_eqz(sign, "=");
}

/* A pair's field that is a word. */
static bool field_of(const struct where *w, struct str name, struct str *out)
{
    const struct pair *p = &w->b->run.pairs[w->pair];
    if (str_eqz(name, "modality"))
        *out = p->modality;
    else if (str_eqz(name, "source"))
        *out = p->source;
    else if (str_eqz(name, "split"))
        *out = p->split;
    else if (str_eqz(name, "reference"))
        *out = strata_is_normal(p->reference) ? STR("normal") : STR("abnormal");
    else if (str_eqz(name, "seen"))
        *out = p->seen < 0 ? STR("unknown") : p->seen ? STR("yes") : STR("no");
    else
        return false;
    return true;
}

static bool read_test(struct where *w, bool *out)
{
    struct token *t = &w->t[w->at];
    struct str field;
    double x, y;

    if (t->kind == T_WORD && field_of(w, t->text, &field)) {
        w->at++;
        bool equal = is_sign(w, "=");
        if (!equal && !is_sign(w, "!="))
            return err_set(w->e, ERR_CONFIG, "--where: expected = or != behind %.*s",
                           STR_ARG(t->text));
        const struct token *word = &w->t[++w->at];
        if (word->kind != T_WORD && word->kind != T_QUOTED)
            return err_set(w->e, ERR_CONFIG,
                           "--where: expected a word behind %.*s =", STR_ARG(t->text));
        w->at++;
        *out = str_eq(field, word->text) == equal;
        return true;
    }
    if (!read_sum(w, &x)) return false;
    struct token sign = w->t[w->at++];
    if (sign.kind != T_SIGN)
        return err_set(w->e, ERR_CONFIG, "--where: expected <, <=, >, >=, = or != at %.*s",
                       STR_ARG(sign.text));
    if (!read_sum(w, &y)) return false;
    *out = compare(sign.text, x, y);
    return true;
}

static bool matches(struct where *w, size_t pair, bool *out)
{
    bool one = false;
    w->at = 0;
    w->pair = pair;
    w->lacks = false;
    *out = true;
    for (;;) {
        if (!read_test(w, &one)) return false;
        *out = *out && one;
        const struct token *t = &w->t[w->at];
        if (t->kind == T_END) break;
        if (t->kind != T_WORD || !str_eqz(t->text, "and"))
            return err_set(w->e, ERR_CONFIG, "--where: expected \"and\" at %.*s", STR_ARG(t->text));
        w->at++;
    }
    *out = *out && !w->lacks;
    return true;
}

/* Keep `want` of the n chosen pairs, by a seeded permutation, in the files' order. */
static void draw(struct board *b, const uint32_t *all, size_t n, size_t want)
{
    struct rng_key key = rng_key(b->run.o->seed, RNG_SAMPLE, 77);
    for (size_t i = 0; i < n; i++) {
        if (n > want && rng_permute(key, i, n) >= want) continue;
        b->selected[b->nselected++] = all[i];
    }
}

bool board_where(struct board *b, struct err *e)
{
    struct where w = {.b = b, .e = e};
    size_t n = b->run.n;
    uint32_t *all = arena_alloc(&b->run.arena, n * sizeof *all, e);

    b->selected = all ? arena_alloc(&b->run.arena, n * sizeof *b->selected, e) : NULL;
    if (!b->selected || !split_tokens(&w, b->o->where, e)) return false;
    for (size_t i = 0; i < n; i++) {
        bool chosen;
        if (!matches(&w, i, &chosen)) return false;
        if (chosen) all[b->nmatching++] = (uint32_t)i;
    }
    draw(b, all, b->nmatching, (size_t)b->o->sample);
    return true;
}
