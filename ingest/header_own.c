#include "ingest/header_own.h"

#include <ctype.h>

#include "ingest/section_names.h"
#include "text/clean.h"

enum { MAX_NAME = 60, MIN_RULE = 10 };

const char *const own_kind_names[OWN_KINDS + 1] = {
    "body",      "findings",   "view", "impression", "combined", "clinical", "examination",
    "technique", "comparison", "tail", "other",      "title",    "break",
};

struct known {
    const char *name;
    enum own_kind kind;
};
#define COUNT(a) (sizeof(a) / sizeof *(a))

/* Beyond the published table; these win over it. */
static const struct known known[] = {
    {"ndication", OWN_CLINICAL}, /* the published table calls it an impression */
    {"indications", OWN_CLINICAL},
    {"clinical data", OWN_CLINICAL},
    {"clinical details", OWN_CLINICAL},
    {"clinical", OWN_CLINICAL},
    {"clinical indications", OWN_CLINICAL},
    {"clinical statement", OWN_CLINICAL},
    {"clinical question", OWN_CLINICAL},
    {"reason", OWN_CLINICAL},
    {"reason for study", OWN_CLINICAL},
    {"reason for the exam", OWN_CLINICAL},
    {"reason for this exam", OWN_CLINICAL},
    {"reason for this examination", OWN_CLINICAL},
    {"medical condition", OWN_CLINICAL},
    {"chief complaint", OWN_CLINICAL},
    {"symptoms", OWN_CLINICAL},
    {"procedure", OWN_EXAMINATION},
    {"procedures", OWN_EXAMINATION},
    {"exam type", OWN_EXAMINATION},
    {"exam description", OWN_EXAMINATION},
    {"type of exam", OWN_EXAMINATION},
    {"type of study", OWN_EXAMINATION},
    {"study", OWN_EXAMINATION},
    {"study description", OWN_EXAMINATION},
    {"technique and findings", OWN_FINDINGS},
    {"findings and technique", OWN_FINDINGS},
    {"interpretation", OWN_FINDINGS},
    {"observations", OWN_FINDINGS},
    {"observation", OWN_FINDINGS},
    {"report", OWN_FINDINGS},
    {"body of report", OWN_FINDINGS},
    {"opinion", OWN_IMPRESSION},
    {"conclusions", OWN_IMPRESSION},
    {"impressions", OWN_IMPRESSION},
    {"final impression", OWN_IMPRESSION},
    {"impression and plan", OWN_IMPRESSION},
    {"impression/plan", OWN_IMPRESSION},
    {"technical factors", OWN_TECHNIQUE},
    {"scan technique", OWN_TECHNIQUE},
    {"protocol", OWN_TECHNIQUE},
    {"contrast", OWN_TECHNIQUE},
    {"radiopharmaceutical", OWN_TECHNIQUE},
    {"comparison studies", OWN_COMPARISON},
    {"comparison study", OWN_COMPARISON},
    {"prior studies", OWN_COMPARISON},
    {"prior study", OWN_COMPARISON},
    {"prior exams", OWN_COMPARISON},
    {"compared to", OWN_COMPARISON},
    {"communication", OWN_TAIL},
    {"notifications", OWN_TAIL},
    {"attestation", OWN_TAIL},
    {"dictated by", OWN_TAIL},
    {"signed by", OWN_TAIL},
    {"read by", OWN_TAIL},
    {"approved by", OWN_TAIL},
    {"transcribed by", OWN_TAIL},
    {"attending", OWN_TAIL},
    {"radiologist", OWN_TAIL},
    {"addenda", OWN_TAIL},
};
/* What the published table's names are to us. */
static const struct known published[] = {
    {"findings", OWN_FINDINGS},   {"impression", OWN_IMPRESSION}, {"comparison", OWN_COMPARISON},
    {"indication", OWN_CLINICAL}, {"history", OWN_CLINICAL},      {"examination", OWN_EXAMINATION},
    {"technique", OWN_TECHNIQUE}, {"notification", OWN_TAIL},     {"recommendations", OWN_TAIL},
    {"addendum", OWN_TAIL},       {"wet read", OWN_TAIL},         {"comment", OWN_OTHER},
    {"date", OWN_OTHER},
};
/* In capitals these words anywhere in the name decide; in this order. */
static const struct known words[] = {
    {"addendum", OWN_TAIL},         {"wet read", OWN_TAIL},         {"recommendation", OWN_TAIL},
    {"notification", OWN_TAIL},     {"impression", OWN_IMPRESSION}, {"findings", OWN_FINDINGS},
    {"comparison", OWN_COMPARISON}, {"indication", OWN_CLINICAL},   {"history", OWN_CLINICAL},
    {"technique", OWN_TECHNIQUE},
};
/* A line that begins so ends the report's text, colon or not. */
static const char *const signatures[] = {
    "dictated by",
    "electronically signed",
    "i personally reviewed",
    "i have personally",
    "i, the attending",
    "signed by",
    "approved by",
    "transcribed by",
    "attending physician",
    "end of report",
    "wet read",
    "final addendum",
    "this report was electronically",
};

