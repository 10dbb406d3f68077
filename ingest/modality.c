#include "ingest/modality.h"

#include <ctype.h>
#include <stdlib.h>

#include "base/mem.h"
#include "ingest/csv_list.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
enum { HEAD_BYTES = 400 };

/* ---- words */
struct phrase {
    const char *words; /* lower case, one blank between */
    enum record_modality code;
    bool capitals; /* only as written in capitals: "us", "mr" are words of their own */
};
static const struct phrase phrases[] = {
    {"pet", MOD_PT, false},
    {"pet ct", MOD_PT, false},
    {"positron emission", MOD_PT, false},
    {"fdg", MOD_PT, false},
    {"pt ct", MOD_PT, true},
    {"mammogram", MOD_MG, false},
    {"mammograms", MOD_MG, false},
    {"mammography", MOD_MG, false},
    {"mammographic", MOD_MG, false},
    {"mammo", MOD_MG, false},
    {"tomosynthesis", MOD_MG, false},
    {"spect", MOD_NM, false},
    {"nuclear", MOD_NM, false},
    {"scintigraphy", MOD_NM, false},
    {"scintigram", MOD_NM, false},
    {"lymphoscintigraphy", MOD_NM, false},
    {"radionuclide", MOD_NM, false},
    {"bone scan", MOD_NM, false},
    {"hida", MOD_NM, false},
    {"hepatobiliary scan", MOD_NM, false},
    {"ventilation perfusion", MOD_NM, false},
    {"lung scan", MOD_NM, false},
    {"thallium", MOD_NM, false},
    {"technetium", MOD_NM, false},
    {"tc 99m", MOD_NM, false},
    {"tc99m", MOD_NM, false},
    {"sestamibi", MOD_NM, false},
    {"myocardial perfusion", MOD_NM, false},
    {"perfusion scan", MOD_NM, false},
    {"perfusion study", MOD_NM, false},
    {"cardiolite", MOD_NM, false},
    {"myoview", MOD_NM, false},
    {"tetrofosmin", MOD_NM, false},
    {"muga", MOD_NM, false},
    {"nm", MOD_NM, true},
    {"ct", MOD_CT, false},
    {"cta", MOD_CT, false},
    {"ccta", MOD_CT, false},
    {"hrct", MOD_CT, false},
    {"cat scan", MOD_CT, false},
    {"computed tomography", MOD_CT, false},
    {"computed tomographic", MOD_CT, false},
    {"computerized tomography", MOD_CT, false},
    {"computerized tomographic", MOD_CT, false},
    {"mri", MOD_MR, false},
    {"mra", MOD_MR, false},
    {"mrv", MOD_MR, false},
    {"mrcp", MOD_MR, false},
    {"mr", MOD_MR, true},
    {"magnetic resonance", MOD_MR, false},
    {"angiogram", MOD_XA, false},
    {"angiography", MOD_XA, false},
    {"arteriogram", MOD_XA, false},
    {"arteriograms", MOD_XA, false},
    {"angiograms", MOD_XA, false},
    {"arteriography", MOD_XA, false},
    {"aortogram", MOD_XA, false},
    {"venogram", MOD_XA, false},
    {"venography", MOD_XA, false},
    {"catheterization", MOD_XA, false},
    {"embolization", MOD_XA, false},
    {"fluoroscopy", MOD_RF, false},
    {"fluoroscopic", MOD_RF, false},
    {"videofluoroscopic", MOD_RF, false},
    {"barium", MOD_RF, false},
    {"esophagram", MOD_RF, false},
    {"esophagogram", MOD_RF, false},
    {"upper gi", MOD_RF, false},
    {"small bowel follow through", MOD_RF, false},
    {"cystogram", MOD_RF, false},
    {"cystourethrogram", MOD_RF, false},
    {"vcug", MOD_RF, false},
    {"hysterosalpingogram", MOD_RF, false},
    {"urogram", MOD_RF, false},
    {"pyelogram", MOD_RF, false},
    {"ivp", MOD_RF, false},
    {"arthrogram", MOD_RF, false},
    {"discogram", MOD_RF, false},
    {"myelogram", MOD_RF, false},
    {"swallow study", MOD_RF, false},
    {"ultrasound", MOD_US, false},
    {"ultrasonography", MOD_US, false},
    {"ultrasonographic", MOD_US, false},
    {"sonogram", MOD_US, false},
    {"sonography", MOD_US, false},
    {"sonographic", MOD_US, false},
    {"doppler", MOD_US, false},
    {"duplex", MOD_US, false},
    {"echocardiogram", MOD_US, false},
    {"echocardiography", MOD_US, false},
    {"echocardiographic", MOD_US, false},
    {"biophysical profile", MOD_US, false},
    {"transvaginal", MOD_US, false},
    {"us", MOD_US, true},
    {"x ray", MOD_CR, false},
    {"x rays", MOD_CR, false},
    {"xray", MOD_CR, false},
    {"xrays", MOD_CR, false},
    {"xr", MOD_CR, true},
    {"cr", MOD_CR, true},
    {"dx", MOD_CR, true},
    {"cxr", MOD_CR, false},
    {"kub", MOD_CR, false},
    {"radiograph", MOD_CR, false},
    {"radiographs", MOD_CR, false},
    {"radiographic", MOD_CR, false},
    {"radiography", MOD_CR, false},
    {"plain film", MOD_CR, false},
    {"plain films", MOD_CR, false},
    {"pa and lateral", MOD_CR, false},
    {"ap and lateral", MOD_CR, false},
    {"frontal and lateral", MOD_CR, false},
    {"ap view", MOD_CR, false},
    {"pa view", MOD_CR, false},
    {"two views", MOD_CR, false},
    {"three views", MOD_CR, false},
    {"three view", MOD_CR, false},
    {"two view", MOD_CR, false},
    {"2 views", MOD_CR, false},
    {"3 views", MOD_CR, false},
    {"4 views", MOD_CR, false},
    {"four views", MOD_CR, false},
    {"five views", MOD_CR, false},
    {"1 view", MOD_CR, false},
    {"one view", MOD_CR, false},
    {"single view", MOD_CR, false},
    {"frontal view", MOD_CR, false},
    {"lateral view", MOD_CR, false},
    {"pa lateral", MOD_CR, false},
    {"ap lateral", MOD_CR, false},
    {"pa lat", MOD_CR, false},
    {"ap lat", MOD_CR, false},
    {"pa and lat", MOD_CR, false},
    {"ap and lat", MOD_CR, false},
    {"radiologic exam", MOD_CR, false},
    {"portable chest", MOD_CR, false},
    {"foot series", MOD_CR, false},
    {"hand series", MOD_CR, false},
    {"knee series", MOD_CR, false},
    {"spine series", MOD_CR, false},
    {"abdominal series", MOD_CR, false},
    {"stress test", MOD_OT, false},
    {"nerve conduction", MOD_OT, false},
    {"emg", MOD_OT, false},
    {"electrodiagnostic", MOD_OT, false},
    {"eeg", MOD_OT, false},
    {"radiotherapy", MOD_OT, false},
    {"chemoradiotherapy", MOD_OT, false},
    {"brachytherapy", MOD_OT, false},
    {"radiation therapy", MOD_OT, false},
    {"bone densitometry", MOD_OT, false},
    {"bone density", MOD_OT, false},
    {"dexa", MOD_OT, false},
};

