/* MIMIC-CXR: files/pNN/pPATIENT/sSTUDY.txt, one report a file, bytes as they are. */
#include "ingest/format.h"

static bool owns(struct str name, struct str last)
{
    struct str patient, study;
    (void)last;
    return report_member(name, &patient, &study);
}

static bool ids(const struct ingest_source_opts *source, struct str name, struct str *patient,
                struct str *study)
{
    (void)source;
    return report_member(name, patient, study);
}

static bool one(struct format_scratch *s, const struct ingest_source_opts *source, struct str name,
                struct str text, struct format_item *out, struct err *e)
{
    (void)s, (void)source, (void)e;
    out->kind = ITEM_REPORT;
    out->in = (struct report_input){.text = text, .split = -1, .fallback = MOD_CR};
    if (!report_member(name, &out->in.patient, &out->in.study)) out->kind = ITEM_IGNORE;
    return true;
}

static bool looks(struct str head)
{
    (void)head;
    return false; /* it is known by its names */
}

const struct format format_mimic = {.owns = owns, .looks = looks, .one = one, .ids = ids};
