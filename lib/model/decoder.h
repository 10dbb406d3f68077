/*
 * model/decoder - forward and backward through a model that writes text over packed samples, and
 * decoding with a key-value cache.
 *
 * The model is a decoder (Llama, Mistral), or a decoder with an encoder before it (T5). Both have
 * one interface: who fills a batch or begins a sequence tells the two parts of a sample apart, and
 * nothing else. An encoder reads the prompt as a whole; the decoder begins with the model's start
 * token and looks back at the encoder's output through cross attention.
 *
 * A bin is several samples laid end to end; attention never crosses a sample, positions restart.
 * The head and the last block's query side run only for rows that bear loss. Loss is a *sum* over
 * target tokens; the caller divides by the global number of target tokens. The result of a bin is a
 * pure function of the bin, the weights and the adapter.
 */
#pragma once
#include "model/lora.h"
#include "model/model.h"

/* Host arrays, borrowed for the call. With an encoder, tokens and cu are what the encoder reads,
 * and labels are the whole answers; the decoder's input is the labels shifted right by one behind
 * the start token, and every one of its positions bears loss. */
struct decoder_batch {
    const uint32_t *tokens; /* [ntokens] */
    uint32_t ntokens;
    const uint32_t *cu; /* sample starts [nseq + 1] */
    uint32_t nseq;
    const uint32_t *rows;   /* [nrows] increasing: positions whose next token is predicted; with an
                               encoder NULL */
    const uint32_t *labels; /* [nrows] */
    uint32_t nrows;
    const uint32_t *label_cu; /* with an encoder: starts of the samples' labels [nseq + 1] */
};

/* Which blocks do not keep their activations: the backward pass makes them again, with the same
 * bits, at the cost of the products named here. It is the first `blocks` of the model, the
 * encoder's before the decoder's, and never the decoder's last, which works on the loss rows. A
 * Llama-3.1-8B block keeps 92 KiB a token in bf16, 44 when selective, 16 when full.
 *
 *     selective   gate and up, more than half of all; again: their product
 *     full        all but the block's input and down's h; again: all of its products but down */
enum recompute_kind { RECOMPUTE_NONE, RECOMPUTE_SELECTIVE, RECOMPUTE_FULL, RECOMPUTE_KINDS };
extern const char *const recompute_names[RECOMPUTE_KINDS + 1];
struct recompute {
    enum recompute_kind kind;
    uint32_t blocks;
};
/* Most blocks that can be made again; and what that costs, as weights that a token is multiplied by
 * once more (a step without it: about twice model_spec_params, a decoder's). */
uint32_t recompute_most(const struct model_spec *s);
uint64_t recompute_cost(const struct model_spec *s, struct recompute again);

/* Activations and scratch for bins of at most max_tokens tokens and max_rows loss rows (labels). l
 * may be NULL (base model). train: room for the backward pass. */
struct decoder_work;
MUST_CHECK bool decoder_work_open(struct model *m, struct lora *l, uint32_t max_tokens,
                                  uint32_t max_rows, bool train, struct decoder_work **out,
                                  struct err *e);
void decoder_work_close(struct decoder_work *w);
struct dev *decoder_work_dev(const struct decoder_work *w);
/* For training, with blocks made again. */
struct decoder_room {
    uint32_t max_tokens, max_rows;
    bool train;
    struct recompute again; /* only with train */
    bool folded;            /* to plan: the adapter is (lora_folded); opening looks at it itself */
};
MUST_CHECK bool decoder_work_open_room(struct model *m, struct lora *l,
                                       const struct decoder_room *room, struct decoder_work **out,
                                       struct err *e);
/* Device bytes that decoder_work_open would take: the memory plan, before anything is allocated.
 * Without an adapter (o NULL) it cannot fail. */
MUST_CHECK bool decoder_work_bytes(const struct model_spec *s, enum dev_dtype dtype,
                                   const struct lora_opts *o, uint32_t max_tokens,
                                   uint32_t max_rows, bool train, uint64_t *bytes, struct err *e);
MUST_CHECK bool decoder_room_bytes(const struct model_spec *s, enum dev_dtype dtype,
                                   const struct lora_opts *o, const struct decoder_room *room,
                                   uint64_t *bytes, struct err *e);

/* Sum of the rows' losses (nats); row_loss[nrows] may be NULL. Forward only. */
MUST_CHECK bool decoder_loss(struct decoder_work *w, const struct decoder_batch *b, double *loss,
                             float *row_loss, struct err *e);
/* As decoder_loss, and grad (f32 [lora_count], device) = d(loss sum)/d(masters), overwritten.
 * dropout_key: names (seed, step, bin); unused when dropout is 0. */
MUST_CHECK bool decoder_grad(struct decoder_work *w, const struct decoder_batch *b,
                             uint64_t dropout_key, struct dev_buf *grad, double *loss,
                             struct err *e);
