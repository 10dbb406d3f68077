#include "ingest/header_own.h"

#include <ctype.h>
#include <strings.h>

#include "base/hash.h"
#include "base/mem.h"
#include "ingest/section_names.h"
#include "text/clean.h"
#include "text/utf8.h"

enum { MAX_NAME = 60, MIN_RULE = 10, NAMES_BYTES = 1 << 20 };

const char *const own_kind_names[OWN_KINDS + 1] = {
    "body",      "findings",   "view", "impression", "combined", "clinical", "examination",
    "technique", "comparison", "tail", "other",      "title",    "break",
};

struct known {
    struct str name; /* with its length: most comparisons end there */
    enum own_kind kind;
};
#define COUNT(a) (sizeof(a) / sizeof *(a))

/* Beyond the published table; these win over it. */
static const struct known known[] = {
    {STR_INIT("ndication"), OWN_CLINICAL}, /* the published table calls it an impression */
    {STR_INIT("indications"), OWN_CLINICAL},
    {STR_INIT("clinical data"), OWN_CLINICAL},
    {STR_INIT("clinical details"), OWN_CLINICAL},
    {STR_INIT("clinical"), OWN_CLINICAL},
    {STR_INIT("clinical indications"), OWN_CLINICAL},
    {STR_INIT("clinical statement"), OWN_CLINICAL},
    {STR_INIT("clinical question"), OWN_CLINICAL},
    {STR_INIT("reason"), OWN_CLINICAL},
    {STR_INIT("clinical info"), OWN_CLINICAL},
    {STR_INIT("clinical hx"), OWN_CLINICAL},
    {STR_INIT("hx"), OWN_CLINICAL},
    {STR_INIT("clinical diagnosis"), OWN_CLINICAL},
    {STR_INIT("referring diagnosis"), OWN_CLINICAL},
    {STR_INIT("indication for study"), OWN_CLINICAL},
    {STR_INIT("indication for exam"), OWN_CLINICAL},
    {STR_INIT("indication for examination"), OWN_CLINICAL},
    {STR_INIT("indication for procedure"), OWN_CLINICAL},
    {STR_INIT("indications for study"), OWN_CLINICAL},
    {STR_INIT("indications for procedure"), OWN_CLINICAL},
    {STR_INIT("reason for study"), OWN_CLINICAL},
    {STR_INIT("reason for the study"), OWN_CLINICAL},
    {STR_INIT("reason for this study"), OWN_CLINICAL},
    {STR_INIT("reason for test"), OWN_CLINICAL},
    {STR_INIT("reason for procedure"), OWN_CLINICAL},
    {STR_INIT("reason for referral"), OWN_CLINICAL},
    {STR_INIT("reason for the exam"), OWN_CLINICAL},
    {STR_INIT("reason for this exam"), OWN_CLINICAL},
    {STR_INIT("reason for this examination"), OWN_CLINICAL},
    {STR_INIT("medical condition"), OWN_CLINICAL},
    {STR_INIT("chief complaint"), OWN_CLINICAL},
    {STR_INIT("symptoms"), OWN_CLINICAL},
    {STR_INIT("procedure"), OWN_EXAMINATION},
    {STR_INIT("procedures"), OWN_EXAMINATION},
    {STR_INIT("exam type"), OWN_EXAMINATION},
    {STR_INIT("exam description"), OWN_EXAMINATION},
    {STR_INIT("type of exam"), OWN_EXAMINATION},
    {STR_INIT("type of study"), OWN_EXAMINATION},
    {STR_INIT("study"), OWN_EXAMINATION},
    {STR_INIT("study description"), OWN_EXAMINATION},
    {STR_INIT("technique and findings"), OWN_FINDINGS},
    {STR_INIT("findings and technique"), OWN_FINDINGS},
    {STR_INIT("interpretation"), OWN_FINDINGS},
    {STR_INIT("observations"), OWN_FINDINGS},
    {STR_INIT("observation"), OWN_FINDINGS},
    {STR_INIT("report"), OWN_FINDINGS},
    {STR_INIT("body of report"), OWN_FINDINGS},
    {STR_INIT("interpretations"), OWN_FINDINGS},
    {STR_INIT("opinion"), OWN_IMPRESSION},
    {STR_INIT("imp"), OWN_IMPRESSION},
    {STR_INIT("impr"), OWN_IMPRESSION},
    {STR_INIT("assessment"), OWN_IMPRESSION},
    {STR_INIT("conclusions"), OWN_IMPRESSION},
    {STR_INIT("impressions"), OWN_IMPRESSION},
    {STR_INIT("final impression"), OWN_IMPRESSION},
    {STR_INIT("impression and plan"), OWN_IMPRESSION},
    {STR_INIT("impression/plan"), OWN_IMPRESSION},
    {STR_INIT("technical factors"), OWN_TECHNIQUE},
    {STR_INIT("scan technique"), OWN_TECHNIQUE},
    {STR_INIT("protocol"), OWN_TECHNIQUE},
    {STR_INIT("contrast"), OWN_TECHNIQUE},
    {STR_INIT("radiopharmaceutical"), OWN_TECHNIQUE},
    {STR_INIT("comparison exam"), OWN_COMPARISON},
    {STR_INIT("comparison exams"), OWN_COMPARISON},
    {STR_INIT("comparison studies"), OWN_COMPARISON},
    {STR_INIT("comparison study"), OWN_COMPARISON},
    {STR_INIT("prior studies"), OWN_COMPARISON},
    {STR_INIT("prior study"), OWN_COMPARISON},
    {STR_INIT("prior exams"), OWN_COMPARISON},
    {STR_INIT("compared to"), OWN_COMPARISON},
    {STR_INIT("communication"), OWN_TAIL},
    {STR_INIT("notifications"), OWN_TAIL},
    {STR_INIT("attestation"), OWN_TAIL},
    {STR_INIT("dictated by"), OWN_TAIL},
    {STR_INIT("signed by"), OWN_TAIL},
    {STR_INIT("read by"), OWN_TAIL},
    {STR_INIT("approved by"), OWN_TAIL},
    {STR_INIT("transcribed by"), OWN_TAIL},
    {STR_INIT("attending"), OWN_TAIL},
    {STR_INIT("radiologist"), OWN_TAIL},
    {STR_INIT("addenda"), OWN_TAIL},
};
/* What the published table's names are to us. */
static const struct known published[] = {
    {STR_INIT("findings"), OWN_FINDINGS},
    {STR_INIT("impression"), OWN_IMPRESSION},
    {STR_INIT("comparison"), OWN_COMPARISON},
    {STR_INIT("indication"), OWN_CLINICAL},
    {STR_INIT("history"), OWN_CLINICAL},
    {STR_INIT("examination"), OWN_EXAMINATION},
    {STR_INIT("technique"), OWN_TECHNIQUE},
    {STR_INIT("notification"), OWN_TAIL},
    {STR_INIT("recommendations"), OWN_TAIL},
    {STR_INIT("addendum"), OWN_TAIL},
    {STR_INIT("wet read"), OWN_TAIL},
    {STR_INIT("comment"), OWN_OTHER},
    {STR_INIT("date"), OWN_OTHER},
};
/* In capitals these words anywhere in the name decide; in this order. */
static const struct known words[] = {
    {STR_INIT("addendum"), OWN_TAIL},         {STR_INIT("wet read"), OWN_TAIL},
    {STR_INIT("recommendation"), OWN_TAIL},   {STR_INIT("notification"), OWN_TAIL},
    {STR_INIT("impression"), OWN_IMPRESSION}, {STR_INIT("findings"), OWN_FINDINGS},
    {STR_INIT("comparison"), OWN_COMPARISON}, {STR_INIT("indication"), OWN_CLINICAL},
    {STR_INIT("history"), OWN_CLINICAL},      {STR_INIT("technique"), OWN_TECHNIQUE},
};
/* A line that begins so ends the report's text, colon or not. */
static const struct str signatures[] = {
    STR_INIT("dictated by"),
    STR_INIT("electronically signed"),
    STR_INIT("i personally reviewed"),
    STR_INIT("i have personally"),
    STR_INIT("i, the attending"),
    STR_INIT("signed by"),
    STR_INIT("approved by"),
    STR_INIT("transcribed by"),
    STR_INIT("attending physician"),
    STR_INIT("end of report"),
    STR_INIT("wet read"),
    STR_INIT("final addendum"),
    STR_INIT("this report was electronically"),
};

