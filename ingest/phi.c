#include "ingest/phi.h"

#include <ctype.h>
#include <strings.h>

const char *const phi_kind_names[PHI_KINDS + 1] = {"dates", "phone numbers", "long numbers",
                                                   "e-mail addresses", "names"};

enum { MAX_EMAIL = 64, LONG_NUMBER = 6, LABELLED_NUMBER = 4, MAX_NAME_WORDS = 3 };

/* ---- characters */
static bool digit_at(struct str s, size_t i)
{
    return i < s.n && s.p[i] >= '0' && s.p[i] <= '9';
}

static bool alpha_at(struct str s, size_t i)
{
    return i < s.n && isalpha((unsigned char)s.p[i]);
}

static bool upper_at(struct str s, size_t i)
{
    return i < s.n && s.p[i] >= 'A' && s.p[i] <= 'Z';
}

static bool char_at(struct str s, size_t i, const char *any)
{
    return i < s.n && s.p[i] && strchr(any, s.p[i]);
}

/* A letter or digit of ASCII: asked for every byte that may begin something. */
static bool is_word_char(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

/* Does a word or number begin here? */
static bool begins(struct str s, size_t i)
{
    return i == 0 || !is_word_char(s.p[i - 1]);
}

static size_t digits_from(struct str s, size_t i)
{
    size_t n = 0;

    while (digit_at(s, i + n))
        n++;
    return n;
}

static size_t skip_blanks(struct str s, size_t i)
{
    while (i < s.n && isspace((unsigned char)s.p[i]))
        i++;
    return i;
}

static uint64_t value_of(struct str s, size_t i, size_t n)
{
    uint64_t v = 0;

    for (size_t k = 0; k < n; k++)
        v = 10 * v + (uint64_t)(s.p[i + k] - '0');
    return v;
}

/* The number does not go on: no digit, no letter, no decimals. */
static bool ends(struct str s, size_t i)
{
    if (i >= s.n) return true;
    if (isalnum((unsigned char)s.p[i])) return false;
    return !(char_at(s, i, ".,/-") && digit_at(s, i + 1));
}

/* ---- dates */
static size_t month_at(struct str s, size_t i)
{
    static const char *const months[] = {"january",   "february", "march",    "april",
                                         "may",       "june",     "july",     "august",
                                         "september", "october",  "november", "december"};
    size_t n = 0;

    while (alpha_at(s, i + n) && n < 10)
        n++;
    for (size_t m = 0; n >= 3 && m < 12; m++) {
        size_t full = strlen(months[m]);
        if ((s.p[i] | 0x20) != months[m][0] || n > full || (n != full && n > 4)) continue;
        if (strncasecmp(s.p + i, months[m], n) == 0) return n + (char_at(s, i + n, ".") ? 1 : 0);
    }
    return 0;
}

static bool is_year(struct str s, size_t i, size_t n)
{
    return n == 4 && value_of(s, i, n) >= 1900 && value_of(s, i, n) < 2100;
}

/* 9/14/2010, 14.09.10, 2010-09-14: three numbers, one separator. Returns its end or 0. */
static size_t numeric_date(struct str s, size_t i)
{
    size_t n[3], at = i;
    uint64_t v[3];
    char sep = 0;

    for (size_t k = 0; k < 3; k++) {
        n[k] = digits_from(s, at);
        if (n[k] == 0 || n[k] > 4) return 0;
        v[k] = value_of(s, at, n[k]);
        at += n[k];
        if (k == 2) break;
        if (!char_at(s, at, "/-.") || (sep && s.p[at] != sep)) return 0;
        sep = s.p[at++];
    }
    if (!ends(s, at)) return 0;
    if (n[0] == 4) return v[0] >= 1900 && v[0] < 2100 && v[1] <= 12 && v[2] <= 31 ? at : 0;
    if (n[0] > 2 || n[1] > 2 || (n[2] != 2 && n[2] != 4)) return 0;
    if (v[0] == 0 || v[1] == 0 || v[0] > 31 || v[1] > 31 || (v[0] > 12 && v[1] > 12)) return 0;
    return n[2] == 4 && (v[2] < 1900 || v[2] >= 2100) ? 0 : at;
}

/* Behind a month: "14, 2010", "14th 2010", "2010", "14". */
static size_t after_month(struct str s, size_t i)
{
    size_t at = skip_blanks(s, i), n = digits_from(s, at), year;

    if (is_year(s, at, n)) return at + n;
    if (n == 0 || n > 2 || value_of(s, at, n) > 31) return 0;
    at += n;
    if (at + 1 < s.n && alpha_at(s, at) && alpha_at(s, at + 1)) at += 2; /* 14th */
    year = skip_blanks(s, at + (char_at(s, at, ",") ? 1 : 0));
    n = digits_from(s, year);
    return is_year(s, year, n) ? year + n : at;
}

/* 14 September 2010, 14-Sep-2010 */
static size_t day_month(struct str s, size_t i)
{
    size_t n = digits_from(s, i), at = i + n, month, year;

    if (n == 0 || n > 2) return 0;
    at = char_at(s, at, "-") ? at + 1 : skip_blanks(s, at);
    month = month_at(s, at);
    if (month == 0) return 0;
    at += month;
    year = char_at(s, at, "-,") ? at + 1 : at;
    year = skip_blanks(s, year);
    n = digits_from(s, year);
    return is_year(s, year, n) ? year + n : 0;
}

/* ---- numbers */
/* Groups of digits with one separator between, e.g. {3, 3, 4}. Returns the end or 0. */
static size_t grouped(struct str s, size_t i, const size_t *groups, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        if (digits_from(s, i) != groups[k]) return 0;
        i += groups[k];
        if (k + 1 < n && !char_at(s, i, "-. ")) return 0;
        if (k + 1 < n) i++;
    }
    return ends(s, i) ? i : 0;
}

