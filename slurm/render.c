#include "slurm/render.h"

#include <stdio.h>

#include "slurm/quote.h"

/* ---- time */
/* "1:2:3" into v[0..*n), up to three. */
static bool parts(struct str s, uint64_t v[3], size_t *n)
{
    struct str piece;

    *n = 0;
    while (str_split(&s, ':', &piece)) {
        struct err bad = {0};
        if (*n == 3 || !parse_u64(piece, &v[*n], &bad) || v[*n] > 1000000) return false;
        ++*n;
    }
    return *n > 0;
}

bool render_time(const char *what, struct str s, uint64_t *out, struct err *e)
{
    uint64_t v[3] = {0}, days = 0;
    size_t n = 0, dash = str_find(s, STR("-"), 0);
    struct err bad = {0};
    bool ok = s.n > 0 && s.p[s.n - 1] != ':' && s.p[s.n - 1] != '-';

    if (ok && dash != SIZE_MAX)
        ok = parse_u64(str_sub(s, 0, dash), &days, &bad) && days <= 100000 &&
             parts(str_sub(s, dash + 1, s.n), v, &n);
    else if (ok)
        ok = parts(s, v, &n);
    if (!ok)
        return err_set(
            e, ERR_CONFIG,
            "%s must be MIN, MIN:SEC, H:MIN:SEC, D-H, D-H:MIN or D-H:MIN:SEC, not '%.*s'", what,
            (int)(s.n > 40 ? 40 : s.n), s.p);
    uint64_t seconds = dash != SIZE_MAX || n == 3 ? ((days * 24 + v[0]) * 60 + v[1]) * 60 + v[2]
                                                  : v[0] * 60 + v[1];
    *out = (seconds + 59) / 60 * 60;
    return *out > 0 || err_set(e, ERR_CONFIG, "%s is no time at all", what);
}

/* ---- checks */
static bool check_words(const char *what, struct opt_strs v, bool is_option, struct err *e)
{
    for (size_t i = 0; i < v.n; i++) {
        if (!quote_check_line(what, str_of(v.v[i]), e)) return false;
        if (is_option && v.v[i][0] != '-')
            return err_set(e, ERR_CONFIG, "%s: '%.60s' is no option of sbatch: it begins with --",
                           what, v.v[i]);
    }
    return true;
}

bool render_check(const struct slurm_job *j, struct err *e)
{
    const struct slurm_opts *o = &j->o;
    const char *lines[] = {o->partition, o->account,  o->qos,       o->constraint, o->memory,
                           o->gres,      o->launcher, o->container, o->job_name,   o->program};
    const char *names[] = {"partition", "account",  "qos",       "constraint", "memory",
                           "gres",      "launcher", "container", "job_name",   "program"};
    char what[64];

    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        snprintf(what, sizeof what, "slurm.%s", names[i]);
        if (!quote_check_line(what, str_of(lines[i]), e)) return false;
    }
    if (!o->launcher || !o->launcher[0])
        return err_set(e, ERR_CONFIG, "slurm.launcher is empty; srun -K1 --mpi=pmix or mpirun");
    if (o->grace_s + 60 >= j->limit_s)
        return err_set(e, ERR_CONFIG,
                       "stage %s: slurm.grace_s %u leaves no time for work in slurm.time %s (SLURM "
                       "may ask up to 60 s early)",
                       j->stage->name, o->grace_s, o->time);
    return check_words("slurm.modules", o->modules, false, e) &&
           check_words("slurm.exclude", o->exclude, false, e) &&
           check_words("slurm.extra", o->extra, true, e);
}

/* ---- #SBATCH */
static bool put_option(struct sbuf *b, const char *option, const char *value, struct err *e)
{
    if (!value || !value[0]) return true;
    return sbuf_printf(b, e, "#SBATCH --%s=", option) &&
           quote_sbatch(b, option, str_of(value), e) && sbuf_putc(b, '\n', e);
}

static bool put_number(struct sbuf *b, const char *option, uint64_t value, struct err *e)
{
    return value == 0 ||
           sbuf_printf(b, e, "#SBATCH --%s=%llu\n", option, (unsigned long long)value);
}

static bool put_words(struct sbuf *b, struct opt_strs v, const char *between, struct err *e)
{
    for (size_t i = 0; i < v.n; i++)
        if ((i && !sbuf_put(b, str_of(between), e)) || !quote_shell(b, str_of(v.v[i]), e))
            return false;
    return true;
}

static bool put_exclude(struct sbuf *b, struct opt_strs v, struct err *e)
{
    struct sbuf list;
    sbuf_init(&list, 65536);
    bool ok = true;
    for (size_t i = 0; ok && i < v.n; i++)
        ok = sbuf_printf(&list, e, "%s%s", i ? "," : "", v.v[i]);
    ok = ok && put_option(b, "exclude", list.p, e);
    sbuf_free(&list);
    return ok;
}

static bool put_gres(struct sbuf *b, const struct slurm_opts *o, struct err *e)
{
    if (o->gres) return put_option(b, "gres", o->gres, e);
    if (o->gpus_per_node == 0) return true;
    return sbuf_printf(b, e, "#SBATCH --gres=gpu:%u\n", o->gpus_per_node);
}

