/*
 * synth/dump - institution.tar.gz: the CSV export of a made-up hospital with many modalities.
 *
 *     accession, patient_id, modality, study_description, clinical_information, technique,
 *     comparison, findings, impression, report_status
 *
 * Several files in the archive; the second has a byte order mark and CRLF line ends. Cells hold
 * line breaks and doubled quotes; some rows lack the modality, the findings or the impression;
 * some reports come twice under one accession (Preliminary, then Final or Corrected), some texts
 * twice under two.
 */
#pragma once
#include "synth/synth.h"

enum dump_trait {
    DUMP_NO_MODALITY,
    DUMP_NO_FINDINGS,
    DUMP_NO_IMPRESSION,
    DUMP_PRELIMINARY, /* a preliminary row comes first */
    DUMP_CORRECTED,   /* a corrected row comes after */
    DUMP_DUPLICATE,   /* the same text under another accession */
    DUMP_QUOTES,      /* a doubled quote */
    DUMP_LINES,       /* findings of several lines */
    DUMP_TRAITS
};
extern const uint16_t dump_rates[DUMP_TRAITS]; /* in reports of 10,000 */

/* Write the archive; counts rows, files and bytes. */
MUST_CHECK bool dump_write(const struct synth_opts *o, const char *path, struct synth_summary *out,
                           struct err *e);
