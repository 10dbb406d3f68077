#include "synth/people.h"

#include "base/check.h"

struct people people_of(uint64_t seed, enum synth_archive archive, uint64_t patients,
                        uint64_t reports)
{
    struct people p = {.seed = seed, .patients = patients, .reports = reports, .archive = archive};

    if (p.patients == 0) p.patients = (reports * 2 + 6) / 7;
    if (p.patients > reports) p.patients = reports;
    return p;
}

struct rng_key people_key(const struct people *p, enum people_purpose purpose, uint64_t index)
{
    CHECK(index < (uint64_t)1 << 48);
    return rng_key(p->seed, RNG_SYNTH,
                   (uint64_t)p->archive << 60 | (uint64_t)purpose << 48 | index);
}

uint64_t people_first(const struct people *p, uint64_t patient)
{
    double jitter;

    if (patient == 0) return 0;
    if (patient >= p->patients) return p->reports;
    jitter = rng_unit(people_key(p, PEOPLE_SHARE, 0), patient) * 0.9;
    return (patient * p->reports + (uint64_t)(jitter * (double)p->reports)) / p->patients;
}

uint64_t people_patient(const struct people *p, uint64_t report)
{
    uint64_t i = report * p->patients / p->reports;

    CHECK(report < p->reports);
    while (people_first(p, i) > report)
        i--;
    while (people_first(p, i + 1) <= report)
        i++;
    return i;
}
