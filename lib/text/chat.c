#include "text/chat.h"

#include "text/prompt_parse.h"
#include "text/tok_impl.h"

const char *const chat_format_names[] = {
    "chatml",           "llama2-chat",           "llama3-chat", "llama3.1-chat",
    "mistral-instruct", "mistral-v0.3-instruct", "plain",       NULL};

#define LLAMA31_DATES "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"

/* Text gathers until a special token ends it, since that is how it is split into words. */
struct writer {
    const struct tokenizer *t;
    struct tok_cache *c;
    struct tok_ids *out;
    struct sbuf text;
    enum { AT_START, BEHIND_TOKEN, IN_TEXT } at;
};

const char *chat_format_of(const struct tokenizer *t)
{
    struct err e = {0};
    const char *name;

    if (!prompt_chat_name(t, &name, &e)) return NULL;
    return name;
}

static bool put(struct writer *w, struct str s, struct err *e)
{
    return sbuf_put(&w->text, s, e);
}

static bool flush(struct writer *w, struct err *e)
{
    bool first = w->at == AT_START || (w->at == BEHIND_TOKEN && w->t->norm == TOK_NORM_PREPEND);

    if (w->text.n == 0) return true;
    bool ok = tokenizer_encode(w->c, sbuf_str(&w->text), first ? TOK_PLAIN : TOK_NEXT, w->out, e);
    sbuf_clear(&w->text);
    w->at = IN_TEXT;
    return ok;
}

static bool token(struct writer *w, const char *name, struct err *e)
{
    int32_t id = tokenizer_id(w->t, str_of(name));

    if (id < 0) return err_set(e, ERR_CONFIG, "the tokenizer has no token %s", name);
    if (!flush(w, e)) return false;
    w->at = BEHIND_TOKEN;
    return tok_ids_put(w->out, (uint32_t)id, e);
}

static bool is(const struct chat_message *m, const char *role)
{
    return str_eqz(m->role, role);
}

/* ---- formats whose turns are all alike */

static bool chatml(struct writer *w, const struct chat_message *m, size_t n, struct err *e)
{
    for (size_t i = 0; i < n; i++)
        if (!token(w, "<|im_start|>", e) || !put(w, m[i].role, e) || !put(w, STR("\n"), e) ||
            !put(w, m[i].content, e) || !token(w, "<|im_end|>", e) || !put(w, STR("\n"), e))
            return false;
    return token(w, "<|im_start|>", e) && put(w, STR("assistant\n"), e);
}

static bool llama3_head(struct writer *w, struct str role, struct err *e)
{
    return token(w, "<|start_header_id|>", e) && put(w, role, e) &&
           token(w, "<|end_header_id|>", e) && put(w, STR("\n\n"), e);
}

static bool llama3(struct writer *w, const struct chat_message *m, size_t n, bool dates,
                   struct err *e)
{
    size_t i = 0;

    if (!token(w, "<|begin_of_text|>", e)) return false;
    if (dates) { /* always a system turn */
        struct str text = n && is(&m[0], "system") ? str_trim(m[i++].content) : (struct str){0};
        if (!llama3_head(w, STR("system"), e) || !put(w, STR(LLAMA31_DATES), e) ||
            !put(w, text, e) || !token(w, "<|eot_id|>", e))
            return false;
    }
    for (; i < n; i++)
        if (!llama3_head(w, m[i].role, e) || !put(w, str_trim(m[i].content), e) ||
            !token(w, "<|eot_id|>", e))
            return false;
    return llama3_head(w, STR("assistant"), e);
}

/* ---- formats in which users and assistants take turns */

struct turn_form {
    const char *open, *close;    /* tokens, or NULL for the texts */
    const char *before, *after;  /* texts around what the user says */
    const char *answer, *ended;  /* texts around what the assistant says */
    const char *system, *sysend; /* texts around what the system says */
    bool bos_each;               /* each user's turn begins with <s> */
    bool trim;
};
static const struct turn_form llama2_form = {NULL, NULL,        "[INST] ",        " [/INST]", " ",
                                             " ",  "<<SYS>>\n", "\n<</SYS>>\n\n", true,       true};
