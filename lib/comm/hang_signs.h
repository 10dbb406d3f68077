/*
 * comm/hang_signs - what each rank says of itself in the stage's folder, and what follows: who
 * hangs?
 *
 *     DIR/.alive/3     of rank 3, lines "RUN WAITING ENTERED QUIET_MS N WHAT"; the last counts
 *
 * The files appear only once a job has run for a tenth of its limit, and go when it ends or the
 * next one begins. RUN is a number of this job: lines that another one left are not believed.
 * Nothing is flushed to disk, nothing waits for anybody, and a line that cannot be written is left
 * out.
 *
 * The main idea: a rank whose process no longer writes, or which is in no collective while others
 * wait in one, is the one they wait for. Where there is none, all ranks still enter the same
 * collectives in the same order, so it is one that entered fewer than the others. In that order: a
 * collective may let some ranks go while others wait in it, so being behind alone proves little.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hang_sign {
    bool known;       /* it left a line */
    bool waiting;     /* in a collective */
    uint64_t entered; /* collectives so far */
    double quiet_s;   /* its own count of time without a sign of life, when it wrote the line */
    double age_s;     /* of the line, on the file server's clock */
    char what[24];    /* where its work stood; empty: at the start */
    uint64_t n;
};

/* This rank's line. Failures are nobody's business. */
void hang_signs_put(const char *dir, int rank, uint64_t run, const struct hang_sign *s);
/* All ranks' latest lines; the age is taken against rank `me`'s, which was just written. */
void hang_signs_get(const char *dir, int me, uint64_t run, struct hang_sign *out, int size);
void hang_signs_drop(const char *dir, int rank); /* this rank's */
void hang_signs_clear(const char *dir);          /* all, of whatever job */

/* Who hangs? suspect[size] is set. False: somebody still works, nobody hangs. All false: they wait
 * for one another. Pure. */
bool hang_signs_judge(const struct hang_sign *v, int size, double limit_s, bool *suspect);
