/* The only file that includes mpi.h. Errors keep MPI's default handler, which ends the job. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "comm/comm_impl.h"

/* ---- waiting: MPI's own calls look without a pause, which takes a core from whoever is waited
 * for, or from other people's jobs. Short waits are left so; in a long one a rank sleeps between
 * two looks, for a small part of what it has waited: nobody is late by more than that. */
enum { WAIT_PART = 32 };
static const double wait_short_s = 0.0002, wait_pause_s = 0.004;

/* Between two looks; *since is 0 before the first. */
static void wait_pause(double *since)
{
    double now = clock_mono_s(), pause;

    if (*since <= 0) *since = now;
    if (now - *since < wait_short_s) return;
    pause = (now - *since) / WAIT_PART;
    if (pause > wait_pause_s) pause = wait_pause_s;
    nanosleep(&(struct timespec){.tv_nsec = (long)(pause * 1e9)}, NULL);
}

/* Until all ranks have come to this collective: then it takes no longer than its bytes do. */
static void wait_for_all(void)
{
    MPI_Request all;
    double since = 0;
    int there = 0;

    MPI_Ibarrier(MPI_COMM_WORLD, &all);
    for (;;) {
        MPI_Request_get_status(all, &there, MPI_STATUS_IGNORE);
        if (there) break;
        wait_pause(&since);
    }
    /* NOLINTNEXTLINE(clang-analyzer-optin.mpi.MPI-Checker): it does not know MPI_Ibarrier */
    MPI_Wait(&all, MPI_STATUS_IGNORE);
}

/* ---- more than one rank */

static void mpi_barrier(struct comm *c)
{
    (void)c;
    wait_for_all();
}

static void mpi_bcast(struct comm *c, void *p, size_t n, int root)
{
    (void)c;
    wait_for_all();
    MPI_Bcast(p, (int)n, MPI_BYTE, root, MPI_COMM_WORLD);
}

static void mpi_reduce(struct comm *c, void *v, size_t n, enum comm_reduction op)
{
    (void)c;
    MPI_Datatype type = op == COMM_SUM_U64   ? MPI_UINT64_T
                        : op == COMM_MAX_I64 ? MPI_INT64_T
                                             : MPI_DOUBLE;
    wait_for_all();
    MPI_Allreduce(MPI_IN_PLACE, v, (int)n, type, op == COMM_SUM_U64 ? MPI_SUM : MPI_MAX,
                  MPI_COMM_WORLD);
}

static int mpi_first_failed(struct comm *c, bool failed)
{
    struct {
        int ok, rank;
    } v = {!failed, c->rank};
    wait_for_all();
    MPI_Allreduce(MPI_IN_PLACE, &v, 1, MPI_2INT, MPI_MINLOC, MPI_COMM_WORLD);
    return v.ok ? -1 : v.rank;
}

static void mpi_allgather(struct comm *c, const void *in, size_t n, void *out)
{
    (void)c;
    wait_for_all();
    MPI_Allgather(in, (int)n, MPI_BYTE, out, (int)n, MPI_BYTE, MPI_COMM_WORLD);
}

static void mpi_allgatherv(struct comm *c, const void *in, const int *counts, const int *at,
                           void *out)
{
    wait_for_all();
    MPI_Allgatherv(in, counts[c->rank], MPI_BYTE, out, counts, at, MPI_BYTE, MPI_COMM_WORLD);
}

/* Its checker wants every request begun and waited for in one function.
 * NOLINTBEGIN(clang-analyzer-optin.mpi.MPI-Checker) */

/* An empty message to everyone. */
static void mpi_alarm(struct comm *c)
{
    for (int r = 0; r < c->size; r++) {
        MPI_Request sent;
        if (r == c->rank) continue;
        MPI_Isend(NULL, 0, MPI_BYTE, r, c->alarm_turn, MPI_COMM_WORLD, &sent);
        MPI_Request_free(&sent); /* it goes on its way; nobody waits for it */
    }
}

