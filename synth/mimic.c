#include "synth/mimic.h"

enum { LINE_MAX_COLUMNS = 79 };

const uint16_t mimic_rates[MIMIC_TRAITS] = {
    [MIMIC_VIEW_HEADER] = 400, [MIMIC_TYPO] = 60,          [MIMIC_CONCLUSION] = 80,
    [MIMIC_UNHEADED] = 500,    [MIMIC_NO_FINDINGS] = 500,  [MIMIC_NO_IMPRESSION] = 200,
    [MIMIC_COMBINED] = 120,    [MIMIC_LOWER_CASE] = 80,    [MIMIC_DIGITS] = 80,
    [MIMIC_PARAGRAPHS] = 60,   [MIMIC_TIGHT] = 60,         [MIMIC_ADJACENT] = 40,
    [MIMIC_NO_LEADING] = 60,   [MIMIC_WET_READ] = 120,     [MIMIC_ADDENDUM] = 80,
    [MIMIC_CRLF] = 80,         [MIMIC_UNICODE] = 120,      [MIMIC_TRAILING] = 100,
    [MIMIC_NO_NEWLINE] = 150,  [MIMIC_NOTIFICATION] = 250, [MIMIC_CENSORED] = 800,
    [MIMIC_NUMBERED] = 6500,
};

static const uint32_t losing =
    1u << MIMIC_UNHEADED | 1u << MIMIC_NO_FINDINGS | 1u << MIMIC_NO_IMPRESSION |
    1u << MIMIC_COMBINED | 1u << MIMIC_LOWER_CASE | 1u << MIMIC_DIGITS | 1u << MIMIC_PARAGRAPHS |
    1u << MIMIC_TIGHT | 1u << MIMIC_ADJACENT | 1u << MIMIC_NO_LEADING;

bool mimic_parses(uint32_t traits)
{
    return (traits & losing) == 0;
}

struct page {
    const struct story *s;
    struct gram_rng *rng;
    struct sbuf *out, *text; /* text: scratch */
    uint32_t traits;
    bool headed; /* the impression header stands already */
};

static bool has(const struct page *p, enum mimic_trait t)
{
    return p->traits >> t & 1;
}

static uint32_t draw_traits(const struct story *s, struct gram_rng *rng, double scale)
{
    double u = rng_unit(rng->key, rng->next++) * 10000;
    uint32_t traits = 0;

    for (int t = 0; t < MIMIC_LAYOUTS; t++) {
        u -= mimic_rates[t] * scale;
        if (u < 0) {
            traits = 1u << t;
            break;
        }
    }
    for (int t = MIMIC_LAYOUTS; t < MIMIC_TRAITS; t++) {
        bool numbered = t == MIMIC_NUMBERED;
        if (!gram_chance(rng, mimic_rates[t] * (numbered ? 1.0 : scale) / 10000)) continue;
        if (!numbered || s->nshown > 1) traits |= 1u << t;
    }
    return traits;
}

/* ---- lines */
/* Words of text behind what the line holds already; two blanks after a sentence. */
static bool put_wrapped(struct page *p, struct str text, size_t column, struct err *e)
{
    bool sentence = false, first = true;

    for (size_t at = 0; at < text.n;) {
        size_t end = str_find(text, STR(" "), at);
        if (end == SIZE_MAX) end = text.n;
        size_t gap = first ? 0 : sentence ? 2 : 1;
        if (!first && column + gap + (end - at) > LINE_MAX_COLUMNS) {
            if (!sbuf_put(p->out, STR("\n "), e)) return false;
            column = 1;
            gap = 0;
        }
        if (!sbuf_put(p->out, str_sub(STR("  "), 0, gap), e)) return false;
        if (!sbuf_put(p->out, str_sub(text, at, end), e)) return false;
        column += gap + (end - at);
        sentence = end > at && text.p[end - 1] == '.' && end - at > 2;
        first = false;
        at = end + 1;
    }
    return sbuf_putc(p->out, '\n', e);
}

static bool put_blank(struct page *p, struct err *e)
{
    return sbuf_put(p->out, STR(" \n"), e);
}

