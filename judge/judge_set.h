/*
 * judge/judge_set - labels -> judgements: what a judge is shown, what it should say, what the rule
 * check says, and which patient it is.
 *
 * One judgement an answer (id, system). Its truth is the adjudicator's grade ("adj"), else the mean
 * of its readers' grades; it is trained on as often as it was labelled, each time with that
 * reader's list and grade (adjudicated: once). Patients are the labels' subjects; an answer without
 * one is its own.
 */
#pragma once
#include "evaluate/facts.h"
#include "judge/judge_prompt.h"

struct judge_item {
    struct str id;
    struct judge_fields fields; /* check is set when it was asked for */
    double truth;               /* 1..5 */
    double rule;                /* the rule check's score, 0..100 */
    uint32_t group;             /* patient */
    size_t first, nlabels;      /* to train on: judge_set.labels[first ..) */
};
struct judge_set {
    struct judge_item *items;
    size_t n, ngroups;
    const struct factlabel **labels;
};

/* v: as factlabel_latest leaves them; borrowed, as all texts are. Everything else is in the arena.
 * check: what the rule check says is part of what the judge is shown. */
MUST_CHECK bool judge_set_make(const struct factlabel *v, size_t n, const struct facts *f,
                               bool check, struct arena *a, struct judge_set *out, struct err *e);
/* A control: every answer gets another's labels and truth, by a permutation of the seed. */
MUST_CHECK bool judge_set_shuffle(struct judge_set *s, uint64_t seed, struct err *e);
/* The rule check of one answer: its score, and (check not NULL, in the arena) what it says in
 * words: "negation actionable, missing urgent; 43". */
MUST_CHECK bool judge_set_rule(const struct facts *f, const struct judge_fields *x, struct arena *a,
                               double *score, struct str *check, struct err *e);
