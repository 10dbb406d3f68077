/*
 * serve/serve - a base model and its adapters behind a page and OpenAI's API, for the people of one
 * hospital: nobody passes without a secret, and no report text stays behind.
 *
 *     serve.dir/run.yaml, log/, .lock   base/rundir: one live server a folder
 *     serve.dir/connect.txt  0600: the one-time link, the ssh -L line, where the token is
 *     serve.dir/token        0600: the token for programs, unless serve.token_file names one
 *     serve.dir/audit.jsonl  base/audit: each start, with address and adapters
 *     serve.history/         only where it is set: text, 0600 (serve/history)
 *     serve.ratings          only where it is set: readers' grades with their texts (serve/ratings)
 *
 * The main idea: HTTP threads (serve/http) check and translate; one engine thread (serve/engine)
 * owns the model and decodes all requests together, so that a request's answer is the same whether
 * it came alone or with sixty others (greedy: bit for bit; sampled: by its seed).
 *
 * What it does not do: users and roles, several base models, training, a queue over several
 * machines. docs/SERVE.md is the manual for users.
 */
#pragma once
#include "base/opt.h"
#include "model/model_opts.h"

struct serve_adapter {
    const char *name, *path;
};
struct serve_opts {
    const char *dir;
    const char *address, *socket;
    uint32_t port;
    const char *token_file, *tls_cert, *tls_key;
    bool insecure_lan;
    struct opt_strs hosts;
    struct opt_list adapters; /* of struct serve_adapter */
    const char *encoder, *lexicon, *chat, *history, *ratings;
    uint32_t slots, max_len, max_new_tokens, prefill_rows;
    double temperature;
    uint32_t max_body_kb, max_requests, max_connections, rate;
    uint32_t receive_s, idle_min, drain_s;
};
extern const struct opt serve_table[]; /* section "serve" */

struct serve_job {
    const struct serve_opts *serve;
    const struct model_opts *model;
    const char *template;  /* of impressions: shards.template */
    struct opt_strs input; /* shards.input */
    bool encoder_decoder;  /* shards.layout */
    const char *adapter;   /* where serve.adapters is empty; NULL: the base model alone */
    struct str options;    /* the dump of the sections that the server was begun with */
    const char *version, *commit;
    bool terminal; /* stdout is a terminal: the link may be shown there */
    void (*show)(void *ctx, const char *line); /* a line for whoever started the server */
    void *show_ctx;
};
/* Serve until stop_requested; then requests under way get serve.drain_s to end. Returns true when
 * stopped as asked. */
MUST_CHECK bool serve_run(const struct serve_job *j, struct err *e);