/* The same without waiting, for two bins in flight (lanes of compute/dev.h): opens the lane,
 * which the caller ends by dev_lane_end behind what it does with the gradient; decoder_settle
 * waits for it and gives the loss. nrows > 0. The batch and the dropout key are not needed after
 * the call; grad is one for both lanes, the ops on it being in order. After a failure of any of
 * the three nothing is in flight. decoder_loss, decoder_grad and decoder_logits are for when
 * nothing is. */
MUST_CHECK bool decoder_loss_begin(struct decoder_work *w, const struct decoder_batch *b, int lane,
                                   struct err *e);
MUST_CHECK bool decoder_grad_begin(struct decoder_work *w, const struct decoder_batch *b,
                                   uint64_t dropout_key, struct dev_buf *grad, int lane,
                                   struct err *e);
MUST_CHECK bool decoder_settle(struct decoder_work *w, int lane, double *loss, struct err *e);
/* Gives up what is in flight. */
void decoder_drop(struct decoder_work *w);
/* Logits of the batch's rows to host memory out[nrows * vocab] (tests, small things). */
MUST_CHECK bool decoder_logits(struct decoder_work *w, const struct decoder_batch *b, float *out,
                               struct err *e);

/* ---- decoding
 *
 * What a row gives - logits, next token - is a function of the tokens up to it in its own sequence,
 * of the prompt behind an encoder, and of the sequence's adapter: not of the other rows of a step,
 * of how a prompt is cut into steps, of the slot, of other adapters, or of rows taken over by
 * decoder_fork. Bit for bit on one kind of device, build, instruction set and thread count. */
struct decoder_cache;
enum { DECODER_ADAPTERS = 16 };
struct decoder_cache_opts {
    uint32_t slots;      /* sequences */
    uint32_t max_len;    /* tokens of one: prompt and answer; behind an encoder, which keeps
                                    the prompt elsewhere, the start token and the answer */
    uint32_t max_memory; /* with an encoder: tokens of the longest prompt; else 0 */
    uint32_t max_rows;   /* most new tokens in one step */
    struct lora *const *adapters; /* borrowed; what slots may be set to */
    uint32_t nadapters; /* <= DECODER_ADAPTERS; method full only where it is the only one */
};
MUST_CHECK bool decoder_cache_open(struct model *m, const struct decoder_cache_opts *o,
                                   struct decoder_cache **out, struct err *e);
void decoder_cache_close(struct decoder_cache *c);
/* Device bytes that decoder_cache_open takes, but for the narrow scratch of adapters. */
uint64_t decoder_cache_bytes(const struct model_spec *s, enum dev_dtype dtype,
                             const struct decoder_cache_opts *o);
/* The adapter that the slot's next sequence goes through; -1: the base alone, as at first.
 * Rows of one adapter should stand together in a step: every run of them is one product. */
void decoder_set_adapter(struct decoder_cache *c, uint32_t slot, int32_t adapter);
/* Before the first step of a sequence: take its prompt of n tokens. *rows, *nrows are the tokens to
 * push at positions 0, 1, ...: the prompt itself (as given), or behind an encoder, which reads it
 * now, the start token (which lives as long as the cache). */
MUST_CHECK bool decoder_begin(struct decoder_cache *c, uint32_t slot, const uint32_t *prompt,
                              uint32_t n, const uint32_t **rows, uint32_t *nrows, struct err *e);
/* `to` becomes a sequence like `from`: its adapter, its prompt behind an encoder (which `from`
 * keeps for both until it begins another), and rows [first, end) of its cache. Rows before `first`
 * must be the same in both already. */
MUST_CHECK bool decoder_fork(struct decoder_cache *c, uint32_t from, uint32_t to, uint32_t first,
                             uint32_t end, struct err *e);

/* token[i] at position pos[i] of sequence slot[i]; a sequence's rows in order, each position once.
 */
struct decoder_rows {
    const uint32_t *token, *slot, *pos;
    uint32_t n;
};
/* Rows whose next token is asked. */
struct decoder_ask {
    const uint32_t *row;
    uint32_t n;
    uint32_t *next;              /* [n]: the greedy choice, lowest id on a tie; or what is drawn: */
    const struct dev_draw *draw; /* [n]; NULL: all greedy */
    float *logprob;              /* [n]: its natural logarithm of probability; or NULL */
    uint32_t nlogits;            /* the first so many also want their logits: */
    /* i < nlogits in order; logits[vocab] are borrowed until it returns */
    void (*see)(void *ctx, uint32_t i, const float *logits);
    void *ctx;
    uint32_t ngiven;       /* of the last so many the next token is known, and next is not set: */
    const uint32_t *given; /* [ngiven] */
    float *given_logprob;  /* [ngiven]: its natural logarithm of probability is asked */
};
/* Push rows through the model. */
MUST_CHECK bool decoder_step(struct decoder_cache *c, const struct decoder_rows *r,
                             const struct decoder_ask *ask, struct err *e);
