/* radmill convert FROM TO: a GGUF file or HF folder to another form, with an adapter merged in. */
#include <stdio.h>

#include "base/audit.h"
#include "base/fs.h"
#include "base/log.h"
#include "cli/bundle.h"
#include "cli/cmd.h"
#include "cli/convert_drift.h"
#include "model/convert.h"
#include "model/convert_gguf.h"
#include "text/tokenizer.h"

enum { TOKENIZER_PATH = 4096 };

static bool ends_in_gguf(const char *path)
{
    return str_ends(str_of(path), STR(".gguf"));
}

static bool dtype_of(const char *name, enum dtype *out, struct err *e)
{
    static const struct {
        const char *name;
        enum dtype dtype;
    } known[] = {{"bf16", DTYPE_BF16}, {"f32", DTYPE_F32}, {"f16", DTYPE_F16}};

    *out = DTYPE_BF16;
    if (!name) return true;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        *out = known[i].dtype;
        if (str_eqz(str_of(name), known[i].name)) return true;
    }
    return err_set(e, ERR_CONFIG, "--dtype is bf16, f32 or f16 for a folder");
}

static bool gguf_type_of(const char *name, uint32_t *out, struct err *e)
{
    static const struct {
        const char *name;
        uint32_t type;
    } known[] = {{"f16", GGML_F16},
                 {"bf16", GGML_BF16},
                 {"f32", GGML_F32},
                 {"q8_0", GGML_Q8_0},
                 {"q4_0", GGML_Q4_0}};

    *out = GGML_F16;
    if (!name) return true;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        *out = known[i].type;
        if (str_eqz(str_of(name), known[i].name)) return true;
    }
    return err_set(e, ERR_CONFIG, "--dtype is f16, bf16, f32, q8_0 or q4_0 for a GGUF file");
}

static void print_drift(const struct cmd_call *call, const struct weights_drift *d)
{
    if (d->merged == 0) return;
    cmd_print(call,
              "  %llu layers merged in f32; the update is %.3g (rms), rounding it to the stored "
              "type moved weights by %.3g (rms), at most %.3g: %.2f%% of the update\n",
              (unsigned long long)d->merged, d->update_rms, d->loss_rms, d->loss_max,
              d->update_rms > 0 ? 100 * d->loss_rms / d->update_rms : 0);
}

/* What leaves is noted where it came from: the adapter's folder, else the new one. */
static bool note(struct cmd_call *call, const char *adapter, const char *to, const char *what)
{
    return audit_note(adapter ? adapter : to, "convert", what, &call->err);
}

/* ---- to a folder of HF's shape */
static bool to_folder(struct cmd_call *call, const char *adapter)
{
    const char *from = call->pos[0], *to = call->pos[1];
    struct err *e = &call->err;
    struct weights_drift drift;
    struct tokenizer *tok = NULL;
    const char *marker;
    enum dtype dtype;
    bool ok = false;

    if (!dtype_of(cmd_value(call, "--dtype"), &dtype, e)) goto out;
    if (!tokenizer_open(from, &tok, e)) goto out;
    if (!fs_mkdirs(to, e)) goto out;
    if (!note(call, adapter, to, adapter ? "merged model" : dtype_torch_name(dtype))) goto out;
    /* the tokenizer first gone, and there last: a folder with tokenizer.json is whole */
    if (!fs_join(&call->arena, to, "tokenizer.json", &marker, e)) goto out;
    if (fs_exists(marker) && !fs_remove(marker, e)) goto out;
    if (!convert_merge(from, adapter, to, dtype, &drift, e)) goto out;
    if (!tokenizer_save(tok, to, e)) goto out;
    cmd_print(call, "%s: converted, vocabulary of %u tokens\n", to,
              (unsigned)tokenizer_info(tok).vocab_size);
    print_drift(call, &drift);
    ok = drift.merged == 0 ||
         convert_drift_print(call, tok, &(struct convert_drift){from, adapter, to});
out:
    tokenizer_close(tok);
    return ok;
}

/* ---- to one GGUF file */

