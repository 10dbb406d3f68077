/* comm over MPI on 1 to 4 ranks, and alone without a launcher; "abort" as argument ends with 7,
 * "stopped DIR", "stuck DIR" and "hang" let the last rank stand still until the watch ends the job; "place" prints
 * local rank and GPU. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/pulse.h"
#include "comm/comm_impl.h"
#include "comm/hang.h"
#include "comm/mpi_check.h"

static struct comm *c;
static int rank, size;

/* Every set of failing ranks: all get the lowest one's error. */
static void agreement(void)
{
    for (unsigned failing = 0; failing < 1u << size; failing++) {
        struct err e = {0};
        int lowest = failing ? __builtin_ctz(failing) : -1;
        bool mine = failing >> rank & 1;
        if (mine) err_set(&e, ERR_FORMAT, "entry %d of rank %d", 7, rank);
        bool ok = comm_agree(c, !mine, &e);
        MPI_CHECK(c, ok == (failing == 0));
        if (ok) {
            MPI_CHECK(c, e.code == ERR_NONE);
            continue;
        }
        char want[64];
        snprintf(want, sizeof want, "entry 7 of rank %d", lowest);
        MPI_CHECK(c, e.code == ERR_FORMAT && e.rank == lowest && strcmp(e.text, want) == 0);
    }
}

/* The last rank's alarm reaches ranks that are in no collective; one of an earlier turn does not. */
static void alarms(void)
{
    struct err e = {0};
    bool last = rank == size - 1;

    comm_alarm_reset(c);
    MPI_CHECK(c, !comm_alarmed(c));
    comm_barrier(c);         /* else a slow rank would see the next one in its first look */
    if (last) comm_alarm(c); /* nobody looks */
    comm_barrier(c);
    comm_alarm_reset(c);
    MPI_CHECK(c, !comm_alarmed(c));
    comm_barrier(c);
    if (last) comm_alarm(c);
    while (!last && !comm_alarmed(c))
        ;
    if (last) err_set(&e, ERR_LIB, "the alarm's reason");
    MPI_CHECK(c, !comm_agree(c, !last, &e));
    MPI_CHECK(c, e.rank == size - 1 && strcmp(e.text, "the alarm's reason") == 0);
}

/* Every rank posts three messages to every other one, the middle one large; they come in order. */
static void posts(void)
{
    enum { SMALL = 3, LARGE = 300000, MESSAGES = 3 };
    unsigned char *out = malloc(LARGE), *in = malloc(LARGE);
    struct comm_post *post[4][MESSAGES] = {{NULL}};
    size_t n;
    for (int i = 0; i < LARGE; i++)
        out[i] = (unsigned char)(i * 7 + rank);
    for (int to = 0; to < size; to++) {
        for (int k = 0; to != rank && k < MESSAGES; k++)
            post[to][k] = comm_post_open(c, out + k, k == 1 ? LARGE - 1 : SMALL, to);
    }
    for (int from = 0; from < size; from++) {
        for (int k = 0; from != rank && k < MESSAGES; k++) {
            size_t want = k == 1 ? LARGE - 1 : SMALL;
            MPI_CHECK(c, comm_await(c, from) == want);
            MPI_CHECK(c, comm_peek(c, from, &n) && n == want);
            comm_receive(c, in, want, from);
            for (size_t i = 0; i < want; i++)
                MPI_CHECK(c, in[i] == (unsigned char)((i + (size_t)k) * 7 + (size_t)from));
        }
        MPI_CHECK(c, from == rank || !comm_peek(c, from, &n));
    }
    for (int to = 0; to < size; to++) {
        for (int k = 0; k < MESSAGES; k++) {
            (void)comm_post_done(c, post[to][k]);
            comm_post_close(c, post[to][k]);
        }
    }
    MPI_CHECK(c, comm_post_done(c, NULL));
    comm_barrier(c);
    free(out);
    free(in);
}

/* A post is done when its bytes may change, and not before: whoever is told so writes over them, and
 * the other rank reads later. Told it is, in the end. */
static void posts_are_done(size_t n)
{
    unsigned char *out = malloc(n), *in = malloc(n);
    int to = (rank + 1) % size, from = (rank + size - 1) % size;

    memset(out, rank + 1, n);
    struct comm_post *post = comm_post_open(c, out, n, to);
    bool done = comm_post_done(c, post);
    if (done) memset(out, 0xee, n);
    comm_barrier(c);
    MPI_CHECK(c, comm_await(c, from) == n);
    comm_receive(c, in, n, from);
    for (size_t i = 0; i < n; i++)
        MPI_CHECK(c, in[i] == from + 1);
    comm_barrier(c); /* all have theirs */
    for (double since = clock_mono_s(); !done; done = comm_post_done(c, post))
        MPI_CHECK(c, clock_mono_s() - since < 60);
    MPI_CHECK(c, comm_post_done(c, post)); /* and it stays so */
    comm_post_close(c, post);
    comm_barrier(c);
    free(out);
    free(in);
}

