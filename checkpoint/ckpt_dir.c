#include "checkpoint/ckpt_dir.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/fs.h"
#include "base/log.h"

#define PREFIX        "step-"
#define DIR_ARENA_MAX ((size_t)16 << 20)

bool ckpt_paths(const char *dir, uint64_t step, struct ckpt_paths *out, struct err *e)
{
    int n =
        snprintf(out->dir, sizeof out->dir, "%s/" PREFIX "%08llu", dir, (unsigned long long)step);
    if (n >= (int)sizeof out->dir)
        return err_set(e, ERR_LIMIT, "path of %d bytes is too long for a checkpoint", n);
    snprintf(out->arrays, sizeof out->arrays, "%s/arrays.rmck", out->dir);
    snprintf(out->mark, sizeof out->mark, "%s/COMPLETE", out->dir);
    return true;
}

/* ---- COMPLETE */

static bool parse_mark(struct str line, struct ckpt_mark *out, struct err *e)
{
    struct str word, size, hex;
    struct err bad = {0};
    uint8_t b[16];
    if (!str_split(&line, ' ', &word) || !str_eqz(word, "rmck") || !str_split(&line, ' ', &size) ||
        !str_split(&line, ' ', &hex) || line.p || !parse_u64(size, &out->file_bytes, &bad) ||
        !hash_unhex(hex, b, 16, &bad))
        return err_set(e, ERR_FORMAT, "a damaged COMPLETE marker");
    memcpy(&out->digest.lo, b, 8);
    memcpy(&out->digest.hi, b + 8, 8);
    return true;
}

bool ckpt_mark_read(const struct ckpt_paths *p, struct ckpt_mark out[2], size_t *n, struct err *e)
{
    struct arena a;
    struct str text, line;
    bool ok = false;
    *n = 0;
    if (!fs_exists(p->mark)) return true;
    arena_init(&a, 4096);
    if (!fs_read_file(p->mark, 256, &a, &text, e)) goto out;
    while (text.n > 0 && str_split(&text, '\n', &line)) {
        if (*n == 2) {
            err_set(e, ERR_FORMAT, "a damaged COMPLETE marker");
            goto out;
        }
        if (!parse_mark(line, &out[*n], e)) goto out;
        ++*n;
    }
    ok = true;
out:
    arena_free(&a);
    if (!ok) *n = 0;
    return ok;
}

bool ckpt_mark_write(const struct ckpt_paths *p, const struct ckpt_mark *marks, size_t n,
                     struct err *e)
{
    char text[256], hex[33];
    uint8_t b[16];
    size_t at = 0;
    CHECK(n <= 2);
    for (size_t i = 0; i < n; i++) {
        memcpy(b, &marks[i].digest.lo, 8);
        memcpy(b + 8, &marks[i].digest.hi, 8);
        hash_hex(b, 16, hex);
        at += (size_t)snprintf(text + at, sizeof text - at, "rmck %llu %s\n",
                               (unsigned long long)marks[i].file_bytes, hex);
    }
    return fs_replace(p->mark, (struct str){text, at}, e);
}

/* ---- which steps are there */

static bool parse_step(struct str name, uint64_t *out)
{
    struct err bad = {0};
    struct str digits = str_sub(name, sizeof PREFIX - 1, name.n);
    return str_starts(name, STR(PREFIX)) && digits.n >= 8 && parse_u64(digits, out, &bad);
}

static int newest_first(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x < y) - (x > y);
}

bool ckpt_steps(const char *dir, struct arena *a, uint64_t **steps, size_t *n, struct err *e)
{
    struct str *names;
    size_t count;
    *n = 0;
    *steps = NULL;
    if (!fs_exists(dir)) return true;
    if (!fs_list(dir, a, &names, &count, e)) return false;
    uint64_t *v = arena_alloc(a, count * sizeof *v, e);
    if (!v) return false;
    for (size_t i = 0; i < count; i++)
        if (parse_step(names[i], &v[*n])) ++*n;
    if (*n > 0) qsort(v, *n, sizeof *v, newest_first);
    *steps = v;
    return true;
}

/* ---- what to keep */

static bool is_pinned(uint64_t step, const uint64_t *pinned, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (pinned[i] == step) return true;
    return false;
}

/* The marker goes first and for good: what is left after a crash is no checkpoint. */
static bool drop(const struct ckpt_paths *p, struct err *e)
{
    if (fs_exists(p->mark) && (!fs_remove(p->mark, e) || !fs_sync_dir(p->dir, e))) return false;
    return fs_remove_tree(p->dir, e);
}

bool ckpt_retain(const char *dir, uint64_t step, uint32_t keep, const uint64_t *pinned,
                 size_t npinned, struct err *e)
{
    struct arena a;
    struct ckpt_paths p;
    uint64_t *steps;
    size_t n, kept = 0;
    bool ok = false;
    arena_init(&a, DIR_ARENA_MAX);
    if (!ckpt_steps(dir, &a, &steps, &n, e)) goto out;
    for (size_t i = 0; i < n; i++) {
        if (!ckpt_paths(dir, steps[i], &p, e)) goto out;
        bool complete = fs_exists(p.mark);
        bool newest = complete && steps[i] <= step && kept < keep;
        kept += newest;
        if (newest || steps[i] == step || (complete && is_pinned(steps[i], pinned, npinned)))
            continue;
        if (!drop(&p, e)) goto out;
        log_debug("checkpoint.drop", "step=%llu", (unsigned long long)steps[i]);
    }
    ok = true;
out:
    arena_free(&a);
    return ok;
}
