/* radmill tokenize: JSON lines {"text"} to {"ids"}, or with --decode {"ids"} to {"text"}. */
#include <stdio.h>

#include "base/json.h"
#include "cli/cmd.h"
#include "text/tokenizer.h"

enum { LINE_MAX_BYTES = 64 << 20 };

struct job {
    struct tokenizer *tok;
    struct tok_cache *cache;
    enum tok_mode mode;
    bool decode;
    struct sbuf line, text;
    struct tok_ids ids;
};

static bool mode_of(const char *name, enum tok_mode *out, struct err *e)
{
    *out = TOK_PLAIN;
    if (!name || str_eqz(str_of(name), "plain")) return true;
    *out = TOK_RAW;
    if (str_eqz(str_of(name), "raw")) return true;
    *out = TOK_FULL;
    if (str_eqz(str_of(name), "ids")) return true;
    return err_set(e, ERR_CONFIG, "--mode is plain, raw or ids");
}

static bool encode_line(struct job *j, const json_t *in, struct err *e)
{
    struct str text;

    if (!json_get_str(in, "text", &text, e)) return false;
    j->ids.n = 0;
    if (!tokenizer_encode(j->cache, text, j->mode, &j->ids, e)) return false;
    if (!sbuf_put(&j->text, STR("{\"ids\": ["), e)) return false;
    for (size_t i = 0; i < j->ids.n; i++)
        if (!sbuf_printf(&j->text, e, "%s%u", i ? ", " : "", (unsigned)j->ids.ids[i])) return false;
    return sbuf_put(&j->text, STR("]}"), e);
}

static bool decode_line(struct job *j, const json_t *in, struct err *e)
{
    uint32_t vocab = tokenizer_info(j->tok).vocab_size;
    struct sbuf out;
    json_t *arr = NULL;
    bool ok = false;

    sbuf_init(&out, LINE_MAX_BYTES);
    if (!json_get_arr(in, "ids", &arr, e)) goto out;
    j->ids.n = 0;
    for (size_t i = 0; i < json_array_size(arr); i++) {
        const json_t *v = json_array_get(arr, i);
        json_int_t id = json_is_integer(v) ? json_integer_value(v) : -1;
        if (id < 0 || id >= (json_int_t)vocab) {
            err_set(e, ERR_FORMAT, "ids[%zu] is no token id below %u", i, (unsigned)vocab);
            goto out;
        }
        if (!tok_ids_put(&j->ids, (uint32_t)id, e)) goto out;
    }
    ok = tokenizer_decode(j->tok, j->ids.ids, j->ids.n, false, &out, e) &&
         sbuf_put(&j->text, STR("{\"text\": "), e) &&
         json_put_str(&j->text, sbuf_str(&out), true, e) && sbuf_putc(&j->text, '}', e);
out:
    sbuf_free(&out);
    return ok;
}

static bool one_line(struct job *j, uint64_t number, struct err *e)
{
    json_t *in = NULL;
    bool ok;

    sbuf_clear(&j->text);
    ok = json_parse(sbuf_str(&j->line), "line", &in, e) &&
         (j->decode ? decode_line(j, in, e) : encode_line(j, in, e));
    json_decref(in);
    if (!ok) return err_wrap(e, "standard input, line %llu", (unsigned long long)number);
    fwrite(j->text.p, 1, j->text.n, stdout);
    putchar('\n');
    return true;
}

static bool all_lines(struct job *j, struct err *e)
{
    uint64_t number = 1;
    int ch;

    while ((ch = getc(stdin)) != EOF) {
        if (ch != '\n') {
            if (!sbuf_putc(&j->line, (char)ch, e)) return err_wrap(e, "standard input");
            continue;
        }
        if (j->line.n && !one_line(j, number, e)) return false;
        sbuf_clear(&j->line);
        number++;
    }
    return j->line.n == 0 || one_line(j, number, e);
}

bool cmd_tokenize(struct cmd_call *call)
{
    struct job j = {.decode = cmd_value(call, "--decode") != NULL};
    bool ok = false;

    sbuf_init(&j.line, LINE_MAX_BYTES);
    sbuf_init(&j.text, LINE_MAX_BYTES);
    if (!mode_of(cmd_value(call, "--mode"), &j.mode, &call->err)) goto out;
    if (!tokenizer_open(call->pos[0], &j.tok, &call->err)) goto out;
    if (!tok_cache_open(j.tok, &j.cache, &call->err)) goto out;
    ok = all_lines(&j, &call->err);
out:
    tok_ids_free(&j.ids);
    tok_cache_close(j.cache);
    tokenizer_close(j.tok);
    sbuf_free(&j.text);
    sbuf_free(&j.line);
    return ok;
}
