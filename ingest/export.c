#include "base/log.h"
#include "ingest/export_impl.h"

const char *const export_format_names[EXPORT_FORMATS + 1] = {"mediqa", "mitlcp", "sections",
                                                             "jsonl", "csv"};

bool export_run(const struct export_opts *o, struct export_counts *out, struct err *e)
{
    bool listed = o->format == EXPORT_MEDIQA, published = listed || o->format == EXPORT_MITLCP;

    memset(out, 0, sizeof *out);
    if (published && o->hashed_ids)
        return err_set(e, ERR_CONFIG, "the format %s carries raw ids, and corpus.ids is hash",
                       export_format_names[o->format]);
    if (published && !o->source)
        return err_set(e, ERR_CONFIG, "the format %s is of one source: name it",
                       export_format_names[o->format]);
    if (!(listed ? export_mediqa(o, out, e) : export_rows(o, out, e))) return false;
    log_info("export", "format=%s source=%s split=%s written=%llu missing=%llu incomplete=%llu",
             export_format_names[o->format], o->source ? o->source->name : "all",
             o->split < 0 ? "all" : record_split_names[o->split], (unsigned long long)out->written,
             (unsigned long long)out->missing, (unsigned long long)out->incomplete);
    return true;
}
