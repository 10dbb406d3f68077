#include "stats/stats.h"

#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "stats/stat_csv.h"
#include "stats/stat_page.h"

const struct opt stats_table[] = {
    OPT_PATH(struct stats_opts, dir, "work/stats", "folder of report.html and its tables"),
    OPT_U32(struct stats_opts, phrases, 30, 1, STAT_PHRASES_MAX,
            "how many of the commonest phrases and headers are shown"),
    OPT_U32(struct stats_opts, min_patients, 10, 2, 1000000,
            "show a phrase or header only where so many patients' reports have it"),
    OPT_U64(struct stats_opts, phrase_reports, 1000000, 1000, 1000000000,
            "count phrases in about so many reports at most"),
    OPT_BOOL(struct stats_opts, tokens, true, "count tokens too, with model.base's tokenizer"),
    OPT_END,
};

/* Rank 0 alone. */
static bool write_all(const struct stats_job *j, const struct stat_result *r,
                      struct stats_summary *out, struct err *e)
{
    const char *path;
    struct arena a;
    struct sbuf page;
    bool ok;

    arena_init(&a, 1 << 16);
    ok = stat_page(j, r, &page, e) && fs_mkdirs(j->stats->dir, e) &&
         stat_csv_write(j->stats->dir, r, &out->files, e) &&
         fs_join(&a, j->stats->dir, "report.html", &path, e) &&
         fs_replace(path, sbuf_str(&page), e);
    out->files += ok;
    if (ok && strlen(path) < sizeof out->page) memcpy(out->page, path, strlen(path) + 1);
    sbuf_free(&page);
    arena_free(&a);
    return ok;
}

static void summarise(const struct stat_result *r, struct stats_summary *out)
{
    out->reports = r->counts->reports;
    out->patients = r->patients;
    for (size_t s = 0; s < r->nsources; s++)
        out->duplicates += r->sources[s].duplicates;
    for (int m = 0; m < MOD_COUNT; m++)
        out->pairs += r->counts->fate[m][FATE_PAIR];
}

bool stats_run(const struct stats_job *j, struct comm *c, struct stats_summary *out, struct err *e)
{
    struct tokenizer *tok = NULL;
    struct stat_result r;
    bool ok = true;

    memset(out, 0, sizeof *out);
    memset(&r, 0, sizeof r);
    if (!j->stats->dir) ok = err_set(e, ERR_CONFIG, "stats.dir is missing");
    if (ok && j->tokenizer && j->stats->tokens) ok = tokenizer_open(j->tokenizer, &tok, e);
    ok = comm_agree(c, ok, e);
    if (ok) {
        ok = stat_gather(j, tok, c, &r, e);
        if (ok) summarise(&r, out);
        if (ok) ok = comm_agree(c, comm_rank(c) != 0 || write_all(j, &r, out, e), e);
        if (ok) comm_bcast(c, out, sizeof *out, 0);
        stat_result_free(&r);
    }
    tokenizer_close(tok);
    return ok || err_wrap(e, "stats");
}
