/*
 * evaluate/bleu_tok - sacrebleu's 13a tokenization (that of mteval-v13a.pl).
 *
 * Four passes, each left to right without overlap, exactly as the four regular expressions act: a
 * pass sees what the one before it wrote.
 */
#pragma once
#include "base/err.h"
#include "base/str.h"

/* A longer text is ERR_LIMIT; pairs are far smaller. */
#define BLEU_TEXT_MAX ((size_t)64 << 20)
/* Two buffers to work in, owned by the caller, zeroed at first; contents are scratch. Not struct
 * sbuf: the passes write single bytes into room taken once. */
struct bleu_buf {
    char *p;
    size_t n, cap;
};
struct bleu_tok {
    struct bleu_buf a, b;
};
void bleu_tok_free(struct bleu_tok *t);
/* *out: the text with blanks where tokens part, borrowed until the next call; split it with
 * bleu_tok_next. */
MUST_CHECK bool bleu_tok_13a(struct bleu_tok *t, struct str text, struct str *out, struct err *e);
/* Cut the next token off *rest at Unicode white space (Python's); false when there is none. */
bool bleu_tok_next(struct str *rest, struct str *token);

/* ---- the same tokens at once, for the text nearly every report is: ASCII without '&', '<', "-\n"
 * and neighbouring full stops or commas, where the passes cannot meet */
bool bleu_tok_is_plain(struct str text);
/* The token at or after *at of a plain text, a view into it; *at moves behind it. */
bool bleu_tok_plain_next(struct str text, size_t *at, struct str *token);