/* " NAME:  text" */
static bool put_inline(struct page *p, const char *name, struct str text, struct err *e)
{
    struct str n = str_of(name);

    if (!sbuf_putc(p->out, ' ', e) || !sbuf_put(p->out, n, e)) return false;
    if (!sbuf_put(p->out, STR(":  "), e)) return false;
    return put_wrapped(p, text, n.n + 4, e) && put_blank(p, e);
}

static bool put_paragraph(struct page *p, struct str text, struct err *e)
{
    return sbuf_putc(p->out, ' ', e) && put_wrapped(p, text, 1, e) && put_blank(p, e);
}

/* " NAME: ", a blank line, then the text on lines of its own. */
static bool put_header(struct page *p, const char *name, struct err *e)
{
    return sbuf_printf(p->out, e, " %s: \n", name) && put_blank(p, e);
}

/* ---- sections */
static bool put_front(struct page *p, struct err *e)
{
    static const char rule[] =
        " ____________________________________________________________________"
        "__________\n";

    if (has(p, MIMIC_WET_READ)) {
        unsigned hour = 1 + (unsigned)gram_below(p->rng, 12);
        unsigned minute = (unsigned)gram_below(p->rng, 60);
        const char *half = gram_chance(p->rng, 0.5) ? "AM" : "PM";
        if (!sbuf_printf(p->out, e, " WET READ: ___ ___ ___ %u:%02u %s\n", hour, minute, half))
            return false;
        if (gram_chance(p->rng, 0.3) && !sbuf_put(p->out, STR("  VERSION #1\n"), e)) return false;
        if (!sbuf_printf(p->out, e, "  No acute cardiopulmonary process.\n%s", rule)) return false;
    }
    if (has(p, MIMIC_ADDENDUM)) {
        if (!sbuf_put(p->out, STR("                                 FINAL ADDENDUM\n ADDENDUM:  "),
                      e))
            return false;
        struct str note =
            gram_pick(p->rng, "The findings were discussed with the referring team on "
                              "___.|Comparison is made with the outside study of ___, "
                              "which is unchanged.|The clinical history should read as "
                              "above.|Dictation error corrected.");
        if (!put_wrapped(p, note, 12, e) || !sbuf_printf(p->out, e, "%s", rule)) return false;
    }
    return sbuf_put(p->out, STR("                                 FINAL REPORT\n"), e);
}

static bool put_examination(struct page *p, struct err *e)
{
    static const char *const names[] = {"EXAMINATION", "EXAMINATION", "EXAM",
                                        "TYPE OF EXAMINATION"};

    if (gram_chance(p->rng, 0.25)) return true;
    return put_inline(p, names[gram_below(p->rng, 4)], sbuf_str(&p->s->description), e);
}

static bool put_indication(struct page *p, struct err *e)
{
    static const char *const names[] = {"INDICATION",           "INDICATION",
                                        "INDICATION",           "HISTORY",
                                        "CLINICAL INFORMATION", "REASON FOR EXAMINATION",
                                        "CLINICAL HISTORY"};
    struct str complaint = p->s->complaint;
    const char *who = gram_chance(p->rng, 0.5) ? "woman" : "man";
    const char *name = names[gram_below(p->rng, sizeof names / sizeof *names)];

    sbuf_clear(p->text);
    if (!sbuf_printf(p->text, e, "___ year old %s with %.*s", who, STR_ARG(complaint)))
        return false;
    if (gram_chance(p->rng, 0.4)) {
        struct str ask = gram_pick(p->rng, "eval for pneumonia|please evaluate|interval change|"
                                           "r/o acute process|eval for effusion");
        if (!sbuf_printf(p->text, e, "  // %.*s", STR_ARG(ask))) return false;
    } else if (!sbuf_putc(p->text, '.', e)) {
        return false;
    }
    return put_inline(p, name, sbuf_str(p->text), e);
}

static bool put_rest(struct page *p, struct err *e)
{
    struct str none = gram_pick(p->rng, "None.|None available.|___|___.");
    struct str prior = gram_pick(p->rng, "Chest radiograph from ___.|___.|Multiple prior chest "
                                         "radiographs, most recently of ___.|Chest CT of ___.");

    if (gram_chance(p->rng, 0.6) && !put_inline(p, "TECHNIQUE", sbuf_str(&p->s->technique), e))
        return false;
    return put_inline(p, gram_chance(p->rng, 0.9) ? "COMPARISON" : "COMPARISONS",
                      p->s->prior ? prior : none, e);
}

