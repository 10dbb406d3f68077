/*
 * generate/decode_parts - the inside of the decoding engine: what its files share.
 */
#pragma once
#include "generate/decode_pick.h"

/* A request on its way. Owned by the queue, then by `busy`. */
struct job {
    struct decode_request r; /* ids: the copy behind this struct */
    uint64_t handle;
    struct job *next; /* in the queue */
    bool cancelled;
    double submitted_s, began_s, first_s; /* clock */

    /* in slots: */
    uint32_t nslots, slots[DECODE_BEAMS]; /* one, or one a beam */
    const uint32_t *begin; /* what is pushed first: the prompt, or behind an encoder its start */
    uint32_t nbegin, pos;  /* rows 0 .. pos - 1 are in the cache */
    uint32_t shared;       /* of them taken over */
    bool started;          /* has pushed a row, or knows what it takes over */
    uint32_t take;         /* rows of this step */
    uint32_t n, limit;     /* tokens of the answer; most of them */
    uint32_t *answer;      /* [limit], behind ids */
    struct decode_choice choice;
    struct beams *beams; /* NULL: one sequence */

    /* when the answer has ended, and there is something to follow: */
    bool follows; /* pos runs on from the prompt's last row */
    enum decode_reason why;
    double nll;
};

/* What a slot's cache holds: rows 0 .. filled - 1 are those of these tokens under this adapter. It
 * stays there, and may be taken over, until the slot's next sequence has written over it. */
struct slot {
    struct job *job;  /* NULL: free */
    uint32_t *tokens; /* [max_len] */
    uint32_t filled;
    int32_t adapter;
    uint64_t used; /* when it was given out last */
};

struct decode {
    struct model *m;
    struct decode_opts o;
    uint32_t nadapters, max_rows;
    bool both; /* an encoder reads the prompts */
    struct decoder_cache *cache;
    struct decode_stats stats;
    uint64_t handles, uses;
    struct job *first, **last; /* the queue */
    size_t waiting;
    struct slot *slot;
    uint32_t *history;
    struct job **busy;     /* [slots], in the order they were given out */
    uint32_t nbusy, nfree; /* jobs in slots; free slots */
    struct pick_scratch pick;

    /* one step */
    struct decoder_rows rows;
    uint32_t *token, *slot_of, *pos; /* [max_rows]: what rows points to */
    uint32_t prompt_rows, follow_rows;
    struct job **asker;     /* [max_rows] */
    uint32_t *row, *chosen; /* [max_rows]: the asker's row; its greedy choice */
    float *logprob;         /* [max_rows] */
    struct dev_draw *draw;  /* [max_rows]: of askers that need no logits */
    uint32_t nask, nlogits; /* first those that want logits, */
    uint32_t ngiven;        /* last the rows of what follows */
    uint32_t *given;        /* [max_rows]: their next tokens */
};

/* ---- decode_share.c: who begins with the same tokens */

/* The free slot that already holds most of j's beginning; the longest unused on a tie. There is
 * one. */
uint32_t share_choose_slot(const struct decode *d, const struct job *j);
/* Before j's first row: take over what there is. false in *ready: someone is computing more of it
 * now, wait. */
MUST_CHECK bool share_beginning(struct decode *d, struct job *j, bool *ready, struct err *e);

/* ---- decode_beam.c */

MUST_CHECK bool beams_open(struct job *j, struct err *e);
/* The prompt is through in slots[0]. */
void beams_start(struct job *j);
/* Rows of the next step: one for each beam that goes on. */
uint32_t beams_running(const struct job *j);
void beams_row(const struct job *j, uint32_t i, uint32_t *slot, uint32_t *token);
/* The logits behind the row of that slot. */
void beams_see(struct job *j, uint32_t slot, const float *logits, uint32_t vocab);
/* All rows of a step were seen. */
MUST_CHECK bool beams_step(struct decode *d, struct job *j, bool *done, struct err *e);
/* The best hypothesis becomes the answer; true: it ended by itself. */
bool beams_finish(struct job *j);

/* ---- decode.c */

/* decoder_fork, and what is known of the slots. */
MUST_CHECK bool slot_fork(struct decode *d, uint32_t from, uint32_t to, uint32_t first,
                          uint32_t end, struct err *e);
bool decode_is_eos(const struct decode_request *r, uint32_t id);

/* Could it be answered? */
MUST_CHECK bool decode_check(const struct decode *d, const struct decode_request *r, struct err *e);
