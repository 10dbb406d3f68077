#include "ingest/roles.h"

#include <ctype.h>

#include "ingest/when.h"

static const char *const usual[ROLE_COUNT][24] = {
    [ROLE_ID] = {"report_id", "record_id", "case_id", "id"},
    [ROLE_PATIENT] = {"patient_id", "mrn", "subject_id", "patient", "patient_mrn", "pat_id",
                      "person_id", "empi", "pat_mrn_id", "medical_record_number"},
    [ROLE_STUDY] = {"accession_number", "accession", "accession_no", "accession_nbr", "acc",
                    "accession_id", "study_id", "filler_order_number", "exam_id", "order_id"},
    [ROLE_STATUS] = {"report_status", "status", "result_status"},
    [ROLE_MODALITY] = {"modality", "modality_code"},
    [ROLE_CODE] = {"procedure_code", "exam_code", "proc_code", "cpt_code", "cpt", "code"},
    [ROLE_DESCRIPTION] = {"exam_description", "study_description", "procedure_description",
                          "description", "exam_name", "procedure_name", "procedure", "exam",
                          "study", "exam_type", "exam_desc", "exam_code_desc", "procedure_desc",
                          "study_desc"},
    [ROLE_SPLIT] = {"split"},
    [ROLE_TEXT] = {"report_text", "full_text", "report", "text", "narrative", "report_body",
                   "result_text", "full_report"},
    [ROLE_FINDINGS] = {"findings", "finding", "findings_text"},
    [ROLE_IMPRESSION] = {"impression", "impressions", "impression_text", "conclusion",
                         "conclusions"},
    [ROLE_CLINICAL] = {"clinical_history", "clinical_information", "clinical_info", "clinical",
                       "indication", "indications", "clinical_indication", "history",
                       "reason_for_exam", "reason_for_study", "reason"},
    [ROLE_EXAMINATION] = {"examination"},
    [ROLE_TECHNIQUE] = {"technique"},
    [ROLE_COMPARISON] = {"comparison", "comparisons"},
    [ROLE_ADDENDUM] = {"addendum_text", "addendum", "addenda"},
    [ROLE_TIME] = {"report_datetime", "finalized_datetime", "signed_datetime", "result_datetime",
                   "report_time", "finalized_date", "signed_date", "result_date", "report_date",
                   "exam_datetime", "exam_date_time", "exam_date", "study_datetime", "study_date",
                   "date_time", "datetime", "date", "order_date"},
    [ROLE_READER] = {"reading_radiologist", "reading_physician", "interpreting_physician",
                     "radiologist", "dictated_by", "reader"},
};

const char *role_name(enum ingest_role role, size_t i)
{
    return i < sizeof usual[0] / sizeof *usual[0] ? usual[role][i] : NULL;
}

static bool is_skipped(char c)
{
    return c == '_' || c == '-' || c == ' ' || c == '.' || c == '#' || c == '$';
}

static char folded(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

bool role_same_name(struct str a, struct str b)
{
    size_t i = 0, j = 0;

    for (;;) {
        while (i < a.n && is_skipped(a.p[i]))
            i++;
        while (j < b.n && is_skipped(b.p[j]))
            j++;
        if (i == a.n || j == b.n) return i == a.n && j == b.n;
        if (folded(a.p[i++]) != folded(b.p[j++])) return false;
    }
}

int role_usual(enum ingest_role role, struct str name)
{
    for (size_t i = 0; role_name(role, i); i++) {
        if (role_same_name(name, str_of(usual[role][i]))) return (int)i;
    }
    return -1;
}

/* Excel's ways to keep an id from becoming a number: ="00123", '00123. */
static struct str id_of(struct str s)
{
    s = str_trim(s);
    if (s.n > 3 && str_starts(s, STR("=\"")) && s.p[s.n - 1] == '"') return str_sub(s, 2, s.n - 1);
    if (s.n > 1 && s.p[0] == '\'') return str_sub(s, 1, s.n);
    return s;
}

/* What became of a long number in Excel: 1.23E+11. It stands for many studies, so for none. */
static bool is_lost_number(struct str s)
{
    size_t e = 0;

    while (e < s.n && (isdigit((unsigned char)s.p[e]) || s.p[e] == '.' || s.p[e] == ','))
        e++;
    if (e == 0 || e + 2 >= s.n || (s.p[e] | 0x20) != 'e' || s.p[e + 1] != '+') return false;
    for (size_t i = e + 2; i < s.n; i++) {
        if (!isdigit((unsigned char)s.p[i])) return false;
    }
    return true;
}

static bool add_addendum(struct str text, struct str addendum, struct sbuf *joined, struct str *out,
                         struct err *e)
{
    *out = text;
    if (str_trim(addendum).n == 0) return true;
    sbuf_clear(joined);
    if (!sbuf_put(joined, text, e)) return false;
    if (text.n > 0 && !sbuf_put(joined, STR("\n\n"), e)) return false;
    if (!sbuf_put(joined, STR("ADDENDUM:\n"), e) || !sbuf_put(joined, addendum, e)) return false;
    *out = sbuf_str(joined);
    return true;
}

bool role_report(const struct str cell[ROLE_COUNT], struct sbuf *joined, struct report_input *out,
                 struct err *e)
{
    static const struct {
        enum ingest_role role;
        enum record_section section;
    } sections[] = {
        {ROLE_FINDINGS, SEC_FINDINGS},   {ROLE_IMPRESSION, SEC_IMPRESSION},
        {ROLE_CLINICAL, SEC_CLINICAL},   {ROLE_EXAMINATION, SEC_EXAMINATION},
        {ROLE_TECHNIQUE, SEC_TECHNIQUE}, {ROLE_COMPARISON, SEC_COMPARISON},
    };

    if (!add_addendum(cell[ROLE_TEXT], cell[ROLE_ADDENDUM], joined, &out->text, e)) return false;
    out->table = true;
    out->patient = id_of(cell[ROLE_PATIENT]);
    out->study = id_of(cell[cell[ROLE_STUDY].n ? ROLE_STUDY : ROLE_ID]);
    if (is_lost_number(out->study)) out->study = STR("");
    if (is_lost_number(out->patient)) out->patient = STR("");
    out->column = str_trim(cell[ROLE_MODALITY]);
    out->code = id_of(cell[ROLE_CODE]);
    out->description = str_trim(cell[ROLE_DESCRIPTION]);
    out->status = report_status(cell[ROLE_STATUS]);
    out->split = split_code(str_trim(cell[ROLE_SPLIT]));
    out->time = when_of(cell[ROLE_TIME]);
    out->reader = str_trim(cell[ROLE_READER]);
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
        out->section[sections[i].section] = cell[sections[i].role];
    /* What was done stands in the description when no column says it at length. */
    if (str_trim(cell[ROLE_EXAMINATION]).n == 0) out->section[SEC_EXAMINATION] = out->description;
    return true;
}
