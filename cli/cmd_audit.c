/* radmill audit DIR | CONFIG.yaml: what left a folder, or all folders of a configuration: who,
 * when, what, where. */
#include <pwd.h>
#include <stdlib.h>

#include "base/fs.h"
#include "base/json.h"
#include "base/jsonl.h"
#include "cli/config.h"

enum { AUDIT_MAX_BYTES = 256 << 20, LINE_MAX_BYTES = 1 << 16, DIRS_MAX = 32, NAME_CHARS = 40 };

struct event {
    struct str time, action, what, host;
    uint64_t uid;
    const char *dir;
    size_t order; /* in which it was read */
};
struct events {
    struct cmd_call *call;
    struct event *v;
    size_t n;
    const char *dir; /* being read */
};

static bool take(void *ctx, size_t index, const json_t *obj, struct err *e)
{
    struct events *all = ctx;
    struct arena *a = &all->call->arena;
    struct event *x = &all->v[all->n];

    (void)index;
    *x = (struct event){.dir = all->dir, .order = all->n};
    if (json_object_get(obj, "host") && !json_get_str(obj, "host", &x->host, e)) return false;
    if (!json_get_str(obj, "time", &x->time, e) || !json_get_u64(obj, "uid", &x->uid, e) ||
        !json_get_str(obj, "action", &x->action, e) || !json_get_str(obj, "what", &x->what, e))
        return false;
    all->n++;
    return arena_str(a, x->time, &x->time, e) && arena_str(a, x->action, &x->action, e) &&
           arena_str(a, x->what, &x->what, e) && arena_str(a, x->host, &x->host, e);
}

/* The events of one folder's log, behind those that are there. */
static bool read_dir(struct events *all, const char *dir, bool *found, struct err *e)
{
    struct arena *a = &all->call->arena;
    struct event *more;
    struct str text;
    const char *path;

    if (!fs_join(a, dir, "audit.jsonl", &path, e)) return false;
    *found = fs_exists(path);
    if (!*found) return true;
    if (!fs_read_file(path, AUDIT_MAX_BYTES, a, &text, e)) return false;
    more = arena_alloc(a, (all->n + jsonl_count(text) + 1) * sizeof *more, e);
    if (!more) return false;
    for (size_t i = 0; i < all->n; i++)
        more[i] = all->v[i];
    all->v = more;
    all->dir = dir;
    return jsonl_each(text, path, LINE_MAX_BYTES, take, all, e);
}

/* Times are ISO 8601 in UTC: their text sorts as they do. */
static int by_time(const void *x, const void *y)
{
    const struct event *a = x, *b = y;
    int c = str_cmp(a->time, b->time);
    return c ? c : (a->order > b->order) - (a->order < b->order);
}

static void print_event(const struct cmd_call *call, const struct event *x, bool where)
{
    const struct passwd *who = getpwuid((uid_t)x->uid);

    cmd_print(call, "%.*s  uid %llu", STR_ARG(x->time), (unsigned long long)x->uid);
    if (who) cmd_print(call, " (%.*s)", NAME_CHARS, who->pw_name);
    if (x->host.n) cmd_print(call, " on %.*s", STR_ARG(x->host));
    cmd_print(call, "  %-10.*s %.*s", STR_ARG(x->action), STR_ARG(x->what));
    if (where) cmd_print(call, "  [%s]", x->dir);
    cmd_print(call, "\n");
}

static bool audit_dir(struct cmd_call *call, const char *dir)
{
    struct events all = {.call = call};
    bool found;

    if (!fs_is_dir(dir))
        return err_set(&call->err, ERR_CONFIG, "%s: no such folder or configuration", dir);
    if (!read_dir(&all, dir, &found, &call->err)) return false;
    if (!found) cmd_print(call, "nothing has left %s\n", dir);
    for (size_t i = 0; i < all.n; i++)
        print_event(call, &all.v[i], false);
    return true;
}

/* Every folder of the configuration from which something may leave, each once. */
static bool list_dirs(struct cmd_call *call, const struct config *c, const char *dirs[DIRS_MAX],
                      size_t *n)
{
    const char *const named[] = {c->corpus.dir,   c->shards.dir,   c->stats.dir, c->train.dir,
                                 c->generate.dir, c->evaluate.dir, c->sweep.dir, c->judge.dir,
                                 c->label.dir,    c->serve.dir};
    const struct {
        const char *dir, *below;
    } adapters[] = {{c->train.dir, "adapter"},
                    {c->sweep.dir, "best"},
                    {c->judge.dir, "made/run/adapter"},
                    {c->judge.dir, "final/run/adapter"}};

    *n = 0;
    for (size_t i = 0; i < sizeof named / sizeof named[0]; i++) {
        bool had = !named[i];
        for (size_t k = 0; k < *n && !had; k++)
            had = str_eqz(str_of(named[i]), dirs[k]);
        if (!had) dirs[(*n)++] = named[i];
    }
    for (size_t i = 0; i < sizeof adapters / sizeof adapters[0]; i++) {
        if (!adapters[i].dir) continue;
        if (!fs_join(&call->arena, adapters[i].dir, adapters[i].below, &dirs[*n], &call->err))
            return false;
        ++*n;
    }
    return true;
}

static bool audit_config(struct cmd_call *call)
{
    struct events all = {.call = call};
    const char *dirs[DIRS_MAX];
    struct config c;
    size_t n;
    bool found;

    if (!config_load(call, &c) || !list_dirs(call, &c, dirs, &n)) return false;
    for (size_t i = 0; i < n; i++)
        if (!read_dir(&all, dirs[i], &found, &call->err)) return false;
    if (all.n == 0) cmd_print(call, "nothing has left the folders of %s\n", call->pos[0]);
    if (all.n > 0) qsort(all.v, all.n, sizeof *all.v, by_time);
    for (size_t i = 0; i < all.n; i++)
        print_event(call, &all.v[i], true);
    return true;
}

bool cmd_audit(struct cmd_call *call)
{
    bool file = fs_exists(call->pos[0]) && !fs_is_dir(call->pos[0]);

    return file ? audit_config(call) : audit_dir(call, call->pos[0]);
}