static bool find_known(const struct known *table, size_t n, struct str name, enum own_kind *out)
{
    for (size_t i = 0; i < n; i++) {
        if (str_eqz(name, table[i].name)) {
            *out = table[i].kind;
            return true;
        }
    }
    return false;
}

/* ctype.h's macros are statements in disguise; these are functions. */
static bool is_space(char c)
{
    return isspace((unsigned char)c) != 0;
}

static bool is_edge(char c)
{
    return is_space(c) || (ispunct((unsigned char)c) && c != '(' && c != ')');
}

static char lower(char c)
{
    return (char)tolower((unsigned char)c);
}

/* Lower case, one blank between words, no punctuation at the ends. False: too long for a name. */
static bool fold(struct str raw, char buf[MAX_NAME], struct str *out)
{
    size_t n = 0;
    bool blank = false;

    while (raw.n > 0 && is_edge(raw.p[0]))
        raw = str_sub(raw, 1, raw.n);
    while (raw.n > 0 && is_edge(raw.p[raw.n - 1]))
        raw.n--;
    for (size_t i = 0; i < raw.n; i++) {
        if (is_space(raw.p[i])) {
            blank = true;
            continue;
        }
        if (n + 2 > MAX_NAME) return false;
        if (blank) buf[n++] = ' ';
        blank = false;
        buf[n++] = lower(raw.p[i]);
    }
    *out = (struct str){buf, n};
    return n > 0;
}

static bool in_capitals(struct str name)
{
    size_t letters = 0;

    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] >= 'a' && name.p[i] <= 'z') return false;
        letters += name.p[i] >= 'A' && name.p[i] <= 'Z';
    }
    return letters >= 2;
}

static bool has(struct str name, const char *part)
{
    return str_find(name, str_of(part), 0) != SIZE_MAX;
}

/* By the tables alone: any letter case. */
static enum own_kind kind_by_table(struct str name)
{
    enum own_kind kind;
    struct str official;

    if (has(name, "finding") && has(name, "impression")) return OWN_COMBINED;
    if (find_known(known, COUNT(known), name, &kind)) return kind;
    if (section_name_exact(name, &official) &&
        find_known(published, COUNT(published), official, &kind))
        return kind;
    return OWN_NONE;
}

/* "FINDNNINGS", "IMPRRESSION": a long word two typing errors away from a name. */
static enum own_kind kind_by_likeness(struct str name)
{
    static const struct known likely[] = {
        {"findings", OWN_FINDINGS},     {"impression", OWN_IMPRESSION},
        {"conclusion", OWN_IMPRESSION}, {"comparison", OWN_COMPARISON},
        {"indication", OWN_CLINICAL},   {"examination", OWN_EXAMINATION},
        {"technique", OWN_TECHNIQUE},
    };

    for (size_t i = 0; name.n >= 7 && i < COUNT(likely); i++) {
        if (str_distance(name, str_of(likely[i].name)) <= 2) return likely[i].kind;
    }
    return OWN_NONE;
}

