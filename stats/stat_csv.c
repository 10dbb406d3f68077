#include "stats/stat_csv.h"

#include <math.h>

#include "base/fs.h"
#include "stats/stat_page.h"

enum { CSV_MAX_BYTES = 64 << 20 };
#define CELL(b, ...) sbuf_printf(b, e, __VA_ARGS__)
#define LLU(n)       (unsigned long long)(n)

/* A text cell: quoted where it has to be. A leading = + - @ would be a formula to spreadsheets. */
static bool put_text(struct sbuf *b, struct str s, struct err *e)
{
    bool quote = s.n > 0 && strchr("=+-@", s.p[0]) != NULL, formula = quote;

    for (size_t i = 0; i < s.n; i++)
        quote |= strchr(",\"\n\r", s.p[i]) != NULL;
    if (!quote) return sbuf_put(b, s, e);
    if (!sbuf_putc(b, '"', e) || (formula && !sbuf_putc(b, '\'', e))) return false;
    for (size_t i = 0; i < s.n; i++)
        if ((s.p[i] == '"' && !sbuf_putc(b, '"', e)) || !sbuf_putc(b, s.p[i], e)) return false;
    return sbuf_putc(b, '"', e);
}

static bool put_modalities(struct sbuf *b, const struct stat_result *r, struct err *e)
{
    const struct stat_counts *c = r->counts;
    bool ok = CELL(b, "modality,reports,patients,pairs");

    for (int o = 0; ok && o < ORIGIN_COUNT; o++)
        ok = CELL(b, ",from_%s", record_origin_names[o]);
    ok = ok && CELL(b, "\n");
    for (int m = 0; ok && m < MOD_COUNT; m++) {
        if (c->modality[m] == 0) continue;
        ok = CELL(b, "%s,%llu,%llu,%llu", record_modality_names[m], LLU(c->modality[m]),
                  LLU(r->patient_modality[m]), LLU(c->fate[m][FATE_PAIR]));
        for (int o = 0; ok && o < ORIGIN_COUNT; o++)
            ok = CELL(b, ",%llu", LLU(c->origin[m][o]));
        ok = ok && CELL(b, "\n");
    }
    return ok;
}

static bool put_sources(struct sbuf *b, const struct stat_result *r, struct err *e)
{
    bool ok = CELL(b, "source,entries,ignored,reports,patients,pairs,superseded,duplicates,"
                      "split_weak,text_bytes\n");

    for (size_t s = 0; ok && s < r->nsources; s++) {
        const struct stat_source *x = &r->sources[s];
        ok = put_text(b, str_of(r->names[s]), e) &&
             CELL(b, ",%llu,%llu,%llu,%llu,%llu,%llu,%llu,%llu,%llu\n", LLU(x->entries),
                  LLU(x->ignored), LLU(x->reports), LLU(r->source_patients[s]), LLU(x->pairs),
                  LLU(x->superseded), LLU(x->duplicates), LLU(x->weak), LLU(x->text_bytes));
    }
    return ok;
}

/* sd: of the sample. */
static bool put_lengths(struct sbuf *b, const struct stat_lengths *l, struct err *e)
{
    static const double at[] = {0, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1};
    double n = (double)l->reports, mean = n > 0 ? (double)l->sum / n : 0;
    double var = n > 1 ? ((double)l->squares - n * mean * mean) / (n - 1) : 0;
    uint64_t above, fence = stat_fence(l, &above);
    bool ok = CELL(b, ",%.4f,%.4f", mean, var > 0 ? sqrt(var) : 0);

    for (size_t i = 0; ok && i < sizeof at / sizeof *at; i++)
        ok = CELL(b, ",%llu", LLU(stat_quantile(l, at[i])));
    return ok && CELL(b, ",%llu,%llu\n", LLU(fence), LLU(above));
}

