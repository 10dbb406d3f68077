#include "base/audit.h"

#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"

bool audit_note(const char *dir, const char *action, const char *what, struct err *e)
{
    struct fs_append *log = NULL;
    struct arena a;
    struct sbuf b;
    const char *path;
    char when[21];
    bool ok = false;

    arena_init(&a, 8192);
    sbuf_init(&b, 4096);
    clock_iso8601(clock_wall_s(), when);
    if (!sbuf_printf(&b, e, "{\"time\": \"%s\", \"uid\": %u, \"action\": \"%s\", \"what\": ", when,
                     (unsigned)getuid(), action))
        goto out;
    if (!json_put_str(&b, str_of(what), false, e) || !sbuf_putc(&b, '}', e)) goto out;
    if (!fs_join(&a, dir, "audit.jsonl", &path, e)) goto out;
    if (!fs_append_open(path, &log, e)) goto out;
    ok = fs_append_line(log, sbuf_str(&b), e) && fs_append_sync(log, e);
out:
    fs_append_close(log);
    sbuf_free(&b);
    arena_free(&a);
    if (!ok) err_wrap(e, "audit log of %s", dir);
    return ok;
}
