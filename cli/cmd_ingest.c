/* radmill ingest: archives and dumps to records. */
#include "cli/config.h"

static void print_counts(const struct cmd_call *call, const char *label, const char *const *names,
                         const uint64_t *counts, size_t n)
{
    cmd_print(call, "  %-11s", label);
    for (size_t i = 0; i < n; i++)
        if (counts[i]) cmd_print(call, " %s %llu", names[i], (unsigned long long)counts[i]);
    cmd_print(call, "\n");
}

static uint64_t total(const uint64_t *v, size_t n)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += v[i];
    return sum;
}

bool cmd_ingest(struct cmd_call *call)
{
    struct ingest_summary s = {0};
    struct config c;
    bool stop;

    if (!config_load(call, &c) || !config_dry_run(call, &c, &stop)) return false;
    if (stop) return true;
    if (!ingest_run(&c.corpus, call->comm, &s, &call->err)) return false;
    cmd_print(call, "%s: %llu reports in %llu blocks (%llu made now), %.1f MB of text, %.1f s\n",
              c.corpus.dir, (unsigned long long)s.reports, (unsigned long long)s.blocks,
              (unsigned long long)s.blocks_made, (double)s.text_bytes / 1e6, s.seconds);
    cmd_print(call, "  usable pairs %llu\n", (unsigned long long)s.pairs);
    if (s.near_seconds > 0)
        cmd_print(call, "  near-duplicates %llu, in %.1f s of these\n",
                  (unsigned long long)s.flags[8], s.near_seconds);
    print_counts(call, "split", record_split_names, s.split, SPLIT_COUNT);
    print_counts(call, "modality", record_modality_names, s.modality, MOD_COUNT);
    if (total(s.rejected, REJECT_COUNT))
        print_counts(call, "left out", record_reject_names, s.rejected, REJECT_COUNT);
    return true;
}