static bool put_sections(struct sbuf *b, const struct stat_result *r, struct err *e)
{
    bool ok = CELL(b, "section,modality,unit,reports,missing,sum,mean,sd,min,p5,p25,p50,p75,p95,"
                      "p99,max,fence,outliers\n");

    for (int k = 0; k < STAT_KINDS - !r->tokens; k++)
        for (int s = 0; s < STAT_SECTIONS; s++)
            for (int m = 0; ok && m < MOD_COUNT; m++) {
                const struct stat_lengths *l = &r->counts->length[k][s][m];
                if (r->counts->modality[m] == 0) continue;
                ok = CELL(b, "%s,%s,%s,%llu,%llu,%llu", stat_section_names[s],
                          record_modality_names[m], stat_kind_names[k], LLU(l->reports),
                          LLU(r->counts->missing[s][m]), LLU(l->sum)) &&
                     put_lengths(b, l, e);
            }
    return ok;
}

static bool put_histograms(struct sbuf *b, const struct stat_result *r, struct err *e)
{
    bool ok = CELL(b, "section,modality,unit,length,reports\n");

    for (int k = 0; k < STAT_KINDS - !r->tokens; k++)
        for (int s = 0; s < STAT_SECTIONS; s++)
            for (int m = 0; m < MOD_COUNT; m++) {
                const struct stat_lengths *l = &r->counts->length[k][s][m];
                for (int n = 0; ok && n <= STAT_LEN_MAX; n++)
                    if (l->cell[n])
                        ok = CELL(b, "%s,%s,%s,%d%s,%llu\n", stat_section_names[s],
                                  record_modality_names[m], stat_kind_names[k], n,
                                  n == STAT_LEN_MAX ? "+" : "", LLU(l->cell[n]));
            }
    return ok;
}

static bool put_longest(struct sbuf *b, const struct stat_result *r, struct err *e)
{
    bool ok = CELL(b, "section,words,modality,source,block,row\n");

    for (int s = 0; s < STAT_SECTIONS; s++)
        for (size_t i = 0; ok && i < r->top[s].n; i++) {
            const struct stat_long *x = &r->top[s].v[i];
            ok = CELL(b, "%s,%llu,%s,", stat_section_names[s], LLU(x->words),
                      record_modality_names[x->modality]) &&
                 put_text(b, str_of(r->names[x->source]), e) &&
                 CELL(b, ",%u,%u\n", x->block, x->row);
        }
    return ok;
}

static bool put_duplicates(struct sbuf *b, const struct stat_result *r, struct err *e)
{
    bool ok = CELL(b, "what,texts,reports\n");

    for (int g = 0; ok && g < STAT_GROUPS; g++)
        ok = CELL(b, "shared by %s,%llu,%llu\n", stat_group_names[g], LLU(r->group_texts[g]),
                  LLU(r->group_reports[g]));
    return ok && CELL(b, "in several sources,%llu,\n", LLU(r->across_sources)) &&
           CELL(b, "dev text also in train,,%llu\n", LLU(r->seen[SPLIT_DEV])) &&
           CELL(b, "test text also in train,,%llu\n", LLU(r->seen[SPLIT_TEST]));
}

static bool put_phrase_rows(struct sbuf *b, const char *what, const struct stat_phrases *p,
                            struct err *e)
{
    bool ok = true;

    for (size_t i = 0; ok && i < p->n; i++)
        ok = CELL(b, "%s,%llu,%llu,", what, LLU(p->v[i].patients), LLU(p->v[i].reports)) &&
             put_text(b, p->v[i].text, e) && CELL(b, "\n");
    return ok;
}

static bool put_phrases(struct sbuf *b, const struct stat_result *r, struct err *e)
{
    return CELL(b, "section,patients,reports,phrase\n") &&
           put_phrase_rows(b, "findings", &r->phrases[TEXT_FINDINGS], e) &&
           put_phrase_rows(b, "impression", &r->phrases[TEXT_IMPRESSION], e);
}

static bool put_headers(struct sbuf *b, const struct stat_result *r, struct err *e)
{
    return CELL(b, "where,patients,reports,header\n") &&
           put_phrase_rows(b, "text", &r->phrases[TEXT_HEADER], e);
}

static bool put_checks(struct sbuf *b, const struct stat_result *r, struct err *e)
{
    bool ok = CELL(b, "check,modality,compared,found\n");

    for (int k = 0; k < CHECK_COUNT; k++)
        for (int m = 0; ok && m < MOD_COUNT; m++)
            if (r->counts->modality[m])
                ok =
                    CELL(b, "%s,%s,%llu,%llu\n", stat_check_words[k].name, record_modality_names[m],
                         LLU(r->counts->checked[k][m]), LLU(r->counts->found[k][m]));
    return ok;
}