/* Messages of other turns came too late to matter. */
static bool mpi_alarmed(struct comm *c)
{
    bool found = false;
    int there;
    MPI_Status s;

    while (!found) {
        MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &there, &s);
        if (!there) return false;
        MPI_Recv(NULL, 0, MPI_BYTE, s.MPI_SOURCE, s.MPI_TAG, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        found = s.MPI_TAG == c->alarm_turn;
    }
    return true;
}

/* ---- from rank to rank: one tag, so that the order of a pair of ranks holds; a communicator of
 * their own, so that no alarm is taken for one. An exchange has another. */
enum { POST_TAG = 1, SWAP_TAG = 2 };
static MPI_Comm posts;

static void mpi_post(const void *p, size_t n, int to, struct comm_request *request)
{
    MPI_Request r;

    _Static_assert(sizeof r <= sizeof request->handle, "room for the handle");
    MPI_Isend(p, (int)n, MPI_BYTE, to, POST_TAG, posts, &r);
    memcpy(request->handle, &r, sizeof r);
}

static bool mpi_post_done(struct comm_request *request, bool wait)
{
    MPI_Request r;
    double since = 0;
    int done = 0;

    memcpy(&r, request->handle, sizeof r);
    for (;;) {
        MPI_Test(&r, &done, MPI_STATUS_IGNORE);
        if (done || !wait) break;
        wait_pause(&since);
    }
    memcpy(request->handle, &r, sizeof r);
    return done != 0;
}

/* NOLINTEND(clang-analyzer-optin.mpi.MPI-Checker) */

static bool mpi_peek(int from, bool wait, size_t *n)
{
    MPI_Status status;
    double since = 0;
    int there = 0, count = 0;

    for (;;) {
        MPI_Iprobe(from, POST_TAG, posts, &there, &status);
        if (there) break;
        if (!wait) return false;
        wait_pause(&since);
    }
    MPI_Get_count(&status, MPI_BYTE, &count);
    *n = (size_t)count;
    return true;
}

static void mpi_receive(void *p, size_t n, int from)
{
    MPI_Recv(p, (int)n, MPI_BYTE, from, POST_TAG, posts, MPI_STATUS_IGNORE);
}

static void mpi_swap(struct str out, int to, char *in, size_t n, int from)
{
    MPI_Sendrecv(out.p, (int)out.n, MPI_BYTE, out.n ? to : MPI_PROC_NULL, SWAP_TAG, in, (int)n,
                 MPI_BYTE, n ? from : MPI_PROC_NULL, SWAP_TAG, posts, MPI_STATUS_IGNORE);
}

static void mpi_abort(struct comm *c, int exit_code)
{
    (void)c;
    MPI_Abort(MPI_COMM_WORLD, exit_code);
}

static void mpi_close(struct comm *c)
{
    (void)c;
    MPI_Comm_free(&posts);
    MPI_Finalize();
}

static const struct comm_ops mpi_ops = {
    .barrier = mpi_barrier,
    .bcast = mpi_bcast,
    .reduce = mpi_reduce,
    .first_failed = mpi_first_failed,
    .allgather = mpi_allgather,
    .allgatherv = mpi_allgatherv,
    .alarm = mpi_alarm,
    .alarmed = mpi_alarmed,
    .post = mpi_post,
    .post_done = mpi_post_done,
    .peek = mpi_peek,
    .receive = mpi_receive,
    .swap = mpi_swap,
    .abort = mpi_abort,
    .close = mpi_close,
};

/* ---- start */

static bool env_number(const char *name, int *out)
{
    struct err bad = {0};
    uint64_t v = 0;
    const char *text = getenv(name);
    if (!text || !parse_u64(str_of(text), &v, &bad) || v > 1 << 20) return false;
    *out = (int)v;
    return true;
}

/* Did mpirun, or srun with PMIx, start us? */
static bool has_launcher(void)
{
    return getenv("OMPI_COMM_WORLD_SIZE") || getenv("PMIX_RANK") || getenv("PMI_RANK");
}

