/*
 * synth/synth - corpora that radmill writes itself: no text of others, no patient behind them, any
 * number of reports, the same bytes for the same options.
 *
 *     DIR/mimic-cxr-reports.zip    chest radiographs laid out and typed as in MIMIC-CXR, with its
 *                                  irregularities (synth/mimic.h lists them with their rates)
 *     DIR/mimic_split.csv          study_id,subject_id,split as MEDIQA-2021 has it: only reports
 *                                  in which the published parser finds both sections; patients
 *                                  disjoint
 *     DIR/institution.tar.gz       CSV dumps of a hospital: CR CT MR US NM PT MG RF (synth/dump.h)
 *
 * The main idea: a report starts as a structured case (organs, abnormal findings with side, size,
 * severity and change over time; synth/cases.h), from which the findings are written in one of many
 * wordings, with the pertinent negatives of the other organs, and the impression as the summary
 * of the abnormal ones, most urgent first. The impression therefore follows from the findings,
 * and a model can learn it.
 *
 * Report i of an archive is a pure function of (seed, archive, i): no state runs from one to the
 * next. What it does not do: imitate any real report's wording, or claim to be medically
 * complete.
 */
#pragma once
#include <stdint.h>

#include "base/err.h"
#include "base/opt.h"

struct synth_opts {
    const char *dir;
    uint64_t reports;     /* in mimic-cxr-reports.zip; 0: do not write it */
    uint64_t institution; /* rows in institution.tar.gz; 0: do not write it */
    uint64_t patients;    /* in each archive; 0: one for 3.5 reports */
    uint64_t seed;
    double irregular;  /* scales the rates of all irregularities: 0 gives clean reports only */
    double dev_share;  /* of the patients of the split list */
    double test_share; /* MEDIQA's list has none */
};
extern const struct opt synth_table[]; /* section "synth" */

struct synth_summary {
    uint64_t reports, patients, zip_bytes;
    uint64_t listed[3]; /* rows of the split list: train, dev, test */
    uint64_t rows, tar_bytes;
    uint64_t dump_files;
};

/* Make the corpora; existing files are replaced atomically, one by one. Not collective. */
MUST_CHECK bool synth_run(const struct synth_opts *o, struct synth_summary *out, struct err *e);