/* FROM itself when it has a tokenizer.json, else a folder beside TO that is removed again. */
static bool tokenizer_dir(const char *from, const char *to, char out[TOKENIZER_PATH], struct err *e)
{
    struct tokenizer *tok = NULL;
    int n = snprintf(out, TOKENIZER_PATH, "%s/tokenizer.json", from);
    bool ok = false;

    if (n < 0 || n >= TOKENIZER_PATH) return err_set(e, ERR_LIMIT, "path too long");
    if (fs_exists(out)) {
        out[n - (int)strlen("/tokenizer.json")] = 0;
        return true;
    }
    n = snprintf(out, TOKENIZER_PATH, "%s.tmp.tokenizer", to);
    if (n < 0 || n >= TOKENIZER_PATH) return err_set(e, ERR_LIMIT, "path too long");
    if (!tokenizer_open(from, &tok, e)) goto out;
    ok = fs_mkdirs(out, e) && tokenizer_save(tok, out, e);
out:
    tokenizer_close(tok);
    return ok;
}

static bool note_gguf(struct cmd_call *call, const char *adapter, const char *what)
{
    struct str rest = str_of(call->pos[1]), folder;
    const char *slash = strrchr(call->pos[1], '/');

    if (adapter) return note(call, adapter, NULL, what);
    if (!slash) return note(call, NULL, ".", what);
    rest.n = (size_t)(slash - rest.p) + 1;
    return arena_str(&call->arena, rest, &folder, &call->err) && fs_mkdirs(folder.p, &call->err) &&
           note(call, NULL, folder.p, what);
}

static bool to_gguf(struct cmd_call *call, const char *adapter)
{
    struct err *e = &call->err, left = {0};
    char dir[TOKENIZER_PATH];
    struct gguf_export x = {.base = call->pos[0],
                            .adapter = adapter,
                            .tokenizer_dir = dir,
                            .name = adapter ? "radmill merged model" : "radmill converted model"};
    struct weights_drift drift;
    bool ok;

    if (!gguf_type_of(cmd_value(call, "--dtype"), &x.type, e)) return false;
    if (!note_gguf(call, adapter, "gguf model")) return false;
    ok = tokenizer_dir(call->pos[0], call->pos[1], dir, e) &&
         convert_gguf_model(&x, call->pos[1], &drift, e);
    if (str_ends(str_of(dir), STR(".tmp.tokenizer")) && !fs_remove_tree(dir, &left))
        log_warn("tokenizer_stays", "error=\"%s\"", left.text);
    if (!ok) return false;
    cmd_print(call, "%s: converted\n", call->pos[1]);
    print_drift(call, &drift);
    return true;
}

static bool to_gguf_adapter(struct cmd_call *call, const char *adapter)
{
    if (!note(call, adapter, NULL, "gguf adapter")) return false;
    if (!convert_gguf_adapter(call->pos[0], adapter, "radmill adapter", call->pos[1], &call->err))
        return false;
    cmd_print(call, "%s: adapter for llama.cpp and Ollama\n", call->pos[1]);
    return true;
}

static bool to_bundle(struct cmd_call *call, const char *adapter)
{
    struct bundle_summary s = {0};

    if (!note(call, adapter, NULL, "bundle")) return false;
    if (!bundle_write(call->pos[0], adapter, call->pos[1], &s, &call->err)) return false;
    cmd_print(call, "%s: %u files for whoever serves the model\n", call->pos[1], s.files);
    for (size_t i = 0; i < s.nwarnings; i++)
        cmd_print(call, "  warning: %s\n", s.warnings[i]);
    return true;
}

bool cmd_convert(struct cmd_call *call)
{
    const char *adapter = cmd_value(call, "--adapter"), *as = cmd_value(call, "--as");
    bool gguf = ends_in_gguf(call->pos[1]);

    /* over itself, a model would lose what the new type rounds away */
    if (!cmd_apart(call, call->pos[1], call->pos[0]) || !cmd_apart(call, call->pos[1], adapter))
        return false;

    if (!as) as = gguf ? "gguf" : "hf";
    if (!adapter && (str_eqz(str_of(as), "adapter") || str_eqz(str_of(as), "bundle")))
        return err_set(&call->err, ERR_CONFIG, "--as %s needs --adapter DIR", as);
    if (gguf != (str_eqz(str_of(as), "gguf") || str_eqz(str_of(as), "adapter")))
        return err_set(&call->err, ERR_CONFIG,
                       "--as gguf and --as adapter make a file that ends in .gguf, the others a "
                       "folder");
    if (str_eqz(str_of(as), "hf")) return to_folder(call, adapter);
    if (str_eqz(str_of(as), "gguf")) return to_gguf(call, adapter);
    if (str_eqz(str_of(as), "adapter")) return to_gguf_adapter(call, adapter);
    if (str_eqz(str_of(as), "bundle")) return to_bundle(call, adapter);
    return err_set(&call->err, ERR_CONFIG, "--as is hf, gguf, adapter or bundle");
}
