#include "synth/story.h"

#include <stdio.h>

/* What is wrong, as drawn: the lesion and the values of its slots. */
struct draw {
    const struct synth_lesion *lesion;
    char size[40], dim[24];
    uint32_t mm;
    struct str site, sev, kind, chg, chgi;
};

static const char *const changes[][2] = {
    {", new since the prior [study|examination]", ", new"},
    {"[, unchanged from the prior [study|examination]|, stable since the prior study|, without "
     "significant change]",
     ", unchanged"},
    {", [increased|larger] [since|compared with] the prior [study|examination]", ", increased"},
    {", [decreased|smaller] [since|compared with] the prior [study|examination]", ", decreased"},
};
enum { NCHANGES = sizeof changes / sizeof *changes };

void story_init(struct story *s)
{
    *s = (struct story){0};
    sbuf_init(&s->findings, STORY_TEXT_MAX);
    sbuf_init(&s->impression, STORY_TEXT_MAX);
    sbuf_init(&s->technique, STORY_TEXT_MAX);
    sbuf_init(&s->description, STORY_TEXT_MAX);
}

void story_free(struct story *s)
{
    sbuf_free(&s->description);
    sbuf_free(&s->technique);
    sbuf_free(&s->impression);
    sbuf_free(&s->findings);
}

struct group {
    const struct synth_exam *exams;
    const size_t *n;
};
static const size_t one = 1;
static const struct group groups[] = {
    {&synth_chest, &one},
    {synth_exams_cr, &synth_exams_cr_n},
    {synth_exams_ct, &synth_exams_ct_n},
    {synth_exams_mr, &synth_exams_mr_n},
    {synth_exams_us, &synth_exams_us_n},
    {synth_exams_nm, &synth_exams_nm_n},
};
enum { NGROUPS = sizeof groups / sizeof *groups };

const struct synth_exam *story_exam(struct gram_rng *rng)
{
    uint64_t total = 0, at;

    for (size_t g = 0; g < NGROUPS; g++)
        for (size_t i = 0; i < *groups[g].n; i++)
            total += groups[g].exams[i].weight;
    at = gram_below(rng, total);
    for (size_t g = 0; g < NGROUPS; g++) {
        for (size_t i = 0; i < *groups[g].n; i++) {
            if (at < groups[g].exams[i].weight) return &groups[g].exams[i];
            at -= groups[g].exams[i].weight;
        }
    }
    UNREACHABLE();
}

/* "8 mm", or "1.4 cm" from a centimetre on. */
static void draw_size(struct draw *d, struct gram_rng *rng)
{
    const struct synth_lesion *l = d->lesion;
    uint32_t other;

    d->size[0] = d->dim[0] = 0;
    d->mm = 0;
    if (!l->hi_mm) return;
    d->mm = l->lo_mm + (uint32_t)gram_below(rng, (uint64_t)(l->hi_mm - l->lo_mm) + 1);
    other = d->mm - (uint32_t)gram_below(rng, d->mm / 3 + 1);
    if (d->mm < 10) {
        snprintf(d->dim, sizeof d->dim, "%u mm", d->mm);
        snprintf(d->size, sizeof d->size, "%u x %u mm", d->mm, other);
    } else {
        snprintf(d->dim, sizeof d->dim, "%u.%u cm", d->mm / 10, d->mm % 10);
        snprintf(d->size, sizeof d->size, "%u.%u x %u.%u cm", d->mm / 10, d->mm % 10, other / 10,
                 other % 10);
    }
    if (gram_chance(rng, 0.4)) memcpy(d->size, d->dim, sizeof d->dim);
}

static struct str pick_or_none(struct gram_rng *rng, const char *list)
{
    return list ? gram_pick(rng, list) : STR("");
}

static void draw_lesion(struct draw *d, const struct synth_lesion *l, struct gram_rng *rng)
{
    d->lesion = l;
    d->site = pick_or_none(rng, l->site);
    d->sev = pick_or_none(rng, l->sev);
    d->kind = pick_or_none(rng, l->kind);
    d->chg = d->chgi = STR("");
    draw_size(d, rng);
    if (l->trend && gram_chance(rng, 0.35)) {
        size_t k = gram_below(rng, NCHANGES);
        d->chg = str_of(changes[k][0]);
        d->chgi = str_of(changes[k][1]);
    }
}

/* How many things are wrong: 35 % nothing, then 28, 20, 11 and 6 %. */
static size_t draw_count(struct gram_rng *rng)
{
    static const uint8_t upto[] = {35, 63, 83, 94, 100};
    uint64_t u = gram_below(rng, 100);
    size_t n = 0;

    while (u >= upto[n])
        n++;
    return n;
}

/* Distinct organs, in organ order. */
static size_t draw_case(const struct synth_exam *exam, struct draw d[STORY_LESIONS],
                        struct gram_rng *rng)
{
    size_t want = draw_count(rng), n = 0;