static size_t phone(struct str s, size_t i)
{
    static const size_t full[] = {3, 3, 4}, local[] = {3, 4};
    size_t end;

    if (char_at(s, i, "+") && char_at(s, i + 1, "1")) i = skip_blanks(s, i + 2);
    if (char_at(s, i, "(")) {
        if (digits_from(s, i + 1) != 3 || !char_at(s, i + 4, ")")) return 0;
        i = skip_blanks(s, i + 5);
        return grouped(s, i, local, 2);
    }
    end = grouped(s, i, full, 3);
    if (end) return end;
    return digits_from(s, i) == 3 && char_at(s, i + 3, "-") ? grouped(s, i, local, 2) : 0;
}

/* Is one of these words, and nothing but blanks, ":" and "#", in front of i? */
static bool labelled(struct str s, size_t i, const char *const *words)
{
    while (i > 0 && char_at(s, i - 1, " :#.\t"))
        i--;
    for (; *words; words++) {
        size_t n = strlen(*words);
        if (i >= n && strncasecmp(s.p + i - n, *words, n) == 0 && begins(s, i - n)) return true;
    }
    return false;
}

static bool number(struct str s, size_t i, struct phi_hit *out)
{
    static const char *const records[] = {"mrn",     "accession", "record", "acc",
                                          "account", "unit",      NULL};
    static const char *const pagers[] = {"pager", "beeper",   "ext",       "extension", "x",
                                         "phone", "paged at", "called at", NULL};
    size_t n = digits_from(s, i), end = i + n;
    bool whole = ends(s, end) && !(i > 0 && char_at(s, i - 1, ".,"));

    if (n >= LABELLED_NUMBER && whole && labelled(s, i, pagers))
        *out = (struct phi_hit){PHI_PHONE, i, end};
    else if ((n >= LONG_NUMBER && whole) || (n >= LABELLED_NUMBER && labelled(s, i, records)))
        *out = (struct phi_hit){PHI_NUMBER, i, end};
    else
        return false;
    return true;
}

/* ---- e-mail; i: of the @ */
static bool is_mail_char(char c)
{
    return isalnum((unsigned char)c) || (c && strchr("._%+-", c));
}

static bool email(struct str s, size_t i, size_t from, struct phi_hit *out)
{
    size_t begin = i, end = i + 1, dot = 0;

    while (begin > from && i - begin < MAX_EMAIL && is_mail_char(s.p[begin - 1]))
        begin--;
    for (; end < s.n && end - i < MAX_EMAIL && is_mail_char(s.p[end]); end++)
        dot = s.p[end] == '.' && alpha_at(s, end + 1) ? end : dot;
    if (begin == i || dot <= i + 1) return false;
    while (end > dot && !isalnum((unsigned char)s.p[end - 1]))
        end--;
    *out = (struct phi_hit){PHI_EMAIL, begin, end};
    return true;
}

/* ---- names */
/* "Smith", "SMITH", "O'Neil", "J."; not a mark ("XXXX"), not one letter alone. */
static size_t name_word(struct str s, size_t i)
{
    size_t n = 0, marks = 0;

    if (!upper_at(s, i)) return 0;
    while (i + n < s.n &&
           (alpha_at(s, i + n) || (n && char_at(s, i + n, "'-") && alpha_at(s, i + n + 1)))) {
        marks += s.p[i + n] == 'X';
        n++;
    }
    if (n == 1) return char_at(s, i + 1, ".") ? 2 : 0;
    return marks == n ? 0 : n;
}

static size_t name_from(struct str s, size_t i)
{
    size_t end = 0;

    for (size_t k = 0; k < MAX_NAME_WORDS; k++) {
        size_t n = name_word(s, i);
        if (n == 0) break;
        end = i + n;
        if (!char_at(s, end, " ") && n != 2) break;
        i = skip_blanks(s, end);
    }
    return end;
}

