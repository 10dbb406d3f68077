/*
 * text/prompt_parse - a template's text cut into parts. Private to lib/text.
 *
 * The language (prompt.h describes it for users): marks in braces, {{ and }} for braces. Text
 * between line ends and special tokens is one unit; a unit whose fields are all absent is left out
 * with its headings.
 */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "text/prompt.h"

#define PROMPT_MAX_SOURCE (64u << 10)
#define PROMPT_MAX_PARTS  1024u

enum prompt_kind { PROMPT_TEXT, PROMPT_FIELD, PROMPT_TOKEN, PROMPT_TARGET };
struct prompt_part {
    enum prompt_kind kind;
    uint32_t unit;
    enum prompt_field field; /* PROMPT_FIELD */
    uint32_t id;             /* PROMPT_TOKEN */
    struct str text;         /* PROMPT_TEXT; in the arena */
};
struct prompt_parts {
    struct prompt_part part[PROMPT_MAX_PARTS];
    size_t n;
    uint32_t units;
};

/* Text of a built-in template, with {input} still in it, or NULL. *headed: {input} always names its
 * fields. */
const char *prompt_builtin(const char *name, bool *headed);
/* What the built-in template writes between a target and the token that ends it: "" or a blank. */
const char *prompt_builtin_tail(const char *name);
/* prompt_chat.c: the built-in template that "chat" stands for with this tokenizer. */
MUST_CHECK bool prompt_chat_name(const struct tokenizer *t, const char **out, struct err *e);
/* By the digest of a Jinja text; NULL: not known. */
const char *prompt_chat_known(const uint8_t sha256[32]);
/* {input} replaced by the fields in order, one a line. */
MUST_CHECK bool prompt_expand(struct str source, const enum prompt_field *inputs, size_t ninputs,
                              bool headed, struct sbuf *out, struct err *e);
/* source is borrowed for the call. */
MUST_CHECK bool prompt_parse(struct str source, const struct tokenizer *t, struct arena *a,
                             struct prompt_parts *out, struct err *e);
