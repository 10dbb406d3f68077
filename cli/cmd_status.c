/* radmill status: a line a stage, from the status.json that each keeps in its folder. */
#include "base/fs.h"
#include "base/json.h"
#include "cli/config.h"

enum { STATUS_MAX_BYTES = 1 << 16 };

static bool print_stage(struct cmd_call *call, const char *name, const char *dir)
{
    struct str state, unit, detail;
    double rate = 0, seconds = 0;
    uint64_t done = 0, total = 0;
    json_t *j = NULL;
    const char *path;
    bool ok;

    if (!dir) return true;
    if (!fs_join(&call->arena, dir, "status.json", &path, &call->err)) return false;
    if (!fs_exists(path)) {
        cmd_print(call, "  %-10s not started\n", name);
        return true;
    }
    ok = json_read_file(path, STATUS_MAX_BYTES, &j, &call->err) &&
         json_get_str(j, "state", &state, &call->err) &&
         json_get_str(j, "unit", &unit, &call->err) && json_get_u64(j, "done", &done, &call->err) &&
         json_get_u64(j, "total", &total, &call->err) &&
         json_get_f64(j, "rate", &rate, &call->err) &&
         json_get_f64(j, "elapsed_s", &seconds, &call->err) &&
         json_get_str(j, "detail", &detail, &call->err);
    if (ok)
        cmd_print(call, "  %-10s %.*s, %llu of %llu %.*s in %.0f s, %.4g/s %.*s\n", name,
                  STR_ARG(state), (unsigned long long)done, (unsigned long long)total,
                  STR_ARG(unit), seconds, rate, STR_ARG(detail));
    json_decref(j);
    return ok;
}

bool cmd_status(struct cmd_call *call)
{
    struct config c;

    if (!config_load(call, &c)) return false;
    return print_stage(call, "ingest", c.corpus.dir) && print_stage(call, "shard", c.shards.dir) &&
           print_stage(call, "train", c.train.dir) &&
           print_stage(call, "generate", c.generate.dir) &&
           print_stage(call, "evaluate", c.evaluate.dir);
}
