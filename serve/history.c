#include "serve/history.h"

#include <pthread.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "serve/jot.h"

enum { LINE_BYTES = 64 << 20 };

struct history {
    pthread_mutex_t lock;
    struct arena arena;
    const char *dir;
    char day[11]; /* of the open file */
    struct fs_append *file;
};

bool history_open(const char *dir, struct history **out, struct err *e)
{
    struct history *h = mem_calloc(1, sizeof *h, e);

    *out = NULL;
    if (!h) return false;
    pthread_mutex_init(&h->lock, NULL);
    arena_init(&h->arena, 1 << 16);
    struct str copy;
    if (!fs_mkdirs(dir, e) || !arena_str(&h->arena, str_of(dir), &copy, e)) {
        history_close(h);
        return false;
    }
    h->dir = copy.p;
    *out = h;
    return true;
}

void history_close(struct history *h)
{
    if (!h) return;
    fs_append_close(h->file);
    arena_free(&h->arena);
    pthread_mutex_destroy(&h->lock);
    mem_free(h);
}

/* The file of the day that `now` begins with. */
static bool turn_page(struct history *h, const char now[21], struct err *e)
{
    struct arena_mark m = arena_mark(&h->arena);
    char name[20] = "";
    const char *path;

    if (h->file && memcmp(h->day, now, 10) == 0) return true;
    fs_append_close(h->file);
    h->file = NULL;
    memcpy(name, now, 10);
    memcpy(name + 10, ".jsonl", 7);
    bool ok = fs_join(&h->arena, h->dir, name, &path, e) && fs_append_open(path, &h->file, e);
    arena_reset(&h->arena, m);
    memcpy(h->day, now, 10);
    return ok;
}

bool history_add(struct history *h, const struct history_entry *v, struct err *e)
{
    struct sbuf line;
    char now[21];

    clock_iso8601(clock_wall_s(), now);
    sbuf_init(&line, LINE_BYTES);
    struct jot j = jot_begin(&line, e);
    jot_put(&j, "{");
    jot_pair(&j, "time", now);
    jot_pair(&j, "model", v->model);
    jot_pair(&j, "adapter", v->adapter);
    jot_pair(&j, "adapter_digest", v->adapter_digest);
    jot_key(&j, "findings");
    jot_str(&j, v->findings);
    jot_key(&j, "clinical");
    jot_str(&j, v->clinical);
    jot_key(&j, "impression");
    jot_str(&j, v->impression);
    jot_put(&j, "}");
    bool ok = j.ok;
    pthread_mutex_lock(&h->lock);
    ok = ok && turn_page(h, now, e) && fs_append_line(h->file, sbuf_str(&line), e);
    pthread_mutex_unlock(&h->lock);
    sbuf_free(&line);
    return ok || err_wrap(e, "history");
}
