#include "cli/cmd.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/log.h"

/* "files" is not for serve and label: what they write is secrets and text, and stays 0600. */
static const char *const in_corpus[] = {"corpus", "files", NULL};
static const char *const in_shards[] = {"corpus", "shards", "model", "files", NULL};
static const char *const in_stats[] = {"corpus", "shards", "model", "stats", "files", NULL};
static const char *const in_train[] = {"shards", "model", "lora", "train", "files", NULL};
static const char *const in_generate[] = {"shards", "model", "train", "generate", "files", NULL};
static const char *const in_sweep[] = {"sweep", "shards", "model", "lora", "train", "files", NULL};
static const char *const in_evaluate[] = {"generate", "evaluate", "files", NULL};
static const char *const in_serve[] = {"serve", "shards", "model", NULL};
static const char *const in_label[] = {"label", "generate", NULL};
static const char *const in_judge[] = {"judge", "model", "lora", "train", "files", NULL};
static const char *const in_slurm[] = {"slurm", "files", NULL};

static const struct cmd_arg export_args[] = {
    {"--format", NULL, "NAME", NULL,
     "mediqa: the JSON of the MEDIQA-2021 script; mitlcp: the two CSVs of create_section_files; "
     "sections: a JSON line a report with its sections; jsonl, csv: a row a report"},
    {"--source", NULL, "NAME", NULL, "a source of the corpus; sections, jsonl, csv: default all"},
    {"--split", NULL, "NAME", NULL, "train, dev, test or none; default all; mediqa needs one"},
    {"--modality", NULL, "LIST", NULL, "only these, e.g. CT,MR; unknown: what has no label"},
    {"--output", "-o", "FILE", NULL, "where to write; mitlcp: a folder"},
    {NULL, NULL, NULL, NULL, NULL},
};
static const struct cmd_arg forget_args[] = {
    {"--patients", NULL, "FILE", NULL, "patient ids, one a line"},
    {NULL, NULL, NULL, NULL, NULL},
};
static const struct cmd_arg shard_args[] = {
    {"--modality", NULL, "LIST", "shards.modality", "rebuild these modalities only, e.g. [CT, MR]"},
    {NULL, NULL, NULL, NULL, NULL},
};
static const struct cmd_arg evaluate_args[] = {
    {"--pairs", NULL, "FILE", NULL, "score this pairs file; CONFIG may be left out"},
    {"--against", NULL, "NAME=FILE", NULL, "compare with this system's pairs, paired by id"},
    {"--metrics", NULL, "LIST", "evaluate.metrics",
     "e.g. rouge,bleu; all: every one that needs no weights"},
    {"--per-pair", NULL, "FILE", NULL, "one line of scores a pair, in input order"},
    {"--facts", NULL, "FILE", NULL, "the fact check's flags as a listing, by report"},
    {"--output", "-o", "FILE", NULL, "the report (JSON); with RUNs the folder of the comparison"},
    {"--samples", NULL, "N", NULL, "show N predictions beside their references (report text!)"},
    {"--yardstick", NULL, "ROW", NULL,
     "RUNs: the row to compare with, by name or letter (the first)"},
    {"--focus", NULL, "ROW", NULL,
     "RUNs: the row whose worst and best cases are shown (the first)"},
    {"--published", NULL, "FILE", NULL, "RUNs: CSV of quoted rows (configs/published.csv)"},
    {"--external", NULL, "LIST", NULL,
     "RUNs: sources that are external tests: a table of their own"},
    {"--where", NULL, "TEST", NULL,
     "RUNs: list pairs, e.g. 'A.rougeL > B.rougeL and modality = CT'"},
    {"--sample", NULL, "N", NULL, "RUNs: at most so many of them (default 50)"},
    {"--cases", NULL, "N", NULL, "RUNs: worst and best reports by each value (default 5)"},
    {"--show-text", NULL, NULL, NULL,
     "RUNs: the page holds report text, side by side; --facts: the words; noted in the audit log"},
    {NULL, NULL, NULL, NULL, NULL},
};
static const struct cmd_arg judge_args[] = {
    {"--pairs", NULL, "FILE", NULL, "score: this pairs file; default that of generate.dir"},
    {"--output", "-o", "FILE", NULL, "score: a JSON line a pair; default judge.dir/scores.jsonl"},
    {"--labels", NULL, "FILE", NULL, "validate: labels that it was not trained on"},
    {"--force", NULL, NULL, NULL, "train: on labels whose readers agree too little"},
    {NULL, NULL, NULL, NULL, NULL},
};
static const struct cmd_arg synth_args[] = {
    {"--output", "-o", "DIR", NULL, "folder to fill"},
    {"--reports", NULL, "N", NULL, "reports in the MIMIC-CXR-shaped zip (default 2000)"},
    {"--dump-reports", NULL, "N", NULL,
     "reports in the institutional dump (default: as --reports)"},
    {"--seed", NULL, "N", NULL, "the same seed gives the same bytes (default 1)"},
    {"--model", NULL, "DIR", NULL, "instead: a tiny random model with a byte tokenizer"},
    {"--arch", NULL, "NAME", NULL, "of that model: llama (default), or t5"},
    {"--planted", NULL, "N", NULL,
     "instead: N sentences with an invented identifier each, to measure scans; -o is a file"},
    {"--canaries", NULL, "N", NULL,
     "instead: N made-up reports to plant in training, to measure memorisation (docs/PRIVACY.md)"},
    {"--others", NULL, "N", NULL, "their like that are not planted (default: 50 for each)"},
    {"--modality", NULL, "NAME", NULL, "of the canaries: one that you train on (default CR)"},
    {"--config", NULL, "FILE", NULL, "the study that they are for: DIR/probe.yaml includes it"},
    {NULL, NULL, NULL, NULL, NULL},
};
static const struct cmd_arg convert_args[] = {
    {"--dtype", NULL, "NAME", NULL,
     "folder: bf16 (default), f32, f16; GGUF: f16 (default), bf16, f32, q8_0, q4_0"},
    {"--adapter", NULL, "DIR", NULL,
     "merge this adapter in (f32, rounded once; drift of weights and logits is printed)"},
    {"--as", NULL, "FORM", NULL,
     "hf (a folder), gguf (TO ends in .gguf), adapter (GGUF adapter), bundle (to hand over)"},
    {NULL, NULL, NULL, NULL, NULL},
};
static const struct cmd_arg submit_args[] = {
    {"--stages", NULL, "LIST", NULL, "e.g. ingest,shard,train,generate,evaluate, in that order"},
    {"--modality", NULL, "LIST", NULL,
     "these modalities alone, e.g. MR: train, generate and evaluate get folders of their own, with "
     "the name behind a dash"},
    {NULL, NULL, NULL, NULL, NULL},
};
static const struct cmd_arg job_args[] = {
    {"--stage", NULL, "NAME", NULL, "the stage"},
    {"--name", NULL, "NAME", NULL, "of the job's files: the stage, in an array with -TASK"},
    {"--job", NULL, "ID", NULL, "of the job"},
    {"--nodes", NULL, "NAMES", NULL, "its nodes, separated by blanks"},
    {"--restart", NULL, "N", NULL, "SLURM_RESTART_COUNT"},
    {"--code", NULL, "N", NULL, "end: the launcher's exit code"},
    {NULL, NULL, NULL, NULL, NULL},
};
static const struct cmd_arg sweep_args[] = {
    {"--workers", NULL, "N", "sweep.workers", "run: worker processes on this machine"},
    {"--top", NULL, "N", NULL, "best: how many (default 5)"},
    {NULL, NULL, NULL, NULL, NULL},
};
static const struct cmd_arg inspect_args[] = {
    {"--sample", NULL, "N", NULL,
     "CONFIG.yaml: N random reports with their sections and how the label was told; shards: sample "
     "N of --split, whose words need --tokenizer"},
    {"--modality", NULL, "LIST", NULL, "CONFIG.yaml: only these, e.g. CT,MR; unknown: no label"},
    {"--from", NULL, "NAME", NULL,
     "CONFIG.yaml: only what was told by none, column, code, description, text, site, source"},
    {"--labels", NULL, "FILE", NULL,
     "CONFIG.yaml: CSV of labels, how they were told, and descriptions"},
    {"--show-text", NULL, NULL, NULL, "also show report text; noted in the audit log"},
    {"--tokenizer", NULL, "PATH", NULL, "shards: the model that --show-text decodes with"},
    {"--split", NULL, "NAME", NULL, "shards: train (default), dev or test"},
    {"--plan", NULL, "EPOCH", NULL, "shards: the batch plan of this epoch, from 0"},
    {"--seed", NULL, "N", NULL, "of the plan: train.seed (default 1)"},
    {"--bin-tokens", NULL, "N", NULL, "of the plan: train.bin_tokens (default 8192)"},
    {"--bin-targets", NULL, "N", NULL, "of the plan, encoder-decoder: decoder tokens of a bin"},
    {"--bins-per-step", NULL, "N", NULL, "of the plan: tokens_per_step / bin_tokens (default 8)"},
    {"--once", NULL, NULL, NULL, "of the plan: as with train.duplicates: weight"},
    {NULL, NULL, NULL, NULL, NULL},
};
static const struct cmd_arg tokenize_args[] = {
    {"--mode", NULL, "NAME", NULL,
     "plain (default: specials never recognised), raw, ids (template)"},
    {"--decode", NULL, NULL, NULL, "the other way: {\"ids\"} to {\"text\"}"},
    {NULL, NULL, NULL, NULL, NULL},
};

