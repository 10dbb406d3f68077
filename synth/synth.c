#include "synth/synth.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/fs.h"
#include "base/mem.h"
#include "synth/dump.h"
#include "synth/mimic.h"
#include "synth/people.h"
#include "synth/zip_writer.h"

const struct opt synth_table[] = {
    OPT_PATH(struct synth_opts, dir, NULL, "folder for the corpora"),
    OPT_U64(struct synth_opts, reports, 2000, 0, 9999999,
            "chest radiographs in mimic-cxr-reports.zip; 0: do not write it"),
    OPT_U64(struct synth_opts, institution, 2000, 0, 999999999,
            "reports of many modalities in institution.tar.gz; 0: do not write it"),
    OPT_U64(struct synth_opts, patients, 0, 0, 9999999, "in each archive; 0: one for 3.5 reports"),
    OPT_U64(struct synth_opts, seed, 1, 0, 18446744073709551615.0, "the same seed, the same bytes"),
    OPT_F64(struct synth_opts, irregular, 1.0, 0.0, 1.0,
            "scales the rates of irregular reports; 0: clean ones only"),
    OPT_F64(struct synth_opts, dev_share, 0.05, 0.0, 1.0, "of the patients in mimic_split.csv"),
    OPT_F64(struct synth_opts, test_share, 0.0, 0.0, 1.0, "of the patients in mimic_split.csv"),
    OPT_END,
};

enum { SUBJECT_FIRST = 10000000, STUDY_FIRST = 50000000, ID_RANGE = 10000000, STUDIES_MAX = 256 };

/* A row of the split list. */
struct listed {
    uint32_t study, subject;
    uint8_t split;
};

struct mimic_archive {
    const struct synth_opts *o;
    struct people people;
    struct zip_writer *zip;
    struct story story;
    struct sbuf text;
    struct listed *rows;
    size_t nrows, cap;
    uint32_t group; /* first two digits of the subject, as written last */
};

static const char *const split_names[] = {"train", "dev", "test"};

static uint8_t split_of(const struct mimic_archive *m, uint64_t patient)
{
    double u = rng_unit(people_key(&m->people, PEOPLE_SPLIT, 0), patient);
    if (u < m->o->dev_share) return 1;
    return u < m->o->dev_share + m->o->test_share ? 2 : 0;
}

static bool put_report(struct mimic_archive *m, const char *folder, uint64_t patient,
                       struct listed row, uint64_t report, struct err *e)
{
    struct gram_rng rng = {people_key(&m->people, PEOPLE_REPORT, report), 0};
    uint32_t traits;
    char name[80];

    if (!story_make(&m->story, &synth_chest, &rng, e)) return false;
    if (!mimic_type(&m->story, &rng, m->o->irregular, &m->text, &traits, e)) return false;
    snprintf(name, sizeof name, "%ss%u.txt", folder, row.study);
    if (!zip_writer_put(m->zip, name, sbuf_str(&m->text), e)) return false;
    if (!mimic_parses(traits)) return true;
    row.split = split_of(m, patient);
    void *rows = m->rows;
    bool ok = mem_grow(&rows, &m->cap, m->nrows + 1, sizeof *m->rows, e);
    m->rows = rows;
    if (!ok) return false;
    m->rows[m->nrows++] = row;
    return true;
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* All reports of one patient, studies ascending. Returns through *any whether there were some. */
static bool put_patient(struct mimic_archive *m, uint64_t patient, uint64_t *some, struct err *e)
{
    struct rng_key ids = people_key(&m->people, PEOPLE_ID, 0);
    uint64_t from = people_first(&m->people, patient), to = people_first(&m->people, patient + 1);
    uint32_t studies[STUDIES_MAX], stride = (ID_RANGE - 1) / (uint32_t)m->people.patients;
    uint32_t subject =
        SUBJECT_FIRST + (uint32_t)(patient * stride) + (uint32_t)rng_below(ids, patient, stride);
    char folder[48];

    if (from == to) return true;
    ++*some;
    if (to - from > STUDIES_MAX)
        return err_set(e, ERR_CONFIG, "more than %d reports for one patient: raise patients",
                       STUDIES_MAX);
    if (subject / 1000000 != m->group) {
        m->group = subject / 1000000;
        snprintf(folder, sizeof folder, "files/p%u/", m->group);
        if (!zip_writer_put(m->zip, folder, STR(""), e)) return false;
    }
    snprintf(folder, sizeof folder, "files/p%u/p%u/", m->group, subject);
    if (!zip_writer_put(m->zip, folder, STR(""), e)) return false;
    for (uint64_t r = from; r < to; r++)
        studies[r - from] = STUDY_FIRST + (uint32_t)rng_permute(ids, r, ID_RANGE);
    qsort(studies, to - from, sizeof *studies, by_value);
    for (uint64_t r = from; r < to; r++) {
        struct listed row = {.study = studies[r - from], .subject = subject};
        if (!put_report(m, folder, patient, row, r, e)) return false;
    }
    return true;
}

/* study_id,subject_id,split in shuffled order, as the published list stands. */
static bool write_list(const struct mimic_archive *m, const char *path, struct synth_summary *out,
                       struct err *e)
{
    struct rng_key order = people_key(&m->people, PEOPLE_ORDER, 0);
    struct fs_writer *w = NULL;
    char line[64] = "study_id,subject_id,split\n";
    bool ok = false;

