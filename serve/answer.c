#include "serve/answer.h"

#include "base/mem.h"

#define TEXT_MAX ((size_t)64 << 20)

void answer_init(struct answer *a, const struct tokenizer *tok, const struct str *stops,
                 size_t nstops)
{
    *a = (struct answer){.tok = tok, .stops = stops, .nstops = nstops};
    sbuf_init(&a->text, TEXT_MAX);
    tok_stream_init(&a->stream, tok, true);
}

void answer_free(struct answer *a)
{
    tok_stream_free(&a->stream);
    sbuf_free(&a->text);
    mem_free(a->tokens);
    *a = (struct answer){0};
}

/* Ends the text at the first stop string that reaches into what was put since `from`. */
static void find_stop(struct answer *a, size_t from)
{
    size_t best = SIZE_MAX;

    for (size_t i = 0; i < a->nstops; i++) {
        size_t back = a->stops[i].n - 1;
        size_t at = str_find(sbuf_str(&a->text), a->stops[i], from > back ? from - back : 0);
        if (at < best) best = at;
    }
    if (best == SIZE_MAX) return;
    a->text.n = best;
    a->text.p[best] = 0;
    a->finish = "stop";
}

static void trim_front(struct answer *a)
{
    size_t n = 0;

    while (n < a->text.n && strchr(" \t\r\n", a->text.p[n]))
        n++;
    if (n == 0) return;
    memmove(a->text.p, a->text.p + n, a->text.n - n + 1);
    a->text.n -= n;
}

static bool keep_token(struct answer *a, const struct engine_token *t, struct err *e)
{
    void *items = a->tokens;

    if (!a->keep) return true;
    if (!mem_grow(&items, &a->cap, a->ntokens + 1, sizeof *a->tokens, e)) return false;
    a->tokens = items;
    a->tokens[a->ntokens++] = (struct answer_token){*t, a->text.n};
    return true;
}

bool answer_put(struct answer *a, const struct engine_event *v, struct err *e)
{
    size_t had = a->text.n;
    bool ok;

    if (a->finish) return true;
    if (v->end == ENGINE_RUNNING) {
        a->count++;
        ok = keep_token(a, &v->token, e) && tok_stream_put(&a->stream, v->token.id, &a->text, e);
    } else {
        ok = tok_stream_end(&a->stream, &a->text, e);
    }
    if (!ok) return false;
    if (a->trim && a->sent == 0 && a->text.n) trim_front(a);
    find_stop(a, had);
    if (v->end == ENGINE_FAILED) a->failed = true;
    if (v->end != ENGINE_RUNNING && !a->finish)
        a->finish = v->end == ENGINE_LENGTH ? "length" : "stop";
    return true;
}

/* Bytes at the end of s in which a stop string may have begun. */
static size_t held_back(const struct answer *a)
{
    struct str s = sbuf_str(&a->text);
    size_t most = 0;

    for (size_t i = 0; i < a->nstops; i++)
        for (size_t n = a->stops[i].n - 1; n > most; n--)
            if (n <= s.n && memcmp(s.p + s.n - n, a->stops[i].p, n) == 0) most = n;
    return most;
}

struct str answer_ready(const struct answer *a)
{
    size_t end = a->finish ? a->text.n : a->text.n - held_back(a);

    return end > a->sent ? str_sub(sbuf_str(&a->text), a->sent, end) : (struct str){"", 0};
}

struct str answer_take(struct answer *a, size_t *from, size_t *to)
{
    struct str s = answer_ready(a);

    a->sent += s.n;
    *from = a->sent_tokens;
    while (a->sent_tokens < a->ntokens &&
           (a->finish ? a->tokens[a->sent_tokens].at < a->text.n || a->text.n == 0
                      : a->tokens[a->sent_tokens].at < a->sent))
        a->sent_tokens++;
    *to = a->sent_tokens;
    return s;
}
