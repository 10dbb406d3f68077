/*
 * synth/cases - what a made-up study may show: exams, their organs, what can be wrong with them.
 *
 * Tables only (cases_chest.c, cases_cr.c, cases_ct.c, cases_mr.c, cases_us.c, cases_nm.c);
 * synth/story.c draws a case from them and writes it. Texts are grammars (synth/grammar.h) with
 * the slots
 *     {site} {sev} {kind}  one of the lesion's lists, the same in findings and impression
 *     {size} {dim}         "1.4 x 1.1 cm" in the findings, "1.4 cm" in the impression
 *     {chg} {chgi}         change since the prior study: clause for findings and impression
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct synth_lesion {
    uint8_t organ;    /* index into the exam's organs: its normal sentence is left out */
    uint8_t acuity;   /* 3 acute, 2 matters, 1 chronic or by the way: the order in the impression */
    const char *word; /* stands in findings and impression, whatever the wording */
    const char *site, *sev, *kind; /* "right|left"; NULL: none */
    uint16_t lo_mm, hi_mm;         /* range of sizes; 0: no size */
    bool trend;                    /* may have changed since a prior study */
    const char *find, *imp;
    const char *advice; /* one more sentence in the impression, from this size on */
    uint16_t advice_mm;
};

struct synth_exam {
    const char *modality;    /* DICOM code */
    const char *description; /* "XR CHEST 2 VIEWS|Chest PA and lateral" */
    const char *technique;
    const char *clinical;       /* what follows "67-year-old man with " */
    const char *const *normals; /* one an organ; "" is never mentioned when normal */
    size_t norgans;
    const struct synth_lesion *lesions;
    size_t nlesions;
    const char *none;  /* impression when nothing is wrong */
    const char *acute; /* the same beside chronic findings only */
    uint16_t weight;   /* how often, in an institution */
};

#define SYNTH_TABLE(a) (a), sizeof(a) / sizeof(*(a))

extern const struct synth_exam synth_chest; /* the only exam of the MIMIC-CXR archive */
extern const struct synth_exam synth_exams_cr[], synth_exams_ct[], synth_exams_mr[],
    synth_exams_us[], synth_exams_nm[];
extern const size_t synth_exams_cr_n, synth_exams_ct_n, synth_exams_mr_n, synth_exams_us_n,
    synth_exams_nm_n;