/* What names an X-ray in the name of an examination, where nothing else is named. In running text
 * these words mean less. */
static const struct phrase views[] = {
    {"and lateral", MOD_CR, false},
    {"lateral chest", MOD_CR, false},
    {"frontal lateral", MOD_CR, false},
    {"ap chest", MOD_CR, false},
    {"pa chest", MOD_CR, false},
    {"chest ap", MOD_CR, false},
    {"chest pa", MOD_CR, false},
    {"lateral views", MOD_CR, false},
    {"pa views", MOD_CR, false},
    {"ap views", MOD_CR, false},
    {"2 view", MOD_CR, false},
    {"3 view", MOD_CR, false},
    {"4 view", MOD_CR, false},
    {"5 view", MOD_CR, false},
    {"1v", MOD_CR, false},
    {"2v", MOD_CR, false},
    {"3v", MOD_CR, false},
    {"4v", MOD_CR, false},
    {"1vw", MOD_CR, false},
    {"2vw", MOD_CR, false},
    {"3vw", MOD_CR, false},
    {"4vw", MOD_CR, false},
    {"x xxxx", MOD_CR, false}, /* "x-ray" as de-identification leaves it */
};
/* An examination that begins so is of these views; what follows is what it was compared with. */
static const struct phrase pairs_of_views[] = {
    {"pa and lateral", MOD_CR, false},
    {"ap and lateral", MOD_CR, false},
    {"frontal and lateral", MOD_CR, false},
};