const struct cmd cmd_list[] = {
    {"synth", "-o DIR [--reports N] [--seed N]", "make a synthetic corpus (or a tiny model)",
     synth_args, NULL, 0, 0, false, false, cmd_synth},
    {"ingest", "CONFIG.yaml [--set KEY=VALUE]...", "archives and dumps to records", NULL, in_corpus,
     1, 1, true, true, cmd_ingest},
    {"export", "CONFIG.yaml --format NAME [--source NAME] [--split NAME] -o FILE",
     "records to a published exchange format or a table", export_args, in_corpus, 1, 1, true, false,
     cmd_export},
    {"forget", "CONFIG.yaml --patients FILE", "remove patients from the corpus, for good",
     forget_args, in_corpus, 1, 1, true, false, cmd_forget},
    {"convert", "FROM TO [--adapter DIR] [--as FORM] [--dtype NAME]",
     "GGUF or HF folder to HF folder or GGUF; merges, adapters, hand-over bundles", convert_args,
     NULL, 2, 2, false, false, cmd_convert},
    {"tokenize", "PATH [--mode plain] < in.jsonl", "text to token ids and back", tokenize_args,
     NULL, 1, 1, false, false, cmd_tokenize},
    {"shard", "CONFIG.yaml [--modality LIST]", "records to token shards", shard_args, in_shards, 1,
     1, true, true, cmd_shard},
    {"train", "CONFIG.yaml [--set KEY=VALUE]...", "shards and a base model to an adapter", NULL,
     in_train, 1, 1, true, true, cmd_train},
    {"generate", "CONFIG.yaml [--set KEY=VALUE]...", "prompts of a split to predictions", NULL,
     in_generate, 1, 1, true, true, cmd_generate},
    {"evaluate", "[CONFIG.yaml] [--pairs FILE] [--against NAME=FILE] | [[NAME=]RUN]... -o DIR",
     "predictions to scores; several runs to one table", evaluate_args, in_evaluate, 0, CMD_MAX_POS,
     true, true, cmd_evaluate},
    {"label", "CONFIG.yaml | stats LABELS.jsonl...",
     "a blind rating page; with stats: how far its readers agree", NULL, in_label, 1, CMD_MAX_POS,
     true, false, cmd_label},
    {"sweep", "run|worker|status|best|report CONFIG.yaml [--workers N] [--top N]",
     "many trials over some keys; any number of workers share a folder", sweep_args, in_sweep, 2, 2,
     true, false, cmd_sweep},
    {"serve", "CONFIG.yaml [--set KEY=VALUE]...",
     "a page and OpenAI's API over the model and its adapters, for one hospital", NULL, in_serve, 1,
     1, true, false, cmd_serve},
    {"submit", "CONFIG.yaml --stages LIST [--modality LIST] [--dry-run]",
     "stages as SLURM jobs, chained by dependencies", submit_args, in_slurm, 1, 1, true, false,
     cmd_submit},
    {"status", "CONFIG.yaml | RUN", "how far each stage is, its job, its restarts", NULL, NULL, 1,
     1, true, false, cmd_status},
    {"job", "begin|end CONFIG.yaml --stage NAME ...", "what the job scripts of submit ask",
     job_args, NULL, 2, 2, false, false, cmd_job},
    {"stats", "CONFIG.yaml", "what is in the corpus: one HTML page and CSV tables", NULL, in_stats,
     1, 1, true, true, cmd_stats},
    {"inspect", "FILE|DIR|CONFIG.yaml [--sample N | --plan EPOCH] [--show-text]",
     "what a file of ours holds", inspect_args, NULL, 1, 1, false, false, cmd_inspect},
    {"audit", "DIR | CONFIG.yaml",
     "what left a folder, or all folders of a configuration: exports, converts, text shown", NULL,
     NULL, 1, 1, false, false, cmd_audit},
    {"judge", "train|score|validate CONFIG.yaml [--pairs FILE] [--labels FILE] [-o FILE]",
     "a learned factual score that says how far it can be trusted", judge_args, in_judge, 2, 2,
     true, true, cmd_judge},
    {"doctor", "", "what this machine has, compared with the build", NULL, NULL, 0, 0, false, true,
     cmd_doctor},
    {"help", "[COMMAND]", "this list, or one command with its options", NULL, NULL, 0, 1, false,
     false, cmd_help},
    {NULL, NULL, NULL, NULL, NULL, 0, 0, false, false, NULL},
};

