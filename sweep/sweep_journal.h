/*
 * sweep/sweep_journal - one record of a sweep, as a line of JSON with a checksum.
 *
 *     {"op":"report","trial":12,"rung":1,"attempt":0,...}<TAB>1f2e3d4c<LF>
 *
 *     start    (trial, rung, attempt) was begun: its values, and for TPE what it saw
 *     report   it has trained to the rung: scores, steps, seconds
 *     fail     it could not: the class of the failure
 *     release  it was asked to stop; its checkpoint stands
 *     stop     median rule: the trial does not go on beyond this rung
 *
 * The checksum is CRC32C of the JSON's bytes. A line that does not hold is skipped, never guessed
 * at. Jobs that come before all trials (building shards) are records with "prepare" for "trial".
 */
#pragma once
#include "base/json.h"
#include "sweep/space.h"

enum { SWEEP_LINE_MAX = 1 << 16 };

enum sweep_op {
    SWEEP_OP_START,
    SWEEP_OP_REPORT,
    SWEEP_OP_FAIL,
    SWEEP_OP_RELEASE,
    SWEEP_OP_STOP,
    SWEEP_OPS
};
enum sweep_failure {
    SWEEP_OOM,      /* memory: the same values would fail again */
    SWEEP_DIVERGED, /* not a finite number */
    SWEEP_CODE,     /* options, data: an error that stays */
    SWEEP_NODE,     /* disk, device: may be well elsewhere */
    SWEEP_LOST,     /* the worker vanished: killed, node gone, time over without a save */
    SWEEP_FAILURES
};
extern const char *const sweep_failure_names[SWEEP_FAILURES + 1];
enum sweep_metric { SWEEP_DEV_LOSS, SWEEP_BITS_PER_BYTE, SWEEP_ROUGE_L, SWEEP_METRICS };
extern const char *const sweep_metric_names[SWEEP_METRICS + 1];

/* What a trial has to show at a rung. NaN: not measured. */
struct sweep_result {
    double value[SWEEP_METRICS];
    double train_loss;
    uint64_t step, total_steps; /* of the run */
    uint64_t tokens;            /* trained on by this attempt */
    uint64_t memory_bytes;      /* planned on the device */
    double gpu_s;               /* wall seconds x devices, all of this attempt */
};
struct sweep_record {
    enum sweep_op op;
    bool prepare; /* trial is the number of a preparation */
    uint64_t trial;
    uint32_t rung, attempt;
    int64_t time;             /* of the worker's clock; for people only */
    struct space_point point; /* start; report too, should the start's line be lost */
    struct str seen;          /* start under TPE; borrowed when decoded, until the next decode */
    struct sweep_result r;    /* report; gpu_s also of fail and release */
    enum sweep_failure failure;
    struct str text; /* fail: the error; borrowed */
};

bool sweep_journal_has_point(const struct sweep_record *r);
/* Append the line with its newline. */
MUST_CHECK bool sweep_journal_put(const struct space *s, const struct sweep_record *r,
                                  struct sbuf *b, struct err *e);
/* line without its newline. *keep owns what the record borrows: json_decref it. */
MUST_CHECK bool sweep_journal_get(const struct space *s, struct str line, struct sweep_record *out,
                                  json_t **keep, struct err *e);
/* Does the checksum hold? *json is the part before it. */
bool sweep_journal_check(struct str line, struct str *json);
