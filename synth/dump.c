#include "synth/dump.h"

#include <stdio.h>

#include "synth/people.h"
#include "synth/story.h"
#include "synth/tar_writer.h"

enum { FILE_REPORTS = 4096, FILE_MAX_BYTES = 256 << 20, LEAST_FILES = 3, BOM_FILE = 1 };

const uint16_t dump_rates[DUMP_TRAITS] = {
    [DUMP_NO_MODALITY] = 600, [DUMP_NO_FINDINGS] = 300, [DUMP_NO_IMPRESSION] = 200,
    [DUMP_PRELIMINARY] = 300, [DUMP_CORRECTED] = 100,   [DUMP_DUPLICATE] = 150,
    [DUMP_QUOTES] = 300,      [DUMP_LINES] = 2500,
};

static const char *const columns[] = {
    "accession", "patient_id", "modality", "study_description", "clinical_information",
    "technique", "comparison", "findings", "impression",        "report_status"};
enum column {
    ACCESSION,
    PATIENT,
    MODALITY,
    DESCRIPTION,
    CLINICAL,
    TECHNIQUE,
    COMPARISON,
    FINDINGS,
    IMPRESSION,
    STATUS,
    COLUMNS
};

struct dump {
    const struct synth_opts *o;
    struct people people;
    struct story story;
    struct sbuf csv, clinical, findings, impression;
    bool crlf;
    uint64_t rows;
};

static bool put_cell(struct sbuf *b, struct str s, struct err *e)
{
    bool quote = false;

    for (size_t i = 0; i < s.n; i++)
        quote |= s.p[i] == ',' || s.p[i] == '"' || s.p[i] == '\n' || s.p[i] == '\r';
    if (!quote) return sbuf_put(b, s, e);
    if (!sbuf_putc(b, '"', e)) return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"' && !sbuf_putc(b, '"', e)) return false;
        if (!sbuf_putc(b, s.p[i], e)) return false;
    }
    return sbuf_putc(b, '"', e);
}

static bool put_row(struct dump *d, const struct str cell[COLUMNS], struct err *e)
{
    for (int i = 0; i < COLUMNS; i++) {
        if (i && !sbuf_putc(&d->csv, ',', e)) return false;
        if (!put_cell(&d->csv, cell[i], e)) return false;
    }
    d->rows++;
    return sbuf_put(&d->csv, d->crlf ? STR("\r\n") : STR("\n"), e);
}

/* "67-year-old woman with cough" */
static bool write_clinical(struct dump *d, uint64_t patient, uint32_t traits, struct err *e)
{
    struct gram_rng rng = {people_key(&d->people, PEOPLE_ID, patient), 0};
    unsigned age = 18 + (unsigned)gram_below(&rng, 73);
    const char *who = gram_chance(&rng, 0.5) ? "woman" : "man";
    const char *quote = traits >> DUMP_QUOTES & 1 ? "\"" : "";

    sbuf_clear(&d->clinical);
    return sbuf_printf(&d->clinical, e, "%u-year-old %s with %s%.*s%s.", age, who, quote,
                       STR_ARG(d->story.complaint), quote);
}

/* Sentences, on some reports a line each. */
static bool write_findings(struct dump *d, uint32_t traits, struct err *e)
{
    struct str t = sbuf_str(&d->story.findings);

    sbuf_clear(&d->findings);
    for (size_t i = 0; i < t.n; i++) {
        bool cut = traits >> DUMP_LINES & 1 && t.p[i] == ' ' && i > 0 && t.p[i - 1] == '.';
        if (cut && d->crlf && !sbuf_putc(&d->findings, '\r', e)) return false;
        if (!sbuf_putc(&d->findings, cut ? '\n' : t.p[i], e)) return false;
    }
    return true;
}

/* "1. ..." lines from two items on. */
static bool write_impression(struct dump *d, struct err *e)
{
    struct str rest = sbuf_str(&d->story.impression), item;
    bool numbered = str_find(rest, STR("\n"), 0) != SIZE_MAX;

    sbuf_clear(&d->impression);
    for (unsigned k = 1; str_split(&rest, '\n', &item); k++) {
        if (k > 1 && !sbuf_put(&d->impression, d->crlf ? STR("\r\n") : STR("\n"), e)) return false;
        if (numbered && !sbuf_printf(&d->impression, e, "%u. ", k)) return false;
        if (!sbuf_put(&d->impression, item, e)) return false;
    }
    return true;
}