/* What only one kind of image is described by. These are looked for in the whole text, findings
 * too: they name no other examination. */
static const struct phrase signs[] = {
    {"t1", MOD_MR, false},
    {"t2", MOD_MR, false},
    {"t1 weighted", MOD_MR, false},
    {"t2 weighted", MOD_MR, false},
    {"weighted images", MOD_MR, false},
    {"flair", MOD_MR, false},
    {"stir", MOD_MR, true},
    {"signal intensity", MOD_MR, false},
    {"signal", MOD_MR, false},
    {"gadolinium", MOD_MR, false},
    {"marrow edema", MOD_MR, false},
    {"meniscus", MOD_MR, false},
    {"hounsfield", MOD_CT, false},
    {"axial scans", MOD_CT, false},
    {"axial images", MOD_CT, false},
    {"hypodensity", MOD_CT, false},
    {"hypodense", MOD_CT, false},
    {"attenuation", MOD_CT, false},
    {"calcium score", MOD_CT, false},
    {"reformatted", MOD_CT, false},
    {"coronal reconstructions", MOD_CT, false},
    {"echogenic", MOD_US, false},
    {"echogenicity", MOD_US, false},
    {"hypoechoic", MOD_US, false},
    {"hyperechoic", MOD_US, false},
    {"anechoic", MOD_US, false},
    {"fetal heart", MOD_US, false},
    {"fetal cardiac", MOD_US, false},
    {"fetal", MOD_US, false},
    {"gestational sac", MOD_US, false},
    {"gestational age", MOD_US, false},
    {"gestational", MOD_US, false},
    {"crown rump", MOD_US, false},
    {"biparietal", MOD_US, false},
    {"systolic velocity", MOD_US, false},
    {"compressibility", MOD_US, false},
    {"mitral regurgitation", MOD_US, false},
    {"tricuspid regurgitation", MOD_US, false},
    {"mci", MOD_NM, false},
    {"radiotracer", MOD_NM, false},
    {"tracer", MOD_NM, false},
    {"isotope", MOD_NM, false},
    {"uptake", MOD_NM, false},
    {"perfusion defect", MOD_NM, false},
    {"swimmer", MOD_CR, false},
    {"odontoid view", MOD_CR, false},
    {"oblique views", MOD_CR, false},
    {"cardiomediastinal", MOD_CR, false},
    {"costophrenic", MOD_CR, false},
    {"hyperexpanded", MOD_CR, false},
    {"microcalcifications", MOD_MG, false},
    {"bi rads", MOD_MG, false},
    {"nerve conduction", MOD_OT, false},
    {"motor unit", MOD_OT, false},
    {"motor nerve", MOD_OT, false},
    {"sensory nerve", MOD_OT, false},
    {"emg", MOD_OT, false},
    {"needle", MOD_OT, false},
};

struct token {
    char text[24]; /* lower case; longer words are cut, none of ours is so long */
    bool capitals;
    bool stop; /* a full stop follows: "MR. SMITH" */
};

/* ASCII only: a byte of a longer character parts words. */
static bool is_word(char c)
{
    return isalnum((unsigned char)c) != 0;
}

static char lower(char c)
{
    return (char)tolower((unsigned char)c);
}

static bool is_mark(struct str s, size_t i)
{
    return i + 1 < s.n && s.p[i] == '_' && s.p[i + 1] == '_';
}

/* Next word of letters and digits at or after *at; a de-identification mark is the word "xxxx". */
static bool next_token(struct str s, size_t *at, struct token *t)
{
    size_t n = 0, i = *at;

    while (i < s.n && !is_word(s.p[i]) && !is_mark(s, i))
        i++;
    if (is_mark(s, i)) {
        while (i < s.n && s.p[i] == '_')
            i++;
        *t = (struct token){.text = "xxxx"};
        *at = i;
        return true;
    }
    t->capitals = true;
    for (; i < s.n && is_word(s.p[i]); i++) {
        if (s.p[i] >= 'a' && s.p[i] <= 'z') t->capitals = false;
        if (n + 1 < sizeof t->text) t->text[n++] = lower(s.p[i]);
    }
    t->text[n] = 0;
    t->stop = i < s.n && s.p[i] == '.';
    *at = i;
    return n > 0;
}