/* Findings with what this report's marks do to the words, in p->text. */
static bool mark_findings(struct page *p, struct err *e)
{
    struct str t = sbuf_str(&p->s->findings), odd = STR("");
    size_t nblanks = 0, censor = SIZE_MAX, strange = SIZE_MAX, word = 0;

    for (size_t i = 0; i < t.n; i++)
        nblanks += t.p[i] == ' ';
    if (nblanks && has(p, MIMIC_CENSORED)) censor = 1 + gram_below(p->rng, nblanks);
    if (nblanks && has(p, MIMIC_UNICODE)) {
        strange = 1 + gram_below(p->rng, nblanks);
        odd = gram_pick(p->rng, "\xc2\xa0|\xe2\x80\x83|\xe3\x80\x80|\xe2\x80\xaf| \xe2\x80\x93 |"
                                " \xe2\x80\x9c\xe2\x80\x9d |\xe2\x80\x8b \xc2\xb0|\xef\xbb\xbf ");
    }
    sbuf_clear(p->text);
    for (size_t i = 0; i < t.n; i++) {
        bool blank = t.p[i] == ' ';
        word += blank;
        if (blank && word == strange) {
            if (!sbuf_put(p->text, odd, e)) return false;
        } else if (!blank && word == censor && t.p[i] != '.' && t.p[i] != ',') {
            if (t.p[i - 1] == ' ' && !sbuf_put(p->text, STR("___"), e)) return false;
        } else if (!sbuf_putc(p->text, t.p[i], e)) {
            return false;
        }
    }
    return true;
}

static const char *findings_header(struct page *p)
{
    static const char *const views[] = {"CHEST, TWO VIEWS",
                                        "PA AND LATERAL VIEWS OF THE CHEST",
                                        "FRONTAL AND LATERAL CHEST RADIOGRAPH",
                                        "AP PORTABLE CHEST",
                                        "SINGLE PORTABLE VIEW OF THE CHEST",
                                        "CHEST, AP UPRIGHT"};
    static const char *const typos[] = {"FINDINS", "FINDNGS", "FINIDNGS", "FINDGINGS", "FINDING"};

    if (has(p, MIMIC_VIEW_HEADER)) return views[gram_below(p->rng, sizeof views / sizeof *views)];
    if (has(p, MIMIC_TYPO)) return typos[gram_below(p->rng, sizeof typos / sizeof *typos)];
    if (has(p, MIMIC_LOWER_CASE)) return "Findings";
    if (has(p, MIMIC_DIGITS)) return gram_chance(p->rng, 0.5) ? "CHEST, 2 VIEWS" : "CHEST 1 VIEW";
    return "FINDINGS";
}

static bool put_findings(struct page *p, struct err *e)
{
    if (has(p, MIMIC_NO_FINDINGS)) return true;
    if (!mark_findings(p, e)) return false;
    struct str text = sbuf_str(p->text);
    if (has(p, MIMIC_UNHEADED) || has(p, MIMIC_PARAGRAPHS)) return put_paragraph(p, text, e);
    if (has(p, MIMIC_TIGHT))
        return sbuf_put(p->out, STR(" FINDINGS:"), e) && put_wrapped(p, text, 10, e) &&
               put_blank(p, e);
    if (has(p, MIMIC_ADJACENT)) {
        p->headed = true; /* the findings themselves stand in front of both */
        return put_paragraph(p, text, e) && sbuf_put(p->out, STR(" FINDINGS:\n IMPRESSION: \n"), e);
    }
    if (has(p, MIMIC_COMBINED)) {
        static const char *const both[] = {"FINDINGS AND IMPRESSION", "FINDINGS/IMPRESSION",
                                           "FINDINGS/ IMPRESSION"};
        p->headed = true;
        return put_header(p, both[gram_below(p->rng, 3)], e) && put_paragraph(p, text, e);
    }
    if (gram_chance(p->rng, 0.2)) return put_inline(p, findings_header(p), text, e);
    return put_header(p, findings_header(p), e) && put_paragraph(p, text, e);
}

