/*
 * label/label_server - a rating behind serve's door: one page for readers, on loopback or a 0600
 * Unix socket, with a one-time link.
 *
 *     label.dir/connect.txt  0600: the link and the ssh -L line, anew after each use
 *     label.dir/token        0600: what opens the page again; both are gone at the end
 *     label.dir/audit.jsonl  each start, and who was shown how many answers
 *
 *     GET  /                 the page (label/rate.html): no other file, no other origin
 *     POST /radmill/session  {"secret"} -> {"session"}
 *     GET  /label/info       {"raters", "scales"}
 *     POST /label/next       {"rater", "place"?} -> {"done", "all", "task"}; place past the ends:
 *                            the last; without one: the first that is not judged
 *     POST /label/put        {"rater", "place", "label"} -> as next
 *
 * All in serve/http's order of checks: host names, secret, rate, sizes. No report text in logs,
 * URLs or errors. Readers choose their name on the page: the token says who may rate, not who one
 * is. No TLS and no other address: whoever rates from afar comes through ssh.
 */
#pragma once
#include "label/rating.h"

struct label_job {
    const struct label_opts *label;
    const char *tool;                          /* "radmill label 0.1.0" */
    void (*show)(void *ctx, const char *line); /* for whoever started it; may be NULL */
    void *show_ctx;
};
extern const char rate_html[]; /* made of rate.html by the build */
extern const size_t rate_html_bytes;

/* Serve until stop_requested. */
MUST_CHECK bool label_serve(const struct label_job *j, struct err *e);