    for (int tries = 0; n < want && tries < 16; tries++) {
        const struct synth_lesion *l = &exam->lesions[gram_below(rng, exam->nlesions)];
        size_t at = 0;
        while (at < n && d[at].lesion->organ < l->organ)
            at++;
        if (at < n && d[at].lesion->organ == l->organ) continue;
        memmove(d + at + 1, d + at, (n - at) * sizeof *d);
        draw_lesion(&d[at], l, rng);
        n++;
    }
    return n;
}

static bool put_sentence(struct gram_rng *rng, const char *grammar, const struct draw *d,
                         double first, struct sbuf *out, char sep, struct err *e)
{
    const struct gram_slot slots[] = {
        {"site", d ? d->site : STR("")},    {"sev", d ? d->sev : STR("")},
        {"kind", d ? d->kind : STR("")},    {"chg", d ? d->chg : STR("")},
        {"chgi", d ? d->chgi : STR("")},    {"size", str_of(d ? d->size : NULL)},
        {"dim", str_of(d ? d->dim : NULL)}, {NULL, {NULL, 0}},
    };
    const struct gram g = {.rng = rng, .slots = slots, .first = first};
    size_t before = out->n;

    if (out->n && sep && !sbuf_putc(out, sep, e)) return false;
    size_t start = out->n;
    if (!gram_put(&g, grammar, out, e)) return false;
    if (out->n == start && out->p) { /* nothing to say about this organ */
        out->n = before;
        out->p[before] = 0;
    }
    return true;
}

static bool write_findings(struct story *s, const struct draw *d, size_t n, struct gram_rng *rng,
                           struct err *e)
{
    bool first = n && gram_chance(rng, 0.2); /* some put what is wrong in front */
    size_t at = 0;

    for (size_t i = 0; first && i < n; i++)
        if (!put_sentence(rng, d[i].lesion->find, &d[i], 0, &s->findings, ' ', e)) return false;
    for (size_t organ = 0; organ < s->exam->norgans; organ++) {
        if (at < n && d[at].lesion->organ == organ) {
            const struct draw *x = &d[at++];
            if (!first && !put_sentence(rng, x->lesion->find, x, 0, &s->findings, ' ', e))
                return false;
        } else if (gram_chance(rng, 0.85)) {
            if (!put_sentence(rng, s->exam->normals[organ], NULL, 0, &s->findings, ' ', e))
                return false;
        }
    }
    if (s->findings.n) return true; /* a study has findings, whatever the dice say */
    return put_sentence(rng, s->exam->normals[0], NULL, 0, &s->findings, ' ', e);
}

enum { FIRST_PERCENT = 70 };

/* One item: the summary of a finding and, where its size asks for it, what to do. */
static bool write_item(struct story *s, const struct draw *d, struct gram_rng *rng, struct err *e)
{
    const struct synth_lesion *l = d->lesion;
    double first = FIRST_PERCENT / 100.0;

    if (!put_sentence(rng, l->imp, d, first, &s->impression, '\n', e)) return false;
    if (!l->advice || d->mm < l->advice_mm) return true;
    return put_sentence(rng, l->advice, d, first, &s->impression, ' ', e);
}

static bool write_impression(struct story *s, const struct draw *d, size_t n, struct gram_rng *rng,
                             struct err *e)
{
    uint8_t worst = 0;

    for (size_t i = 0; i < n; i++)
        if (d[i].lesion->acuity > worst) worst = d[i].lesion->acuity;
    if (worst <= 1) {
        const char *none = n ? s->exam->acute : s->exam->none;
        if (!put_sentence(rng, none, NULL, FIRST_PERCENT / 100.0, &s->impression, '\n', e))
            return false;
    }
    for (uint8_t acuity = worst; acuity > 0; acuity--) {
        for (size_t i = 0; i < n; i++) {
            if (d[i].lesion->acuity != acuity) continue;
            if (!write_item(s, &d[i], rng, e)) return false;
            s->shown[s->nshown++] = d[i].lesion;
        }
    }
    return true;
}

bool story_make(struct story *s, const struct synth_exam *exam, struct gram_rng *rng, struct err *e)
{
    struct draw d[STORY_LESIONS];
    size_t n = draw_case(exam, d, rng);

    sbuf_clear(&s->findings);
    sbuf_clear(&s->impression);
    sbuf_clear(&s->technique);
    sbuf_clear(&s->description);
    s->exam = exam;
    s->nshown = 0;
    s->prior = false;
    for (size_t i = 0; i < n; i++)
        s->prior |= d[i].chg.n > 0;
    s->complaint = gram_pick(rng, exam->clinical);
    return sbuf_put(&s->technique, gram_pick(rng, exam->technique), e) &&
           sbuf_put(&s->description, gram_pick(rng, exam->description), e) &&
           write_findings(s, d, n, rng, e) && write_impression(s, d, n, rng, e);
}