static bool is_array(const struct slurm_job *j)
{
    return str_eqz(str_of(j->stage->name), "sweep");
}

/* One log a job, appended by its restarts; one a worker in an array. */
static bool put_log(struct sbuf *b, const struct slurm_job *j, const char *dir, struct err *e)
{
    struct sbuf path;
    sbuf_init(&path, 4096);
    bool ok =
        sbuf_printf(&path, e, "%s/%s", dir, j->stage->name) &&
        sbuf_put(b, STR("#SBATCH --output="), e) &&
        quote_sbatch_file(b, "slurm.dir", sbuf_str(&path), is_array(j) ? "-%a.log" : ".log", e);
    sbuf_free(&path);
    return ok && sbuf_put(b, STR("\n#SBATCH --open-mode=append\n"), e);
}

static bool put_directives(struct sbuf *b, const struct slurm_job *j, const char *dir,
                           struct err *e)
{
    const struct slurm_opts *o = &j->o;
    char name[256];
    const char *signal = o->signal == SLURM_USR2 ? "USR2" : "USR1";

    snprintf(name, sizeof name, "%s-%s", o->job_name, j->stage->name);
    bool ok = put_option(b, "job-name", name, e) && put_option(b, "partition", o->partition, e) &&
              put_option(b, "account", o->account, e) && put_option(b, "qos", o->qos, e) &&
              put_option(b, "constraint", o->constraint, e) && put_exclude(b, o->exclude, e) &&
              put_number(b, "nodes", o->nodes, e) &&
              put_number(b, "ntasks-per-node", o->ranks_per_node, e) &&
              put_number(b, "cpus-per-task", o->cpus_per_rank, e) && put_gres(b, o, e) &&
              put_option(b, "mem", o->memory, e) && put_option(b, "time", o->time, e);
    if (ok && is_array(j)) ok = sbuf_printf(b, e, "#SBATCH --array=0-%u\n", o->workers - 1);
    ok = ok && put_log(b, j, dir, e) &&
         sbuf_printf(b, e,
                     "# asks the script %u s before the limit (SLURM: up to 60 s earlier)\n"
                     "#SBATCH --signal=B:%s@%u\n",
                     o->grace_s, signal, o->grace_s) &&
         sbuf_printf(b, e, "#SBATCH --%s\n", o->requeue ? "requeue" : "no-requeue") &&
         sbuf_put(b, STR("#SBATCH --kill-on-invalid-dep=yes\n"), e);
    for (size_t i = 0; ok && i < o->extra.n; i++)
        ok = sbuf_printf(b, e, "#SBATCH %s\n", o->extra.v[i]);
    return ok;
}

/* ---- the work */
static bool put_assign(struct sbuf *b, const char *name, const char *value, struct err *e)
{
    return sbuf_printf(b, e, "%s=", name) && quote_shell(b, str_of(value), e) &&
           sbuf_putc(b, '\n', e);
}

static const char *const script_signals =
    "# Asked to stop (time limit, preemption): pass it on. The program finishes its step, saves, "
    "and\n"
    "# exits 75. One that does not is killed before SLURM would do it.\n"
    "child='' asked='' killer=''\n"
    "pass_on() {\n"
    "  asked=yes\n"
    "  echo 'radmill: asked to stop and save'\n"
    "  [ -n \"$child\" ] || return 0\n"
    "  kill -\"$signal\" \"$child\" 2>/dev/null\n"
    "  [ -z \"$killer\" ] || return 0\n"
    "  { sleep $((grace * 3 / 4)) && kill -KILL \"$child\"; } >/dev/null 2>&1 &\n"
    "  killer=$!\n"
    "}\n"
    "trap pass_on USR1 USR2 TERM\n";
static bool put_settings(struct sbuf *b, const struct slurm_request *q, const struct slurm_job *j,
                         const char *dir, struct err *e)
{
    const struct slurm_opts *o = &j->o;
    const char *program = o->program ? o->program : q->program;

    if (!sbuf_printf(b, e, "\nsignal=%s grace=%u\n", o->signal == SLURM_USR2 ? "USR2" : "USR1",
                     o->grace_s) ||
        !sbuf_put(b, str_of(script_signals), e))
        return false;
    if (o->modules.n && !(sbuf_put(b, STR("\n# slurm.modules\nmodule load "), e) &&
                          put_words(b, o->modules, " ", e) && sbuf_putc(b, '\n', e)))
        return false;
    if (o->prologue && !sbuf_printf(b, e, "\n# slurm.prologue\n%s\n", o->prologue)) return false;
    return sbuf_put(b, STR("\nset -u\n"), e) && put_assign(b, "stage", j->stage->name, e) &&
           put_assign(b, "submission", dir, e) && put_assign(b, "program", program, e);
}

