/* radmill audit DIR: the audit log, a line an event. */
#include "base/fs.h"
#include "base/json.h"
#include "cli/cmd.h"

enum { AUDIT_MAX_BYTES = 256 << 20 };

static bool print_line(const struct cmd_call *call, struct str line, struct err *e)
{
    struct str when, action, what;
    uint64_t uid;
    json_t *j = NULL;
    bool ok = json_parse(line, "audit line", &j, e) && json_get_str(j, "time", &when, e) &&
              json_get_u64(j, "uid", &uid, e) && json_get_str(j, "action", &action, e) &&
              json_get_str(j, "what", &what, e);
    if (ok)
        cmd_print(call, "%.*s  uid %llu  %-10.*s %.*s\n", STR_ARG(when), (unsigned long long)uid,
                  STR_ARG(action), STR_ARG(what));
    json_decref(j);
    return ok;
}

bool cmd_audit(struct cmd_call *call)
{
    struct str text, line;
    const char *path;
    uint64_t number = 1;

    if (!fs_join(&call->arena, call->pos[0], "audit.jsonl", &path, &call->err)) return false;
    if (!fs_exists(path)) {
        cmd_print(call, "nothing has left %s\n", call->pos[0]);
        return true;
    }
    if (!fs_read_file(path, AUDIT_MAX_BYTES, &call->arena, &text, &call->err)) return false;
    for (; str_split(&text, '\n', &line); number++)
        if (line.n && !print_line(call, line, &call->err))
            return err_wrap(&call->err, "%s, line %llu", path, (unsigned long long)number);
    return true;
}