    if (!fs_writer_open(path, &w, e)) return false;
    if (!fs_writer_put(w, line, strlen(line), e)) goto out;
    for (size_t i = 0; i < m->nrows; i++) {
        const struct listed *r = &m->rows[rng_permute(order, i, m->nrows)];
        int n =
            snprintf(line, sizeof line, "%u,%u,%s\n", r->study, r->subject, split_names[r->split]);
        out->listed[r->split]++;
        if (!fs_writer_put(w, line, (size_t)n, e)) goto out;
    }
    ok = fs_writer_commit(w, e);
out:
    fs_writer_close(w);
    return ok;
}

static bool write_mimic(const struct synth_opts *o, const char *zip, const char *list,
                        struct synth_summary *out, struct err *e)
{
    struct mimic_archive m = {.o = o};
    bool ok = false;

    m.people = people_of(o->seed, SYNTH_MIMIC, o->patients, o->reports);
    story_init(&m.story);
    sbuf_init(&m.text, STORY_TEXT_MAX);
    if (!zip_writer_open(zip, &m.zip, e)) goto out;
    if (!zip_writer_put(m.zip, "files/", STR(""), e)) goto out;
    for (uint64_t i = 0; i < m.people.patients; i++)
        if (!put_patient(&m, i, &out->patients, e)) goto out;
    out->reports = o->reports;
    ok = zip_writer_commit(m.zip, &out->zip_bytes, e) && write_list(&m, list, out, e);
out:
    zip_writer_close(m.zip);
    mem_free(m.rows);
    sbuf_free(&m.text);
    story_free(&m.story);
    return ok;
}

bool synth_run(const struct synth_opts *o, struct synth_summary *out, struct err *e)
{
    struct arena a;
    const char *zip, *list, *tar;
    bool ok = false;

    *out = (struct synth_summary){0};
    arena_init(&a, 1 << 16);
    if (!o->dir) {
        err_set(e, ERR_CONFIG, "synth.dir is missing: the folder for the corpora");
        goto out;
    }
    if (o->dev_share + o->test_share > 1) {
        err_set(e, ERR_CONFIG, "synth.dev_share and synth.test_share exceed 1 together");
        goto out;
    }
    if (!fs_mkdirs(o->dir, e)) goto out;
    if (!fs_join(&a, o->dir, "mimic-cxr-reports.zip", &zip, e)) goto out;
    if (!fs_join(&a, o->dir, "mimic_split.csv", &list, e)) goto out;
    if (!fs_join(&a, o->dir, "institution.tar.gz", &tar, e)) goto out;
    if (o->reports && !write_mimic(o, zip, list, out, e)) goto out;
    if (o->institution && !dump_write(o, tar, out, e)) goto out;
    ok = true;
out:
    arena_free(&a);
    if (!ok) err_wrap(e, "synth");
    return ok;
}
