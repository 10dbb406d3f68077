/*
 * judge/judge_prompt - one judgement as a prompt and its answer, the same for training and reading.
 *
 *     Clinical information: ... Findings: ... Reference: ... Generated: ... Rule check: ...
 *     Errors: negation actionable, missing urgent
 *     score: 2
 *
 * The main idea: the answer is a compact list of errors, then the grade. The grade is not read as a
 * number that the model writes but as the expectation over what it could write there: of the grades
 * 1 to 5, weighted by their probabilities (judge/judge_read). For that the five answers must differ
 * in one token: judge_prompt_open refuses a tokenizer or template where they do not.
 *
 * Template `judge` (text/prompt) or a file with {clinical} {findings} {reference} {generated}
 * {check} and {target}. What does not fit into max_tokens is cut from the longest text's end.
 * Decoder models only.
 */
#pragma once
#include "label/factlabel.h"
#include "text/prompt.h"

struct judge_fields {
    struct str clinical, findings, reference, generated, check; /* empty: absent */
};
struct judge_prompt;
/* base: where the tokenizer is. list: answers begin with the list of errors; without it they are
 * the grade alone. */
MUST_CHECK bool judge_prompt_open(const char *base, const char *template, uint32_t max_tokens,
                                  bool list, struct judge_prompt **out, struct err *e);
void judge_prompt_close(struct judge_prompt *p);
const struct tokenizer *judge_prompt_tokenizer(const struct judge_prompt *p);
void judge_prompt_digest(const struct judge_prompt *p, uint8_t out[32]);
bool judge_prompt_lists(const struct judge_prompt *p);
/* The token that ends an answer. */
uint32_t judge_prompt_eos(const struct judge_prompt *p);

/* "negation actionable, missing urgent", "none": each type once, with its worst significance. */
MUST_CHECK bool judge_prompt_errors(const struct factlabel *l, struct sbuf *out, struct err *e);
/* The list in front of an answer's grade: up to "score:", trimmed, one line. A view. */
struct str judge_prompt_list(struct str answer);

/* Such a list as JSON, [{"type": ..., "significance": ...}]: what is none of the label file's words
 * is left out, so that no text a model may have copied gets out. */
MUST_CHECK bool judge_prompt_put_errors(struct str list, struct sbuf *out, struct err *e);

/* Prompt alone; ids are borrowed until the next build. */
MUST_CHECK bool judge_prompt_ask(struct judge_prompt *p, const struct judge_fields *f,
                                 struct prompt_sample *out, struct err *e);
/* Prompt and the answer that gives this grade. */
MUST_CHECK bool judge_prompt_answer(struct judge_prompt *p, const struct judge_fields *f,
                                    struct str list, int grade, struct prompt_sample *out,
                                    struct err *e);
/* Where the grade stands in such an answer, and the five tokens that could: ids is prompt and
 * answer up to the grade (mem_alloc'ed by v, appended to), grade[k] the token of k + 1. */
MUST_CHECK bool judge_prompt_grades(struct judge_prompt *p, const struct judge_fields *f,
                                    struct str list, struct tok_ids *v,
                                    uint32_t grade[FACTLABEL_GRADES], struct err *e);