struct own_names {
    struct known *v;
    size_t n, cap;
    struct arena arena;
    uint64_t digest;
};

static bool find_known(const struct known *table, size_t n, struct str name, enum own_kind *out)
{
    for (size_t i = 0; name.n > 0 && i < n; i++) {
        /* Nearly all differ in length or first letter; this is asked of every header line. */
        if (name.n == table[i].name.n && name.p[0] == table[i].name.p[0] &&
            str_eq(name, table[i].name)) {
            *out = table[i].kind;
            return true;
        }
    }
    return false;
}

/* As ctype.h has them in the C locale, without its look at the locale for every byte. */
static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_edge(char c)
{
    return is_space(c) || (ispunct((unsigned char)c) && c != '(' && c != ')');
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* The lower case of the character at raw.p[*i], which is moved on; bytes written. */
static size_t put_lower(struct str raw, size_t *i, char *to)
{
    size_t len, n;

    if ((uint8_t)raw.p[*i] < 0x80) {
        *to = lower(raw.p[(*i)++]);
        return 1;
    }
    n = utf8_encode(utf8_lower(utf8_decode(str_sub(raw, *i, raw.n), &len)), to);
    *i += len;
    return n;
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
    for (size_t i = 0; i < raw.n;) {
        if (is_space(raw.p[i])) {
            blank = true;
            i++;
            continue;
        }
        if (n + 5 > MAX_NAME) return false;
        if (blank) buf[n++] = ' ';
        blank = false;
        n += put_lower(raw, &i, buf + n);
    }
    *out = (struct str){buf, n};
    return n > 0;
}

static bool put_name(struct own_names *n, const char *text, enum own_kind kind, struct err *e)
{
    char buf[MAX_NAME];
    struct known k = {.kind = kind};
    struct str name;
    uint64_t code = (uint64_t)kind;

    if (!str_is_utf8(str_of(text)) || !fold(str_of(text), buf, &name))
        return err_set(e, ERR_CONFIG, "headers: \"%s\" is empty or longer than %d bytes", text,
                       MAX_NAME - 5);
    if (!arena_str(&n->arena, name, &k.name, e)) return false;
    if (!mem_grow((void **)&n->v, &n->cap, n->n + 1, sizeof *n->v, e)) return false;
    n->v[n->n++] = k;
    n->digest = hash_xxh64(&code, sizeof code, hash_xxh64(k.name.p, k.name.n, n->digest));
    return true;
}

bool own_names_open(const struct ingest_headers *o, struct own_names **out, struct err *e)
{
    static const enum own_kind kinds[HEADER_COUNT] = {
        OWN_FINDINGS,  OWN_IMPRESSION, OWN_CLINICAL, OWN_EXAMINATION,
        OWN_TECHNIQUE, OWN_COMPARISON, OWN_TAIL};
    struct own_names *n = NULL;
    size_t total = 0;

    *out = NULL;
    for (size_t i = 0; i < HEADER_COUNT; i++)
        total += o->name[i].n;
    if (total == 0) return true;
    n = mem_calloc(1, sizeof *n, e);
    if (!n) return false;
    arena_init(&n->arena, NAMES_BYTES);
    n->digest = 1;
    for (size_t i = 0; i < HEADER_COUNT; i++) {
        for (size_t k = 0; k < o->name[i].n; k++) {
            if (put_name(n, o->name[i].v[k], kinds[i], e)) continue;
            own_names_close(n);
            return false;
        }
    }
    *out = n;
    return true;
}

uint64_t own_names_digest(const struct own_names *n)
{
    return n ? n->digest : 0;
}

void own_names_close(struct own_names *n)
{
    if (!n) return;
    mem_free(n->v);
    arena_free(&n->arena);
    mem_free(n);
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

/* By the site's names and the tables alone: any letter case. */
static enum own_kind kind_by_table(const struct own_names *site, struct str name)
{
    enum own_kind kind;
    struct str official;

    if (site && find_known(site->v, site->n, name, &kind)) return kind;
    if (name.n >= 17 && has(name, "finding") && has(name, "impression")) return OWN_COMBINED;
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
        {STR_INIT("findings"), OWN_FINDINGS},     {STR_INIT("impression"), OWN_IMPRESSION},
        {STR_INIT("conclusion"), OWN_IMPRESSION}, {STR_INIT("comparison"), OWN_COMPARISON},
        {STR_INIT("indication"), OWN_CLINICAL},   {STR_INIT("examination"), OWN_EXAMINATION},
        {STR_INIT("technique"), OWN_TECHNIQUE},
    };

    for (size_t i = 0; name.n >= 7 && i < COUNT(likely); i++) {
        if (str_distance(name, likely[i].name) <= 2) return likely[i].kind;
    }
    return OWN_NONE;
}

static enum own_kind kind_of(const struct own_names *site, struct str name, bool capitals)
{
    enum own_kind kind = kind_by_table(site, name);

    if (kind != OWN_NONE || !capitals) return kind;
    kind = kind_by_likeness(name);
    if (kind != OWN_NONE) return kind;
    for (size_t i = 0; i < COUNT(words); i++) {
        if (str_find(name, words[i].name, 0) != SIZE_MAX) return words[i].kind;
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

static bool is_signature(struct str line)
{
    char first = lower(line.p[0]);

    for (size_t i = 0; i < COUNT(signatures); i++) {
        struct str s = signatures[i];
        if (s.p[0] == first && line.n >= s.n && strncasecmp(line.p, s.p, s.n) == 0) return true;
    }
    return false;
}

/* Lines that mean something without a colon; line is not empty. */
static enum own_kind kind_of_line(const struct own_names *site, struct str line)
{
    char buf[MAX_NAME];
    struct str name;
    enum own_kind kind;

    if (is_signature(line)) return OWN_TAIL;
    if (!site && !in_capitals(line)) return OWN_NONE; /* nearly every line of prose */
    if (line.n >= MAX_NAME - 2 || !fold(line, buf, &name)) return OWN_NONE;
    if (site && find_known(site->v, site->n, name, &kind)) return kind;
    if (!in_capitals(line)) return OWN_NONE;
    if (str_eqz(name, "final report")) return OWN_TITLE;
    kind = kind_by_table(site, name);
    /* "CHEST" or "COMMENT" alone is a title, not a section. */
    return kind == OWN_OTHER ? OWN_NONE : kind;
}

/* The colon of "FELL AT 12:30" names nothing. */
static bool in_a_time(struct str line, size_t colon)
{
    return colon > 0 && colon + 1 < line.n && isdigit((unsigned char)line.p[colon - 1]) &&
           isdigit((unsigned char)line.p[colon + 1]);
}

struct own_header own_header_at_start(const struct own_names *site, struct str line)
{
    struct own_header h = {OWN_NONE, 0, 0};
    struct str content = str_trim(line), name;
    char buf[MAX_NAME];
    const char *colon;

    if (content.n > 0 && (uint8_t)content.p[0] >= 0x80) content = clean_strip(line);
    if (content.n == 0) return h;
    h.begin = (size_t)(content.p - line.p);
    h.text = h.begin + content.n;
    if (is_rule(content)) {
        h.kind = OWN_BREAK;
        return h;
    }
    colon = memchr(content.p, ':', content.n < MAX_NAME ? content.n : MAX_NAME);
    if (colon && !in_a_time(content, (size_t)(colon - content.p)) &&
        fold(str_sub(content, 0, (size_t)(colon - content.p)), buf, &name)) {
        bool capitals = in_capitals(str_sub(content, 0, (size_t)(colon - content.p)));
        h.kind = kind_of(site, name, capitals);
        h.text = h.begin + (size_t)(colon - content.p) + 1;
    }
    if (h.kind == OWN_NONE) {
        h.kind = kind_of_line(site, content);
        h.text = h.begin + (h.kind == OWN_TAIL ? 0 : content.n);
    }
    return h;
}

static bool is_letter(char c)
{
    return c >= 'A' && c <= 'Z';
}

static bool is_name_char(char c)
{
    return is_letter(c) || (c && strchr(" ()/,-", c));
}

/* Only after the end of a sentence or item can a lost line break be believed. */
static bool ends_sentence(struct str before)
{
    before = str_trim(before);
    return before.n == 0 || strchr(".,;:!?)_*-", before.p[before.n - 1]);
}

/* The header whose colon stands at `colon`, if there is one; it begins at or after `from`. */
static struct own_header header_before(const struct own_names *site, struct str line, size_t from,
                                       size_t colon)
{
    struct own_header h = {OWN_NONE, colon, colon + 1};
    char buf[MAX_NAME];
    struct str name;

    while (h.begin > from && is_name_char(line.p[h.begin - 1]))
        h.begin--;
    /* ", IMPRESSION": the comma belongs to what stands before. */
    while (h.begin < colon && !is_letter(line.p[h.begin]))
        h.begin++;
    name = str_sub(line, h.begin, colon);
    if (!in_capitals(name) || !ends_sentence(str_sub(line, 0, h.begin))) return h;
    if (fold(name, buf, &name)) h.kind = kind_by_table(site, name);
    if (h.kind < OWN_FINDINGS || h.kind > OWN_COMPARISON) h.kind = OWN_NONE;
    return h;
}

struct own_header own_header_within(const struct own_names *site, struct str line, size_t from)
{
    while (from < line.n) {
        const char *colon = memchr(line.p + from, ':', line.n - from);
        struct own_header h;
        if (!colon) break;
        h = header_before(site, line, from, (size_t)(colon - line.p));
        if (h.kind != OWN_NONE) return h;
        from = h.text;
    }
    return (struct own_header){OWN_NONE, line.n, line.n};
}