const struct cmd *cmd_find(const char *name)
{
    for (const struct cmd *c = cmd_list; c->name; c++)
        if (str_eqz(str_of(name), c->name)) return c;
    return NULL;
}

bool cmd_unknown(const char *name, struct err *e)
{
    const struct cmd *best = NULL;
    size_t least = 3; /* farther off it is another word */

    for (const struct cmd *c = cmd_list; c->name; c++) {
        size_t d = str_distance(str_of(name), str_of(c->name));
        if (d >= least) continue;
        least = d;
        best = c;
    }
    return err_set(e, ERR_CONFIG, "no command %s; %s%s%sradmill help lists them", name,
                   best ? "the nearest is " : "", best ? best->name : "", best ? "; " : "");
}

const char *cmd_value(const struct cmd_call *call, const char *name)
{
    for (size_t i = 0; call->cmd->args && call->cmd->args[i].name; i++)
        if (str_eqz(str_of(name), call->cmd->args[i].name)) return call->values[i];
    UNREACHABLE();
}

bool cmd_number(struct cmd_call *call, const char *name, uint64_t most, uint64_t *out)
{
    const char *text = cmd_value(call, name);
    struct err ignored = {0};
    uint64_t n;

    if (!text) return true;
    if (!parse_u64(str_of(text), &n, &ignored) || n > most)
        return err_set(&call->err, ERR_CONFIG, "%s takes a whole number up to %llu, not '%s'", name,
                       (unsigned long long)most, text);
    *out = n;
    return true;
}

