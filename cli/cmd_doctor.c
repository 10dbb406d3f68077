/* radmill doctor: what this machine has, beside what this program was built with. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/build_info.h"
#include "cli/cmd.h"
#include "compute/dev.h"
#include "ingest/archive.h"
#include "ingest/record.h"

enum { MOST_GPUS = 64 };

static void print_ranks(struct cmd_call *call)
{
    const char *ntasks = getenv("SLURM_NTASKS");
    cmd_print(call, "  ranks        %d (%d on this node), MPI library: %s\n", comm_size(call->comm),
              comm_local_size(call->comm), comm_library());
    cmd_print(call, "  SLURM        %s%s\n",
              getenv("SLURM_JOB_ID") ? "inside a job, tasks " : "not inside a job",
              getenv("SLURM_JOB_ID") && ntasks ? ntasks : "");
}

static void print_version(struct cmd_call *call, const char *name, struct version_pair v)
{
    bool same = str_eq(str_of(v.built), str_of(v.found));
    cmd_print(call, "  %-12s %s, built with %s%s\n", name, v.found, v.built,
              same ? "" : "   <- differs: rebuild, or load the module it was built with");
}

/* For sums from GPU to GPU (train.gradient_sum). */
static void print_nccl(struct cmd_call *call, const struct dev *d)
{
    char text[160];
    bool there = dev_team_there(d, text, sizeof text);

    cmd_print(call, "  %-12s %s%s%s\n", "nccl", there ? "" : "no: ", text,
              there ? "" : "; gradients are added up through host memory");
}

/* Each GPU that this process sees, or why there is none: no plug-in, no driver, too old. */
static void print_gpus(struct cmd_call *call)
{
    char why[512] = "", name[32];
    int n = dev_count_gpus(why, sizeof why);
    bool asked = false;

    if (n == 0) cmd_print(call, "  cuda         no: %s\n", why);
    for (int i = 0; i < n && i < MOST_GPUS; i++) {
        struct dev *d = NULL;
        struct err e = {0};
        snprintf(name, sizeof name, "cuda:%d", i);
        if (!dev_open(name, 1, &d, &e)) {
            cmd_print(call, "  %-12s no: %s\n", name, e.text);
            continue;
        }
        cmd_print(call, "  %-12s %s, %.1f GiB free, %s\n", name, dev_describe(d),
                  (double)dev_bytes_free(d) / 1073741824.0, dev_unit(d));
        if (!asked) print_nccl(call, d);
        asked = true;
        dev_close(d);
    }
}

bool cmd_doctor(struct cmd_call *call)
{
    struct dev *d = NULL;
    struct err e = {0};

    cmd_print(call, "radmill %s (%s), %s\n\n", build_info_version, build_info_commit,
              build_info_compiler);
    cmd_print(call, "  processors   %ld online, %.1f GiB memory\n", sysconf(_SC_NPROCESSORS_ONLN),
              (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGE_SIZE) / 1073741824.0);
    print_ranks(call);
    print_version(call, "MPI standard", comm_version());
    print_version(call, "HDF5", record_library_version());
    print_version(call, "libarchive", archive_library_version());
    if (dev_open("cpu", 1, &d, &e)) {
        cmd_print(call, "  cpu          %s\n  auto dtype   %s\n", dev_describe(d),
                  dev_prefers_bf16(d) ? "bf16" : "f32");
        dev_close(d);
    } else {
        cmd_print(call, "  cpu          %s\n", e.text);
        err_clear(&e);
    }
    print_gpus(call);
    return true;
}