static void broadcasts(void)
{
    enum { N = 1000 };
    unsigned char b[N];
    for (int root = 0; root < size; root++) {
        for (int i = 0; i < N; i++)
            b[i] = rank == root ? (unsigned char)(i * 3 + root) : 0;
        comm_bcast(c, b, N, root);
        for (int i = 0; i < N; i++)
            MPI_CHECK(c, b[i] == (unsigned char)(i * 3 + root));
        comm_bcast(c, b, 0, root);
    }
}

static void reductions(void)
{
    enum { N = 100 };
    int64_t i[N], hi[N];
    uint64_t u[N];
    double d[N];
    for (int k = 0; k < N; k++) {
        i[k] = -k * (rank + 1);
        hi[k] = k % 2 ? -k - rank : k + rank;
        u[k] = UINT64_MAX - (uint64_t)k;
        d[k] = k % 2 ? -1.5 * (rank + 1) : 0.25 * rank;
    }
    comm_sum_i64(c, i, N);
    comm_max_i64(c, hi, N);
    comm_sum_u64(c, u, N);
    comm_max_f64(c, d, N);
    for (int k = 0; k < N; k++) {
        MPI_CHECK(c, i[k] == -k * size * (size + 1) / 2);
        MPI_CHECK(c, hi[k] == (k % 2 ? -k : k + size - 1));
        MPI_CHECK(c, u[k] == (uint64_t)size * (UINT64_MAX - (uint64_t)k)); /* wraps */
        MPI_CHECK(c, d[k] == (k % 2 ? -1.5 : 0.25 * (size - 1)));
    }
}

static void gathers(void)
{
    char in[40], *all = malloc((size_t)size * sizeof in);
    memset(in, 'a' + rank, sizeof in);
    comm_allgather(c, in, sizeof in, all);
    for (int k = 0; k < size * (int)sizeof in; k++)
        MPI_CHECK(c, all[k] == 'a' + k / (int)sizeof in);
    free(all);
    for (int empty = 0; empty <= size; empty++) { /* the last turn: none is empty */
        struct err e = {0};
        size_t n = rank == empty ? 0 : 5 + (size_t)rank * 3, total, counts[8], want = 0;
        void *out;
        MPI_CHECK(c, comm_allgatherv(c, n ? in : NULL, n, &out, &total, counts, &e));
        const char *at = out;
        for (int r = 0; r < size; r++) {
            size_t theirs = r == empty ? 0 : 5 + (size_t)r * 3;
            MPI_CHECK(c, counts[r] == theirs);
            for (size_t k = 0; k < theirs; k++)
                MPI_CHECK(c, *at++ == 'a' + r);
            want += theirs;
        }
        MPI_CHECK(c, total == want);
        mem_free(out);
    }
}

/* Rank a sends 3 a + b bytes to rank b, nothing when they are equal and odd. */
static size_t exchanged(int from, int to)
{
    return from == to && from % 2 ? 0 : 3 * (size_t)from + (size_t)to;
}

static void exchanges(void)
{
    struct err e = {0};
    size_t counts[8], total = 0, got, n = 0;
    char in[256];
    void *out;
    for (int to = 0; to < size; to++) {
        counts[to] = exchanged(rank, to);
        for (size_t k = 0; k < counts[to]; k++)
            in[n++] = (char)(rank * 50 + to * 10 + (int)k);
    }
    MPI_CHECK(c, comm_exchange(c, in, counts, &out, &got, &e));
    const char *at = out;
    for (int from = 0; from < size; from++) {
        for (size_t k = 0; k < exchanged(from, rank); k++, total++)
            MPI_CHECK(c, *at++ == (char)(from * 50 + rank * 10 + (int)k));
    }
    MPI_CHECK(c, got == total);
    mem_free(out);
    for (int bad = 0; bad < size; bad++) {
        for (uint64_t fault = 1; fault <= 2; fault++) {
            struct err failed = {0};
            size_t live = mem_live_blocks();
            if (rank == bad) fault_arm(FAULT_MEM, fault, false);
            bool ok = comm_exchange(c, in, counts, &out, &got, &failed);
            fault_disarm_all();
            MPI_CHECK(c, !ok && !out && failed.code == ERR_NOMEM && failed.rank == bad);
            MPI_CHECK(c, mem_live_blocks() == live);
        }
    }
}

/* Memory runs out on one rank only: all ranks learn of it, nobody hangs, nothing leaks. */
static void gather_fails_on_one_rank(void)
{
    size_t live = mem_live_blocks();
    for (int bad = 0; bad < size; bad++) {
        for (uint64_t n = 1; n <= 4; n++) {
            struct err e = {0};
            void *out;
            size_t total;
            if (rank == bad) fault_arm(FAULT_MEM, n, false);
            bool ok = comm_allgatherv(c, "xyz", 3, &out, &total, NULL, &e);
            fault_disarm_all();
            MPI_CHECK(c, !ok && !out && e.code == ERR_NOMEM && e.rank == bad);
            MPI_CHECK(c, mem_live_blocks() == live);
        }
    }
}