static const char *const script_before =
    "job=${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID}\n"
    "job=${job:-$SLURM_JOB_ID}\n"
    "name=$stage${SLURM_ARRAY_TASK_ID:+-$SLURM_ARRAY_TASK_ID}\n"
    "export RADMILL_RESULT=$submission/$name.result.json\n"
    "# a rank that dies ends the step; without this the others would wait for ever\n"
    "export SLURM_KILL_BAD_EXIT=1\n"
    "# srun since 22.05 forgets --cpus-per-task\n"
    "if [ -n \"${SLURM_CPUS_PER_TASK:-}\" ]; then\n"
    "  export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK OMP_NUM_THREADS=$SLURM_CPUS_PER_TASK\n"
    "fi\n"
    "nodes=$(scontrol show hostnames \"$SLURM_JOB_NODELIST\" | tr '\\n' ' ')\n"
    "echo \"radmill: stage $name, job $job, restart ${SLURM_RESTART_COUNT:-0}, nodes $nodes\"\n"
    "\n"
    "# The journal and the decision about another attempt; it runs without MPI.\n"
    "note() {\n"
    "  local verb=$1\n"
    "  shift\n"
    "  RADMILL_RESULT='' ";
static const char *const script_note =
    "\"$program\" job \"$verb\" \"$submission/config.yaml\" \\\n"
    "    --stage \"$stage\" --name \"$name\" --job \"$job\" --nodes \"$nodes\" \\\n"
    "    --restart \"${SLURM_RESTART_COUNT:-0}\" \"$@\"\n"
    "}\n"
    "note begin || exit 1\n"
    "\n"
    "code=75\n"
    "if [ -z \"$asked\" ]; then\n  ";
static const char *const script_after = " &\n"
                                        "  child=$!\n"
                                        "  while :; do\n"
                                        "    wait \"$child\" # a signal interrupts it\n"
                                        "    code=$?\n"
                                        "    kill -0 \"$child\" 2>/dev/null || break\n"
                                        "  done\n"
                                        "  [ -z \"$killer\" ] || kill \"$killer\" 2>/dev/null\n"
                                        "fi\n"
                                        "\n"
                                        "avoid=$(note end --code \"$code\")\n"
                                        "verdict=$?\n"
                                        "[ \"$verdict\" = 75 ] || exit \"$verdict\"\n";
static const char *const script_requeue =
    "\n"
    "# Back into the queue, unless SLURM has taken the job out of our hands (scancel, "
    "preemption).\n"
    "state=$(scontrol -o show job \"$job\" | sed -n 's/.* JobState=\\([A-Z_]*\\).*/\\1/p' | head "
    "-n 1)\n"
    "if [ \"$state\" = RUNNING ]; then\n"
    "  trap '' TERM USR1 USR2\n"
    "  if scontrol requeue \"$job\"; then\n"
    "    # avoid bad nodes while enough others are there\n"
    "    if [ -n \"$avoid\" ]; then\n"
    "      left=$(sinfo -h -N -p \"$SLURM_JOB_PARTITION\" -t idle,mixed,alloc,comp -o %N | sort -u "
    "|\n"
    "        grep -vxFc -f <(tr , '\\n' <<<\"$avoid\"))\n"
    "      if [ \"$left\" -ge \"$SLURM_JOB_NUM_NODES\" ]; then\n"
    "        scontrol update JobId=\"$job\" ExcNodeList=\"$avoid\"\n"
    "      fi\n"
    "    fi\n"
    "    sleep 3600 # SLURM ends this shell\n"
    "  fi\n"
    "fi\n"
    "exit 75\n";
static const char *const script_no_requeue =
    "\n# slurm.requeue is false: the state is saved, submitting again goes on from it\nexit 75\n";

static bool put_work(struct sbuf *b, const struct slurm_request *q, const struct slurm_job *j,
                     const char *dir, struct err *e)
{
    const struct slurm_opts *o = &j->o;
    const char *box = o->container ? o->container : "", *blank = o->container ? " " : "";

    if (!put_settings(b, q, j, dir, e) || !sbuf_put(b, str_of(script_before), e) ||
        !sbuf_printf(b, e, "%s%s", box, blank) || !sbuf_put(b, str_of(script_note), e) ||
        !sbuf_printf(b, e, "%s %s%s\"$program\" %s \"$submission/config.yaml\"", o->launcher, box,
                     blank, j->stage->command ? j->stage->command : j->stage->name) ||
        !sbuf_put(b, str_of(script_after), e))
        return false;
    return sbuf_put(b, str_of(o->requeue ? script_requeue : script_no_requeue), e);
}

bool render_script(const struct slurm_request *q, const struct slurm_job *j, const char *dir,
                   struct sbuf *b, struct err *e)
{
    const char *login = j->o.modules.n ? " -l" : ""; /* where the module command is defined */

    return sbuf_printf(b, e, "#!/bin/bash%s\n# radmill %s: stage %s of ", login, q->version,
                       j->stage->name) &&
           quote_comment(b, str_of(q->title), e) &&
           sbuf_put(b,
                    STR(".\n# May be read, edited, and submitted by hand with sbatch. A stage goes "
                        "on where it stopped,\n# so running it again is always safe.\n"),
                    e) &&
           put_directives(b, j, dir, e) && put_work(b, q, j, dir, e);
}