/* Does the phrase's rest (behind its first word) follow at `at`? */
static bool rest_follows(struct str s, size_t at, const char *words)
{
    const char *rest = strchr(words, ' ');
    struct token t;

    while (rest) {
        const char *word = rest + 1;
        size_t n = strcspn(word, " ");
        if (!next_token(s, &at, &t)) return false;
        if (strlen(t.text) != n || strncmp(t.text, word, n) != 0) return false;
        rest = strchr(word, ' ');
    }
    return true;
}

static bool matches(struct str s, size_t behind, const struct token *t, const struct phrase *p)
{
    size_t n;

    if (t->text[0] != p->words[0]) return false; /* most end here */
    n = strcspn(p->words, " ");
    if (strlen(t->text) != n || strncmp(t->text, p->words, n) != 0) return false;
    if (p->capitals && (!t->capitals || t->stop)) return false;
    return rest_follows(s, behind, p->words);
}

static void count_hits(struct str text, const struct phrase *table, size_t n,
                       size_t hits[MOD_COUNT])
{
    struct token t;

    memset(hits, 0, MOD_COUNT * sizeof *hits);
    for (size_t at = 0; next_token(text, &at, &t);) {
        for (size_t i = 0; i < n; i++)
            hits[table[i].code] += matches(text, at, &t, &table[i]);
    }
}

enum record_modality modality_by_words(struct str text)
{
    /* A guided procedure or a combined examination is what stands first here. */
    static const enum record_modality order[] = {MOD_PT, MOD_MG, MOD_NM, MOD_CT, MOD_MR,
                                                 MOD_XA, MOD_RF, MOD_US, MOD_OT, MOD_CR};
    size_t hits[MOD_COUNT];

    count_hits(text, phrases, COUNT(phrases), hits);
    for (size_t i = 0; i < COUNT(order); i++) {
        if (hits[order[i]] > 0) return order[i];
    }
    return MOD_UNKNOWN;
}

/* Up to where the name of an examination goes on to say what it was compared with. */
static struct str without_comparison(struct str text)
{
    struct token t;

    for (size_t at = 0; next_token(text, &at, &t);) {
        if (strncmp(t.text, "compar", 6) == 0) return str_sub(text, 0, at - strlen(t.text));
    }
    return text;
}

/* Where the first of the phrases begins, or SIZE_MAX. */
static size_t find_phrase(struct str text, const struct phrase *table, size_t n)
{
    struct token t;

    for (size_t at = 0; next_token(text, &at, &t);) {
        for (size_t i = 0; i < n; i++) {
            if (matches(text, at, &t, &table[i])) return at - strlen(t.text);
        }
    }
    return SIZE_MAX;
}

enum record_modality modality_by_name(struct str name)
{
    enum record_modality code;
    size_t pair;

    name = without_comparison(name);
    pair = find_phrase(name, pairs_of_views, COUNT(pairs_of_views));
    if (pair != SIZE_MAX && modality_by_words(str_sub(name, 0, pair)) == MOD_UNKNOWN) return MOD_CR;
    code = modality_by_words(name);
    if (code == MOD_UNKNOWN && find_phrase(name, views, COUNT(views)) != SIZE_MAX) return MOD_CR;
    return code;
}

enum record_modality modality_by_signs(struct str text)
{
    size_t hits[MOD_COUNT], best = 1, second = 0;

    count_hits(text, signs, COUNT(signs), hits);
    for (size_t i = 2; i < MOD_COUNT; i++) {
        if (hits[i] > hits[best]) best = i;
    }
    for (size_t i = 1; i < MOD_COUNT; i++) {
        if (i != best && hits[i] > second) second = hits[i];
    }
    /* One word may be chance; a quarrel of words is no answer. */
    return hits[best] >= 2 && hits[best] >= 2 * second ? (enum record_modality)best : MOD_UNKNOWN;
}

size_t modality_head(struct str text, const struct record_span section[SEC_COUNT])
{
    static const enum record_section others[] = {SEC_FINDINGS, SEC_COMPARISON, SEC_IMPRESSION};
    size_t head = text.n < HEAD_BYTES ? text.n : HEAD_BYTES;

    for (size_t i = 0; i < COUNT(others); i++) {
        struct record_span s = section[others[i]];
        if (s.length > 0 && s.offset < head) head = s.offset;
    }
    return head;
}

