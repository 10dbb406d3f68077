/*
 * label/rating - who judges which answers in which order, and what has been judged: the state of a
 * rating, without any network.
 *
 *     label.dir/labels.jsonl   label/factlabel: a line a judgement, appended and flushed at once
 *
 * The main idea: reports are drawn from the first system's pairs by the seed, those that every
 * system answered (same id; files without ids: same line). Each drawn report gives a task a system,
 * so all systems are judged on the same reports; each reader sees their tasks in an order of their
 * own, systems mixed, and never which system a text is from. Reports are dealt to the readers in
 * turn; a share (`twice`) goes to two of them, so that agreement can be computed. Everything but
 * what was judged is a function of files, options and seed: a restart goes on where it stopped,
 * reading labels.jsonl.
 *
 * Thread-safe after opening: one lock around everything.
 */
#pragma once
#include "base/err.h"
#include "base/json.h"
#include "base/opt.h"
#include "label/factlabel.h"

enum { RATING_SYSTEMS = 16, RATING_RATERS = 16 };
struct label_system {
    const char *name, *path; /* of a pairs file */
};
struct label_opts {
    const char *dir;
    struct opt_list systems; /* of struct label_system */
    struct opt_strs raters;
    uint32_t reports; /* to draw */
    double twice;     /* share of them that two readers judge */
    bool scales;      /* ask the five 1-5 scales too */
    uint64_t seed;
    uint32_t port;
    const char *socket;
    uint32_t idle_min;
};
extern const struct opt label_table[]; /* section "label" */

struct rating;
MUST_CHECK bool rating_open(const struct label_opts *o, const char *tool, struct rating **out,
                            struct err *e);
void rating_close(struct rating *r);
size_t rating_raters(const struct rating *r);
const char *rating_rater_name(const struct rating *r, size_t rater);
/* SIZE_MAX: nobody of that name. */
size_t rating_rater_of(const struct rating *r, struct str name);
bool rating_scales(const struct rating *r);
/* How many tasks the reader has, and how many of them are judged. */
void rating_count(struct rating *r, size_t rater, size_t *done, size_t *all);
/* Place of the first task that is not judged, in the reader's order; the number of all tasks when
 * none is left. */
size_t rating_next(struct rating *r, size_t rater);
/* Task at `place` as JSON: place, modality, texts, what the reader said before ("label", or null).
 * Nothing about the system. place < all. */
MUST_CHECK bool rating_task_json(struct rating *r, size_t rater, size_t place, struct sbuf *out,
                                 struct err *e);
/* Keep a judgement: body has errors, overall, scales, seconds as in the label file. What is wrong
 * with it is *refused with *e set: nothing was kept. Otherwise it is on disk before this returns.
 */
MUST_CHECK bool rating_put(struct rating *r, size_t rater, size_t place, const json_t *body,
                           bool *refused, struct err *e);