static bool add_set(struct cmd_call *call, const char *text)
{
    if (call->nsets == CMD_MAX_SETS)
        return err_set(&call->err, ERR_CONFIG, "more than %d --set options", CMD_MAX_SETS);
    call->sets[call->nsets++] = text;
    return true;
}

/* A list may stand without its brackets: --modality CT,MR. */
static bool add_alias(struct cmd_call *call, const char *key, const char *value)
{
    bool bare = value[0] != '[' && strchr(value, ',');
    struct sbuf b;
    struct str s;
    bool ok = false;

    sbuf_init(&b, 4096);
    if (sbuf_printf(&b, &call->err, bare ? "%s=[%s]" : "%s=%s", key, value) &&
        arena_str(&call->arena, sbuf_str(&b), &s, &call->err))
        ok = add_set(call, s.p);
    sbuf_free(&b);
    return ok;
}

static const struct cmd_arg *find_arg(const struct cmd *cmd, const char *word, size_t *row)
{
    for (size_t i = 0; cmd->args && cmd->args[i].name; i++) {
        const struct cmd_arg *a = &cmd->args[i];
        if (!str_eqz(str_of(word), a->name) && !(a->brief && str_eqz(str_of(word), a->brief)))
            continue;
        *row = i;
        return a;
    }
    return NULL;
}

