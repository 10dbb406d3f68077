/* radmill convert FROM TO: a GGUF file or an HF folder to one HF-shaped folder, tokenizer included. */
#include "base/audit.h"
#include "base/fs.h"
#include "cli/cmd.h"
#include "model/convert.h"
#include "text/tokenizer.h"

bool cmd_convert(struct cmd_call *call)
{
    const char *from = call->pos[0], *to = call->pos[1], *dtype = cmd_value(call, "--dtype");
    struct tokenizer *tok = NULL;
    struct err *e = &call->err;
    bool ok = false;

    if (!tokenizer_open(from, &tok, e)) goto out;
    if (!fs_mkdirs(to, e)) goto out;
    if (!audit_note(to, "convert", dtype ? dtype : "bf16", e)) goto out;
    if (!convert_to_hf(from, to, dtype ? dtype : "bf16", e)) goto out;
    /* the tokenizer last: a folder with tokenizer.json is whole */
    if (!tokenizer_save(tok, to, e)) goto out;
    cmd_print(call, "%s: converted, vocabulary of %u tokens\n", to,
              (unsigned)tokenizer_info(tok).vocab_size);
    ok = true;
out:
    tokenizer_close(tok);
    return ok;
}
