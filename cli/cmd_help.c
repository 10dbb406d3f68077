#include "cli/cmd.h"
#include "cli/config.h"

static void print_overview(const struct cmd_call *call)
{
    cmd_print(call,
              "radmill: radiology reports to a fine-tuned model that writes the Impression.\n\n");
    for (const struct cmd *c = cmd_list; c->name; c++)
        cmd_print(call, "  %-10s %s\n", c->name, c->summary);
    cmd_print(call, "\nradmill help COMMAND shows its options, radmill --version what this is. "
                    "Under mpirun or srun a stage uses all ranks.\n"
                    "Exit codes: 0 done, 1 failed, 2 usage or options, 75 stopped and saved.\n");
}

static void print_args(const struct cmd_call *call, const struct cmd *c)
{
    if (c->config) {
        cmd_print(
            call,
            "\n  --set KEY.PATH=VALUE\n      put a value on top of the file; may be repeated\n"
            "  --dry-run\n      print the complete configuration and stop\n");
    }
    for (const struct cmd_arg *a = c->args; a && a->name; a++)
        cmd_print(call, "  %s%s%s%s%s\n      %s\n", a->name, a->brief ? ", " : "",
                  a->brief ? a->brief : "", a->meta ? " " : "", a->meta ? a->meta : "", a->help);
}

static bool print_section(struct cmd_call *call, const char *name)
{
    struct sbuf b;
    bool ok = true;

    sbuf_init(&b, 1 << 20);
    for (const struct config_section *s = config_section_list; s->name && ok; s++) {
        if (!str_eqz(str_of(name), s->name)) continue;
        ok = opt_help(s->name, s->table, &b, &call->err);
        if (ok) cmd_print(call, "\n%.*s", STR_ARG(sbuf_str(&b)));
    }
    sbuf_free(&b);
    return ok;
}

bool cmd_help(struct cmd_call *call)
{
    if (call->npos == 0) {
        print_overview(call);
        return true;
    }
    const struct cmd *c = cmd_find(call->pos[0]);
    if (!c) return cmd_unknown(call->pos[0], &call->err);
    cmd_print(call, "radmill %s %s\n\n%s\n", c->name, c->synopsis, c->summary);
    print_args(call, c);
    for (size_t i = 0; c->sections && c->sections[i]; i++)
        if (!print_section(call, c->sections[i])) return false;
    return true;
}