static const struct turn_form mistral_form = {NULL, NULL, "[INST] ", " [/INST]", "",
                                              "",   "",   "\n\n",    false,      false};
static const struct turn_form mistral3_form = {"[INST]", "[/INST]", " ",    "",    " ",
                                               "",       "",        "\n\n", false, false};

static bool put_turn(struct writer *w, const struct turn_form *f, const struct chat_message *system,
                     const struct chat_message *m, struct err *e)
{
    struct str text = f->trim ? str_trim(m->content) : m->content;

    if (is(m, "assistant"))
        return put(w, str_of(f->answer), e) && put(w, text, e) && put(w, str_of(f->ended), e) &&
               token(w, "</s>", e);
    if ((f->bos_each || w->at == AT_START) && !token(w, "<s>", e)) return false;
    if (f->open && !token(w, f->open, e)) return false;
    if (!put(w, str_of(f->before), e)) return false;
    if (system && !(put(w, str_of(f->system), e) && put(w, system->content, e) &&
                    put(w, str_of(f->sysend), e)))
        return false;
    return put(w, text, e) && put(w, str_of(f->after), e) && (!f->close || token(w, f->close, e));
}

static bool turns(struct writer *w, const struct turn_form *f, const struct chat_message *m,
                  size_t n, struct err *e)
{
    const struct chat_message *system = n && is(&m[0], "system") ? &m[0] : NULL;
    size_t first = system ? 1 : 0;

    for (size_t i = first; i < n; i++) {
        bool users = (i - first) % 2 == 0;
        if (!is(&m[i], users ? "user" : "assistant"))
            return err_set(e, ERR_FORMAT,
                           "message %zu: user and assistant take turns in this model's format", i);
        if (!put_turn(w, f, i == first ? system : NULL, &m[i], e)) return false;
    }
    return (n > first && is(&m[n - 1], "user")) ||
           err_set(e, ERR_FORMAT, "the last message must be the user's");
}

static bool plain(struct writer *w, const struct chat_message *m, size_t n, struct err *e)
{
    for (uint32_t i = 0; i < w->t->nprefix; i++)
        if (!tok_ids_put(w->out, w->t->prefix[i], e)) return false;
    for (size_t i = 0; i < n; i++)
        if ((i && !put(w, STR("\n\n"), e)) || !put(w, m[i].content, e)) return false;
    return true;
}

static bool write_all(struct writer *w, const char *format, const struct chat_message *m, size_t n,
                      struct err *e)
{
    struct str f = str_of(format);

    if (str_eqz(f, "chatml")) return chatml(w, m, n, e);
    if (str_eqz(f, "llama3-chat")) return llama3(w, m, n, false, e);
    if (str_eqz(f, "llama3.1-chat")) return llama3(w, m, n, true, e);
    if (str_eqz(f, "llama2-chat")) return turns(w, &llama2_form, m, n, e);
    if (str_eqz(f, "mistral-instruct")) return turns(w, &mistral_form, m, n, e);
    if (str_eqz(f, "mistral-v0.3-instruct")) return turns(w, &mistral3_form, m, n, e);
    if (str_eqz(f, "plain")) return plain(w, m, n, e);
    return err_set(e, ERR_CONFIG, "no chat format %.40s", format);
}

bool chat_ids(const char *format, const struct tokenizer *t, struct tok_cache *c,
              const struct chat_message *messages, size_t n, struct tok_ids *out, struct err *e)
{
    struct writer w = {.t = t, .c = c, .out = out};
    size_t had = out->n;

    for (size_t i = 0; i < n; i++)
        if (!is(&messages[i], "system") && !is(&messages[i], "user") &&
            !is(&messages[i], "assistant"))
            return err_set(e, ERR_FORMAT, "message %zu: role is none of system, user, assistant",
                           i);
    if (n == 0) return err_set(e, ERR_FORMAT, "no message");
    sbuf_init(&w.text, TOK_MAX_TEXT);
    bool ok = write_all(&w, format, messages, n, e) && flush(&w, e);
    sbuf_free(&w.text);
    if (!ok) out->n = had;
    return ok;
}