static enum own_kind kind_of(struct str name, bool capitals)
{
    enum own_kind kind = kind_by_table(name);

    if (kind != OWN_NONE || !capitals) return kind;
    kind = kind_by_likeness(name);
    if (kind != OWN_NONE) return kind;
    for (size_t i = 0; i < COUNT(words); i++) {
        if (has(name, words[i].name)) return words[i].kind;
    }
    if (section_name_is_view(name) || has(name, " views") || has(name, " view")) return OWN_VIEW;
    return OWN_OTHER;
}

static bool is_rule(struct str line)
{
    size_t marks = 0;

    for (size_t i = 0; i < line.n; i++) {
        if (line.p[i] != '_' && line.p[i] != ' ') return false;
        marks += line.p[i] == '_';
    }
    return marks >= MIN_RULE;
}

/* Lines that mean something without a colon. */
static enum own_kind kind_of_line(struct str line)
{
    char buf[MAX_NAME];
    struct str name;
    bool shortened = !fold(str_sub(line, 0, MAX_NAME - 2), buf, &name);
    enum own_kind kind;

    if (shortened) return OWN_NONE;
    for (size_t i = 0; i < COUNT(signatures); i++) {
        if (str_starts(name, str_of(signatures[i]))) return OWN_TAIL;
    }
    if (line.n >= MAX_NAME - 2 || !in_capitals(line)) return OWN_NONE;
    if (str_eqz(name, "final report")) return OWN_TITLE;
    kind = kind_by_table(name);
    /* "CHEST" or "COMMENT" alone is a title, not a section. */
    return kind == OWN_OTHER ? OWN_NONE : kind;
}

struct own_header own_header_at_start(struct str line)
{
    struct own_header h = {OWN_NONE, 0, 0};
    struct str content = clean_strip(line), name;
    char buf[MAX_NAME];
    const char *colon;

    if (content.n == 0) return h;
    h.begin = (size_t)(content.p - line.p);
    h.text = h.begin + content.n;
    if (is_rule(content)) {
        h.kind = OWN_BREAK;
        return h;
    }
    colon = memchr(content.p, ':', content.n < MAX_NAME ? content.n : MAX_NAME);
    if (colon && fold(str_sub(content, 0, (size_t)(colon - content.p)), buf, &name)) {
        bool capitals = in_capitals(str_sub(content, 0, (size_t)(colon - content.p)));
        h.kind = kind_of(name, capitals);
        h.text = h.begin + (size_t)(colon - content.p) + 1;
    }
    if (h.kind == OWN_NONE) {
        h.kind = kind_of_line(content);
        h.text = h.begin + (h.kind == OWN_TAIL ? 0 : content.n);
    }
    return h;
}

static bool is_name_char(char c)
{
    return (c >= 'A' && c <= 'Z') || (c && strchr(" ()/,-", c));
}

/* Only after the end of a sentence or item can a lost line break be believed. */
static bool ends_sentence(struct str before)
{
    before = str_trim(before);
    return before.n == 0 || strchr(".,;:!?)_*-", before.p[before.n - 1]);
}

struct own_header own_header_within(struct str line, size_t from)
{
    for (size_t at = from; at < line.n; at++) {
        char buf[MAX_NAME];
        size_t begin = at;
        struct str name;
        enum own_kind kind;
        if (line.p[at] != ':') continue;
        while (begin > from && is_name_char(line.p[begin - 1]))
            begin--;
        /* ", IMPRESSION": the comma belongs to what stands before. */
        while (begin < at && !isalpha((unsigned char)line.p[begin]))
            begin++;
        if (!fold(str_sub(line, begin, at), buf, &name)) continue;
        if (!in_capitals(str_sub(line, begin, at))) continue;
        if (!ends_sentence(str_sub(line, 0, begin))) continue;
        kind = kind_by_table(name);
        if (kind >= OWN_FINDINGS && kind <= OWN_COMPARISON)
            return (struct own_header){kind, begin, at + 1};
    }
    return (struct own_header){OWN_NONE, line.n, line.n};
}
