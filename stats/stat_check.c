#include "stats/stat_check.h"

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The next run of letters and digits. A point or comma between digits belongs to it, a hyphen
 * between letters ("x-ray"), too. */
static bool next_word(struct str *rest, struct str *word)
{
    size_t from = 0, to;

    while (from < rest->n && !is_letter(rest->p[from]) && !is_digit(rest->p[from]))
        from++;
    for (to = from; to < rest->n; to++) {
        char c = rest->p[to];
        bool inside = to > from && to + 1 < rest->n;
        if (is_letter(c) || is_digit(c)) continue;
        if (inside && (c == '.' || c == ',') && is_digit(rest->p[to - 1]) &&
            is_digit(rest->p[to + 1]))
            continue;
        if (inside && c == '-' && is_letter(rest->p[to - 1]) && is_letter(rest->p[to + 1]))
            continue;
        break;
    }
    *word = str_sub(*rest, from, to);
    *rest = str_sub(*rest, to, rest->n);
    return word->n > 0;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is(struct str word, const char *what)
{
    size_t i = 0;

    while (i < word.n && what[i] && lower(word.p[i]) == what[i])
        i++;
    return i == word.n && !what[i];
}

static bool same_words(struct str a, struct str b)
{
    struct str x, y;
    bool more;

    do {
        more = next_word(&a, &x);
        if (next_word(&b, &y) != more) return false;
        if (!more) return true;
        if (x.n != y.n) return false;
        for (size_t i = 0; i < x.n; i++)
            if (lower(x.p[i]) != lower(y.p[i])) return false;
    } while (more);
    return true;
}

/* Bit 0: left, bit 1: right. "Bilateral" and "both" are both. */
static unsigned sides(struct str s)
{
    unsigned out = 0;

    for (struct str word; next_word(&s, &word);) {
        if (is(word, "left")) out |= 1;
        if (is(word, "right")) out |= 2;
        if (is(word, "bilateral") || is(word, "bilaterally") || is(word, "both")) out |= 3;
    }
    return out;
}

static bool is_unit(struct str word)
{
    return is(word, "mm") || is(word, "cm");
}

/* The next number with a unit behind it ("12 mm", "1.2cm"). */
static bool next_measure(struct str *rest, struct str *number)
{
    struct str last = {NULL, 0};

    for (struct str word; next_word(rest, &word); last = word) {
        *number = last;
        if (is_unit(word) && last.n > 0 && is_digit(last.p[0])) return true;
        if (word.n <= 2 || !is_digit(word.p[0])) continue;
        *number = str_sub(word, 0, word.n - 2);
        if (is_unit(str_sub(word, word.n - 2, word.n)) && is_digit(number->p[number->n - 1]))
            return true;
    }
    return false;
}

static bool measures(struct str s)
{
    struct str number;
    return next_measure(&s, &number);
}

/* Does a measured number of `s` not stand in `in`, with whatever unit? */
static bool has_new_measure(struct str s, struct str in)
{
    for (struct str number; next_measure(&s, &number);) {
        bool found = false;
        struct str rest = in;
        for (struct str word; !found && next_word(&rest, &word);)
            found = str_starts(word, number) && (word.n == number.n || is_letter(word.p[number.n]));
        if (!found) return true;
    }
    return false;
}

static bool says_normal(struct str s)
{
    struct str last = {NULL, 0};

    if (stat_words(s) > 12) return false;
    for (struct str word; next_word(&s, &word); last = word) {
        if (is(word, "normal") || is(word, "unremarkable")) return true;
        if (is(word, "acute") && is(last, "no")) return true;
    }
    return false;
}

/* Modalities as bits. */
static unsigned named_in(struct str s)
{
    unsigned out = 0;

    for (struct str word; next_word(&s, &word);) {
        int m = record_modality_of(word);
        if (m > MOD_UNKNOWN && m != MOD_OT) out |= 1u << m;
    }
    return out;
}

int stat_check_named(const struct record *r)
{
    unsigned bits =
        named_in(stat_section(r, SEC_EXAMINATION)) | named_in(stat_section(r, SEC_TECHNIQUE));

    if (bits == 0 || (bits & (bits - 1)) != 0) return -1;
    return __builtin_ctz(bits);
}

int stat_check_record(const struct record *r, enum stat_check check)
{
    struct str findings = stat_section(r, SEC_FINDINGS);
    struct str impression = stat_section(r, SEC_IMPRESSION);
    uint64_t nf = stat_words(findings), ni = stat_words(impression);

    if (check == CHECK_LABEL) {
        int named = stat_check_named(r);
        if (named < 0 || r->modality == MOD_UNKNOWN) return -1;
        return named != r->modality;
    }
    if (nf == 0 || ni == 0) return -1;
    switch (check) {
    case CHECK_SAME:
        return same_words(findings, impression);
    case CHECK_LONGER:
        return ni > nf;
    case CHECK_SIDE: {
        unsigned says = sides(impression), has = sides(findings);
        if (has != 3) has |= sides(stat_section(r, SEC_CLINICAL));
        if (says == 0 || has == 0) return -1;
        return (says & ~has) != 0;
    }
    case CHECK_MEASURE:
        return measures(impression) ? has_new_measure(impression, findings) : -1;
    case CHECK_NORMAL:
        return says_normal(impression) ? measures(findings) : -1;
    case CHECK_LABEL:
    case CHECK_COUNT:
        break;
    }
    UNREACHABLE();
}
