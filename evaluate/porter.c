#include "evaluate/porter.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "base/str.h"

/* What the conditions of the rules ask about a stem, from one pass over it. */
struct shape {
    size_t m; /* vowel -> consonant transitions */
    bool any_vowel;
    bool last_vowel; /* class of the last letter */
    bool cvc;        /* *o: ends consonant-vowel-consonant, the last not w, x, y */
};

static bool letter_is_vowel(char c, bool first, bool after_vowel)
{
    if (c == 'a' || c == 'e' || c == 'i' || c == 'o' || c == 'u') return true;
    return c == 'y' && !first && !after_vowel;
}

static struct shape shape_of(const char *w, size_t n)
{
    struct shape s = {0};
    bool v1 = false, v2 = false, v3 = false; /* classes of the last three letters, v1 the last */
    for (size_t i = 0; i < n; i++) {
        bool v = letter_is_vowel(w[i], i == 0, v1);
        if (i > 0 && v1 && !v) s.m++;
        s.any_vowel |= v;
        v3 = v2;
        v2 = v1;
        v1 = v;
    }
    s.last_vowel = v1;
    if (n == 2) s.cvc = v2 && !v1;
    if (n >= 3) s.cvc = !v3 && v2 && !v1 && w[n - 1] != 'w' && w[n - 1] != 'x' && w[n - 1] != 'y';
    return s;
}

enum condition { ALWAYS, M_OVER_0, M_OVER_1, M_OVER_1_ST };
struct rule {
    struct str suffix;
    struct str with;
    enum condition when;
};
#define RULE(suffix, with, when)                                                                   \
    {                                                                                              \
        STR_INIT(suffix), STR_INIT(with), when                                                     \
    }

static bool ends(const char *w, size_t n, struct str suffix)
{
    return n >= suffix.n && memcmp(w + n - suffix.n, suffix.p, suffix.n) == 0;
}

static bool holds(enum condition when, const char *w, size_t n)
{
    switch (when) {
    case ALWAYS:
        return true;
    case M_OVER_0:
        return shape_of(w, n).m > 0;
    case M_OVER_1:
        return shape_of(w, n).m > 1;
    case M_OVER_1_ST:
        return n > 0 && (w[n - 1] == 's' || w[n - 1] == 't') && shape_of(w, n).m > 1;
    }
    UNREACHABLE();
}

/* The first rule whose suffix matches decides, even when its condition then fails. */
static size_t apply(char *w, size_t n, const struct rule *rules, size_t nrules)
{
    for (size_t i = 0; i < nrules; i++) {
        const struct rule *r = &rules[i];
        if (!ends(w, n, r->suffix)) continue;
        size_t stem = n - r->suffix.n;
        if (!holds(r->when, w, stem)) return n;
        memcpy(w + stem, r->with.p, r->with.n);
        return stem + r->with.n;
    }
    return n;
}
#define APPLY(w, n, rules) apply(w, n, rules, sizeof(rules) / sizeof((rules)[0]))

static size_t step1a(char *w, size_t n)
{
    static const struct rule rules[] = {
        RULE("sses", "ss", ALWAYS),
        RULE("ies", "i", ALWAYS),
        RULE("ss", "ss", ALWAYS),
        RULE("s", "", ALWAYS),
    };
    if (n == 4 && ends(w, n, STR("ies"))) return 3;
    return APPLY(w, n, rules);
}

/* After -ed or -ing was taken off. */
static size_t mend(char *w, size_t n)
{
    if (ends(w, n, STR("at")) || ends(w, n, STR("bl")) || ends(w, n, STR("iz"))) {
        w[n] = 'e';
        return n + 1;
    }
    struct shape s = shape_of(w, n);
    char last = w[n - 1];
    if (n >= 2 && last == w[n - 2] && !s.last_vowel)
        return last == 'l' || last == 's' || last == 'z' ? n : n - 1;
    if (s.m == 1 && s.cvc) {
        w[n] = 'e';
        return n + 1;
    }
    return n;
}

static size_t step1b(char *w, size_t n)
{
    if (ends(w, n, STR("ied"))) return n == 4 ? 3 : n - 2;
    if (ends(w, n, STR("eed"))) return shape_of(w, n - 3).m > 0 ? n - 1 : n;
    if (ends(w, n, STR("ed")) && shape_of(w, n - 2).any_vowel) return mend(w, n - 2);
    if (ends(w, n, STR("ing")) && shape_of(w, n - 3).any_vowel) return mend(w, n - 3);
    return n;
}

static size_t step1c(char *w, size_t n)
{
    if (n > 2 && w[n - 1] == 'y' && !shape_of(w, n - 1).last_vowel) w[n - 1] = 'i';
    return n;
}