/* ---- procedure codes */
/* Families of CPT codes; the first range that holds the code decides. */
static const struct {
    uint32_t first, last;
    enum record_modality code;
} cpt[] = {
    {70010, 70015, MOD_RF}, {70336, 70336, MOD_MR}, {70450, 70498, MOD_CT}, {70540, 70559, MOD_MR},
    {71250, 71275, MOD_CT}, {71550, 71555, MOD_MR}, {72125, 72133, MOD_CT}, {72141, 72159, MOD_MR},
    {72191, 72194, MOD_CT}, {72195, 72198, MOD_MR}, {73200, 73206, MOD_CT}, {73218, 73225, MOD_MR},
    {73700, 73706, MOD_CT}, {73718, 73725, MOD_MR}, {74150, 74178, MOD_CT}, {74181, 74185, MOD_MR},
    {74210, 74283, MOD_RF}, {74261, 74263, MOD_CT}, {74400, 74485, MOD_RF}, {74712, 74713, MOD_MR},
    {75557, 75565, MOD_MR}, {75571, 75574, MOD_CT}, {75635, 75635, MOD_CT}, {75600, 75989, MOD_XA},
    {76000, 76001, MOD_RF}, {76380, 76380, MOD_CT}, {76390, 76391, MOD_MR}, {76506, 76999, MOD_US},
    {77001, 77003, MOD_RF}, {77011, 77014, MOD_CT}, {77021, 77022, MOD_MR}, {77046, 77049, MOD_MR},
    {77051, 77067, MOD_MG}, {77078, 77086, MOD_OT}, {78459, 78459, MOD_PT}, {78491, 78492, MOD_PT},
    {78608, 78609, MOD_PT}, {78811, 78816, MOD_PT}, {78012, 78999, MOD_NM}, {93880, 93998, MOD_US},
    {70030, 77077, MOD_CR},
};

enum record_modality modality_by_code(struct str code)
{
    struct err ignored = {0};
    uint64_t n;

    code = str_trim(code);
    if (code.n > 5 && code.p[5] != '-') return MOD_UNKNOWN; /* "71046-26": a modifier */
    if (code.n < 5 || !parse_u64(str_sub(code, 0, 5), &n, &ignored)) return MOD_UNKNOWN;
    for (size_t i = 0; i < COUNT(cpt); i++) {
        if (n >= cpt[i].first && n <= cpt[i].last) return cpt[i].code;
    }
    return MOD_UNKNOWN;
}

/* ---- the site's codes */
enum { MAX_MAP_BYTES = 64 << 20 };

struct site_code {
    struct str code;
    enum record_modality modality;
};
struct modality_map {
    struct site_code *v;
    size_t n, cap;
    struct arena arena;
    uint8_t digest[32];
};

static bool put_code(void *ctx, const struct str *cells, uint64_t line, struct err *e)
{
    struct modality_map *m = ctx;
    struct site_code c;
    int code = record_modality_of(cells[1]);

    (void)line;
    if (code < 0)
        return err_set(e, ERR_FORMAT, "no modality (CR, CT, MR, US, NM, PT, XA, MG, RF, OT)");
    c.modality = (enum record_modality)code;
    if (!arena_str(&m->arena, cells[0], &c.code, e)) return false;
    if (!mem_grow((void **)&m->v, &m->cap, m->n + 1, sizeof *m->v, e)) return false;
    m->v[m->n++] = c;
    return true;
}

static int compare_codes(const void *a, const void *b)
{
    const struct site_code *x = a, *y = b;
    return str_cmp(x->code, y->code);
}

bool modality_map_open(const char *path, struct modality_map **out, struct err *e)
{
    static const struct csv_list_column columns[] = {{"code", NULL, false},
                                                     {"modality", NULL, false}};
    struct modality_map *m = mem_calloc(1, sizeof *m, e);

    *out = NULL;
    if (!m) return false;
    arena_init(&m->arena, MAX_MAP_BYTES);
    if (!sha256_file(path, m->digest, e) || !csv_list_read(path, columns, 2, put_code, m, e)) {
        modality_map_close(m);
        return false;
    }
    if (m->n) qsort(m->v, m->n, sizeof *m->v, compare_codes);
    *out = m;
    return true;
}

void modality_map_digest(const struct modality_map *m, uint8_t out[32])
{
    memcpy(out, m->digest, 32);
}

void modality_map_close(struct modality_map *m)
{
    if (!m) return;
    mem_free(m->v);
    arena_free(&m->arena);
    mem_free(m);
}

static enum record_modality by_site(const struct modality_map *m, struct str code)
{
    struct site_code key = {str_trim(code), MOD_UNKNOWN}, *hit = NULL;

