/* radmill convert FROM TO: a GGUF file or HF folder to one HF-shaped folder, with tokenizer. */
#include "base/audit.h"
#include "base/fs.h"
#include "cli/cmd.h"
#include "model/convert.h"
#include "text/tokenizer.h"

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
    return err_set(e, ERR_CONFIG, "--dtype is bf16, f32 or f16");
}

bool cmd_convert(struct cmd_call *call)
{
    const char *from = call->pos[0], *to = call->pos[1];
    enum dtype dtype;
    struct tokenizer *tok = NULL;
    struct err *e = &call->err;
    bool ok = false;

    if (!dtype_of(cmd_value(call, "--dtype"), &dtype, e)) goto out;
    if (!tokenizer_open(from, &tok, e)) goto out;
    if (!fs_mkdirs(to, e)) goto out;
    if (!audit_note(to, "convert", dtype_torch_name(dtype), e)) goto out;
    if (!convert_to_hf(from, to, dtype, e)) goto out;
    /* the tokenizer last: a folder with tokenizer.json is whole */
    if (!tokenizer_save(tok, to, e)) goto out;
    cmd_print(call, "%s: converted, vocabulary of %u tokens\n", to,
              (unsigned)tokenizer_info(tok).vocab_size);
    ok = true;
out:
    tokenizer_close(tok);
    return ok;
}