static bool put_labels(struct sbuf *b, const struct stat_result *r, struct err *e)
{
    bool ok = CELL(b, "label,text_names,reports\n");

    for (int m = 0; m < MOD_COUNT; m++)
        for (int t = 0; ok && t < MOD_COUNT; t++)
            if (r->counts->named[m][t])
                ok = CELL(b, "%s,%s,%llu\n", record_modality_names[m], record_modality_names[t],
                          LLU(r->counts->named[m][t]));
    return ok;
}

static bool put_splits(struct sbuf *b, const struct stat_result *r, struct err *e)
{
    bool ok = CELL(b, "by,name,split,reports,patients\n");

    for (int s = 0; ok && s < SPLIT_COUNT; s++) {
        uint64_t n = 0;
        for (int m = 0; m < MOD_COUNT; m++)
            n += r->counts->split[m][s];
        ok =
            CELL(b, "all,,%s,%llu,%llu\n", record_split_names[s], LLU(n), LLU(r->patient_split[s]));
    }
    for (int m = 0; m < MOD_COUNT; m++)
        for (int s = 0; ok && s < SPLIT_COUNT; s++)
            if (r->counts->modality[m])
                ok = CELL(b, "modality,%s,%s,%llu,\n", record_modality_names[m],
                          record_split_names[s], LLU(r->counts->split[m][s]));
    for (size_t k = 0; k < r->nsources; k++)
        for (int s = 0; ok && s < SPLIT_COUNT; s++)
            ok = CELL(b, "source,") && put_text(b, str_of(r->names[k]), e) &&
                 CELL(b, ",%s,%llu,\n", record_split_names[s], LLU(r->sources[k].split[s]));
    return ok && CELL(b, "all,in several splits,,,%llu\n", LLU(r->crossing));
}

static bool put_left_out(struct sbuf *b, const struct stat_result *r, struct err *e)
{
    bool ok = CELL(b, "what,source,modality,reason,count\n");

    for (size_t s = 0; s < r->nsources; s++)
        for (int k = 0; ok && k < REJECT_COUNT; k++)
            if (r->sources[s].rejected[k])
                ok = CELL(b, "entry,") && put_text(b, str_of(r->names[s]), e) &&
                     CELL(b, ",,%s,%llu\n", record_reject_names[k], LLU(r->sources[s].rejected[k]));
    for (int m = 0; m < MOD_COUNT; m++)
        for (int f = 0; ok && f < FATE_COUNT; f++)
            if (r->counts->fate[m][f])
                ok = CELL(b, "report,,%s,%s,%llu\n", record_modality_names[m],
                          stat_fate_words[f].name, LLU(r->counts->fate[m][f]));
    return ok;
}

bool stat_csv_write(const char *dir, const struct stat_result *r, uint64_t *files, struct err *e)
{
    static const struct {
        const char *name;
        bool (*put)(struct sbuf *b, const struct stat_result *r, struct err *e);
    } tables[] = {
        {"modalities.csv", put_modalities}, {"sources.csv", put_sources},
        {"sections.csv", put_sections},     {"histograms.csv", put_histograms},
        {"longest.csv", put_longest},       {"duplicates.csv", put_duplicates},
        {"phrases.csv", put_phrases},       {"headers.csv", put_headers},
        {"checks.csv", put_checks},         {"labels.csv", put_labels},
        {"splits.csv", put_splits},         {"left_out.csv", put_left_out},
    };
    struct arena a;
    struct sbuf b;
    bool ok = true;

    arena_init(&a, 1 << 20);
    sbuf_init(&b, CSV_MAX_BYTES);
    for (size_t i = 0; ok && i < sizeof tables / sizeof *tables; i++) {
        const char *path;
        sbuf_clear(&b);
        ok = tables[i].put(&b, r, e) && fs_join(&a, dir, tables[i].name, &path, e) &&
             fs_replace(path, sbuf_str(&b), e);
        *files += ok;
    }
    sbuf_free(&b);
    arena_free(&a);
    return ok;
}
