#include "evaluate/metric.h"

#include <string.h>

#include "base/mem.h"

/* One a line: each lives in evaluate/metric_NAME.c. */
extern const struct metric metric_rouge;
extern const struct metric metric_rouge_sent;
extern const struct metric metric_bleu;
extern const struct metric metric_chrf;
extern const struct metric metric_meteor;
extern const struct metric metric_facts;
extern const struct metric metric_judge;
extern const struct metric metric_memorization;
extern const struct metric metric_bertscore;
extern const struct metric metric_clinicalbert;
extern const struct metric metric_radbert;
extern const struct metric metric_chexbert;

/* clang-format off */
const struct metric *const metric_table[] = {
    &metric_rouge,
    &metric_rouge_sent,
    &metric_bleu,
    &metric_chrf,
    &metric_meteor,
    &metric_facts,
    &metric_judge,
    &metric_memorization,
    &metric_bertscore,
    &metric_clinicalbert,
    &metric_radbert,
    &metric_chexbert,
    NULL,
};
/* clang-format on */

double metric_ratio(const double *sum)
{
    return sum[1] > 0 ? sum[0] / sum[1] : 0;
}

/* ---- the chosen ones */

static bool in_words(const char *words, struct str name)
{
    struct str rest = str_of(words), word;
    while (str_split(&rest, ' ', &word))
        if (str_eq(word, name)) return true;
    return false;
}

static bool is_called(const struct metric *m, struct str name)
{
    return str_eqz(name, m->name) || (str_eqz(name, "all") && !m->whole) || in_words(m->also, name);
}

static bool refuse(struct str name, struct err *e)
{
    struct sbuf known;
    sbuf_init(&known, 1024);
    bool ok = true;
    for (size_t i = 0; ok && metric_table[i]; i++)
        ok = sbuf_printf(&known, e, "%s, ", metric_table[i]->name);
    if (ok)
        err_set(e, ERR_CONFIG, "evaluate.metrics: \"%.*s\" is unknown; known: %sall", STR_ARG(name),
                known.p);
    sbuf_free(&known);
    return false;
}

/* Mark what a name, or a list of names with commas between, chooses. */
static bool choose(struct str names, bool wanted[METRICS_MAX], struct err *e)
{
    struct str name;
    while (str_split(&names, ',', &name)) {
        bool known = false;
        name = str_trim(name);
        for (size_t m = 0; metric_table[m]; m++) {
            CHECK(m < METRICS_MAX);
            bool called = is_called(metric_table[m], name);
            wanted[m] |= called;
            known |= called;
        }
        if (!known) return refuse(name, e);
    }
    return true;
}

static void add(struct metric_set *s, const struct metric *m)
{
    CHECK(s->n < METRICS_MAX && s->nvalues + m->nvalues <= METRIC_VALUES_MAX);
    CHECK(s->ncolumns + m->ncolumns <= METRIC_COLUMNS_MAX);
    for (size_t v = 0; v < m->nvalues; v++) {
        const struct metric_value *value = &m->values[v];
        CHECK(value->column + value->columns <= m->ncolumns && value->columns > 0);
        s->value[s->nvalues] = value;
        s->of[s->nvalues] = (uint16_t)s->n;
        s->column[s->nvalues++] = (uint16_t)(s->ncolumns + value->column);
    }
    s->first_column[s->n] = s->ncolumns;
    s->metric[s->n++] = m;
    s->ncolumns += m->ncolumns;
}

bool metric_set_init(struct metric_set *s, const struct opt_strs *names, struct err *e)
{
    bool wanted[METRICS_MAX] = {false};
    *s = (struct metric_set){0};
    for (size_t i = 0; i < names->n; i++)
        if (!choose(str_of(names->v[i]), wanted, e)) return false;
    for (size_t m = 0; metric_table[m]; m++)
        if (wanted[m]) add(s, metric_table[m]);
    return s->n > 0 || err_set(e, ERR_CONFIG, "evaluate.metrics is empty: name one, or all");
}

size_t metric_set_find(const struct metric_set *s, const char *name)
{
    for (size_t v = 0; v < s->nvalues; v++)
        if (strcmp(s->value[v]->name, name) == 0) return v;
    return SIZE_MAX;
}