/* One word beginning with '-'; *i moves past the value it takes. */
static bool parse_option(struct cmd_call *call, int argc, char **argv, int *i)
{
    const char *word = argv[*i];
    size_t row = 0;

    if (call->cmd->config && str_eqz(str_of(word), "--dry-run")) {
        call->dry_run = true;
        return true;
    }
    bool is_set = call->cmd->config && str_eqz(str_of(word), "--set");
    const struct cmd_arg *a = is_set ? NULL : find_arg(call->cmd, word, &row);
    if (!is_set && !a)
        return err_set(&call->err, ERR_CONFIG, "%s does not know %s; see radmill help %s",
                       call->cmd->name, word, call->cmd->name);
    if (a && call->values[row])
        return err_set(&call->err, ERR_CONFIG, "%s is given twice: it takes one value", a->name);
    if (a && !a->meta) {
        call->values[row] = "";
        return true;
    }
    if (*i + 1 >= argc) return err_set(&call->err, ERR_CONFIG, "%s needs a value", word);
    const char *value = argv[++*i];
    if (is_set) return add_set(call, value);
    if (!*value) /* "$UNSET" of a script: silence would mean all modalities, say */
        return err_set(&call->err, ERR_CONFIG, "%s needs a value, not an empty word", word);
    if (a->brief && str_eqz(str_of(value), "-"))
        return err_set(&call->err, ERR_CONFIG, "%s writes files whole: give it a name, not -",
                       word);
    call->values[row] = value;
    return a->set ? add_alias(call, a->set, value) : true;
}

static bool asks_for_help(const char *word)
{
    return str_eqz(str_of(word), "--help") || str_eqz(str_of(word), "-h");
}

/* "radmill CMD ... --help" is "radmill help CMD", whatever else stands there. */
static bool turn_into_help(struct cmd_call *call)
{
    call->pos[0] = call->cmd->name;
    call->npos = 1;
    call->cmd = cmd_find("help");
    return true;
}

bool cmd_parse(struct cmd_call *call, int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        if (asks_for_help(argv[i])) return turn_into_help(call);
        if (argv[i][0] == '-' && argv[i][1]) {
            if (!parse_option(call, argc, argv, &i)) return false;
        } else if (call->npos == call->cmd->max_pos) {
            return err_set(&call->err, ERR_CONFIG, "%s takes no further word; usage: radmill %s %s",
                           call->cmd->name, call->cmd->name, call->cmd->synopsis);
        } else {
            call->pos[call->npos++] = argv[i];
        }
    }
    if (call->npos < call->cmd->min_pos)
        return err_set(&call->err, ERR_CONFIG, "usage: radmill %s %s", call->cmd->name,
                       call->cmd->synopsis);
    return true;
}

bool cmd_modalities(struct cmd_call *call, bool out[MOD_COUNT])
{
    const char *list = cmd_value(call, "--modality");
    struct str rest = str_of(list), one;

    if (list && rest.n > 1 && rest.p[0] == '[' && rest.p[rest.n - 1] == ']')
        rest = str_sub(rest, 1, rest.n - 1);
    while (list && str_split(&rest, ',', &one)) {
        bool abstained = str_eqz(str_trim(one), record_modality_names[MOD_UNKNOWN]);
        int code = abstained ? MOD_UNKNOWN : record_modality_of(one);
        if (code < 0)
            return err_set(&call->err, ERR_CONFIG,
                           "--modality: %.*s is not CR, CT, MR, US, NM, PT, XA, MG, RF, OT or "
                           "unknown",
                           STR_ARG(one));
        out[code] = true;
    }
    return true;
}

bool cmd_apart(struct cmd_call *call, const char *to, const char *from)
{
    struct stat a, b;
    bool same = to && from && strcmp(to, from) == 0;

    if (!to || !from) return true;
    if (!same && stat(to, &a) == 0 && stat(from, &b) == 0)
        same = a.st_dev == b.st_dev && a.st_ino == b.st_ino;
    return !same || err_set(&call->err, ERR_CONFIG,
                            "%s would be written over %s: give the result a place of its own", to,
                            strcmp(to, from) == 0 ? "another file of this call" : from);
}

void cmd_print(const struct cmd_call *call, const char *fmt, ...)
{
    va_list ap;
    if (call->comm && comm_rank(call->comm) != 0) return;
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
}