    if (m && key.code.n > 0) hit = bsearch(&key, m->v, m->n, sizeof *m->v, compare_codes);
    return hit ? hit->modality : MOD_UNKNOWN;
}

/* ---- which words it was */
struct marks {
    struct record_span *v;
    size_t n, max;
};

/* End of the phrase that matches; `at` is behind its first word. */
static size_t phrase_end(struct str s, size_t at, const char *words)
{
    struct token t;

    for (const char *p = words; (p = strchr(p, ' ')) && next_token(s, &at, &t); p++)
        ;
    return at;
}

/* All words of `part`, which begins at `base` of the text, that stand for this modality. */
static void mark_part(struct str part, size_t base, const struct phrase *table, size_t n,
                      enum record_modality code, struct marks *m)
{
    struct token t;

    for (size_t at = 0; m->n < m->max && next_token(part, &at, &t);) {
        size_t end = 0, begin = at - strlen(t.text);
        for (size_t i = 0; i < n; i++) {
            size_t e = table[i].code == code && matches(part, at, &t, &table[i])
                           ? phrase_end(part, at, table[i].words)
                           : 0;
            if (e > end) end = e;
        }
        if (end == 0) continue;
        m->v[m->n++] = (struct record_span){(uint32_t)(base + begin), (uint32_t)(end - begin)};
        at = end;
    }
}

static void mark_name(struct str name, size_t base, enum record_modality code, struct marks *m)
{
    name = without_comparison(name);
    if (modality_by_name(name) != code) return;
    mark_part(name, base, phrases, COUNT(phrases), code, m);
    if (m->n == 0) mark_part(name, base, pairs_of_views, COUNT(pairs_of_views), code, m);
    if (m->n == 0) mark_part(name, base, views, COUNT(views), code, m);
}

size_t modality_marks(const struct record *r, struct record_span *out, size_t max)
{
    const struct record_span *s = r->section;
    struct marks m = {out, 0, max};
    enum record_modality code = (enum record_modality)r->modality;
    struct str part[2];

    if (r->origin != ORIGIN_TEXT && r->origin != ORIGIN_DESCRIPTION) return 0;
    for (size_t i = 0; i < 2; i++) {
        const struct record_span *at = &s[i ? SEC_TECHNIQUE : SEC_EXAMINATION];
        part[i] = str_sub(r->text, at->offset, at->offset + at->length);
    }
    mark_name(part[0], s[SEC_EXAMINATION].offset, code, &m);
    if (m.n > 0 || r->origin == ORIGIN_DESCRIPTION) return m.n;
    mark_part(part[1], s[SEC_TECHNIQUE].offset, phrases, COUNT(phrases), code, &m);
    if (m.n > 0) return m.n;
    mark_part(str_sub(r->text, 0, modality_head(r->text, s)), 0, phrases, COUNT(phrases), code, &m);
    if (m.n == 0) mark_part(r->text, 0, signs, COUNT(signs), code, &m);
    return m.n;
}

/* ---- all of it */
struct modality_answer modality_of(const struct modality_map *map, const struct modality_input *in)
{
    struct modality_answer a = {by_site(map, in->code), ORIGIN_SITE};
    int column;

    if (a.code != MOD_UNKNOWN) return a;
    column = in->column.n ? record_modality_of(in->column) : -1;
    if (column > MOD_UNKNOWN)
        return (struct modality_answer){(enum record_modality)column, ORIGIN_COLUMN};
    a = (struct modality_answer){modality_by_code(in->code), ORIGIN_CODE};
    if (a.code != MOD_UNKNOWN) return a;
    a = (struct modality_answer){modality_by_name(in->description), ORIGIN_DESCRIPTION};
    if (a.code != MOD_UNKNOWN) return a;
    /* Who configured the source knows better than its text. */
    if (in->fallback != MOD_UNKNOWN) return (struct modality_answer){in->fallback, ORIGIN_SOURCE};
    a = (struct modality_answer){modality_by_name(in->examination), ORIGIN_TEXT};
    if (a.code == MOD_UNKNOWN) a.code = modality_by_words(in->technique);
    if (a.code == MOD_UNKNOWN) a.code = modality_by_words(in->head);
    if (a.code == MOD_UNKNOWN) a.code = modality_by_signs(in->text);
    if (a.code == MOD_UNKNOWN) a.origin = ORIGIN_NONE;
    return a;
}
