/* Fibers, barriers and warps of cuda_shim.h. */
#include "support/cuda_shim.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#if defined(__x86_64__) && !defined(SHIM_UCONTEXT)
#define SHIM_OWN_SWITCH
#else
#include <ucontext.h> /* slower: it saves the signal mask, too */
#endif
#if defined(__SANITIZE_ADDRESS__)
#define SHIM_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SHIM_ASAN 1
#endif
#endif
#ifdef SHIM_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

enum { MOST_THREADS = 1024, MOST_SITES = 512, MOST_COPIES = 512 };
static const size_t STACK_BYTES = 128 * 1024;

enum state { READY, IN_WARP, AT_BARRIER, DONE };

struct copy {
    void *to;
    const void *from;
    size_t bytes, valid;
    int group;
};

struct thread {
    enum state state;
    const char *file; /* where it waits */
    int line;
    shim_warp_fn *fn;
    shim_slot slot;
    copy *copies; /* [MOST_COPIES] */
    int ncopies, groups;
#if defined(SHIM_OWN_SWITCH)
    void *sp;
#else
    ucontext_t context;
#endif
#ifdef SHIM_ASAN
    void *fake;
#endif
};

struct site {
    const char *file;
    int line;
    uint64_t hits;
    char name[128];
};

dim3 shim_thread_idx, shim_block_idx, shim_block_dim, shim_grid_dim;

static struct {
    shim_order order;
    uint64_t seed;
    shim_put_fn *put;
    uint64_t launches;
    site sites[MOST_SITES];
    int nsites, skip;
    thread *threads;
    char *stacks;
    unsigned n, me;
    bool released;                                  /* the barrier let all go */
    unsigned waiting[1 + MOST_THREADS / SHIM_WARP]; /* at the barrier; in each warp */
    unsigned char *shared;
    size_t shared_bytes;
    void (*run)(const void *);
    const void *closure;
#if defined(SHIM_OWN_SWITCH)
    void *main_sp;
#else
    ucontext_t main_context;
#endif
#ifdef SHIM_ASAN
    void *main_fake;
    const void *main_stack;
    size_t main_size;
#endif
} shim = {};
static bool shim_ready;

void shim_die(const char *what)
{
    fprintf(stderr, "cuda_shim: %s\n", what);
    abort();
}

