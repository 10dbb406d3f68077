#include "base/audit.h"

#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"

#define NOTE_MAX_BYTES 8192
#define HOST_MAX_BYTES 256
#define LOCK_TRIES     200 /* of 10 ms */

static bool build(struct sbuf *b, const char *action, const char *what, struct err *e)
{
    char now[21], host[HOST_MAX_BYTES];
    clock_iso8601(clock_wall_s(), now);
    if (gethostname(host, sizeof host) != 0) host[0] = 0;
    host[sizeof host - 1] = 0;
    return sbuf_printf(b, e, "{\"time\": \"%s\", \"uid\": %lu, \"host\": ", now,
                       (unsigned long)getuid()) &&
           json_put_str(b, str_of(host), true, e) && sbuf_put(b, STR(", \"action\": "), e) &&
           json_put_str(b, str_of(action), true, e) && sbuf_put(b, STR(", \"what\": "), e) &&
           json_put_str(b, str_of(what), true, e) && sbuf_putc(b, '}', e);
}

/* Opening cuts off a torn last line, so two processes must not open at once. */
static bool lock_soon(const char *path, int *handle, struct err *e)
{
    for (int i = 0; i < LOCK_TRIES; i++) {
        if (fs_lock(path, handle, e)) return true;
        if (e->code != ERR_CONFIG) return false;
        err_clear(e);
        usleep(10000);
    }
    return err_set(e, ERR_IO, "%s stays locked", path);
}

static bool append(const char *path, struct str line, struct err *e)
{
    struct fs_append *f = NULL;
    bool ok = fs_append_open(path, &f, e) && fs_append_line(f, line, e) && fs_append_sync(f, e);
    fs_append_close(f);
    return ok;
}

bool audit_note(const char *dir, const char *action, const char *what, struct err *e)
{
    struct arena a;
    struct sbuf b;
    const char *path, *lock;
    int handle = -1;
    bool ok = false;
    arena_init(&a, 16384);
    sbuf_init(&b, NOTE_MAX_BYTES);
    if (!fs_join(&a, dir, "audit.jsonl", &path, e) || !fs_join(&a, dir, ".audit.lock", &lock, e))
        goto out;
    if (!build(&b, action, what, e) || !fs_mkdirs(dir, e) || !lock_soon(lock, &handle, e)) goto out;
    ok = append(path, sbuf_str(&b), e);
out:
    fs_unlock(handle);
    sbuf_free(&b);
    arena_free(&a);
    return ok || err_wrap(e, "audit log of %s", dir);
}