static size_t step2(char *w, size_t n)
{
    static const struct rule rules[] = {
        RULE("ational", "ate", M_OVER_0), RULE("tional", "tion", M_OVER_0),
        RULE("enci", "ence", M_OVER_0),   RULE("anci", "ance", M_OVER_0),
        RULE("izer", "ize", M_OVER_0),    RULE("bli", "ble", M_OVER_0),
        RULE("alli", "al", M_OVER_0),     RULE("entli", "ent", M_OVER_0),
        RULE("eli", "e", M_OVER_0),       RULE("ousli", "ous", M_OVER_0),
        RULE("ization", "ize", M_OVER_0), RULE("ation", "ate", M_OVER_0),
        RULE("ator", "ate", M_OVER_0),    RULE("alism", "al", M_OVER_0),
        RULE("iveness", "ive", M_OVER_0), RULE("fulness", "ful", M_OVER_0),
        RULE("ousness", "ous", M_OVER_0), RULE("aliti", "al", M_OVER_0),
        RULE("iviti", "ive", M_OVER_0),   RULE("biliti", "ble", M_OVER_0),
        RULE("fulli", "ful", M_OVER_0),
    };
    while (ends(w, n, STR("alli")) && shape_of(w, n - 4).m > 0)
        n -= 2;
    size_t now = APPLY(w, n, rules);
    /* -logi is asked about the word without three letters, so "l" counts to its stem. */
    if (now == n && ends(w, n, STR("logi")) && shape_of(w, n - 3).m > 0) now = n - 1;
    return now;
}

static size_t step3(char *w, size_t n)
{
    static const struct rule rules[] = {
        RULE("icate", "ic", M_OVER_0), RULE("ative", "", M_OVER_0),  RULE("alize", "al", M_OVER_0),
        RULE("iciti", "ic", M_OVER_0), RULE("ical", "ic", M_OVER_0), RULE("ful", "", M_OVER_0),
        RULE("ness", "", M_OVER_0),
    };
    return APPLY(w, n, rules);
}

static size_t step4(char *w, size_t n)
{
    static const struct rule rules[] = {
        RULE("al", "", M_OVER_1),   RULE("ance", "", M_OVER_1), RULE("ence", "", M_OVER_1),
        RULE("er", "", M_OVER_1),   RULE("ic", "", M_OVER_1),   RULE("able", "", M_OVER_1),
        RULE("ible", "", M_OVER_1), RULE("ant", "", M_OVER_1),  RULE("ement", "", M_OVER_1),
        RULE("ment", "", M_OVER_1), RULE("ent", "", M_OVER_1),  RULE("ion", "", M_OVER_1_ST),
        RULE("ou", "", M_OVER_1),   RULE("ism", "", M_OVER_1),  RULE("ate", "", M_OVER_1),
        RULE("iti", "", M_OVER_1),  RULE("ous", "", M_OVER_1),  RULE("ive", "", M_OVER_1),
        RULE("ize", "", M_OVER_1),
    };
    return APPLY(w, n, rules);
}

static size_t step5(char *w, size_t n)
{
    if (n > 0 && w[n - 1] == 'e') {
        struct shape s = shape_of(w, n - 1);
        if (s.m > 1 || (s.m == 1 && !s.cvc)) n--;
    }
    if (ends(w, n, STR("ll")) && shape_of(w, n - 1).m > 1) n--;
    return n;
}

/* Words with a stem of their own; true when w is one of them. */
static bool irregular(char *w, size_t *n)
{
    static const struct {
        struct str word, stem;
    } table[] = {
        {STR_INIT("sky"), STR_INIT("sky")},          {STR_INIT("skies"), STR_INIT("sky")},
        {STR_INIT("dying"), STR_INIT("die")},        {STR_INIT("lying"), STR_INIT("lie")},
        {STR_INIT("tying"), STR_INIT("tie")},        {STR_INIT("news"), STR_INIT("news")},
        {STR_INIT("innings"), STR_INIT("inning")},   {STR_INIT("inning"), STR_INIT("inning")},
        {STR_INIT("outings"), STR_INIT("outing")},   {STR_INIT("outing"), STR_INIT("outing")},
        {STR_INIT("cannings"), STR_INIT("canning")}, {STR_INIT("canning"), STR_INIT("canning")},
        {STR_INIT("howe"), STR_INIT("howe")},        {STR_INIT("proceed"), STR_INIT("proceed")},
        {STR_INIT("exceed"), STR_INIT("exceed")},    {STR_INIT("succeed"), STR_INIT("succeed")},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (*n != table[i].word.n || memcmp(w, table[i].word.p, *n) != 0) continue;
        memcpy(w, table[i].stem.p, table[i].stem.n);
        *n = table[i].stem.n;
        return true;
    }
    return false;
}

size_t porter_stem(char *w, size_t n)
{
    if (n <= 2 || irregular(w, &n)) return n;
    n = step1a(w, n);
    n = step1b(w, n);
    n = step1c(w, n);
    n = step2(w, n);
    n = step3(w, n);
    n = step4(w, n);
    return step5(w, n);
}