static void shares(void)
{
    struct comm_range r = comm_share(c, 10);
    uint64_t cost[10] = {5, 0, 3, 8, 1, 1, 9, 2, 2, 4}, seen[2] = {r.end - r.begin, 0};
    struct comm_range by_cost = comm_share_cost(c, cost, 10);
    seen[1] = by_cost.end - by_cost.begin;
    comm_sum_u64(c, seen, 2);
    MPI_CHECK(c, seen[0] == 10 && seen[1] == 10);
}

static void places(void)
{
    /* One machine. A launcher may number its ranks in another order (Open MPI 5 does). */
    uint64_t at[8] = {0};
    MPI_CHECK(c, comm_local_size(c) == size && size <= 8 && comm_local_rank(c) < size);
    at[comm_local_rank(c)] = 1;
    comm_sum_u64(c, at, 8);
    for (int i = 0; i < size; i++)
        MPI_CHECK(c, at[i] == 1);
    MPI_CHECK(c, strlen(comm_library()) > 3);
    struct err e = {0};
    struct comm *second;
    if (strcmp(comm_library(), "none") != 0)
        MPI_CHECK(c, !comm_open(NULL, NULL, &second, &e) && e.code == ERR_LIB);
}

/* Processors never count; GPUs of one name are two ranks on one card. */
static void units(void)
{
    struct err e = {0};
    char mine[64];
    MPI_CHECK(c, comm_check_units(c, "", false, &e));
    snprintf(mine, sizeof mine, "GPU-%d", rank);
    MPI_CHECK(c, comm_check_units(c, mine, false, &e));
    snprintf(mine, sizeof mine, "GPU-%d", rank == size - 1 ? 0 : rank);
    MPI_CHECK(c, comm_check_units(c, mine, true, &e));
    MPI_CHECK(c, comm_check_units(c, mine, false, &e) == (size == 1));
    MPI_CHECK(c, size == 1 || e.code == ERR_CONFIG);
    snprintf(mine, sizeof mine, "ranks 0 and %d would share GPU-0", size - 1);
    MPI_CHECK(c, size == 1 || strstr(e.text, mine));
}

static void agreement_is_cheap(void)
{
    enum { TURNS = 2000 };
    struct err e = {0};
    comm_barrier(c);
    double start = clock_mono_s();
    for (int i = 0; i < TURNS; i++)
        MPI_CHECK(c, comm_agree(c, true, &e));
    if (rank == 0) printf("agree: %.2f us\n", 1e6 * (clock_mono_s() - start) / TURNS);
}

/* The last rank stands still, and the others wait for it. Does not return. */
__attribute__((noreturn)) static void hang(const char *how, const char *dir)
{
    struct hang_opts o = {.limit_s = 2, .stage = "test", .dir = dir};
    struct err e = {0};
    bool last = rank == size - 1;

    char sign[600] = "";

    pulse_at("turn", 3);
    MPI_CHECK(c, hang_watch(c, &o, &e));
    comm_barrier(c);
    if (dir) snprintf(sign, sizeof sign, "%s/.alive/%d", dir, rank);
    for (uint64_t bytes = 0; last && sign[0] && bytes == 0; usleep(10000))
        if (fs_exists(sign)) MPI_CHECK(c, fs_size(sign, &bytes, &e));
    if (last && strcmp(how, "stuck") == 0) pause();
    if (last) raise(SIGSTOP);
    for (;;)
        comm_barrier(c);
}

int main(int argc, char **argv)
{
    struct err e = {0};
    if (!comm_open(&argc, &argv, &c, &e)) {
        fprintf(stderr, "%s\n", e.text);
        return 1;
    }
    rank = comm_rank(c);
    size = comm_size(c);
    if (argc > 1 && strcmp(argv[1], "place") == 0) {
        printf("%d of %d gpu=%s env=%s\n", comm_local_rank(c), comm_local_size(c), comm_gpu(c),
               getenv("CUDA_VISIBLE_DEVICES"));
        comm_close(c);
        return 0;
    }
    if (argc > 1 && strcmp(argv[1], "abort") != 0) hang(argv[1], argv[2]);
    if (argc > 1 && strcmp(argv[1], "abort") == 0) {
        if (rank == size - 1) comm_abort(c, 7);
        comm_barrier(c); /* the others wait, and must not for ever */
        comm_barrier(c);
        for (;;)
            comm_barrier(c);
    }
    places();
    agreement();
    alarms();
    static const size_t chunks[] = {(size_t)1 << 30, 7, 1};
    for (int i = 0; i < 3; i++) { /* as if MPI's counts ended at 7 */
        comm_chunk = chunks[i];
        broadcasts();
        posts();
        reductions();
        gathers();
        exchanges();
        gather_fails_on_one_rank();
    }
    comm_chunk = chunks[0];
    for (size_t n = 1; size > 1 && n <= 1 << 20; n <<= 10)
        posts_are_done(n);
    shares();
    units();
    agreement_is_cheap();
    comm_barrier(c);
    comm_close(c);
    if (mem_live_blocks() != 0) {
        fprintf(stderr, "rank %d: %zu blocks leaked\n", rank, mem_live_blocks());
        return 1;
    }
    return 0;
}
