/*
 * cli/cmd - the table of subcommands, and what a subcommand is handed.
 *
 * One row of cmd_list is one subcommand: parser, `radmill help` and the exit code all read it. A
 * subcommand lives in cli/cmd_<name>.c, returns false with call->err set on failure, and never ends
 * the process itself.
 */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "comm/comm.h"
#include "ingest/record.h"

enum { CMD_MAX_POS = 33, CMD_MAX_ARGS = 24, CMD_MAX_SETS = 64 };

/* One option of a subcommand. meta NULL: a flag. set: it is an alias of a configuration key. */
struct cmd_arg {
    const char *name;  /* "--format" */
    const char *brief; /* "-o" or NULL */
    const char *meta;  /* "FILE" or NULL */
    const char *set;   /* "shards.modality" or NULL */
    const char *help;
};

struct cmd_call;
struct cmd {
    const char *name;
    const char *synopsis;        /* behind "radmill NAME " */
    const char *summary;         /* one line */
    const struct cmd_arg *args;  /* ends with name NULL; may be NULL */
    const char *const *sections; /* of the configuration, for help; NULL-terminated; may be NULL */
    int min_pos, max_pos;
    bool config; /* the first positional is CONFIG.yaml; --set and --dry-run are understood */
    bool ranks;  /* runs under mpirun or srun; others never start MPI */
    bool (*run)(struct cmd_call *call);
};
extern const struct cmd cmd_list[];
const struct cmd *cmd_find(const char *name);

struct cmd_call {
    const struct cmd *cmd;
    const char *pos[CMD_MAX_POS];
    int npos;
    const char *values[CMD_MAX_ARGS]; /* by row of cmd->args; NULL: not given; "" for a flag */
    const char *sets[CMD_MAX_SETS];
    size_t nsets;
    bool dry_run;
    struct comm *comm;  /* self for commands without ranks */
    struct arena arena; /* the process's */
    struct err err;
};
/* Value of an option of this subcommand, or NULL. */
const char *cmd_value(const struct cmd_call *call, const char *name);
/* The whole number given to an option, at most `most`; *out stays where it was not given. */
MUST_CHECK bool cmd_number(struct cmd_call *call, const char *name, uint64_t most, uint64_t *out);
/* The option --modality, a list ("CT,MR" or "[CT, MR]"): these become true; none when not given. */
MUST_CHECK bool cmd_modalities(struct cmd_call *call, bool out[MOD_COUNT]);
/* Results go to another place than what they are made from: ERR_CONFIG when `to` is `from`, by
 * whatever name. Either may be NULL or not there. */
MUST_CHECK bool cmd_apart(struct cmd_call *call, const char *to, const char *from);
/* ERR_CONFIG that there is no such command, and which is like it. */
bool cmd_unknown(const char *name, struct err *e);
/* Fill pos, values, sets from the words behind the subcommand. With --help or -h among them the
 * call becomes `radmill help` of that subcommand. */
MUST_CHECK bool cmd_parse(struct cmd_call *call, int argc, char **argv);

/* Answers go to stdout, on rank 0 only. */
void cmd_print(const struct cmd_call *call, const char *fmt, ...) PRINTF_LIKE(2, 3);

bool cmd_audit(struct cmd_call *call);
bool cmd_convert(struct cmd_call *call);
bool cmd_doctor(struct cmd_call *call);
bool cmd_evaluate(struct cmd_call *call);
bool cmd_export(struct cmd_call *call);
bool cmd_forget(struct cmd_call *call);
bool cmd_generate(struct cmd_call *call);
bool cmd_help(struct cmd_call *call);
bool cmd_ingest(struct cmd_call *call);
bool cmd_inspect(struct cmd_call *call);
bool cmd_job(struct cmd_call *call);
bool cmd_judge(struct cmd_call *call);
bool cmd_label(struct cmd_call *call);
bool cmd_serve(struct cmd_call *call);
bool cmd_shard(struct cmd_call *call);
bool cmd_stats(struct cmd_call *call);
bool cmd_status(struct cmd_call *call);
bool cmd_submit(struct cmd_call *call);
bool cmd_sweep(struct cmd_call *call);
bool cmd_synth(struct cmd_call *call);
bool cmd_tokenize(struct cmd_call *call);
bool cmd_train(struct cmd_call *call);
