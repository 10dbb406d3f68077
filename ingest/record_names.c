#include <strings.h>

#include "ingest/record.h"

const char *const record_section_names[SEC_COUNT + 1] = {
    "findings", "impression", "clinical", "examination", "technique", "comparison", "background",
};
const char *const record_modality_names[MOD_COUNT + 1] = {
    "unknown", "CR", "CT", "MR", "US", "NM", "PT", "XA", "MG", "RF", "OT",
};
const char *const record_origin_names[ORIGIN_COUNT + 1] = {
    "none", "column", "code", "description", "text", "site", "source",
};
const char *const record_split_names[SPLIT_COUNT + 1] = {"train", "dev", "test", "none"};
const char *const record_mode_names[MODE_COUNT + 1] = {"own", "mediqa", "mitlcp"};
const char *const record_reject_names[REJECT_COUNT + 1] = {
    "no-name", "duplicate", "encrypted",  "method",   "local-header", "truncated",  "corrupt",
    "crc",     "size",      "too-large",  "ratio",    "row-fields",   "row-quotes", "format",
    "no-text", "nested",    "no-patient", "no-study", "unlisted",
};

/* DICOM defined terms of (0008,0060), HL7 table 0074 sections and the words in common use. */
static const struct {
    const char *name;
    enum record_modality code;
} synonyms[] = {
    {"CR", MOD_CR},
    {"DX", MOD_CR},
    {"DR", MOD_CR},
    {"RG", MOD_CR},
    {"XR", MOD_CR},
    {"XRAY", MOD_CR},
    {"X-RAY", MOD_CR},
    {"X RAY", MOD_CR},
    {"PLAIN FILM", MOD_CR},
    {"RADIOGRAPH", MOD_CR},
    {"RADIOGRAPHY", MOD_CR},
    {"RX", MOD_CR},
    {"CT", MOD_CT},
    {"CTA", MOD_CT},
    {"CAT", MOD_CT},
    {"COMPUTED TOMOGRAPHY", MOD_CT},
    {"MR", MOD_MR},
    {"MRI", MOD_MR},
    {"MRA", MOD_MR},
    {"NMR", MOD_MR},
    {"MAGNETIC RESONANCE", MOD_MR},
    {"US", MOD_US},
    {"ULTRASOUND", MOD_US},
    {"SONO", MOD_US},
    {"SONOGRAPHY", MOD_US},
    {"RUS", MOD_US},
    {"OUS", MOD_US},
    {"VUS", MOD_US},
    {"CUS", MOD_US},
    {"IVUS", MOD_US},
    {"NM", MOD_NM},
    {"NMS", MOD_NM},
    {"NUC", MOD_NM},
    {"NUCLEAR MEDICINE", MOD_NM},
    {"SPECT", MOD_NM},
    {"ST", MOD_NM},
    {"PT", MOD_PT},
    {"PET", MOD_PT},
    {"PET/CT", MOD_PT},
    {"PT/CT", MOD_PT},
    {"PETCT", MOD_PT},
    {"PET-CT", MOD_PT},
    {"CT/PT", MOD_PT},
    {"PT\\CT", MOD_PT},
    {"CT\\PT", MOD_PT},
    {"XA", MOD_XA},
    {"ANGIOGRAPHY", MOD_XA},
    {"ANGIO", MOD_XA},
    {"IR", MOD_XA},
    {"DSA", MOD_XA},
    {"MG", MOD_MG},
    {"MAMMOGRAPHY", MOD_MG},
    {"MAMMO", MOD_MG},
    {"MAMMOGRAM", MOD_MG},
    {"RF", MOD_RF},
    {"FL", MOD_RF},
    {"FLUORO", MOD_RF},
    {"FLUOROSCOPY", MOD_RF},
    {"OT", MOD_OT},
    {"OTHER", MOD_OT},
    {"SR", MOD_OT},
    {"BMD", MOD_OT},
    {"DXA", MOD_OT},
    {"DEXA", MOD_OT},
};

static int name_index(const char *const *names, struct str name)
{
    for (int i = 0; names[i]; i++) {
        if (str_eqz(name, names[i])) return i;
    }
    return -1;
}

int record_modality_of(struct str name)
{
    name = str_trim(name);
    for (size_t i = 0; i < sizeof synonyms / sizeof *synonyms; i++) {
        const char *s = synonyms[i].name;
        if (strlen(s) == name.n && strncasecmp(s, name.p, name.n) == 0) return synonyms[i].code;
    }
    return -1;
}

int record_split_of(struct str name)
{
    return name_index(record_split_names, name);
}

const char *const record_versions_names[] = {"best", "first", "last", "all", NULL};