/* One report: usually one row. */
static bool put_report_rows(struct dump *d, struct str cell[COLUMNS], uint64_t report,
                            uint32_t traits, struct err *e)
{
    struct str findings = cell[FINDINGS], impression = cell[IMPRESSION];
    char other[32];

    if (traits >> DUMP_PRELIMINARY & 1) {
        cell[STATUS] = STR("Preliminary");
        cell[IMPRESSION] = STR("Preliminary read.");
        if (!put_row(d, cell, e)) return false;
    }
    cell[STATUS] = STR("Final");
    cell[IMPRESSION] = impression;
    if (!put_row(d, cell, e)) return false;
    if (traits >> DUMP_CORRECTED & 1) {
        cell[STATUS] = STR("Corrected");
        cell[TECHNIQUE] = STR("See addendum.");
        if (!put_row(d, cell, e)) return false;
    }
    if (!(traits >> DUMP_DUPLICATE & 1)) return true;
    cell[STATUS] = STR("Final");
    cell[FINDINGS] = findings;
    snprintf(other, sizeof other, "A%09lluB", (unsigned long long)report);
    cell[ACCESSION] = str_of(other);
    return put_row(d, cell, e);
}

static bool put_report(struct dump *d, uint64_t report, struct err *e)
{
    struct gram_rng rng = {people_key(&d->people, PEOPLE_REPORT, report), 0};
    struct gram_rng odd = {people_key(&d->people, PEOPLE_TRAITS, report), 0};
    uint64_t patient = people_patient(&d->people, report);
    char accession[32], id[32];
    uint32_t traits = 0;

    for (int t = 0; t < DUMP_TRAITS; t++)
        if (gram_chance(&odd, dump_rates[t] * d->o->irregular / 10000)) traits |= 1u << t;
    if (!story_make(&d->story, story_exam(&rng), &rng, e)) return false;
    if (!write_clinical(d, patient, traits, e) || !write_findings(d, traits, e) ||
        !write_impression(d, e))
        return false;
    snprintf(accession, sizeof accession, "A%09llu", (unsigned long long)report);
    snprintf(id, sizeof id, "P%07llu", (unsigned long long)patient);
    struct str cell[COLUMNS] = {
        [ACCESSION] = str_of(accession),
        [PATIENT] = str_of(id),
        [MODALITY] = str_of(traits >> DUMP_NO_MODALITY & 1 ? NULL : d->story.exam->modality),
        [DESCRIPTION] = sbuf_str(&d->story.description),
        [CLINICAL] = sbuf_str(&d->clinical),
        [TECHNIQUE] = sbuf_str(&d->story.technique),
        [COMPARISON] = d->story.prior ? STR("Prior study.") : STR("None."),
        [FINDINGS] = traits >> DUMP_NO_FINDINGS & 1 ? STR("") : sbuf_str(&d->findings),
        [IMPRESSION] = traits >> DUMP_NO_IMPRESSION & 1 ? STR("") : sbuf_str(&d->impression),
    };
    return put_report_rows(d, cell, report, traits, e);
}

/* File number k holds reports [from, to) of the shuffled order. */
static bool put_file(struct dump *d, struct tar_writer *tar, uint64_t k, uint64_t from, uint64_t to,
                     struct err *e)
{
    struct rng_key order = people_key(&d->people, PEOPLE_ORDER, 0);
    struct str head[COLUMNS];
    char name[64];

    sbuf_clear(&d->csv);
    d->crlf = k == BOM_FILE;
    if (d->crlf && !sbuf_put(&d->csv, STR("\xef\xbb\xbf"), e)) return false;
    for (int i = 0; i < COLUMNS; i++)
        head[i] = str_of(columns[i]);
    if (!put_row(d, head, e)) return false;
    d->rows--; /* the header is none */
    for (uint64_t i = from; i < to; i++)
        if (!put_report(d, rng_permute(order, i, d->people.reports), e)) return false;
    snprintf(name, sizeof name, "export/reports_%05llu.csv", (unsigned long long)k + 1);
    return tar_writer_put(tar, name, sbuf_str(&d->csv), e);
}

bool dump_write(const struct synth_opts *o, const char *path, struct synth_summary *out,
                struct err *e)
{
    struct dump d = {.o = o};
    struct tar_writer *tar = NULL;
    uint64_t n = o->institution, each = (n + LEAST_FILES - 1) / LEAST_FILES, k = 0;
    bool ok = false;

    if (each > FILE_REPORTS) each = FILE_REPORTS;
    d.people = people_of(o->seed, SYNTH_INSTITUTION, o->patients, n);
    story_init(&d.story);
    sbuf_init(&d.csv, FILE_MAX_BYTES);
    sbuf_init(&d.clinical, STORY_TEXT_MAX);
    sbuf_init(&d.findings, STORY_TEXT_MAX);
    sbuf_init(&d.impression, STORY_TEXT_MAX);
    if (!tar_writer_open(path, &tar, e)) goto out;
    for (uint64_t from = 0; from < n; from += each, k++)
        if (!put_file(&d, tar, k, from, from + each < n ? from + each : n, e)) goto out;
    ok = tar_writer_commit(tar, &out->tar_bytes, e);
    out->rows = d.rows;
    out->dump_files = k;
out:
    tar_writer_close(tar);
    sbuf_free(&d.impression);
    sbuf_free(&d.findings);
    sbuf_free(&d.clinical);
    sbuf_free(&d.csv);
    story_free(&d.story);
    return ok;
}
