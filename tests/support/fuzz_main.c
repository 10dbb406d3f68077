/*
 * tests/support/fuzz_main - runs a libFuzzer target without libFuzzer: every file of a corpus folder,
 * then mutations of each with a fixed seed (RADMILL_FUZZ_ROUNDS of them a file, 200 if unset).
 * A crash is reported with the file and the round; the input lies in fuzz-crash.bin for a replay.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILES_MAX 1000
#define BYTES_MAX ((size_t)1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    char path[1024];
    uint8_t *p;
    size_t n;
};
static struct input files[FILES_MAX];
static size_t nfiles;

static struct {
    const char *path;
    long round;
    const uint8_t *p;
    size_t n;
} now;

static void on_crash(int sig)
{
    int fd = open("fuzz-crash.bin", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd >= 0 && write(fd, now.p, now.n) == (ssize_t)now.n) close(fd);
    dprintf(2, "fuzz: signal %d in %s, round %ld (-1: as it is)\n", sig, now.path, now.round);
    signal(sig, SIG_DFL);
    raise(sig);
}

static uint64_t seed = 0x9e3779b97f4a7c15u;

static uint64_t next(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static size_t below(size_t n)
{
    return n ? (size_t)(next() % n) : 0;
}

static void read_one(const char *dir, const char *name)
{
    struct input *f = &files[nfiles++];
    snprintf(f->path, sizeof f->path, "%s/%s", dir, name);
    FILE *in = fopen(f->path, "rb");
    f->p = malloc(BYTES_MAX);
    if (!in || !f->p) abort();
    f->n = fread(f->p, 1, BYTES_MAX, in);
    fclose(in);
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct input *)a)->path, ((const struct input *)b)->path);
}

static void read_corpus(const char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *entry;
    while (d && (entry = readdir(d)) && nfiles < FILES_MAX)
        if (entry->d_name[0] != '.') read_one(dir, entry->d_name);
    if (d) closedir(d);
    qsort(files, nfiles, sizeof *files, by_path);
}

/* The block is exactly as long as the input, so that a sanitizer sees a read past its end. */
static void run(const char *path, long round, const uint8_t *p, size_t n)
{
    uint8_t *copy = malloc(n ? n : 1);
    if (!copy) abort();
    if (n) memcpy(copy, p, n);
    now.path = path;
    now.round = round;
    now.p = copy;
    now.n = n;
    LLVMFuzzerTestOneInput(copy, n);
    free(copy);
}

/* Open a gap of n bytes at `at` as far as room allows; the gap's length. */
static size_t gap(uint8_t *p, size_t *size, size_t at, size_t n)
{
    if (n > BYTES_MAX - *size) n = BYTES_MAX - *size;
    memmove(p + at + n, p + at, *size - at);
    *size += n;
    return n;
}

static size_t mutate(uint8_t *p, size_t n)
{
    static const uint8_t odd[] = {0, 1, 0x7f, 0x80, 0xff, '"', '\\', '\n', '{', '[', ':', '-', ' '};
    for (size_t k = 1 + below(4); k > 0; k--) {
        size_t at = below(n + 1), len = 1 + below(16);
        const struct input *other = &files[below(nfiles)];
        switch (below(7)) {
        case 0:
            if (at < n) p[at] ^= (uint8_t)(1u << below(8));
            break;
        case 1:
            if (at < n) p[at] = odd[below(sizeof odd)];
            break;
        case 2: /* cut a piece out */
            if (len > n - at) len = n - at;
            memmove(p + at, p + at + len, n - at - len);
            n -= len;
            break;
        case 3: /* cut the end off */
            n = at;
            break;
        case 4: /* a piece once more */
            if (len > n - at) len = n - at;
            len = gap(p, &n, at, len);
            break;
        case 5: /* a piece of another file */
            if (len > other->n) len = other->n;
            len = gap(p, &n, at, len);
            memcpy(p + at, other->p + below(other->n - len + 1), len);
            break;
        default: /* many of the same */
            len = gap(p, &n, at, below(8) == 0 ? 3000 : len);
            memset(p + at, odd[below(sizeof odd)], len);
            break;
        }
    }
    return n;
}

int main(int argc, char **argv)
{
    const char *text = getenv("RADMILL_FUZZ_ROUNDS");
    long rounds = text ? strtol(text, NULL, 10) : 200;
    static const int signals[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        signal(signals[i], on_crash);
    for (int i = 1; i < argc; i++)
        read_corpus(argv[i]);
    if (nfiles == 0) {
        fprintf(stderr, "fuzz: no corpus\n");
        return 1;
    }
    uint8_t *buf = malloc(BYTES_MAX);
    if (!buf) return 1;
    for (size_t i = 0; i < nfiles; i++) {
        run(files[i].path, -1, files[i].p, files[i].n);
        for (long r = 0; r < rounds; r++) {
            memcpy(buf, files[i].p, files[i].n);
            run(files[i].path, r, buf, mutate(buf, files[i].n));
        }
    }
    printf("fuzz: %zu files, %ld mutations each\n", nfiles, rounds);
    for (size_t i = 0; i < nfiles; i++)
        free(files[i].p);
    free(buf);
    return 0;
}