/* srun that offers no PMI starts N processes of which each would think itself alone. */
static bool refuse_lonely_tasks(struct err *e)
{
    int tasks;
    if (!env_number("SLURM_NTASKS", &tasks) || tasks <= 1) return true;
    return err_set(e, ERR_CONFIG,
                   "SLURM_NTASKS is %d, but MPI would see one rank; start with 'srun -K1 "
                   "--mpi=pmix radmill ...' or 'mpirun radmill ...', or ask for one task",
                   tasks);
}

static bool launcher_local_rank(const struct comm *c, int *out)
{
    int proc;
    if (env_number("OMPI_COMM_WORLD_LOCAL_RANK", out)) return true;
    return env_number("SLURM_PROCID", &proc) && proc == c->rank && env_number("SLURM_LOCALID", out);
}

static void find_local(struct comm *c)
{
    MPI_Comm node;
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node);
    MPI_Comm_rank(node, &c->local_rank);
    MPI_Comm_size(node, &c->local_size);
    MPI_Comm_free(&node);
    if (!launcher_local_rank(c, &c->local_rank)) return;
    if (c->local_size <= c->local_rank) c->local_size = c->local_rank + 1;
}

static void bind_gpu(struct comm *c)
{
    struct str rest = str_of(getenv("CUDA_VISIBLE_DEVICES")), entry;
    int count = 0, at = 0;

    while (str_split(&rest, ',', &entry))
        count++;
    if (count == 0) return;
    rest = str_of(getenv("CUDA_VISIBLE_DEVICES"));
    for (int mine = c->local_rank % count; at <= mine && str_split(&rest, ',', &entry); at++)
        ;
    if (entry.n >= sizeof c->gpu) return; /* a name we do not know how to cut */
    snprintf(c->gpu, sizeof c->gpu, "%.*s", STR_ARG(entry));
    if (count > 1 && c->local_size > 1) setenv("CUDA_VISIBLE_DEVICES", c->gpu, 1);
}

bool comm_open(int *argc, char ***argv, struct comm **out, struct err *e)
{
    int begun = 0, ended = 0, provided = 0;
    struct comm *c = NULL;
    *out = NULL;
    MPI_Initialized(&begun);
    MPI_Finalized(&ended);
    if (begun || ended) return err_set(e, ERR_LIB, "MPI can be started only once in a process");
    if (!has_launcher()) {
        if (!refuse_lonely_tasks(e)) return false;
        /* Without it MPI_Init of Open MPI 4 looks for its daemon, and aborts if there is none. */
        setenv("OMPI_MCA_ess_singleton_isolated", "1", 0);
    }
    if (!comm_open_self(&c, e)) return false;
    MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &provided);
    MPI_Comm_dup(MPI_COMM_WORLD, &posts);
    c->ops = &mpi_ops;
    MPI_Comm_rank(MPI_COMM_WORLD, &c->rank);
    MPI_Comm_size(MPI_COMM_WORLD, &c->size);
    find_local(c);
    bind_gpu(c);
    if (provided < MPI_THREAD_FUNNELED) {
        comm_close(c);
        return err_set(e, ERR_LIB, "this MPI allows no threads besides the one that calls it");
    }
    *out = c;
    return true;
}

struct version_pair comm_version(void)
{
    struct version_pair v;
    int major = 0, minor = 0;
    MPI_Get_version(&major, &minor);
    snprintf(v.built, sizeof v.built, "%d.%d", MPI_VERSION, MPI_SUBVERSION);
    snprintf(v.found, sizeof v.found, "%d.%d", major, minor);
    return v;
}

const char *comm_library(void)
{
    static char text[MPI_MAX_LIBRARY_VERSION_STRING]; /* the same on every call */
    int n = 0;
    if (!text[0]) MPI_Get_library_version(text, &n);
    return text;
}
