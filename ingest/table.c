#include "ingest/table.h"

#include "base/mem.h"

enum { MAX_JOINED = 8 };

struct table_map {
    size_t column[ROLE_COUNT][MAX_JOINED];
    size_t n[ROLE_COUNT];
    struct sbuf joined[ROLE_COUNT];
};

static const char *const usual[ROLE_COUNT][16] = {
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
};

bool table_member(const struct archive_member *m)
{
    static const char *const ends[] = {".csv", ".tsv", ".txt", ".CSV", ".TSV", ".TXT"};
    struct str part, last = {"", 0}, rest = m->name;

    if (m->alone) return true;
    while (str_split(&rest, '/', &part)) {
        if (str_eqz(part, "__MACOSX")) return false;
        last = part;
    }
    if (last.n == 0 || last.p[0] == '.') return false;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        if (str_ends(last, str_of(ends[i]))) return true;
    }
    return false;
}

static bool taken(const struct table_map *m, size_t column)
{
    for (int r = 0; r < ROLE_COUNT; r++) {
        for (size_t i = 0; i < m->n[r]; i++) {
            if (m->column[r][i] == column) return true;
        }
    }
    return false;
}

static bool take_asked(struct table_map *m, const struct ingest_columns *asked,
                       const struct str *header, size_t n, struct err *e)
{
    for (int r = 0; r < ROLE_COUNT; r++) {
        for (size_t i = 0; i < asked->role[r].n; i++) {
            const char *name = asked->role[r].v[i];
            size_t column = csv_column(header, n, str_of(name));
            if (column == SIZE_MAX)
                return err_set(e, ERR_CONFIG, "none of the %zu columns is named %.64s", n, name);
            if (m->n[r] == MAX_JOINED)
                return err_set(e, ERR_CONFIG, "more than %d columns for one part", MAX_JOINED);
            m->column[r][m->n[r]++] = column;
        }
    }
    return true;
}

/* The first usual name that is there; of clinical information all. */
static void guess(struct table_map *m, int role, const struct str *header, size_t n)
{
    for (size_t i = 0; usual[role][i]; i++) {
        size_t column = csv_column(header, n, str_of(usual[role][i]));
        if (column == SIZE_MAX || taken(m, column) || m->n[role] == MAX_JOINED) continue;
        m->column[role][m->n[role]++] = column;
        if (role != ROLE_CLINICAL) return;
    }
}

bool table_map_open(const struct ingest_columns *asked, const struct str *header, size_t n,
                    struct table_map **out, struct err *e)
{
    struct table_map *m = mem_calloc(1, sizeof *m, e);
    bool ok = false, given[ROLE_COUNT];

    *out = NULL;
    if (!m) return false;
    for (int r = 0; r < ROLE_COUNT; r++)
        sbuf_init(&m->joined[r], 64 << 20);
    if (!take_asked(m, asked, header, n, e)) goto out;
    for (int r = 0; r < ROLE_COUNT; r++)
        given[r] = m->n[r] > 0;
    for (int r = 0; r < ROLE_COUNT; r++) {
        if (!given[r]) guess(m, r, header, n);
    }
    if (m->n[ROLE_TEXT] + m->n[ROLE_FINDINGS] + m->n[ROLE_IMPRESSION] == 0) {
        /* The names stay out of it: a table without a header has a report in its first line. */
        err_set(e, ERR_CONFIG,
                "none of the %zu columns is known as report text, findings or impression: name "
                "them under columns; the first line must be a header",
                n);
        goto out;
    }
    ok = true;
out:
    if (ok)
        *out = m;
    else
        table_map_close(m);
    return ok;
}

void table_map_close(struct table_map *m)
{
    if (!m) return;
    for (int r = 0; r < ROLE_COUNT; r++)
        sbuf_free(&m->joined[r]);
    mem_free(m);
}

/* The role's cells, joined by line breaks where several are not empty. */
static bool cell_of(struct table_map *m, int role, const struct csv_row *row, struct str *out,
                    struct err *e)
{
    struct sbuf *b = &m->joined[role];

    *out = (struct str){"", 0};
    if (m->n[role] == 1) {
        *out = row->cells[m->column[role][0]];
        return true;
    }
    sbuf_clear(b);
    for (size_t i = 0; i < m->n[role]; i++) {
        struct str cell = row->cells[m->column[role][i]];
        if (str_trim(cell).n == 0) continue;
        if (b->n > 0 && !sbuf_putc(b, '\n', e)) return false;
        if (!sbuf_put(b, cell, e)) return false;
    }
    if (b->n > 0) *out = sbuf_str(b);
    return true;
}

bool table_row(struct table_map *m, const struct csv_row *row, struct report_input *out,
               struct err *e)
{
    static const struct {
        int role;
        enum record_section section;
    } sections[] = {
        {ROLE_FINDINGS, SEC_FINDINGS},   {ROLE_IMPRESSION, SEC_IMPRESSION},
        {ROLE_CLINICAL, SEC_CLINICAL},   {ROLE_EXAMINATION, SEC_EXAMINATION},
        {ROLE_TECHNIQUE, SEC_TECHNIQUE}, {ROLE_COMPARISON, SEC_COMPARISON},
    };
    struct str cell[ROLE_COUNT];

    for (int r = 0; r < ROLE_COUNT; r++) {
        if (!cell_of(m, r, row, &cell[r], e)) return false;
    }
    out->table = true;
    out->text = cell[ROLE_TEXT];
    out->patient = str_trim(cell[ROLE_PATIENT]);
    out->study = str_trim(cell[cell[ROLE_STUDY].n ? ROLE_STUDY : ROLE_ID]);
    out->column = str_trim(cell[ROLE_MODALITY]);
    out->code = str_trim(cell[ROLE_CODE]);
    out->description = str_trim(cell[ROLE_DESCRIPTION]);
    out->status = report_status(cell[ROLE_STATUS]);
    out->split = split_code(str_trim(cell[ROLE_SPLIT]));
    out->offset = row->offset;
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
        out->section[sections[i].section] = cell[sections[i].role];
    /* What was done stands in the description when no column says it at length. */
    if (str_trim(cell[ROLE_EXAMINATION]).n == 0) out->section[SEC_EXAMINATION] = out->description;
    return true;
}
