#include "cli/evaluate_runs.h"

#include "base/fs.h"
#include "base/mem.h"
#include "cli/train_split.h"
#include "evaluate/board.h"

bool evaluate_is_config(const char *word)
{
    struct str s = str_of(word);
    return str_ends(s, STR(".yaml")) || str_ends(s, STR(".yml"));
}

/* "NAME=RUN", or a run alone; a path may hold '=', too. */
static bool set_input(struct cmd_call *call, const char *word, struct board_input *out)
{
    struct str rest = str_of(word), name;

    *out = (struct board_input){NULL, word};
    if (fs_exists(word) || str_find(rest, STR("="), 0) == SIZE_MAX) return true;
    str_split(&rest, '=', &name);
    out->path = rest.p;
    return arena_str(&call->arena, name, &name, &call->err) && (out->name = name.p) != NULL;
}

/* --external, else the sources of the configuration that are tests and nothing else. */
static bool set_external(struct cmd_call *call, const struct config *c, struct opt_strs *out)
{
    struct str rest = str_of(cmd_value(call, "--external")), one;
    const struct ingest_source_opts *s = c->corpus.sources.items;
    size_t most = c->corpus.sources.n + rest.n + 1;
    const char **v = arena_alloc(&call->arena, most * sizeof *v, &call->err);

    *out = (struct opt_strs){v, 0};
    if (!v) return false;
    while (str_split(&rest, ',', &one)) {
        if (!arena_str(&call->arena, str_trim(one), &one, &call->err)) return false;
        v[out->n++] = one.p;
    }
    for (size_t i = 0; !cmd_value(call, "--external") && i < c->corpus.sources.n; i++)
        if (s[i].split == INGEST_SPLIT_TEST && s[i].name) v[out->n++] = s[i].name;
    return true;
}

bool evaluate_runs(struct cmd_call *call, const struct config *c, int first)
{
    struct evaluate_opts o = c->evaluate;
    struct board_opts b = {.yardstick = cmd_value(call, "--yardstick"),
                           .focus = cmd_value(call, "--focus"),
                           .published = cmd_value(call, "--published"),
                           .where = cmd_value(call, "--where"),
                           .show_text = cmd_value(call, "--show-text") != NULL};
    struct board_input in[CMD_MAX_POS];
    struct board_summary s;
    uint64_t cases = 5;
    size_t n = 0;

    b.sample = 50;
    if (!cmd_number(call, "--sample", 1000000, &b.sample) ||
        !cmd_number(call, "--cases", 1000, &cases) || !set_external(call, c, &b.external))
        return false;
    b.cases = (uint32_t)cases;
    if (cmd_value(call, "--output")) o.dir = cmd_value(call, "--output");
    if (cmd_value(call, "--pairs") || cmd_value(call, "--against"))
        return err_set(&call->err, ERR_CONFIG,
                       "--pairs and --against go without RUNs: name the files as RUNs");
    for (int i = first; i < call->npos; i++)
        if (!set_input(call, call->pos[i], &in[n++])) return false;
    struct train_split *train = NULL;
    bool ok = !train_split_wanted(c) ||
              train_split_open(c, &call->arena, &train, &o.no_train, &call->err);
    if (!comm_agree(call->comm, ok, &call->err)) return false;
    if (train) o.train = train_split_texts(train);
    ok = board_run(&o, &b, in, n, call->comm, &s, &call->err);
    train_split_close(train);
    if (ok) {
        cmd_print(call, "%.*s", STR_ARG(sbuf_str(&s.table)));
        if (b.where) cmd_print(call, "  %zu pairs fulfil --where\n", s.selected);
        cmd_print(call, "  %s/comparison.html\n", o.dir);
    }
    sbuf_free(&s.table);
    return ok;
}
