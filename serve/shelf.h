/*
 * serve/shelf - what is served: the base model, its adapters by name, tokenizer, prompt, encoder,
 * and the digests that say exactly which.
 *
 * Opening reads everything; after that only the engine's thread uses the device (through
 * shelf_core, shelf_embed), and the text side is safe for any thread: a lock stands around the
 * tokenizer's cache and the prompt, which take microseconds.
 */
#pragma once
#include "model/lora.h"
#include "serve/engine.h"
#include "serve/serve.h"
#include "text/chat.h"
#include "text/prompt.h"

enum { SHELF_MODELS_MAX = 32 };
struct shelf_model {
    const char *id;  /* in the API */
    int adapter;     /* -1: the base */
    char digest[65]; /* of the adapter's weights, or the base's */
};
struct shelf;
MUST_CHECK bool shelf_open(const struct serve_job *j, struct shelf **out, struct err *e);
void shelf_close(struct shelf *s);

/* The base first. Lives as long as the shelf. */
const struct shelf_model *shelf_models(const struct shelf *s, size_t *n);
/* By id; NULL: none of it. An empty id is the first adapter, or the base where there is none. */
const struct shelf_model *shelf_find(const struct shelf *s, struct str id);
/* The encoder's id, NULL without one. */
const char *shelf_encoder(const struct shelf *s);
const char *shelf_prompt_digest(const struct shelf *s);
const struct tokenizer *shelf_tokenizer(const struct shelf *s);
/* What decodes; only the engine's thread may call it. */
struct engine_core shelf_core(struct shelf *s);
/* Longest answer that fits behind a prompt of n tokens, at most `want`; 0: none. */
uint32_t shelf_room(const struct shelf *s, size_t n, uint64_t want);

/* ---- text to ids, appended; any thread */
MUST_CHECK bool shelf_encode(struct shelf *s, struct str text, struct tok_ids *out, struct err *e);
/* ERR_CONFIG: the model has no chat format; ERR_FORMAT: the roles do not fit it. */
MUST_CHECK bool shelf_chat(struct shelf *s, const struct chat_message *m, size_t n,
                           struct tok_ids *out, struct err *e);
/* The prompt of training for these fields, cleaned as shard cleans them. *cut: tokens of text that
 * did not fit. */
MUST_CHECK bool shelf_impression(struct shelf *s, struct str findings, struct str clinical,
                                 uint32_t max_new_tokens, struct tok_ids *out, size_t *cut,
                                 struct err *e);
bool shelf_uses_clinical(const struct shelf *s);

/* ---- embeddings: the mean of the last layer's states over the tokens, length 1 */
uint32_t shelf_embedding_size(const struct shelf *s);
/* Ids of a text with the encoder's own special tokens; ERR_LIMIT: longer than it reads. */
MUST_CHECK bool shelf_encode_sequence(struct shelf *s, struct str text, struct tok_ids *out,
                                      struct err *e);
/* Sequence i is ids[cu[i]] .. ids[cu[i + 1] - 1]; out has n rows. Only the engine's thread. */
MUST_CHECK bool shelf_embed(struct shelf *s, const uint32_t *ids, const uint32_t *cu, uint32_t n,
                            float *out, struct err *e);