/* Dr. Smith, Mrs. Jones */
static bool titled(struct str s, size_t i, struct phi_hit *out)
{
    static const char *const titles[] = {"dr", "mr", "mrs", "ms"};

    if (!char_at(s, i + 1, "rRsS")) return false; /* most words end here */
    for (size_t k = 0; k < sizeof titles / sizeof *titles; k++) {
        size_t n = strlen(titles[k]), at = i + n, end;
        if (s.n - i < n || strncasecmp(s.p + i, titles[k], n) != 0 || alpha_at(s, at)) continue;
        if (k > 0 && !char_at(s, at, ".")) continue; /* MR is a scan, MS a disease */
        at = skip_blanks(s, at + (char_at(s, at, ".") ? 1 : 0));
        end = at > i + n ? name_from(s, at) : 0;
        *out = (struct phi_hit){PHI_NAME, at, end};
        return end > 0;
    }
    return false;
}

/* Where a name that ends at `end` begins; `end` when none does. Only with lower case: in a line of
 * capitals every word would be one. */
static size_t name_before(struct str s, size_t from, size_t end)
{
    size_t begin = end;

    for (size_t k = 0; k < MAX_NAME_WORDS; k++) {
        size_t stop = begin, at;
        while (stop > from && s.p[stop - 1] == ' ')
            stop--;
        for (at = stop; at > from && (alpha_at(s, at - 1) || char_at(s, at - 1, ".'-"));)
            at--;
        if (at == stop || name_word(s, at) == 0) break;
        if (k == 0 && !(stop - at > 1 && islower((unsigned char)s.p[stop - 1]))) break;
        begin = at;
    }
    return begin;
}

/* Jane Smith, M.D.; i: of the M */
static bool degree(struct str s, size_t i, size_t from, struct phi_hit *out)
{
    size_t end = i, begin;
    bool dots = char_at(s, i + 1, ".") && char_at(s, i + 2, "D");

    if (!dots && !(char_at(s, i + 1, "D") && !alpha_at(s, i + 2))) return false;
    while (end > from && char_at(s, end - 1, " ,"))
        end--;
    begin = name_before(s, from, end);
    *out = (struct phi_hit){PHI_NAME, begin, end};
    return begin < end;
}

/* ---- all of it */
static bool hit(struct phi_hit *out, enum phi_kind kind, size_t begin, size_t end)
{
    *out = (struct phi_hit){kind, begin, end};
    return end > begin;
}

static bool number_at(struct str s, size_t i, struct phi_hit *out)
{
    return hit(out, PHI_DATE, i, numeric_date(s, i)) || hit(out, PHI_DATE, i, day_month(s, i)) ||
           hit(out, PHI_PHONE, i, phone(s, i)) || number(s, i, out);
}

static bool word_at(struct str s, size_t i, size_t from, struct phi_hit *out)
{
    size_t month;

    if (char_at(s, i, "DdM") && titled(s, i, out)) return true;
    if (s.p[i] == 'M' && degree(s, i, from, out)) return true;
    if (char_at(s, i, "x") && digits_from(s, i + 1) >= LABELLED_NUMBER)
        return hit(out, PHI_PHONE, i + 1, i + 1 + digits_from(s, i + 1));
    month = upper_at(s, i) ? month_at(s, i) : 0;
    return month && hit(out, PHI_DATE, i, after_month(s, i + month));
}

/* What may begin one: 1 a number, 2 a word, 3 a bracket or plus, 4 an at sign. */
static const uint8_t starts[256] = {
    ['0'] = 1, ['1'] = 1, ['2'] = 1, ['3'] = 1, ['4'] = 1, ['5'] = 1, ['6'] = 1, ['7'] = 1,
    ['8'] = 1, ['9'] = 1, ['D'] = 2, ['d'] = 2, ['M'] = 2, ['x'] = 2, ['J'] = 2, ['F'] = 2,
    ['A'] = 2, ['S'] = 2, ['O'] = 2, ['N'] = 2, ['('] = 3, ['+'] = 3, ['@'] = 4,
};

bool phi_next(struct str text, size_t *at, struct phi_hit *out)
{
    size_t from = *at;

    for (size_t i = from; i < text.n; i++) {
        uint8_t what = starts[(uint8_t)text.p[i]];
        bool found = false;
        if (what == 0) continue;
        if (what == 4)
            found = email(text, i, from, out);
        else if (what == 3)
            found = digit_at(text, i + 1) && hit(out, PHI_PHONE, i, phone(text, i));
        else if (begins(text, i))
            found = what == 1 ? number_at(text, i, out) : word_at(text, i, from, out);
        if (!found) continue;
        *at = out->end > i ? out->end : i + 1;
        return true;
    }
    *at = text.n;
    return false;
}

uint32_t phi_flags(struct str text)
{
    struct phi_hit h;
    uint32_t flags = 0;

    for (size_t at = 0; phi_next(text, &at, &h);)
        flags |= RECORD_PHI << h.kind;
    return flags;
}

bool phi_mask(struct str text, struct sbuf *out, struct err *e)
{
    struct phi_hit h;
    size_t done = 0;

    for (size_t at = 0; phi_next(text, &at, &h);) {
        if (!sbuf_put(out, str_sub(text, done, h.begin), e)) return false;
        if (!sbuf_put(out, STR("___"), e)) return false;
        done = h.end;
    }
    return sbuf_put(out, str_sub(text, done, text.n), e);
}