static void set_up(void)
{
    if (shim_ready) return;
    shim_ready = true;
    shim.skip = -1;
    shim.threads = static_cast<thread *>(calloc(MOST_THREADS, sizeof *shim.threads));
    void *p = mmap(NULL, MOST_THREADS * STACK_BYTES, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    copy *copies = static_cast<copy *>(calloc(MOST_THREADS * MOST_COPIES, sizeof *copies));
    if (!shim.threads || !copies || p == MAP_FAILED) shim_die("no memory for fibers");
    for (size_t i = 0; i < MOST_THREADS; i++)
        shim.threads[i].copies = copies + i * MOST_COPIES;
    shim.stacks = static_cast<char *>(p);
}

void shim_set_order(shim_order order, uint64_t seed)
{
    shim.order = order;
    shim.seed = seed;
}
void shim_set_queue(shim_put_fn *put)
{
    shim.put = put;
}
shim_put_fn *shim_queue(void)
{
    return shim.put;
}
uint64_t shim_launches(void)
{
    return shim.launches;
}
int shim_barriers(void)
{
    return shim.nsites;
}
const char *shim_barrier_name(int i)
{
    return shim.sites[i].name;
}
uint64_t shim_barrier_hits(int i)
{
    return shim.sites[i].hits;
}
void shim_barrier_skip(int i)
{
    set_up();
    shim.skip = i;
}

/* ---- switching stacks */
#if defined(SHIM_OWN_SWITCH)
/* Saves what the compiler may keep in registers over a call, changes the stack and goes on where
 * that one stopped. Below the stack pointer 128 bytes belong to the function itself. */
static __attribute__((noinline)) void switch_stack(void **save, void *to)
{
    __asm__ volatile("leaq -128(%%rsp), %%rsp\n\t"
                     "pushq %%rbp\n\t"
                     "pushq %%rbx\n\t"
                     "leaq 1f(%%rip), %%rax\n\t"
                     "pushq %%rax\n\t"
                     "movq %%rsp, (%%rdi)\n\t"
                     "movq %%rsi, %%rsp\n\t"
                     "popq %%rax\n\t"
                     "jmp *%%rax\n\t"
                     "1:\n\t"
                     "popq %%rbx\n\t"
                     "popq %%rbp\n\t"
                     "leaq 128(%%rsp), %%rsp\n\t"
                     : "+D"(save), "+S"(to)
                     :
                     : "rax", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
                       "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
                       "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "memory",
                       "cc");
}
#endif

static char *stack_of(unsigned i)
{
    return shim.stacks + i * STACK_BYTES;
}

static void to_main(bool leave)
{
    thread *t = &shim.threads[shim.me];
#ifdef SHIM_ASAN
    __sanitizer_start_switch_fiber(leave ? NULL : &t->fake, shim.main_stack, shim.main_size);
#else
    (void)leave;
#endif
#if defined(SHIM_OWN_SWITCH)
    switch_stack(&t->sp, shim.main_sp);
#else
    swapcontext(&t->context, &shim.main_context);
#endif
#ifdef SHIM_ASAN
    __sanitizer_finish_switch_fiber(t->fake, &shim.main_stack, &shim.main_size);
#endif
}

static void fiber_main(void)
{
#ifdef SHIM_ASAN
    __sanitizer_finish_switch_fiber(NULL, &shim.main_stack, &shim.main_size);
#endif
    shim.run(shim.closure);
    shim.threads[shim.me].state = DONE;
    to_main(true);
    shim_die("a fiber came back");
}

static void set_thread(unsigned i)
{
    shim.me = i;
    shim_thread_idx.x = i % shim_block_dim.x;
    shim_thread_idx.y = i / shim_block_dim.x % shim_block_dim.y;
    shim_thread_idx.z = i / shim_block_dim.x / shim_block_dim.y;
}

static void to_fiber(unsigned i)
{
    thread *t = &shim.threads[i];
    set_thread(i);
#ifdef SHIM_ASAN
    __sanitizer_start_switch_fiber(&shim.main_fake, stack_of(i), STACK_BYTES);
#endif
#if defined(SHIM_OWN_SWITCH)
    switch_stack(&shim.main_sp, t->sp);
#else
    swapcontext(&shim.main_context, &t->context);
#endif
#ifdef SHIM_ASAN
    __sanitizer_finish_switch_fiber(shim.main_fake, NULL, NULL);
#endif
}

static void begin_thread(unsigned i)
{
    thread *t = &shim.threads[i];
    t->state = READY;
    t->ncopies = t->groups = 0;
#if defined(SHIM_OWN_SWITCH)
    /* As if fiber_main had been called: its return address, which is never used, is aligned to 16 */
    void **top = reinterpret_cast<void **>(stack_of(i) + STACK_BYTES - 64);
    void (*entry)(void) = fiber_main;
    top[0] = NULL;
    memcpy(&top[-1], &entry, sizeof entry);
    t->sp = &top[-1];
    if (reinterpret_cast<uintptr_t>(top) % 16 == 0) { /* rsp % 16 must be 8 on entry */
        memcpy(&top[-2], &entry, sizeof entry);
        top[-1] = NULL;
        t->sp = &top[-2];
    }
#else
    getcontext(&t->context);
    t->context.uc_stack.ss_sp = stack_of(i);
    t->context.uc_stack.ss_size = STACK_BYTES;
    t->context.uc_link = NULL;
    makecontext(&t->context, fiber_main, 0);
#endif
}

/* ---- barriers and warps */
static int site_of(const char *file, int line)
{
    for (int i = 0; i < shim.nsites; i++)
        if (shim.sites[i].line == line &&
            (shim.sites[i].file == file || strcmp(shim.sites[i].file, file) == 0))
            return i;
    if (shim.nsites == MOST_SITES) shim_die("more barriers than MOST_SITES");
    site *s = &shim.sites[shim.nsites];
    const char *base = strrchr(file, '/');
    s->file = file;
    s->line = line;
    snprintf(s->name, sizeof s->name, "%s:%d", base ? base + 1 : file, line);
    return shim.nsites++;
}

static void wait_here(enum state state, const char *file, int line)
{
    thread *t = &shim.threads[shim.me];
    t->state = state;
    t->file = file;
    t->line = line;
}

/* The last of n to come finds all at the same place, and lets them go. */
static bool last_of(unsigned *waiting, unsigned from, unsigned n)
{
    const thread *t = &shim.threads[shim.me];
    if (++*waiting < n) return false;
    *waiting = 0;
    for (unsigned i = from; i < from + n; i++) {
        thread *o = &shim.threads[i];
        if (o->line != t->line || (o->file != t->file && strcmp(o->file, t->file) != 0)) {
            fprintf(stderr, "cuda_shim: thread %u waits at %s:%d, thread %u at %s:%d\n", shim.me,
                    t->file, t->line, i, o->file, o->line);
            abort();
        }
        o->state = READY;
    }
    return true;
}

void shim_barrier(const char *file, int line)
{
    int at = site_of(file, line);
    shim.sites[at].hits++;
    if (at == shim.skip) return;
    wait_here(AT_BARRIER, file, line);
    if (last_of(&shim.waiting[0], 0, shim.n)) shim.released = true;
    to_main(false);
}

void shim_warp(shim_warp_fn *fn, const char *file, int line, const void *in, size_t in_bytes,
               void *out, size_t out_bytes)
{
    thread *t = &shim.threads[shim.me];
    unsigned from = shim.me / SHIM_WARP * SHIM_WARP;
    if (in_bytes > SHIM_DATA || out_bytes > SHIM_DATA) shim_die("SHIM_DATA is too small");
    memcpy(t->slot.in, in, in_bytes);
    wait_here(IN_WARP, file, line);
    if (last_of(&shim.waiting[1 + from / SHIM_WARP], from, SHIM_WARP)) {
        shim_slot *lanes[SHIM_WARP];
        for (unsigned l = 0; l < SHIM_WARP; l++)
            lanes[l] = &shim.threads[from + l].slot;
        fn(lanes);
    }
    to_main(false);
    if (out_bytes) memcpy(out, t->slot.out, out_bytes);
}

void *shim_shared(void)
{
    return shim.shared;
}

/* ---- cp.async */
void shim_copy_start(void *to, const void *from, size_t bytes, size_t valid)
{
    thread *t = &shim.threads[shim.me];
    if (t->ncopies == MOST_COPIES) shim_die("more copies in flight than MOST_COPIES");
    if (reinterpret_cast<uintptr_t>(to) % bytes ||
        (valid && reinterpret_cast<uintptr_t>(from) % bytes))
        shim_die("cp.async: an address is not aligned");
    memset(to, 0xFF, bytes);
    t->copies[t->ncopies++] = copy{to, from, bytes, valid, t->groups};
}

void shim_copy_commit(void)
{
    shim.threads[shim.me].groups++;
}

void shim_copy_wait(int pending, const char *file, int line)
{
    int at = site_of(file, line);
    shim.sites[at].hits++;
    if (at == shim.skip) return;
    thread *t = &shim.threads[shim.me];
    int kept = 0;
    for (int i = 0; i < t->ncopies; i++) {
        copy *c = &t->copies[i];
        if (c->group >= t->groups - pending) {
            t->copies[kept++] = *c;
            continue;
        }
        memcpy(c->to, c->from, c->valid);
        memset(static_cast<char *>(c->to) + c->valid, 0, c->bytes - c->valid);
    }
    t->ncopies = kept;
}

/* ---- a launch */
static uint64_t next_random(void)
{
    uint64_t z = shim.seed += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static void put_in_order(unsigned *list, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        list[i] = shim.order == SHIM_REVERSE ? n - 1 - i : i;
    for (unsigned i = n; shim.order == SHIM_SHUFFLED && i > 1; i--) {
        unsigned j = (unsigned)(next_random() % i), keep = list[j];
        list[j] = list[i - 1];
        list[i - 1] = keep;
    }
}

[[noreturn]] static void die_stuck(void)
{
    unsigned done = 0;
    const thread *waiting = NULL;
    for (unsigned i = 0; i < shim.n; i++) {
        if (shim.threads[i].state == DONE) done++;
        if (shim.threads[i].state != DONE) waiting = &shim.threads[i];
    }
    fprintf(stderr, "cuda_shim: %u of %u threads left the kernel, another waits at %s:%d\n", done,
            shim.n, waiting ? waiting->file : "?", waiting ? waiting->line : 0);
    abort();
}

/* Every lane of a warp that can run does, up to where it waits. Did any? */
static bool run_warp(unsigned warp)
{
    unsigned lanes[SHIM_WARP];
    bool moved = false;
    put_in_order(lanes, SHIM_WARP);
    for (unsigned l = 0; l < SHIM_WARP; l++)
        if (shim.threads[warp * SHIM_WARP + lanes[l]].state == READY) {
            moved = true;
            to_fiber(warp * SHIM_WARP + lanes[l]);
        }
    return moved;
}

/* In order, the first warp goes as far as the block's barriers let it, then the next: what a warp
 * may do to another's data too early, it does. Shuffled, they go on by turns. */
static bool run_warps(unsigned warps)
{
    unsigned list[MOST_THREADS / SHIM_WARP];
    bool any = false;
    put_in_order(list, warps);
    shim.released = false;
    for (unsigned w = 0; w < warps && !shim.released; w++)
        while (run_warp(list[w]) && !shim.released) {
            any = true;
            if (shim.order == SHIM_SHUFFLED) break;
        }
    return any || shim.released;
}

static void run_block(void)
{
    memset(shim.shared, 0xFF, shim.shared_bytes);
    memset(shim.waiting, 0, sizeof shim.waiting);
    for (unsigned i = 0; i < shim.n; i++)
        begin_thread(i);
    while (run_warps(shim.n / SHIM_WARP)) {
    }
    for (unsigned i = 0; i < shim.n; i++)
        if (shim.threads[i].state != DONE) die_stuck();
}

void shim_launch_run(dim3 grid, dim3 block, size_t shared, void (*run)(const void *),
                     const void *closure)
{
    size_t blocks = (size_t)grid.x * grid.y * grid.z;
    set_up();
    shim.n = block.x * block.y * block.z;
    if (shim.n == 0 || shim.n > MOST_THREADS || shim.n % SHIM_WARP) shim_die("block size");
    if (block.y != 1 || block.z != 1) shim_die("blocks are one-dimensional here");
    if (blocks == 0 || grid.y > 65535 || grid.z > 65535) shim_die("grid size");
    if (shared > SHIM_MOST_SHARED) shim_die("more shared memory than sm_80 has");
    shim.launches++;
    shim.shared = static_cast<unsigned char *>(malloc(shared ? shared : 1));
    unsigned *list = static_cast<unsigned *>(malloc(blocks * sizeof *list));
    if (!shim.shared || !list) shim_die("no memory");
    shim.shared_bytes = shared;
    shim.run = run;
    shim.closure = closure;
    shim_block_dim = block;
    shim_grid_dim = grid;
    put_in_order(list, (unsigned)blocks);
    for (size_t i = 0; i < blocks; i++) {
        shim_block_idx =
            dim3(list[i] % grid.x, list[i] / grid.x % grid.y, list[i] / grid.x / grid.y);
        run_block();
    }
    free(list);
    free(shim.shared);
    shim.shared = NULL;
}

/* ---- tensor cores */
struct mma_in {
    uint32_t a[4], b[2];
    float c[4];
};

static float low(uint32_t pair)
{
    uint32_t u = pair << 16;
    float f;
    memcpy(&f, &u, 4);
    return f;
}
static float high(uint32_t pair)
{
    return low(pair >> 16);
}

/* Lane l holds rows l / 4 and l / 4 + 8, columns (of A: k) 2 (l % 4), + 1 and 8 more. */
static void warp_mma(shim_slot *const *lanes)
{
    float a[16][16], b[16][8];
    mma_in in[SHIM_WARP];
    for (int l = 0; l < SHIM_WARP; l++) {
        int g = l / 4, t = l % 4 * 2;
        memcpy(&in[l], lanes[l]->in, sizeof in[l]);
        for (int r = 0; r < 4; r++) {
            int row = g + r % 2 * 8, k = t + r / 2 * 8;
            a[row][k] = low(in[l].a[r]);
            a[row][k + 1] = high(in[l].a[r]);
        }
        for (int r = 0; r < 2; r++) {
            b[t + r * 8][g] = low(in[l].b[r]);
            b[t + r * 8 + 1][g] = high(in[l].b[r]);
        }
    }
    for (int l = 0; l < SHIM_WARP; l++) {
        float c[4];
        for (int r = 0; r < 4; r++) {
            int row = l / 4 + r / 2 * 8, col = l % 4 * 2 + r % 2;
            double sum = (double)in[l].c[r];
            for (int k = 0; k < 16; k++)
                sum += (double)a[row][k] * (double)b[k][col];
            c[r] = (float)sum;
        }
        memcpy(lanes[l]->out, c, sizeof c);
    }
}

void shim_mma_bf16(float c[4], const uint32_t a[4], const uint32_t b[2])
{
    mma_in in;
    memcpy(in.a, a, sizeof in.a);
    memcpy(in.b, b, sizeof in.b);
    memcpy(in.c, c, sizeof in.c);
    shim_warp(warp_mma, __FILE__, __LINE__, &in, sizeof in, c, 4 * sizeof *c);
}

struct ldmatrix_in {
    const void *row;
    bool trans;
};

/* Matrix m's row r is where lane 8 m + r points. */
static void warp_ldmatrix(shim_slot *const *lanes)
{
    uint16_t x[4][8][8];
    bool trans = false;
    for (int l = 0; l < SHIM_WARP; l++) {
        ldmatrix_in in;
        memcpy(&in, lanes[l]->in, sizeof in);
        if (reinterpret_cast<uintptr_t>(in.row) % 16) shim_die("ldmatrix: a row is not aligned");
        memcpy(x[l / 8][l % 8], in.row, 16);
        trans = in.trans;
    }
    for (int l = 0; l < SHIM_WARP; l++)
        for (int m = 0; m < 4; m++) {
            int g = l / 4, t = l % 4 * 2;
            uint32_t lo = trans ? x[m][t][g] : x[m][g][t];
            uint32_t hi = trans ? x[m][t + 1][g] : x[m][g][t + 1];
            uint32_t pair = lo | hi << 16;
            memcpy(lanes[l]->out + m * 4, &pair, 4);
        }
}

void shim_ldmatrix(uint32_t r[4], const void *row, bool trans)
{
    ldmatrix_in in;
    memset(&in, 0, sizeof in);
    in.row = row;
    in.trans = trans;
    shim_warp(warp_ldmatrix, __FILE__, __LINE__, &in, sizeof in, r, 4 * sizeof *r);
}
