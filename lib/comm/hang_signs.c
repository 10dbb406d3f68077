#include "comm/hang_signs.h"

#include <stdio.h>
#include <string.h>

#include "base/fs.h"

enum { PATH_BYTES = 4096, FILE_MAX = 1 << 16, ARENA_BYTES = 1 << 18 };

static bool path_of(char out[PATH_BYTES], const char *dir, int rank)
{
    int n = snprintf(out, PATH_BYTES, "%s/.alive/%d", dir, rank);
    return n > 0 && n < PATH_BYTES;
}

static bool folder_of(char out[PATH_BYTES], const char *dir)
{
    int n = snprintf(out, PATH_BYTES, "%s/.alive", dir);
    return n > 0 && n < PATH_BYTES;
}

/* ---- writing */

static bool put_line(const char *path, struct str line, struct err *e)
{
    struct fs_append *f = NULL;

    if (!fs_append_open(path, &f, e)) return false;
    bool ok = fs_append_size(f) < FILE_MAX / 2 || fs_append_truncate(f, 0, e);
    ok = ok && fs_append_line(f, line, e);
    fs_append_close(f);
    return ok;
}

void hang_signs_put(const char *dir, int rank, uint64_t run, const struct hang_sign *s)
{
    char path[PATH_BYTES], folder[PATH_BYTES], line[256];
    struct err ignored = {0};

    /* The stage makes its folder; before that there is nothing to hang in. */
    if (!fs_is_dir(dir) || !path_of(path, dir, rank) || !folder_of(folder, dir)) return;
    int n = snprintf(line, sizeof line, "%llu %d %llu %.0f %llu %s", (unsigned long long)run,
                     s->waiting, (unsigned long long)s->entered, s->quiet_s * 1000,
                     (unsigned long long)s->n, s->what);
    if (!fs_mkdirs(folder, &ignored) || !put_line(path, (struct str){line, (size_t)n}, &ignored))
        err_clear(&ignored);
}

void hang_signs_drop(const char *dir, int rank)
{
    char path[PATH_BYTES];
    struct err ignored = {0};

    if (!path_of(path, dir, rank) || !fs_exists(path)) return;
    if (!fs_remove(path, &ignored)) err_clear(&ignored);
}

void hang_signs_clear(const char *dir)
{
    char folder[PATH_BYTES];
    struct err ignored = {0};

    if (!folder_of(folder, dir) || !fs_is_dir(folder)) return;
    if (!fs_remove_tree(folder, &ignored)) err_clear(&ignored);
}

/* ---- reading */

static bool number(struct str *rest, uint64_t *out)
{
    struct err bad = {0};
    struct str word;
    return str_split(rest, ' ', &word) && parse_u64(word, out, &bad);
}

static bool parse(struct str line, uint64_t run, struct hang_sign *out)
{
    uint64_t id, waiting, quiet_ms;

    if (!number(&line, &id) || id != run || !number(&line, &waiting) ||
        !number(&line, &out->entered) || !number(&line, &quiet_ms) || !number(&line, &out->n))
        return false;
    out->waiting = waiting != 0;
    out->quiet_s = (double)quiet_ms / 1000;
    snprintf(out->what, sizeof out->what, "%.*s", (int)(line.n < 23 ? line.n : 23),
             line.n ? line.p : "");
    return true;
}

static struct str last_line(struct str text)
{
    size_t end = text.n, from;

    while (end > 0 && text.p[end - 1] != '\n') /* half a line is being written */
        end--;
    if (end > 0) end--;
    for (from = end; from > 0 && text.p[from - 1] != '\n';)
        from--;
    return str_sub(text, from, end);
}

static void get_one(const char *dir, int rank, uint64_t run, struct hang_sign *out, double *mtime)
{
    char path[PATH_BYTES];
    struct err ignored = {0};
    struct str text;
    struct arena a;
    bool found = false;

    *out = (struct hang_sign){.known = false};
    arena_init(&a, ARENA_BYTES);
    if (path_of(path, dir, rank) && fs_mtime(path, mtime, &found, &ignored) && found &&
        fs_read_file(path, FILE_MAX, &a, &text, &ignored))
        out->known = parse(last_line(text), run, out);
    arena_free(&a);
}

void hang_signs_get(const char *dir, int me, uint64_t run, struct hang_sign *out, int size)
{
    double now = 0, then = 0;
    struct hang_sign mine;

    get_one(dir, me, run, &mine, &now);
    for (int r = 0; r < size; r++) {
        get_one(dir, r, run, &out[r], &then);
        out[r].age_s = mine.known && now > then ? now - then : 0;
    }
}

/* ---- judging */

static bool works(const struct hang_sign *s, double limit_s)
{
    return s->known && s->quiet_s + s->age_s < limit_s / 2;
}

/* Its process is stopped or gone, or is stuck in work of its own while others wait. */
static bool stands_alone(const struct hang_sign *s, bool any_waits, double limit_s)
{
    return !s->known || s->age_s > limit_s / 2 || (any_waits && !s->waiting);
}

bool hang_signs_judge(const struct hang_sign *v, int size, double limit_s, bool *suspect)
{
    bool any_waits = false, found = false;
    uint64_t most = 0;

    for (int r = 0; r < size; r++) {
        if (works(&v[r], limit_s)) return false;
        any_waits |= v[r].known && v[r].waiting;
        if (v[r].known && v[r].entered > most) most = v[r].entered;
    }
    for (int r = 0; r < size; r++)
        found |= suspect[r] = stands_alone(&v[r], any_waits, limit_s);
    for (int r = 0; r < size && !found; r++)
        suspect[r] = v[r].entered < most;
    return true;
}