static bool put_items(struct page *p, struct err *e)
{
    struct str rest = sbuf_str(&p->s->impression), item;
    bool numbered = has(p, MIMIC_NUMBERED);

    sbuf_clear(p->text);
    for (unsigned k = 1; str_split(&rest, '\n', &item); k++) {
        if (numbered) {
            sbuf_clear(p->text);
            if (!sbuf_printf(p->text, e, "%u. %.*s", k, STR_ARG(item))) return false;
            if (!sbuf_putc(p->out, ' ', e)) return false;
            if (!put_wrapped(p, sbuf_str(p->text), 1, e)) return false;
        } else if ((k > 1 && !sbuf_putc(p->text, ' ', e)) || !sbuf_put(p->text, item, e)) {
            return false;
        }
    }
    if (numbered) return true;
    return sbuf_putc(p->out, ' ', e) && put_wrapped(p, sbuf_str(p->text), 1, e);
}

static bool put_impression(struct page *p, struct err *e)
{
    static const char *const typos[] = {"IMPRESSON", "IMPRESION", "IMPRESSOIN", "IMPERSSION"};
    const char *name = "IMPRESSION";

    if (has(p, MIMIC_NO_IMPRESSION)) return true;
    if (has(p, MIMIC_CONCLUSION)) name = "CONCLUSION";
    if (has(p, MIMIC_TYPO)) name = typos[gram_below(p->rng, sizeof typos / sizeof *typos)];
    if (!p->headed && !has(p, MIMIC_PARAGRAPHS) && !put_header(p, name, e)) return false;
    if (!put_items(p, e)) return false;
    if (!has(p, MIMIC_NOTIFICATION) || has(p, MIMIC_PARAGRAPHS)) return true;
    return put_blank(p, e) && put_header(p, "NOTIFICATION", e) &&
           put_paragraph(
               p,
               STR("The findings were discussed by Dr. ___ with Dr. ___ on the telephone on "
                   "___ at 9:30 AM."),
               e);
}

/* ---- what happens to the file as a whole */
static bool disfigure(struct page *p, struct sbuf *out, struct err *e)
{
    struct str t = sbuf_str(p->out);

    sbuf_clear(out);
    while (has(p, MIMIC_NO_NEWLINE) && t.n && (t.p[t.n - 1] == '\n' || t.p[t.n - 1] == ' '))
        t.n--;
    for (size_t i = 0; i < t.n; i++) {
        bool end = t.p[i] == '\n', start = i == 0 || t.p[i - 1] == '\n';
        if (start && t.p[i] == ' ' && has(p, MIMIC_NO_LEADING)) continue;
        if (end && has(p, MIMIC_TRAILING) && gram_chance(p->rng, 0.5) &&
            !sbuf_put(out, STR("  "), e))
            return false;
        if (end && has(p, MIMIC_CRLF) && !sbuf_putc(out, '\r', e)) return false;
        if (!sbuf_putc(out, t.p[i], e)) return false;
    }
    return true;
}

static bool write_page(struct page *p, struct err *e)
{
    if (!put_front(p, e)) return false;
    if (has(p, MIMIC_PARAGRAPHS)) {
        struct str line = sbuf_str(&p->s->description);
        if (!put_paragraph(p, line, e)) return false;
    } else if (!put_examination(p, e) || !put_indication(p, e) || !put_rest(p, e)) {
        return false;
    }
    return put_findings(p, e) && put_impression(p, e);
}

bool mimic_type(const struct story *s, struct gram_rng *rng, double scale, struct sbuf *out,
                uint32_t *traits, struct err *e)
{
    struct sbuf body, text;
    struct page p = {.s = s, .rng = rng, .out = &body, .text = &text};
    bool ok;

    sbuf_init(&body, STORY_TEXT_MAX);
    sbuf_init(&text, STORY_TEXT_MAX);
    p.traits = draw_traits(s, rng, scale);
    ok = write_page(&p, e) && disfigure(&p, out, e);
    *traits = p.traits;
    sbuf_free(&text);
    sbuf_free(&body);
    return ok;
}
