/* A job's journal is any bytes: what can be read counts, the rest is skipped; nothing points outside the arena. */
#include <stdint.h>
#include <stdlib.h>

#include "slurm/job_log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t sum; /* every byte that is handed out is looked at */
static void look(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        sum += (unsigned char)s.p[i];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const jobs[] = {NULL, "12", "12_3"};

    if (size > (1 << 18)) return 0;
    for (int i = 0; i < 3; i++) {
        struct job_log log;
        struct arena a;
        struct err e = {0};
        arena_init(&a, (size_t)16 << 20);
        if (job_log_parse((struct str){(const char *)data, size}, jobs[i], &a, &log, &e)) {
            if (log.nbad > JOB_LOG_BAD_MAX || log.idle > log.attempts) abort();
            for (size_t k = 0; k < log.nbad; k++)
                look(log.bad[k]);
            look(log.verdict);
            look(log.error);
        } else if (e.code == ERR_NONE) {
            abort();
        }
        arena_free(&a);
    }
    return 0;
}
